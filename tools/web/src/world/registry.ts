// The game's plain types as the gateway describes them in Welcome: read and write any of them by name at run time, so
// this client needs no generated code per game. All numbers are little-endian.
import type { Registry as WireRegistry, TypeInfo } from "../generated/pangaea/client.js";
import { FieldType } from "../generated/pangaea/client.js";

export type Scalar = number | bigint | string;
export type Value = Scalar | Scalar[];

const SIZES: Record<FieldType, number> = {
  [FieldType.U8]: 1, [FieldType.U16]: 2, [FieldType.U32]: 4, [FieldType.U64]: 8,
  [FieldType.I8]: 1, [FieldType.I16]: 2, [FieldType.I32]: 4, [FieldType.I64]: 8,
  [FieldType.F32]: 4, [FieldType.F64]: 8, [FieldType.Entity]: 8, [FieldType.Text]: 1,
};
const utf8 = new TextDecoder();
const toUtf8 = new TextEncoder();

/** One field of a plain type. */
export interface Field {
  readonly name: string;
  readonly type: FieldType;
  readonly offset: number;
  /** Elements; for text its bytes. */
  readonly length: number;
}

/** One plain type: a component, an input or an event. */
export class PlainType {
  readonly #fields: Map<string, Field>;

  /** In words joined by underscores, however the game writes it: `PickUp` is `pick_up`. */
  readonly name: string;

  constructor(readonly id: number, name: string, readonly size: number, fields: Field[]) {
    this.name = plainName(name);
    for (const field of fields) {
      const end = field.offset + SIZES[field.type] * Math.max(1, field.length);
      if (end > size) throw new RangeError(`${name}.${field.name} ends at byte ${end} of ${size}`);
    }
    this.#fields = new Map(fields.map((field) => [field.name, field]));
  }

  get fields(): Iterable<Field> {
    return this.#fields.values();
  }

  has(...names: string[]): boolean {
    return names.every((name) => this.#fields.has(name));
  }

  /** One field of the value that starts at `base`; undefined when the type has no such field or the bytes are too short. */
  read(view: DataView, base: number, name: string): Value | undefined {
    const field = this.#fields.get(name);
    if (!field || base + this.size > view.byteLength) return undefined;
    return readField(view, base + field.offset, field);
  }

  /** A scalar field as a number (64-bit integers lose what is beyond 2^53); `otherwise` when it is absent or text. */
  number(view: DataView, base: number, name: string, otherwise = 0): number {
    const value = this.read(view, base, name);
    return typeof value === "number" ? value : typeof value === "bigint" ? Number(value) : otherwise;
  }

  /** A 64-bit field such as an entity id; 0n when it is absent. */
  entity(view: DataView, base: number, name: string): bigint {
    const value = this.read(view, base, name);
    return typeof value === "bigint" ? value : typeof value === "number" ? BigInt(Math.trunc(value)) : 0n;
  }

  /** A text field; empty when it is absent. */
  text(view: DataView, base: number, name: string): string {
    const value = this.read(view, base, name);
    return typeof value === "string" ? value : "";
  }

  /** Every field by name. */
  readAll(view: DataView, base: number): Record<string, Value> {
    const all: Record<string, Value> = {};
    for (const field of this.fields) {
      const value = this.read(view, base, field.name);
      if (value !== undefined) all[field.name] = value;
    }
    return all;
  }

  /** The bytes of a value; fields that are not given are zero, names that do not exist are ignored, text is cut to fit. */
  write(values: Record<string, Scalar>): Uint8Array {
    const bytes = new Uint8Array(this.size);
    const view = new DataView(bytes.buffer);
    for (const [name, value] of Object.entries(values)) {
      const field = this.#fields.get(name);
      if (field) writeField(view, bytes, field, value);
    }
    return bytes;
  }
}

function plainName(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").replaceAll("-", "_").toLowerCase();
}

/** All plain types of a game. */
export class Registry {
  constructor(
    readonly hash: bigint,
    readonly components: Map<number, PlainType>,
    readonly inputs: Map<string, PlainType>,
    readonly events: Map<number, PlainType>,
  ) {}

