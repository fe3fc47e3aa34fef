// The game's types, read and written by name.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as flatbuffers from "flatbuffers";
import * as types from "../mock/types.js";
import { FieldType, Registry as WireRegistry } from "../src/generated/pangaea/client.js";
import { PlainType, Registry } from "../src/world/registry.js";

const all = new PlainType(1, "AllSorts", 60, [
  { name: "u8", type: FieldType.U8, offset: 0, length: 1 }, { name: "i8", type: FieldType.I8, offset: 1, length: 1 },
  { name: "u16", type: FieldType.U16, offset: 2, length: 1 }, { name: "i32", type: FieldType.I32, offset: 4, length: 1 },
  { name: "u64", type: FieldType.U64, offset: 8, length: 1 }, { name: "who", type: FieldType.Entity, offset: 16, length: 1 },
  { name: "f32", type: FieldType.F32, offset: 24, length: 1 }, { name: "f64", type: FieldType.F64, offset: 28, length: 1 },
  { name: "list", type: FieldType.U16, offset: 36, length: 4 }, { name: "text", type: FieldType.Text, offset: 44, length: 16 },
]);

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

test("every sort of field comes back as it was written", () => {
  const values = { u8: 200, i8: -127, u16: 65_000, i32: -5, u64: 2n ** 63n + 1n, who: 77n, f32: 0.5, f64: -1e9, text: "Zoë" };
  const read = all.readAll(viewOf(all.write(values)), 0);
  assert.deepEqual(read, { ...values, list: [0, 0, 0, 0] });
});

test("bytes are little-endian at their offset", () => {
  const bytes = all.write({ u16: 0x1234 });
  assert.deepEqual([...bytes.subarray(2, 4)], [0x34, 0x12]);
});

test("text is cut to fit, never inside a character", () => {
  const bytes = all.write({ text: "aaaaaaaaaaaaaaa€€" });
  assert.equal(all.text(viewOf(bytes), 0, "text"), "aaaaaaaaaaaaaaa");
  assert.equal(bytes.length, 60);
});

test("too few bytes and absent fields give the default, not an exception", () => {
  const view = viewOf(new Uint8Array(10));
  assert.equal(all.read(view, 0, "u8"), undefined);
  assert.equal(all.number(viewOf(new Uint8Array(60)), 0, "no_such", 5), 5);
  assert.equal(all.entity(view, 0, "who"), 0n);
});

test("a description whose field ends outside its type is refused", () => {
  assert.throws(() => new PlainType(1, "bad", 3, [{ name: "x", type: FieldType.U32, offset: 0, length: 1 }]), /ends at byte 4 of 3/);
});

test("names are found in either writing", () => {
  assert.equal(all.name, "all_sorts");
  assert.equal(new PlainType(2, "pick_up", 0, []).name, "pick_up");
});

test("a whole description is read from Welcome's table", () => {
  const b = new flatbuffers.Builder(1_024);
  b.finish(types.describe(b));
  const registry = Registry.from(WireRegistry.getRootAsRegistry(new flatbuffers.ByteBuffer(b.asUint8Array())), 7n);
  assert.equal(registry.hash, 7n);
  assert.deepEqual([...registry.inputs.keys()], ["move", "attack", "pick_up", "drop", "chat", "pay", "trade_offer", "trade_accept", "trade_cancel"]);
  assert.ok(registry.component("health")?.has("now", "max"));
  assert.equal(registry.events.get(types.SAID.id)?.name, "said");
  assert.deepEqual([...registry.inputs.get("move")!.write({ dx: -127, dz: 127 })], [129, 127]);
});
