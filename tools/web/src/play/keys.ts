// Where the player wants to walk: keys, or a finger dragged over the world.

const AXES: Record<string, readonly [number, number]> = {
  KeyW: [0, -1], ArrowUp: [0, -1], KeyS: [0, 1], ArrowDown: [0, 1],
  KeyA: [-1, 0], ArrowLeft: [-1, 0], KeyD: [1, 0], ArrowRight: [1, 0],
};
/** A drag of so many pixels is full speed. */
const FULL_DRAG_PX = 56;
const DEAD_DRAG_PX = 10;

export class Steering {
  /** Set from outside (tests): overrides keys and fingers. */
  forced: readonly [number, number] | undefined;
  readonly #held = new Set<string>();
  #drag: readonly [number, number] | undefined;

  /** Whether the key is one that walks. */
  press(code: string): boolean {
    if (!(code in AXES)) return false;
    this.#held.add(code);
    return true;
  }

  release(code: string): void {
    this.#held.delete(code);
  }

  /** The finger is so far from where it touched, in pixels; undefined: lifted. */
  drag(way: readonly [number, number] | undefined): void {
    this.#drag = way;
  }

  /** Nothing is held any more: the window lost the focus. */
  rest(): void {
    this.#held.clear();
    this.#drag = undefined;
  }

  /** Parts of full speed, each -1 to 1, together at most 1 long. */
  direction(): readonly [number, number] {
    if (this.forced) return shorten(this.forced[0], this.forced[1]);
    if (this.#drag) {
      const [x, y] = this.#drag;
      return Math.hypot(x, y) < DEAD_DRAG_PX ? [0, 0] : shorten(x / FULL_DRAG_PX, y / FULL_DRAG_PX);
    }
    let [x, z] = [0, 0];
    for (const code of this.#held) {
      x += AXES[code]![0];
      z += AXES[code]![1];
    }
    return shorten(Math.sign(x), Math.sign(z));
  }
}

function shorten(x: number, z: number): readonly [number, number] {
  const length = Math.hypot(x, z);
  return length > 1 ? [x / length, z / length] : [x, z];
}
