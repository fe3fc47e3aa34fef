// A player's session: from guest to agent, through lost connections, until it ends.
//
//   state      | message or event        | next       | what happens
//   -----------|-------------------------|------------|-----------------------------------------------
//   idle       | play(name)              | connecting | a link is opened
//   connecting | welcome, no token       | entering   | Guest
//   connecting | welcome, token          | resuming   | Resume(token, out_ack)
//   entering   | ticket                  | entering   | Join(ticket)
//   entering   | joined                  | playing    | the world starts
//   resuming   | joined                  | playing    | inputs above in_seq are sent again
//   connecting | refused, registry       | waiting    | the description is asked for again
//   entering   | refused, retry          | waiting    | after the time it says
//   entering   | refused, no retry       | ended      | the words are shown
//   resuming   | refused, retry          | waiting    | the token is kept
//   resuming   | refused, no retry       | connecting | the token is thrown away: enters anew
//   any live   | closed                  | waiting    | back-off, then connecting
//   any live   | goodbye, no retry       | ended      | the words are shown
//   any live   | goodbye, retry          | waiting    | there or elsewhere, after the time it says
//   any        | leave()                 | idle       | Leave
import type { Events, Joined, Refused } from "../generated/pangaea/client.js";
import { RefusalCode } from "../generated/pangaea/client.js";
import { Registry } from "../world/registry.js";
import type { Scalar } from "../world/registry.js";
import type { World } from "../world/world.js";
import type { FromGateway, SentInput } from "./codec.js";
import { guest, hello, inputs, join, leave, resume } from "./codec.js";
import { Gateways } from "./gateways.js";
import { backOffMs, Link } from "./link.js";

export type SessionState = "idle" | "connecting" | "entering" | "resuming" | "playing" | "waiting" | "ended";

/** Inputs in one message. */
const INPUTS_MAX = 64;
/** Inputs kept while the way is closed; more than this and walking is no longer predicted sensibly. */
const OPEN_INPUTS_MAX = 1_024;

/** Where the own agent runs. */
export interface Route {
  readonly shard: string;
  readonly scene: string;
}

/** What the session tells its owner. */
export interface SessionEvents {
  changed(state: SessionState): void;
  joined(joined: Joined): void;
  /** The own agent as of `tick` (relative, as in `World.tick`): the exact position after input `applied`. */
  confirmed(applied: number, tick: number, x: number, z: number): void;
  event(name: string, values: Record<string, unknown>): void;
  resync(): void;
  routed(route: Route): void;
}

