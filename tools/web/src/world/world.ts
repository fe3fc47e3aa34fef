// The world as one connection sees it: applies updates cell by cell, without an entity ever being twice or blinking.
//
// An update is applied in three passes over its cells: who entered, who moved or changed, who left. So an entity that
// changes cell within one update is first in its new cell, and the old cell's news of it count no more.
import type { Update } from "../generated/pangaea/client.js";
import { CellUpdate, Component, Entered, Gone, Motion } from "../generated/pangaea/client.js";
import * as flatbuffers from "flatbuffers";
import type { Anomalies } from "./anomalies.js";
import { noAnomalies } from "./anomalies.js";
import { ServerClock } from "./clock.js";
import { Entities } from "./entities.js";
import { cellKey, OFFSET_UNITS_PER_CELL, VELOCITY_UNIT_M_S } from "./geometry.js";
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
  #base: bigint | undefined;
  #looks: Looks | undefined;
  #tickHz = 20;
  /** Local milliseconds at which slots of the connection before are dropped. */
  #dropStaleAt = 0;
  #present = 0;
  readonly #cells: CellUpdate[] = [];
  readonly #snapshots = new Set<number>();
  readonly #entered = new Entered();
  readonly #motion = new Motion();
  readonly #component = new Component();
  readonly #gone = new Gone();

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
    this.entities.mark.fill(0);
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
    this.#base ??= update.tick();
    const tick = Number(update.tick() - this.#base);
    if (tick < this.tick && this.updates > 1) this.anomalies.wentBack++;
    this.tick = tick;
    this.dilationPercent = update.dilationPercent() || 100;
    this.clock.observe(tick, now);
    this.#readCells(update);
    for (const cell of this.#cells) this.#enter(cell, tick, now);
    for (const cell of this.#cells) this.#change(cell, tick);
    for (const cell of this.#cells) this.#leave(cell, now);
    this.#dropCells(update, now);
    this.#forget(now);
  }

  /** Sets where everything is drawn: `delayMs` behind the server, so that there is usually a later position to walk to. */
  place(now: number, delayMs: number): void {
    this.entities.place(this.clock.tickAt(now - delayMs));
  }

  #readCells(update: Update): void {
    this.#cells.length = 0;
    for (let i = 0; i < update.cellsLength(); i++) {
      const bytes = update.cells(i)?.cellArray();
      if (bytes && bytes.length > 0) this.#cells.push(CellUpdate.getRootAsCellUpdate(new flatbuffers.ByteBuffer(bytes)));
    }
  }

  #enter(cell: CellUpdate, tick: number, now: number): void {
    const key = cellKey(cell.x(), cell.z());
    const { entities } = this;
    for (let i = 0; i < cell.enteredLength(); i++) {
      const entered = cell.entered(i, this.#entered)!;
      const id = entered.entity();
      let slot = entities.find(id);
      if (slot === undefined) {
        slot = entities.add(id);
        entities.since[slot] = tick;
      } else if (entities.leftAt[slot] !== 0) {
        this.#returned(slot, now);
      } else if (entities.alias[slot] !== 0 && entities.alias[slot] !== entered.alias()) {
        this.anomalies.twice++;
      }
      const other = entities.findAlias(entered.alias());
      if (other !== undefined && other !== slot) this.anomalies.twice++;
      entities.bind(slot, entered.alias());
      entities.cell[slot] = key;
      entities.mark[slot] = this.updates;
    }
  }

  #returned(slot: number, now: number): void {
    const { entities } = this;
    if (now - entities.leftAt[slot]! < FORGET_MS && this.#isNear(slot)) this.anomalies.blinked++;
    entities.leftAt[slot] = 0;
  }

  #change(cell: CellUpdate, tick: number): void {
    const key = cellKey(cell.x(), cell.z());
    const { entities } = this;
    const metres = this.cellEdgeM / OFFSET_UNITS_PER_CELL;
    const speed = VELOCITY_UNIT_M_S / this.#tickHz;
    const [x0, z0] = [cell.x() * this.cellEdgeM, cell.z() * this.cellEdgeM];
    for (let i = 0; i < cell.movedLength(); i++) {
      const motion = cell.moved(i, this.#motion)!;
      const slot = this.#slotIn(key, motion.alias());
      if (slot === undefined) continue;
      entities.moved(slot, tick, x0 + motion.x() * metres, z0 + motion.z() * metres, motion.vx() * speed, motion.vz() * speed);
    }
    const bytes = cell.componentsLength() > 0 ? cell.bytesArray() : null;
    if (!bytes || !this.#looks) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < cell.componentsLength(); i++) {
      const component = cell.components(i, this.#component)!;
      const slot = this.#slotIn(key, component.alias());
      if (slot !== undefined) this.#looks.apply(entities, slot, component.id(), view, component.offset());
    }
  }

  /** The slot of `alias` if its entity is in that cell; news from a cell it has left count no more. */
  #slotIn(key: number, alias: number): number | undefined {
    const slot = this.entities.findAlias(alias);
    if (slot === undefined) {
      this.anomalies.unknown++;
      return undefined;
    }
    return this.entities.cell[slot] === key ? slot : undefined;
  }

  #leave(cell: CellUpdate, now: number): void {
    const key = cellKey(cell.x(), cell.z());
    for (let i = 0; i < cell.leftLength(); i++) {
      const slot = this.entities.findAlias(cell.left(i)!);
      if (slot !== undefined && this.entities.cell[slot] === key) this.#left(slot, now);
    }
    if (cell.snapshot()) this.#snapshots.add(key);
  }

  /** Ends entities of cells that came as a snapshot without them, and of cells no longer followed. */
  #dropCells(update: Update, now: number): void {
    const { entities } = this;
    const gone = update.goneLength();
    if (gone === 0 && this.#snapshots.size === 0) return;
    for (let slot = 0; slot < entities.count; slot++) {
      if (entities.mark[slot] !== this.updates && this.#snapshots.has(entities.cell[slot]!)) this.#left(slot, now);
    }
    this.#snapshots.clear();
    for (let i = 0; i < gone; i++) {
      const cell = update.gone(i, this.#gone)!;
      this.#snapshots.add(cellKey(cell.x(), cell.z()));
    }
    for (let slot = entities.count - 1; slot >= 0 && gone > 0; slot--) {
      if (this.#snapshots.has(entities.cell[slot]!)) entities.remove(slot);
    }
    this.#snapshots.clear();
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
