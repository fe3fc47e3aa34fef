// The client protocol's messages to and from bytes: one body per binary WebSocket message, a FlatBuffer or an update.
import * as flatbuffers from "flatbuffers";
import {
  ClientBody, ClientMessage, Events, Goodbye, Guest, Hello, Input, Inputs, Join, Joined, Leave, Ping, Pong, Refused, Resume, Routed,
  ServerBody, ServerMessage, Spectate, Ticket, Watching, Welcome,
} from "../generated/pangaea/client.js";
import type { Update } from "./update.js";
import { isUpdate, readUpdate } from "./update.js";

export const PROTOCOL_VERSION = 2;

/** One input on its way: kept until the server has applied it. */
export interface SentInput {
  readonly seq: number;
  readonly id: number;
  readonly bytes: Uint8Array;
}

type Build = (builder: flatbuffers.Builder) => number;

function message(type: ClientBody, build: Build): Uint8Array {
  const builder = new flatbuffers.Builder(256);
  const body = build(builder);
  builder.finish(ClientMessage.createClientMessage(builder, type, body));
  return builder.asUint8Array();
}

/** `registry` 0n asks for the description. */
export function hello(registry: bigint): Uint8Array {
  return message(ClientBody.Hello, (b) => Hello.createHello(b, PROTOCOL_VERSION, registry, b.createString("pangaea-web")));
}

export function guest(name: string): Uint8Array {
  return message(ClientBody.Guest, (b) => Guest.createGuest(b, b.createString(name)));
}

export function join(ticket: string): Uint8Array {
  return message(ClientBody.Join, (b) => Join.createJoin(b, b.createString(ticket)));
}

export function resume(token: string, outAck: number, shard: string): Uint8Array {
  return message(ClientBody.Resume, (b) => Resume.createResume(b, b.createString(token), outAck, b.createString(shard)));
}

/** Watches the cells from (x0, z0) to (x1, z1), both included. */
export function spectate(space: number, x0: number, z0: number, x1: number, z1: number): Uint8Array {
  return message(ClientBody.Spectate, (b) => Spectate.createSpectate(b, b.createString(""), space, x0, z0, x1, z1));
}

export function inputs(list: readonly SentInput[], outAck: number): Uint8Array {
  return message(ClientBody.Inputs, (b) => {
    const made = list.map((input) => Input.createInput(b, input.seq, input.id, Input.createBytesVector(b, input.bytes)));
    return Inputs.createInputs(b, Inputs.createInputsVector(b, made), outAck);
  });
}

export function ping(microseconds: bigint): Uint8Array {
  return message(ClientBody.Ping, (b) => Ping.createPing(b, microseconds));
}

export function leave(): Uint8Array {
  return message(ClientBody.Leave, (b) => {
    Leave.startLeave(b);
    return Leave.endLeave(b);
  });
}

/** Any message of a gateway. */
export type FromGateway =
  | { type: "welcome"; body: Welcome }
  | { type: "ticket"; body: Ticket }
  | { type: "joined"; body: Joined }
  | { type: "watching"; body: Watching }
  | { type: "refused"; body: Refused }
  | { type: "goodbye"; body: Goodbye }
  | { type: "update"; body: Update }
  | { type: "events"; body: Events }
  | { type: "routed"; body: Routed }
  | { type: "pong"; body: Pong };

/** Undefined for a message of a kind this client does not know. */
export function decode(bytes: Uint8Array): FromGateway | undefined {
  if (isUpdate(bytes)) return { type: "update", body: readUpdate(bytes) };
  const wire = ServerMessage.getRootAsServerMessage(new flatbuffers.ByteBuffer(bytes));
  switch (wire.bodyType()) {
    case ServerBody.Welcome: return { type: "welcome", body: wire.body(new Welcome()) };
    case ServerBody.Ticket: return { type: "ticket", body: wire.body(new Ticket()) };
    case ServerBody.Joined: return { type: "joined", body: wire.body(new Joined()) };
    case ServerBody.Watching: return { type: "watching", body: wire.body(new Watching()) };
    case ServerBody.Refused: return { type: "refused", body: wire.body(new Refused()) };
    case ServerBody.Goodbye: return { type: "goodbye", body: wire.body(new Goodbye()) };
    case ServerBody.Events: return { type: "events", body: wire.body(new Events()) };
    case ServerBody.Routed: return { type: "routed", body: wire.body(new Routed()) };
    case ServerBody.Pong: return { type: "pong", body: wire.body(new Pong()) };
    case ServerBody.NONE: return undefined;
    default: return undefined;
  }
}