  static readonly EMPTY = new Registry(0n, new Map(), new Map(), new Map());

  /** From the description in Welcome. */
  static from(wire: WireRegistry, hash: bigint): Registry {
    const components = plainTypes(wire.componentsLength(), (i) => wire.components(i));
    const inputs = plainTypes(wire.inputsLength(), (i) => wire.inputs(i));
    const events = plainTypes(wire.eventsLength(), (i) => wire.events(i));
    return new Registry(
      hash,
      new Map(components.map((type) => [type.id, type])),
      new Map(inputs.map((type) => [type.name, type])),
      new Map(events.map((type) => [type.id, type])),
    );
  }

  component(name: string): PlainType | undefined {
    for (const type of this.components.values()) if (type.name === name) return type;
    return undefined;
  }
}

function plainTypes(count: number, at: (index: number) => TypeInfo | null): PlainType[] {
  const types: PlainType[] = [];
  for (let i = 0; i < count; i++) {
    const info = at(i);
    if (!info) continue;
    const fields: Field[] = [];
    for (let f = 0; f < info.fieldsLength(); f++) {
      const field = info.fields(f);
      if (field) fields.push({ name: field.name() ?? "", type: field.ty(), offset: field.offset(), length: field.length() });
    }
    types.push(new PlainType(info.id(), info.name() ?? "", info.size(), fields));
  }
  return types;
}

function readField(view: DataView, at: number, field: Field): Value {
  if (field.type === FieldType.Text) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + at, field.length);
    const end = bytes.indexOf(0);
    return utf8.decode(end < 0 ? bytes : bytes.subarray(0, end));
  }
  if (field.length <= 1) return readScalar(view, at, field.type);
  const size = SIZES[field.type];
  return Array.from({ length: field.length }, (_, i) => readScalar(view, at + i * size, field.type));
}

function readScalar(view: DataView, at: number, type: FieldType): Scalar {
  switch (type) {
    case FieldType.U8: return view.getUint8(at);
    case FieldType.U16: return view.getUint16(at, true);
    case FieldType.U32: return view.getUint32(at, true);
    case FieldType.I8: return view.getInt8(at);
    case FieldType.I16: return view.getInt16(at, true);
    case FieldType.I32: return view.getInt32(at, true);
    case FieldType.I64: return view.getBigInt64(at, true);
    case FieldType.F32: return view.getFloat32(at, true);
    case FieldType.F64: return view.getFloat64(at, true);
    case FieldType.U64:
    case FieldType.Entity: return view.getBigUint64(at, true);
    case FieldType.Text: return view.getUint8(at);
  }
}

function writeField(view: DataView, bytes: Uint8Array, field: Field, value: Scalar): void {
  if (field.type === FieldType.Text) {
    bytes.set(cutUtf8(toUtf8.encode(String(value)), field.length), field.offset);
    return;
  }
  const at = field.offset;
  switch (field.type) {
    case FieldType.U8: view.setUint8(at, Number(value)); break;
    case FieldType.U16: view.setUint16(at, Number(value), true); break;
    case FieldType.U32: view.setUint32(at, Number(value), true); break;
    case FieldType.I8: view.setInt8(at, Number(value)); break;
    case FieldType.I16: view.setInt16(at, Number(value), true); break;
    case FieldType.I32: view.setInt32(at, Number(value), true); break;
    case FieldType.I64: view.setBigInt64(at, BigInt(value), true); break;
    case FieldType.F32: view.setFloat32(at, Number(value), true); break;
    case FieldType.F64: view.setFloat64(at, Number(value), true); break;
    case FieldType.U64:
    case FieldType.Entity: view.setBigUint64(at, BigInt(value), true); break;
  }
}

/** At most `length` bytes, never ending inside a character. */
function cutUtf8(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length <= length) return bytes;
  let end = length;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}