export class Session {
  state: SessionState = "idle";
  /** Why it ended or waits, in the gateway's words. */
  words = "";
  agent = 0n;
  registry = Registry.EMPTY;
  tickHz = 20;
  cluster = "";
  gateway = "";
  link: Link | undefined;
  #name = "";
  #token: string | undefined;
  #open: SentInput[] = [];
  #seq = 0;
  #inSeq = 0;
  #shard = "";
  #outSeq = 0;
  #ackSent = 0;
  #failures = 0;
  #waitMs: number | undefined;
  #sentOn = false;
  readonly #gateways: Gateways;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly world: World, urls: readonly string[], readonly events: SessionEvents) {
    this.#gateways = new Gateways(urls);
  }

  /** Inputs that may have to be told again. */
  get openInputs(): number {
    return this.#open.length;
  }

  play(name: string): void {
    if (this.state !== "idle" && this.state !== "ended") return;
    this.#name = name;
    this.#token = undefined;
    this.#failures = 0;
    this.#connect();
  }

  /** Logs out. */
  leave(): void {
    clearTimeout(this.#timer);
    const link = this.link;
    this.link = undefined;
    link?.send(leave());
    link?.close();
    this.#token = undefined;
    this.world.clear();
    this.#enter("idle");
  }

  /** Sends an input by name; returns its sequence number, or undefined when the game has no such input. */
  send(name: string, values: Record<string, Scalar>): number | undefined {
    const type = this.registry.inputs.get(name);
    if (!type || !this.#token || this.#open.length >= OPEN_INPUTS_MAX) return undefined;
    const input = { seq: ++this.#seq, id: type.id, bytes: type.write(values) };
    this.#open.push(input);
    if (this.state === "playing") this.#send([input]);
    return input.seq;
  }

  /** Acknowledges events when no input does it on the way. Call now and then. */
  acknowledge(): void {
    if (this.state === "playing" && this.#ackSent !== this.#outSeq) this.#send([]);
  }

  /** Cuts the connection, for tests: the session comes back by itself. */
  cut(): void {
    this.link?.close();
  }

  #enter(state: SessionState): void {
    this.state = state;
    this.events.changed(state);
  }

  #connect(): void {
    this.#enter("connecting");
    const link = new Link(this.#gateways.url, {
      opened: () => link.send(hello(this.registry.hash)),
      received: (message) => { if (this.link === link) this.#received(message, link); },
      closed: () => { if (this.link === link) this.#closed(); },
    });
    this.link = link;
  }

  #received(message: FromGateway, link: Link): void {
    const now = performance.now();
    switch (message.type) {
      case "welcome": {
        const description = message.body.description();
        if (description) this.registry = Registry.from(description, message.body.registry());
        this.tickHz = message.body.tickHz() || 20;
        this.cluster = message.body.cluster() ?? "";
        this.gateway = message.body.gateway() ?? "";
        this.world.describe(this.registry, this.tickHz, message.body.cellEdgeM());
        this.#enter(this.#token ? "resuming" : "entering");
        link.send(this.#token ? resume(this.#token, this.#outSeq, this.#shard) : guest(this.#name));
        break;
      }
      case "ticket":
        link.send(join(message.body.ticket() ?? ""));
        break;
      case "joined":
        this.#joined(message.body, now);
        break;
      case "refused":
        this.#refused(message.body);
        break;
      case "goodbye":
        this.words = message.body.text() ?? "";
        this.#sentOn = !!message.body.reconnectTo();
        if (this.#sentOn) this.#gateways.sendOn(message.body.reconnectTo()!);
        this.#waitMs = this.#sentOn ? 0 : message.body.retryAfterMs() || undefined;
        if (message.body.code() === RefusalCode.Replaced) this.#end();
        break;
      case "update": {
        const update = message.body;
        this.world.apply(update, now);
        if (this.state !== "playing") break;
        this.#acknowledged(update.inSeq);
        this.events.confirmed(update.applied, this.world.tick, update.x, update.z);
        break;
      }
      case "events":
        for (let i = 0; i < message.body.eventsLength(); i++) this.#event(message.body, i);
        break;
      case "routed":
        this.#shard = message.body.shard() ?? "";
        this.events.routed({ shard: this.#shard, scene: message.body.scene() ?? "" });
        break;
      case "pong":
      case "watching":
        break;
    }
  }

  #joined(joined: Joined, now: number): void {
    this.agent = joined.agent();
    this.world.own = this.agent;
    this.#token = joined.token() ?? undefined;
    this.#failures = 0;
    this.#waitMs = undefined;
    this.#inSeq = joined.inSeq();
    this.world.reconnected(now);
    if (joined.resumed()) {
      this.#acknowledged(joined.inSeq());
    } else {
      this.#open = [];
      this.#seq = joined.inSeq();
      this.#outSeq = joined.outSeq();
      this.#ackSent = this.#outSeq;
    }
    this.#enter("playing");
    this.events.joined(joined);
    this.#send(this.#open);
  }

  #refused(refused: Refused): void {
    this.words = refused.text() ?? "";
    if (this.state === "playing") return;
    if (refused.code() === RefusalCode.Registry && this.registry !== Registry.EMPTY) {
      this.registry = Registry.EMPTY; // another build of the game: ask what its types look like now
      this.link?.close();
    } else if (refused.retryAfterMs() > 0) {
      this.#waitMs = refused.retryAfterMs();
      this.link?.close();
    } else if (this.state === "resuming") {
      this.#token = undefined;
      this.world.clear();
      this.link?.close();
    } else {
      this.#end();
    }
  }

  #end(): void {
    const link = this.link;
    this.link = undefined;
    link?.close();
    this.#token = undefined;
    this.#enter("ended");
  }

  #closed(): void {
    this.#enter("waiting");
    if (!this.#sentOn) this.#gateways.failed();
    this.#sentOn = false;
    const wait = this.#waitMs ?? backOffMs(this.#failures++);
    this.#waitMs = undefined;
    this.#timer = setTimeout(() => this.#connect(), wait);
  }

  /** Inputs up to `inSeq` need not be told again. */
  #acknowledged(inSeq: number): void {
    if (inSeq < this.#inSeq || inSeq > this.#seq) this.world.anomalies.wentBack++;
    this.#inSeq = inSeq;
    while (this.#open.length > 0 && this.#open[0]!.seq <= inSeq) this.#open.shift();
  }

  #event(events: Events, index: number): void {
    const event = events.events(index);
    if (!event || event.seq() <= this.#outSeq) return;
    if (event.seq() !== this.#outSeq + 1) {
      if (events.resync()) this.events.resync();
      else this.world.anomalies.eventGaps++;
    }
    this.#outSeq = event.seq();
    const type = this.registry.events.get(event.id());
    const bytes = event.bytesArray();
    if (!type || !bytes) return;
    this.events.event(type.name, type.readAll(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0));
  }

  #send(list: readonly SentInput[]): void {
    for (let i = 0; i === 0 || i < list.length; i += INPUTS_MAX) {
      const part = list.slice(i, i + INPUTS_MAX);
      if (part.length === 0 && this.#ackSent === this.#outSeq) return;
      this.link?.send(inputs(part, this.#outSeq));
      this.#ackSent = this.#outSeq;
    }
  }
}
