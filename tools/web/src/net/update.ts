// Updates: what to draw, once per tick. They are packed by hand and not FlatBuffers; schemas/fbs/client.fbs has the layout.

/** Steps of a told position per metre. */
export const STEPS_PER_M = 256;
/** Steps of a told velocity per m/s. */
export const STEPS_PER_M_S = 512;

const UPDATE = 1;
const LEFT = 1 << 1;
const ENTERED = 1 << 2;
const MOVED = 1 << 3;
const CHANGED = 1 << 4;
const DILATED = 1 << 5;

/** Where an entity is at the update's tick in metres, and its velocity in m/s. */
export interface Course {
  readonly x: number;
  readonly z: number;
  readonly vx: number;
  readonly vz: number;
}

/** A component's bytes begin at `base` of the update's view. */
export interface Part {
  readonly id: number;
  readonly base: number;
}

export interface Entered {
  readonly slot: number;
  readonly entity: bigint;
  readonly course: Course;
  readonly parts: Part[];
}

/** One update; its lists are to be applied in this order. */
export interface Update {
  readonly view: DataView;
  readonly tick: number;
  readonly agentEpoch: number;
  readonly inSeq: number;
  readonly applied: number;
  readonly x: number;
  readonly z: number;
  readonly dilationPercent: number;
  readonly left: number[];
  readonly entered: Entered[];
  readonly moved: { slot: number; course: Course }[];
  readonly changed: { slot: number; parts: Part[] }[];
}

/** Whether a body is an update; otherwise it is a FlatBuffer. */
export function isUpdate(body: Uint8Array): boolean {
  return body.length > 0 && (body[0]! & UPDATE) !== 0;
}

/** Throws a RangeError when it is cut short. */
export function readUpdate(body: Uint8Array): Update {
  const reader = new Reader(new DataView(body.buffer, body.byteOffset, body.byteLength));
  const flags = reader.u8();
  const tick = reader.u32() + reader.u8() * 2 ** 32;
  const [agentEpoch, inSeq] = [reader.varint(), reader.varint()];
  const applied = inSeq + reader.zigzag();
  const [x, z] = [reader.f32(), reader.f32()];
  const dilationPercent = flags & DILATED ? reader.u8() : 100;
  const list = <T>(flag: number, element: () => T): T[] => {
    const found: T[] = [];
    for (let left = flags & flag ? reader.varint() : 0; left > 0; left--) found.push(element());
    return found;
  };
  const course = (): Course => ({
    x: x + reader.zigzag() / STEPS_PER_M, z: z + reader.zigzag() / STEPS_PER_M,
    vx: reader.zigzag() / STEPS_PER_M_S, vz: reader.zigzag() / STEPS_PER_M_S,
  });
  return {
    view: reader.view, tick, agentEpoch, inSeq, applied, x, z, dilationPercent,
    left: list(LEFT, () => reader.varint()),
    entered: list(ENTERED, () => ({ slot: reader.varint(), entity: reader.u64(), course: course(), parts: reader.parts() })),
    moved: list(MOVED, () => ({ slot: reader.varint(), course: course() })),
    changed: list(CHANGED, () => ({ slot: reader.varint(), parts: reader.parts() })),
  };
}

class Reader {
  #at = 0;

  constructor(readonly view: DataView) {}

  u8(): number {
    return this.view.getUint8(this.#at++);
  }

  u32(): number {
    this.#at += 4;
    return this.view.getUint32(this.#at - 4, true);
  }

  u64(): bigint {
    this.#at += 8;
    return this.view.getBigUint64(this.#at - 8, true);
  }

  f32(): number {
    this.#at += 4;
    return this.view.getFloat32(this.#at - 4, true);
  }

  /** Beyond 2^53 it loses its lowest bits; nothing here is that large. */
  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }

  zigzag(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  parts(): Part[] {
    const parts: Part[] = [];
    for (let left = this.varint(); left > 0; left--) {
      const id = this.u32();
      const length = this.varint();
      parts.push({ id, base: this.#at });
      this.#at += length;
      if (this.#at > this.view.byteLength) throw new RangeError("a component is cut short");
    }
    return parts;
  }
}
