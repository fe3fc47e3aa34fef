// The world as one connection sees it: applies updates, without an entity ever being twice or blinking. Whoever an update does
// not name goes on as it was last told.
import type { Course, Entered, Part, Update } from "../net/update.js";
import type { Anomalies } from "./anomalies.js";
import { noAnomalies } from "./anomalies.js";
import { ServerClock } from "./clock.js";
import { Entities } from "./entities.js";
import { Looks } from "./looks.js";
import type { Registry } from "./registry.js";

/** How long a slot outlives its entity: it fades out, and coming back meanwhile is a blink. */
const FORGET_MS = 1_000;
/** Entities within this distance of the own agent may not blink. */
const NEAR_M = 32;
/** After a reconnection: what was not introduced again by then is gone. */
const REINTRODUCE_MS = 2_000;

export class World {
  readonly entities = new Entities();
  readonly clock = new ServerClock();
  readonly anomalies: Anomalies = noAnomalies();
  /** The own agent; 0n when watching. */
  own = 0n;
  updates = 0;
  /** Of the last update, relative to the first. */
  tick = 0;
  dilationPercent = 100;
  cellEdgeM = 32;
  #base: number | undefined;
  #looks: Looks | undefined;
  #tickHz = 20;
  /** Local milliseconds at which slots of the connection before are dropped. */
  #dropStaleAt = 0;
  #present = 0;

  /** A Welcome came. */
  describe(registry: Registry, tickHz: number, cellEdgeM: number): void {
    this.#looks = new Looks(registry);
    this.#tickHz = tickHz || 20;
    this.cellEdgeM = cellEdgeM || 32;
    this.clock.setRate(this.#tickHz);
  }

  /** Another connection speaks from now on: aliases mean something else, entities stay until it has introduced its own. */
  reconnected(now: number): void {
    this.entities.forgetAliases();
    this.clock.reset();
    this.#dropStaleAt = now + REINTRODUCE_MS;
  }

  clear(): void {
    this.entities.clear();
    this.clock.reset();
    this.#base = undefined;
    this.#present = 0;
  }

  /** Entities that are there now. */
  get present(): number {
    return this.#present;
  }

  apply(update: Update, now: number): void {
    this.updates++;
    this.#base ??= update.tick;
    const tick = update.tick - this.#base;
    if (tick < this.tick && this.updates > 1) this.anomalies.wentBack++;
    this.tick = tick;
    this.entities.toldUpTo(tick);
    this.dilationPercent = update.dilationPercent;
    this.clock.observe(tick, now);
    for (const slot of update.left) this.#leave(slot, now);
    for (const entered of update.entered) this.#enter(entered, update, now);
    for (const { slot, course } of update.moved) this.#move(this.#known(slot), course);
    for (const { slot, parts } of update.changed) this.#change(this.#known(slot), parts, update.view);
    this.#walkOneself(update);
    this.#forget(now);
  }

  /** Sets where everything is drawn: `delayMs` behind the server, so that there is usually a later position to walk to. */
  place(now: number, delayMs: number): void {
    this.entities.place(this.clock.tickAt(now - delayMs));
  }

  #enter(entered: Entered, update: Update, now: number): void {
    const { entities } = this;
    const alias = entered.slot + 1;
    let slot = entities.find(entered.entity);
    if (slot === undefined) {
      slot = entities.add(entered.entity);
      entities.since[slot] = this.tick;
    } else if (entities.leftAt[slot] !== 0) {
      this.#returned(slot, now);
    } else if (entities.alias[slot] !== 0 && entities.alias[slot] !== alias) {
      this.anomalies.twice++;
    }
    const other = entities.findAlias(alias);
    if (other !== undefined && other !== slot) this.anomalies.twice++;
    entities.bind(slot, alias);
    this.#move(slot, entered.course);
    this.#change(slot, entered.parts, update.view);
  }

  #returned(slot: number, now: number): void {
    const { entities } = this;
    if (now - entities.leftAt[slot]! < FORGET_MS && this.#isNear(slot)) this.anomalies.blinked++;
    entities.leftAt[slot] = 0;
  }

  #move(slot: number | undefined, { x, z, vx, vz }: Course): void {
    if (slot !== undefined) this.entities.moved(slot, this.tick, x, z, vx / this.#tickHz, vz / this.#tickHz);
  }

  /** The own agent's place is said in every update, and nowhere else. */
  #walkOneself(update: Update): void {
    const slot = this.own === 0n ? undefined : this.entities.find(this.own);
    this.#move(slot, { x: update.x, z: update.z, vx: 0, vz: 0 });
  }

  #change(slot: number | undefined, parts: readonly Part[], view: DataView): void {
    if (slot === undefined) return;
    for (const part of parts) this.#looks?.apply(this.entities, slot, part.id, view, part.base);
  }

  #known(wireSlot: number): number | undefined {
    const slot = this.entities.findAlias(wireSlot + 1);
    if (slot === undefined) this.anomalies.unknown++;
    return slot;
  }

  #leave(wireSlot: number, now: number): void {
    const slot = this.#known(wireSlot);
    if (slot !== undefined) this.#left(slot, now);
  }

  #left(slot: number, now: number): void {
    if (this.entities.leftAt[slot] !== 0) return;
    this.entities.leftAt[slot] = now;
    this.entities.unbind(slot);
  }

  #forget(now: number): void {
    const { entities } = this;
    const dropStale = this.#dropStaleAt > 0 && now > this.#dropStaleAt;
    let present = 0;
    for (let slot = entities.count - 1; slot >= 0; slot--) {
      const leftAt = entities.leftAt[slot]!;
      const stale = dropStale && entities.alias[slot] === 0;
      if (stale || (leftAt > 0 && now - leftAt > FORGET_MS)) entities.remove(slot);
      else if (leftAt === 0) present++;
    }
    if (dropStale) this.#dropStaleAt = 0;
    this.#present = present;
  }

  #isNear(slot: number): boolean {
    const own = this.own === 0n ? undefined : this.entities.find(this.own);
    if (own === undefined) return false;
    const { x, z } = this.entities;
    return Math.hypot(x[slot]! - x[own]!, z[slot]! - z[own]!) < NEAR_M;
  }
}
