// A session's life, told with a gateway that says what the test wants: entering, losing the line, coming back.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import * as flatbuffers from "flatbuffers";
import * as types from "../mock/types.js";
import { encodeUpdate } from "../mock/update.js";
import {
  ClientBody, ClientMessage, Event, Events, Goodbye, Guest, Hello, Inputs, Join, Joined, Refused, RefusalCode, Resume, ServerBody, ServerMessage, Ticket,
  Welcome,
} from "../src/generated/pangaea/client.js";
import { Session } from "../src/net/session.js";
import { totalAnomalies } from "../src/world/anomalies.js";
import { World } from "../src/world/world.js";

type Build = (builder: flatbuffers.Builder) => number;

/** Stands in for the browser's WebSocket: keeps what is sent, says what it is told. */
class Wire {
  static readonly OPEN = 1;
  static readonly all: Wire[] = [];
  readyState = 0;
  onopen = () => {};
  onclose = () => {};
  onmessage = (_: { data: ArrayBuffer }) => {};
  readonly sent: ClientMessage[] = [];

  constructor(readonly url: string) {
    Wire.all.push(this);
  }

  send(bytes: Uint8Array): void {
    this.sent.push(ClientMessage.getRootAsClientMessage(new flatbuffers.ByteBuffer(bytes)));
  }

  close(): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose();
  }

  open(): void {
    this.readyState = Wire.OPEN;
    this.onopen();
  }

  say(type: ServerBody, build: Build): void {
    const b = new flatbuffers.Builder(256);
    b.finish(ServerMessage.createServerMessage(b, type, build(b)));
    this.onmessage({ data: b.asUint8Array().slice().buffer });
  }

  welcome(): void {
    this.say(ServerBody.Welcome, (b) => {
      const description = types.describe(b);
      Welcome.startWelcome(b);
      Welcome.addRegistry(b, 5n);
      Welcome.addTickHz(b, 20);
      Welcome.addCellEdgeM(b, 32);
      Welcome.addDescription(b, description);
      return Welcome.endWelcome(b);
    });
  }

  joined(resumed: boolean, inSeq: number): void {
    this.say(ServerBody.Joined, (b) => Joined.createJoined(b, 7n, b.createString("token"), resumed, 0, 32, 3, 100n, inSeq, 4));
  }

  refused(code: RefusalCode, retryMs: number): void {
    this.say(ServerBody.Refused, (b) => Refused.createRefused(b, code, b.createString("in words"), retryMs));
  }

  update(inSeq: number): void {
    this.onmessage({ data: encodeUpdate({ tick: 101, inSeq, x: 5, z: 5 }).slice().buffer });
  }

  gold(seq: number, resync = false): void {
    this.say(ServerBody.Events, (b) => {
      const event = Event.createEvent(b, seq, types.HOLDINGS.id, Event.createBytesVector(b, types.HOLDINGS.write({ gold: BigInt(seq) })));
      return Events.createEvents(b, Events.createEventsVector(b, [event]), resync);
    });
  }

  kinds(): ClientBody[] {
    return this.sent.map((message) => message.bodyType());
  }

  last<T>(body: T): T {
    return this.sent.at(-1)!.body(body);
  }
}

function seqs(inputs: Inputs): number[] {
  return Array.from({ length: inputs.inputsLength() }, (_, i) => inputs.inputs(i)!.seq());
}

/** A session that plays on its first wire. */
function playing(): { session: Session; wire: Wire; told: string[] } {
  Wire.all.length = 0;
  const told: string[] = [];
  const session = new Session(new World(), ["ws://gateway", "ws://spare"], {
    changed: () => {}, joined: () => {}, confirmed: () => {}, routed: () => {},
    event: (name, values) => told.push(`${name} ${String(values["gold"])}`),
    resync: () => told.push("resync"),
  });
  session.play("Ada");
  const wire = Wire.all[0]!;
  wire.open();
  wire.welcome();
  wire.say(ServerBody.Ticket, (b) => Ticket.createTicket(b, b.createString("ticket"), 7n, b.createString("Ada")));
  wire.joined(false, 40);
  return { session, wire, told };
}

/** The wire of the next attempt, opened and welcomed. */
function again(): Wire {
  mock.timers.tick(5_000);
  const wire = Wire.all.at(-1)!;
  wire.open();
  wire.welcome();
  return wire;
}

globalThis.WebSocket = Wire as unknown as typeof WebSocket;
mock.timers.enable({ apis: ["setTimeout", "setInterval"] });

test("a guest asks, joins, and goes on counting inputs where the agent stopped", () => {
  const { session, wire } = playing();
  assert.deepEqual(wire.kinds(), [ClientBody.Hello, ClientBody.Guest, ClientBody.Join]);
  assert.equal((wire.sent[0]!.body(new Hello()) as Hello).registry(), 0n);
  assert.equal((wire.sent[1]!.body(new Guest()) as Guest).name(), "Ada");
  assert.equal((wire.last(new Join()) as Join).ticket(), "ticket");
  assert.equal(session.state, "playing");
  assert.equal(session.send("move", { dx: 127 }), 41);
  assert.deepEqual(seqs(wire.last(new Inputs())), [41]);
  assert.equal(session.send("no_such_input", {}), undefined);
});

