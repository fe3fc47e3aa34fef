// The mock game's types, described as a real gateway describes them.
import * as flatbuffers from "flatbuffers";
import { Field, FieldType, Registry, TypeInfo } from "../src/generated/pangaea/client.js";
import { PlainType } from "../src/world/registry.js";

type Shape = [name: string, type: FieldType, length?: number][];

const SIZES = [1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 8, 1];

function plain(name: string, shape: Shape): PlainType {
  let offset = 0;
  const fields = shape.map(([field, type, length = 1]) => {
    const at = offset;
    offset += SIZES[type]! * length;
    return { name: field, type, offset: at, length };
  });
  return new PlainType(crc32(name), name, offset, fields);
}

function crc32(text: string): number {
  let crc = ~0;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

export const NAME = plain("name", [["text", FieldType.Text, 24]]);
export const LOOK = plain("look", [["kind", FieldType.U8], ["hue", FieldType.U8]]);
export const HEALTH = plain("health", [["now", FieldType.U16], ["max", FieldType.U16]]);
export const ITEM = plain("item", [["kind", FieldType.U16]]);
export const PACE = plain("Pace", [["metres_per_s", FieldType.F32]]);
export const MOVE = plain("move", [["dx", FieldType.I8], ["dz", FieldType.I8]]);
export const ATTACK = plain("attack", [["target", FieldType.Entity]]);
export const PICK_UP = plain("PickUp", [["item", FieldType.Entity]]);
export const DROP = plain("drop", [["item", FieldType.Entity]]);
export const CHAT = plain("chat", [["channel", FieldType.U8], ["text", FieldType.Text, 120]]);
const TERMS: Shape = [["give_gold", FieldType.U64], ["give_item", FieldType.Entity], ["want_gold", FieldType.U64], ["want_item", FieldType.Entity]];
export const PAY = plain("pay", [["to", FieldType.Entity], ["gold", FieldType.U64]]);
export const PAID = plain("paid", [["to", FieldType.Entity], ["gold", FieldType.U64], ["done", FieldType.U64]]);
export const WAS_PAID = plain("was_paid", [["from", FieldType.Entity], ["gold", FieldType.U64]]);
export const TRADE_OFFER = plain("trade_offer", [["to", FieldType.Entity], ...TERMS]);
export const TRADE_ACCEPT = plain("trade_accept", [["from", FieldType.Entity]]);
export const TRADE_CANCEL = plain("trade_cancel", [["with", FieldType.Entity]]);
export const TRADE_OFFERED = plain("trade_offered", [["from", FieldType.Entity], ...TERMS]);
export const TRADE_ENDED = plain("trade_ended", [["with", FieldType.Entity], ["outcome", FieldType.U64]]);
export const SAID = plain("said", [["from", FieldType.Entity], ["channel", FieldType.U8], ["name", FieldType.Text, 24], ["text", FieldType.Text, 120]]);
export const HOLDINGS = plain("holdings", [["gold", FieldType.U64]]);
export const ITEM_HELD = plain("item_held", [["item", FieldType.Entity], ["kind", FieldType.U16]]);
export const ITEM_LOST = plain("item_lost", [["item", FieldType.Entity]]);

const COMPONENTS = [NAME, LOOK, HEALTH, ITEM, PACE];
const INPUTS = [MOVE, ATTACK, PICK_UP, DROP, CHAT, PAY, TRADE_OFFER, TRADE_ACCEPT, TRADE_CANCEL];
const EVENTS = [SAID, HOLDINGS, ITEM_HELD, ITEM_LOST, TRADE_OFFERED, TRADE_ENDED, PAID, WAS_PAID];

/** The registry as a table in `builder`. */
export function describe(builder: flatbuffers.Builder): number {
  const types = (list: PlainType[]) => list.map((type) => {
    const fields = [...type.fields].map((f) => Field.createField(builder, builder.createString(f.name), f.type, f.offset, f.length));
    return TypeInfo.createTypeInfo(builder, type.id, builder.createString(type.name), type.size, TypeInfo.createFieldsVector(builder, fields));
  });
  const components = Registry.createComponentsVector(builder, types(COMPONENTS));
  const inputs = Registry.createInputsVector(builder, types(INPUTS));
  const events = Registry.createEventsVector(builder, types(EVENTS));
  return Registry.createRegistry(builder, components, inputs, events);
}
