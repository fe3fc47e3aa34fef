// The player: a session, the prediction of the own agent, and what keys and clicks do in the game.
import type { Joined } from "../generated/pangaea/client.js";
import type { Route, SessionState } from "../net/session.js";
import { Session } from "../net/session.js";
import { friendlyName } from "../world/names.js";
import type { World } from "../world/world.js";
import { Belongings } from "./belongings.js";
import type { DealKind } from "./dealing.js";
import { Dealing } from "./dealing.js";
import { Steering } from "./keys.js";
import { Prediction } from "./prediction.js";
import { ARM_M, ATTACK_LOOK_M, nearestBeing, nearestItem, nearestPerson, TAKE_LOOK_M } from "./targets.js";

export type Channel = "near" | "world";
const CHANNELS: readonly Channel[] = ["near", "world"];

/** Ticks caught up with at most, after a pause of the page. */
const CATCH_UP_TICKS = 4;
/** Beyond what was walked in the ticks since, an agent may make up for so many steps whose inputs came late (the game's credit). */
const CREDIT_STEPS = 12;
/** Farther than that and this is a jump. */
const JUMP_MARGIN_M = 0.5;
/** Own agent missing from its own view for so long is an anomaly. */
const VANISHED_MS = 1_000;
/** After an event that may move the agent at once (a death, a portal), jumps are no anomaly for so long. */
const FORGIVEN_MS = 3_000;

/** How a trade ends, by its outcome. */
const TRADE_ENDS: readonly string[] = [
  "is done.", "fell through: somebody does not have what was promised.", "fell through: too far apart.", "was called off.",
  "is over: there was no answer in time.",
];

/** What the page is told. */
export interface PlayerEvents {
  changed(state: SessionState): void;
  said(name: string, channel: Channel, text: string, from: bigint): void;
  note(text: string): void;
  routed(route: Route): void;
}

export class Player {
  readonly session: Session;
  readonly prediction = new Prediction();
  readonly steering = new Steering();
  readonly belongings = new Belongings();
  readonly dealing = new Dealing((input, values) => this.#act(input, values));
  route: Route | undefined;
  edgeCells = 0;
  /** Where the own agent is drawn. */
  readonly drawn = { x: 0, z: 0 };
  /** Where the server last saw it. */
  readonly confirmed = { x: 0, z: 0 };
  #tickPart = 0;
  #wasWalking = false;
  #confirmedTick: number | undefined;
  #seenAt = 0;
  #forgivenUntil = 0;
  #ackedAt = 0;

  constructor(readonly world: World, urls: readonly string[], readonly events: PlayerEvents) {
    this.session = new Session(world, urls, {
      changed: (state) => events.changed(state),
      joined: (joined) => this.#joined(joined),
      confirmed: (applied, tick, x, z) => this.#confirm(applied, tick, x, z),
      event: (name, values) => this.#event(name, values),
      resync: () => this.#forget(),
      routed: (route) => {
        this.route = route;
        events.routed(route);
      },
    });
  }

  get playing(): boolean {
    return this.session.state === "playing";
  }

  /** The own agent's slot, when it is in view. */
  get slot(): number | undefined {
    return this.session.agent === 0n ? undefined : this.world.entities.find(this.session.agent);
  }

  /** Sends what is due and moves the prediction; once per frame. */
  frame(now: number, seconds: number): void {
    if (!this.prediction.ready) return;
    const pace = this.slot === undefined ? 0 : this.world.entities.pace[this.slot]!;
    if (pace > 0) this.prediction.tellSpeed(pace);
    const dilation = this.world.dilationPercent / 100;
    this.#tickPart += seconds * this.session.tickHz * dilation;
    if (this.#tickPart > CATCH_UP_TICKS) this.#tickPart = CATCH_UP_TICKS;
    while (this.#tickPart >= 1) {
      this.#tickPart -= 1;
      this.#tick();
    }
    this.prediction.drawnAt(this.#tickPart, seconds, this.drawn);
    this.#witness(now);
    if (now - this.#ackedAt > 500) {
      this.#ackedAt = now;
      this.session.acknowledge();
    }
  }

  /** Hits whoever is nearest to (x, z), or to the agent. */
  attack(at?: { x: number; z: number }): void {
    const { x, z } = at ?? this.drawn;
    const slot = nearestBeing(this.world.entities, x, z, at ? 4 : ATTACK_LOOK_M, this.slot);
    if (slot === undefined) return this.events.note("Nobody is near.");
    this.#act("attack", { target: this.world.entities.id[slot]! });
  }

  pickUp(): void {
    const slot = nearestItem(this.world.entities, this.drawn.x, this.drawn.z, TAKE_LOOK_M);
    if (slot === undefined) return this.events.note("Nothing to take here.");
    this.#act("pick_up", { item: this.world.entities.id[slot]! });
  }

  drop(item = this.belongings.last): void {
    if (item === undefined) return this.events.note("You carry nothing.");
    this.#act("drop", { item });
  }

  /** Whoever stands at arm's length, the nearest first. */
  get neighbour(): bigint | undefined {
    const slot = nearestPerson(this.world.entities, this.drawn.x, this.drawn.z, this.slot);
    return slot === undefined ? undefined : this.world.entities.id[slot];
  }

  /** Whether `other` stands at arm's length. */
  reaches(other: bigint): boolean {
    const slot = this.world.entities.find(other);
    if (slot === undefined) return false;
    return Math.hypot(this.world.entities.x[slot]! - this.drawn.x, this.world.entities.z[slot]! - this.drawn.z) <= ARM_M;
  }

  nameOf(entity: bigint): string {
    const slot = this.world.entities.find(entity);
    return (slot === undefined ? "" : this.world.entities.name[slot]!) || "somebody";
  }

  /** Opens the form to pay, or to trade with, whoever is nearest. */
  deal(kind: DealKind): void {
    const { neighbour } = this;
    if (neighbour === undefined) return this.events.note("Nobody is at arm's length.");
    this.dealing.write(kind, neighbour);
  }

  say(channel: Channel, text: string): void {
    this.#act("chat", { channel: CHANNELS.indexOf(channel), text });
  }

  #act(name: string, values: Record<string, number | bigint | string>): void {
    if (!this.session.registry.inputs.has(name)) return this.events.note(`This game has no “${name}”.`);
    this.session.send(name, values);
  }

  #tick(): void {
    const [x, z] = this.steering.direction();
    const [dx, dz] = [Math.round(x * 127), Math.round(z * 127)];
    const walking = dx !== 0 || dz !== 0;
    if (!walking && !this.#wasWalking) return this.prediction.rest();
    const seq = this.session.send("move", { dx, dz });
    if (seq === undefined) return this.prediction.rest();
    this.prediction.step(seq, dx / 127, dz / 127);
    this.#wasWalking = walking;
  }

  #joined(joined: Joined): void {
    this.edgeCells = joined.spaceEdgeCells();
    this.#confirmedTick = undefined;
    this.#seenAt = performance.now();
    if (joined.resumed()) return;
    this.prediction.start(this.edgeCells * this.world.cellEdgeM, this.session.tickHz);
    this.#forget();
  }

  /** Everything inferred from events is void. */
  #forget(): void {
    this.belongings.clear();
    this.dealing.clear();
  }

