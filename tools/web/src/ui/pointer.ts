// Mouse and fingers on the world: drag to pan or to walk, pinch or wheel to zoom, click to choose or to hit.
import type { Camera } from "../render/camera.js";

/** A press that moved less than this is a click. */
const CLICK_PX = 6;

export interface PointerEvents {
  /** Dragging steers the agent instead of the map. */
  isWalking(): boolean;
  drag(way: readonly [number, number] | undefined): void;
  /** A mouse is over a place of the world, metres, without pressing. */
  hover(x: number, z: number): void;
  /** At a place of the world, metres. */
  click(x: number, z: number): void;
}

interface Touch {
  x: number;
  y: number;
  readonly startX: number;
  readonly startY: number;
  moved: boolean;
}

export class Pointer {
  readonly #touches = new Map<number, Touch>();

  constructor(readonly view: HTMLElement, readonly camera: Camera, readonly events: PointerEvents) {
    view.addEventListener("pointerdown", (event) => this.#down(event));
    view.addEventListener("pointermove", (event) => this.#move(event));
    view.addEventListener("pointerup", (event) => this.#up(event, true));
    view.addEventListener("pointercancel", (event) => this.#up(event, false));
    view.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  #down(event: PointerEvent): void {
    this.view.focus({ preventScroll: true });
    this.view.setPointerCapture(event.pointerId);
    const { clientX: x, clientY: y } = event;
    this.#touches.set(event.pointerId, { x, y, startX: x, startY: y, moved: false });
  }

  #move(event: PointerEvent): void {
    const touch = this.#touches.get(event.pointerId);
    if (!touch) return this.events.hover(this.camera.worldX(event.clientX), this.camera.worldZ(event.clientY));
    const [dx, dy] = [event.clientX - touch.x, event.clientY - touch.y];
    const other = this.#touches.size === 2 ? [...this.#touches.values()].find((one) => one !== touch) : undefined;
    if (other) {
      const before = Math.hypot(touch.x - other.x, touch.y - other.y);
      const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
      if (before > 0 && after > 0) this.camera.zoom(after / before, (event.clientX + other.x) / 2, (event.clientY + other.y) / 2);
    }
    touch.x = event.clientX;
    touch.y = event.clientY;
    const [wayX, wayY] = [touch.x - touch.startX, touch.y - touch.startY];
    if (Math.hypot(wayX, wayY) > CLICK_PX) touch.moved = true;
    if (!touch.moved) return;
    if (this.events.isWalking()) this.events.drag([wayX, wayY]);
    else this.camera.pan(other ? dx / 2 : dx, other ? dy / 2 : dy);
  }

  #up(event: PointerEvent, finished: boolean): void {
    const touch = this.#touches.get(event.pointerId);
    this.#touches.delete(event.pointerId);
    this.events.drag(undefined);
    if (touch && finished && !touch.moved) this.events.click(this.camera.worldX(touch.x), this.camera.worldZ(touch.y));
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    const factor = Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0016));
    if (this.events.isWalking()) this.camera.zoomAtCentre(factor);
    else this.camera.zoom(factor, event.clientX, event.clientY);
  }
}
