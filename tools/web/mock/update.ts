// Writes updates as a gateway does.
import { NO_ITEM } from "../src/world/entities.js";
import { STEPS_PER_M, STEPS_PER_M_S } from "../src/net/update.js";
import type { PlainType, Scalar } from "../src/world/registry.js";
import type { Being } from "./land.js";
import { SPEED_M_S } from "./land.js";
import * as types from "./types.js";

/** What an update says. */
export interface News {
  tick: number;
  inSeq?: number;
  x?: number;
  z?: number;
  left?: readonly number[];
  entered?: readonly Being[];
  moved?: readonly Being[];
  looked?: readonly Being[];
}

/** One update as bytes; a being's alias is its slot. */
export function encodeUpdate({ tick, inSeq = 0, x = 0, z = 0, left = [], entered = [], moved = [], looked = [] }: News): Uint8Array {
  const out = new Writer();
  const lists = [left, entered, moved, looked];
  out.u8(lists.reduce((flags, list, n) => (list.length > 0 ? flags | (2 << n) : flags), 1));
  out.u32(tick % 2 ** 32);
  out.u8(Math.floor(tick / 2 ** 32));
  out.varint(1);
  out.varint(inSeq);
  out.zigzag(0);
  out.f32(x);
  out.f32(z);
  const [ox, oz] = [Math.fround(x), Math.fround(z)];
  const course = (being: Being) => {
    out.zigzag(Math.round((being.x - ox) * STEPS_PER_M));
    out.zigzag(Math.round((being.z - oz) * STEPS_PER_M));
    out.zigzag(Math.round(being.vx * STEPS_PER_M_S));
    out.zigzag(Math.round(being.vz * STEPS_PER_M_S));
  };
  const list = <T>(elements: readonly T[], put: (element: T) => void) => {
    if (elements.length > 0) out.varint(elements.length);
    elements.forEach(put);
  };
  list(left, (slot) => out.varint(slot));
  list(entered, (being) => (out.varint(being.alias), out.u64(being.id), course(being), out.parts(partsOf(being))));
  list(moved, (being) => (out.varint(being.alias), course(being)));
  list(looked, (being) => (out.varint(being.alias), out.parts(partsOf(being))));
  return new Uint8Array(out.bytes);
}

type Part = { type: PlainType; bytes: Uint8Array };

function partsOf(being: Being): Part[] {
  const parts: Part[] = [];
  const add = (type: PlainType, values: Record<string, Scalar>) => parts.push({ type, bytes: type.write(values) });
  add(types.LOOK, { kind: being.kind, hue: being.hue });
  if (being.player) add(types.PACE, { metres_per_s: SPEED_M_S });
  if (being.name) add(types.NAME, { text: being.name });
  if (being.item !== NO_ITEM) add(types.ITEM, { kind: being.item });
  else add(types.HEALTH, { now: being.health, max: 100 });
  return parts;
}

class Writer {
  readonly bytes: number[] = [];

  u8(value: number): void {
    this.bytes.push(value & 0xff);
  }

  u32(value: number): void {
    for (let shift = 0; shift < 32; shift += 8) this.u8(value >>> shift);
  }

  u64(value: bigint): void {
    for (let shift = 0n; shift < 64n; shift += 8n) this.u8(Number((value >> shift) & 0xffn));
  }

  f32(value: number): void {
    this.bytes.push(...new Uint8Array(new Float32Array([value]).buffer));
  }

  varint(value: number): void {
    for (; value >= 0x80; value = Math.floor(value / 128)) this.u8((value % 128) | 0x80);
    this.u8(value);
  }

  zigzag(value: number): void {
    this.varint(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  parts(parts: readonly Part[]): void {
    this.varint(parts.length);
    for (const { type, bytes } of parts) {
      this.u32(type.id);
      this.varint(bytes.length);
      this.bytes.push(...bytes);
    }
  }
}