  #confirm(applied: number, tick: number, x: number, z: number): void {
    if (x === 0 && z === 0) return; // not placed yet
    const ticks = this.#confirmedTick === undefined ? 0 : tick - this.#confirmedTick;
    if (ticks > 0 && performance.now() > this.#forgivenUntil) {
      const way = Math.hypot(x - this.confirmed.x, z - this.confirmed.z);
      const most = (this.prediction.speed * (ticks + CREDIT_STEPS)) / this.session.tickHz + JUMP_MARGIN_M;
      if (way > most) this.world.anomalies.jumped++;
    }
    this.#confirmedTick = tick;
    this.confirmed.x = x;
    this.confirmed.z = z;
    this.prediction.reconcile(applied, tick, x, z);
  }

  #event(name: string, values: Record<string, unknown>): void {
    this.belongings.told(name, values);
    if (name === "said") {
      const channel = CHANNELS[Number(values["channel"] ?? 0)] ?? "near";
      const from = id(values["from"]);
      const speaker = friendlyName(String(values["name"] ?? "")) || this.nameOf(from);
      this.events.said(speaker, channel, String(values["text"] ?? ""), from);
    } else if (/died|killed|respawn|teleport|portal|fell/.test(name)) {
      this.#forgivenUntil = performance.now() + FORGIVEN_MS;
      this.events.note(words(name, values));
    } else if (name === "won") {
      this.events.note(`You won the fight: +${String(values["bounty"] ?? 0)} gold.`);
    } else if (name === "paid") {
      const who = this.nameOf(id(values["to"]));
      const gold = String(values["gold"]);
      this.events.note(id(values["done"]) === 1n ? `You paid ${who} ${gold} gold.` : `${who} was not paid ${gold} gold: too far away, or not enough.`);
    } else if (name === "was_paid") {
      this.events.note(`${this.nameOf(id(values["from"]))} paid you ${String(values["gold"])} gold.`);
    } else if (name === "missed") {
      this.events.note("That item could not be had.");
    } else if (name === "trade_offered") {
      this.#offered(values);
    } else if (name === "trade_ended") {
      const other = id(values["with"]);
      this.dealing.ended(other);
      this.events.note(`The trade with ${this.nameOf(other)} ${TRADE_ENDS[Number(values["outcome"] ?? 0)] ?? "is over."}`);
    } else if (name === "hurt") {
      const slot = this.slot;
      if (slot !== undefined) this.world.entities.hurtAt[slot] = performance.now();
    } else if (values["gold"] === undefined && values["item"] === undefined) {
      this.events.note(words(name, values));
    }
  }

  #offered(values: Record<string, unknown>): void {
    const from = id(values["from"]);
    this.dealing.offered(from, {
      giveGold: id(values["want_gold"]), giveItem: id(values["want_item"]), wantGold: id(values["give_gold"]), wantItem: id(values["give_item"]),
    });
    if (this.dealing.with !== from || this.dealing.state !== "asked") this.events.note(`${this.nameOf(from)} offers you a trade.`);
  }

  /** The own agent must be in its own view. */
  #witness(now: number): void {
    if (!this.playing || this.slot !== undefined) {
      this.#seenAt = now;
    } else if (now - this.#seenAt > VANISHED_MS) {
      this.world.anomalies.vanished++;
      this.#seenAt = now;
    }
  }
}

/** A 64-bit value of an event; 0 when it is none. */
function id(value: unknown): bigint {
  return typeof value === "bigint" ? value : 0n;
}

/** An event in words, when nothing better is known: `trade_offered: with 12, gold 5`. */
function words(name: string, values: Record<string, unknown>): string {
  const told = Object.entries(values).filter(([key, value]) => key !== "pad" && value !== "" && value !== 0 && value !== 0n);
  const title = name.replaceAll("_", " ");
  if (typeof values["text"] === "string" && values["text"] !== "") return values["text"];
  return told.length === 0 ? title : `${title}: ${told.map(([key, value]) => `${key} ${String(value)}`).join(", ")}`;
}