test("after a lost line it resumes with its token, and sends again only what was not applied", () => {
  const { session, wire, told } = playing();
  wire.gold(5);
  for (let i = 0; i < 4; i++) session.send("move", { dx: 1 });
  wire.update(42);
  wire.close();
  assert.equal(session.state, "waiting");
  assert.equal(session.send("move", { dx: 2 }), 45, "inputs are kept meanwhile");
  const next = again();
  const resume = next.last(new Resume()) as Resume;
  assert.deepEqual([resume.token(), resume.outAck()], ["token", 5]);
  assert.equal((next.sent[0]!.body(new Hello()) as Hello).registry(), 5n, "the description is known");
  next.joined(true, 43);
  assert.deepEqual(seqs(next.last(new Inputs())), [44, 45]);
  next.gold(5);
  next.gold(6);
  assert.deepEqual(told, ["holdings 5", "holdings 6"], "no event twice");
  assert.equal(totalAnomalies(session.world.anomalies), 0);
});

test("a token that is refused for good is thrown away, and the guest enters anew", () => {
  const { session, wire } = playing();
  wire.close();
  const second = again();
  second.refused(RefusalCode.Token, 0);
  const third = again();
  assert.deepEqual(third.kinds(), [ClientBody.Hello, ClientBody.Guest]);
  assert.equal(session.state, "entering");
});

test("another build of the game is asked to describe itself", () => {
  const { wire } = playing();
  wire.close();
  mock.timers.tick(5_000);
  const second = Wire.all.at(-1)!;
  second.open();
  second.refused(RefusalCode.Registry, 0);
  mock.timers.tick(5_000);
  const third = Wire.all.at(-1)!;
  third.open();
  assert.equal((third.sent[0]!.body(new Hello()) as Hello).registry(), 0n);
  third.welcome();
  assert.equal((third.last(new Resume()) as Resume).token(), "token", "the session itself goes on");
});

test("a full world is asked again after the time it says; no is no", () => {
  const { session, wire } = playing();
  wire.close();
  const second = again();
  second.refused(RefusalCode.Unavailable, 3_000);
  const wires = Wire.all.length;
  mock.timers.tick(2_900);
  assert.equal(Wire.all.length, wires);
  mock.timers.tick(200);
  assert.equal(Wire.all.length, wires + 1);
  session.leave();
  session.play("Ada");
  const last = Wire.all.at(-1)!;
  last.open();
  last.welcome();
  last.refused(RefusalCode.Credentials, 0);
  assert.equal(session.state, "ended");
  assert.equal(session.words, "in words");
});

test("a gateway that drains names another; one that was replaced does not come back", () => {
  const { session, wire } = playing();
  const goodbye = (code: RefusalCode, to: string): Build => (b) => Goodbye.createGoodbye(b, code, b.createString("bye"), b.createString(to), 0);
  wire.say(ServerBody.Goodbye, goodbye(RefusalCode.Draining, "ws://other"));
  wire.close();
  const next = again();
  assert.equal(next.url, "ws://other");
  next.joined(true, 40);
  next.say(ServerBody.Goodbye, goodbye(RefusalCode.Replaced, ""));
  assert.equal(session.state, "ended");
  const wires = Wire.all.length;
  mock.timers.tick(60_000);
  assert.equal(Wire.all.length, wires);
});

test("a gateway that is named is gone to at once, one that fails is left for the next", () => {
  const { wire } = playing();
  wire.say(ServerBody.Goodbye, (b) => Goodbye.createGoodbye(b, RefusalCode.Draining, b.createString("bye"), b.createString("ws://other"), 0));
  wire.close();
  mock.timers.tick(1);
  assert.equal(Wire.all.at(-1)!.url, "ws://other");
  Wire.all.at(-1)!.close();
  assert.equal(again().url, "ws://gateway");
  Wire.all.at(-1)!.close();
  assert.equal(again().url, "ws://spare");
});

test("a hole in the events is an anomaly, a resync is not", () => {
  const { session, wire, told } = playing();
  wire.gold(7);
  assert.equal(session.world.anomalies.eventGaps, 1);
  wire.gold(20, true);
  assert.equal(session.world.anomalies.eventGaps, 1);
  assert.deepEqual(told, ["holdings 7", "resync", "holdings 20"]);
});

test("an acknowledgement beyond what was sent is an anomaly", () => {
  const { session, wire } = playing();
  session.send("move", { dx: 1 });
  wire.update(99);
  assert.equal(session.world.anomalies.wentBack, 1);
});
