// A pretended world: creatures that wander, items that lie about, players that walk as told; cut into shards of two scenes.
import { NO_ITEM } from "../src/world/entities.js";
import { cellKey, shardName } from "../src/world/geometry.js";

export const TICK_HZ = 20;
export const CELL_EDGE_M = 32;
export const EDGE_CELLS = 32;
export const SHARD_LEVEL = 3;
const MAP_LEVEL = 5;
const EDGE_M = EDGE_CELLS * CELL_EDGE_M;
export const SPEED_M_S = 6;
/** Steps a player may save up, for inputs that come late in a bunch. */
const CREDIT_MAX = 12;

export interface Being {
  readonly id: bigint;
  readonly alias: number;
  x: number;
  z: number;
  vx: number;
  vz: number;
  heading: number;
  kind: number;
  hue: number;
  name: string;
  health: number;
  item: number;
  player: boolean;
  movedAt: number;
  lookedAt: number;
  credit: number;
}

export interface Crossing {
  readonly entity: bigint;
  readonly from: string;
  readonly to: string;
}

/** A repeatable generator of numbers from 0 to 1 (mulberry32). */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export class Land {
  readonly beings = new Map<bigint, Being>();
  readonly crossings: Crossing[] = [];
  tick = Math.floor((Date.now() / 1000) * TICK_HZ);
  #roll = dice(7);
  #next = 1n;

  constructor(count: number) {
    for (let i = 0; i < count; i++) {
      const [x, z] = this.#somewhere();
      const being = this.add(x, z);
      if (i % 25 === 0) Object.assign(being, { item: i % 5, kind: 3 });
      else Object.assign(being, { kind: i % 40 === 1 ? 0 : 1 + (i % 2), name: i % 40 === 1 ? `Guest${i}` : i % 2 ? "Wolf" : "Sheep", hue: (i * 53) % 256, health: i % 11 === 0 ? 55 : 100 });
    }
  }

  add(x: number, z: number): Being {
    const id = this.#next++;
    const being: Being = {
      id, alias: Number(id), x, z, vx: 0, vz: 0, heading: this.#roll() * 6.28, kind: 0, hue: 0, name: "", health: 100, item: NO_ITEM,
      player: false, movedAt: this.tick, lookedAt: this.tick, credit: CREDIT_MAX,
    };
    this.beings.set(id, being);
    return being;
  }

  step(): void {
    this.tick++;
    for (const being of this.beings.values()) {
      if (being.item !== NO_ITEM) continue;
      if (being.player) {
        being.credit = Math.min(being.credit + 1, CREDIT_MAX);
        if (this.tick - being.movedAt === 3) Object.assign(being, { vx: 0, vz: 0, movedAt: this.tick });
      } else {
        this.#wander(being);
        if (being.vx !== 0 || being.vz !== 0) this.#walk(being);
      }
    }
  }

  #walk(being: Being): void {
    const from = shardAt(being.x, being.z);
    being.x = Math.min(Math.max(being.x + being.vx / TICK_HZ, 0), EDGE_M - 0.01);
    being.z = Math.min(Math.max(being.z + being.vz / TICK_HZ, 0), EDGE_M - 0.01);
    being.movedAt = this.tick;
    const to = shardAt(being.x, being.z);
    if (from !== to && ownerOf(from) !== ownerOf(to)) this.crossings.push({ entity: being.id, from, to });
  }

  /** A player's input, parts of full speed in 1/127: one step, paid from the credit of steps not walked before. */
  steer(being: Being, dx: number, dz: number): void {
    being.vx = (dx / 127) * SPEED_M_S;
    being.vz = (dz / 127) * SPEED_M_S;
    if (being.credit > 0) {
      being.credit--;
      this.#walk(being);
    }
    being.movedAt = this.tick + 1; // some clients have this tick's update already
  }

  #wander(being: Being): void {
    if (this.#roll() < 0.01) being.heading += this.#roll() * 3 - 1.5;
    if (this.#roll() < 0.004) being.movedAt = this.tick;
    const speed = (being.kind === 1 ? 1.6 : 2.6) * (Number(being.id) % 7 === 0 ? 0 : 1);
    being.vx = Math.cos(being.heading) * speed;
    being.vz = Math.sin(being.heading) * speed;
    if (being.x < 4 || being.z < 4 || being.x > EDGE_M - 4 || being.z > EDGE_M - 4) {
      being.heading = Math.atan2(EDGE_M / 2 - being.z, EDGE_M / 2 - being.x);
    }
  }

  #somewhere(): [number, number] {
    if (this.#roll() < 0.55) return [this.#roll() * EDGE_M, this.#roll() * EDGE_M];
    const town = Math.floor(this.#roll() * 5);
    const [x, z] = [[512, 512], [260, 300], [760, 240], [700, 800], [180, 820]][town]!;
    const [angle, far] = [this.#roll() * 6.28, this.#roll() ** 1.5 * 130];
    return [x! + Math.cos(angle) * far, z! + Math.sin(angle) * far];
  }
}

export function cellAt(x: number, z: number): number {
  return cellKey(Math.floor(x / CELL_EDGE_M), Math.floor(z / CELL_EDGE_M));
}

/** All shards: those of the first cut, until it is cut anew. */
const shards = new Set<string>();
/** Whose those are that were moved or cut anew. */
const owners = new Map<string, string>();
/** Which shard a cell is in, as far as it was asked for. */
const byCell = new Map<number, string>();

export function shardAt(x: number, z: number): string {
  const cell = cellAt(x, z);
  const known = byCell.get(cell) ?? shardHolding(Math.floor(x / CELL_EDGE_M), Math.floor(z / CELL_EDGE_M));
  byCell.set(cell, known);
  return known;
}

function shardHolding(x: number, z: number): string {
  const above = Array.from({ length: MAP_LEVEL + 1 }, (_, level) => shardName({ space: 0, level, x: x >> level, z: z >> level }));
  return above.find((name) => shards.has(name)) ?? above[SHARD_LEVEL]!;
}

export function moveTo(shard: string, scene: string): void {
  owners.set(shard, scene);
}

/** Puts shards in the place of others; they are a scene's. */
export function cut(closed: readonly string[], opened: readonly string[], scene: string): void {
  for (const shard of closed) shards.delete(shard);
  for (const shard of opened) {
    shards.add(shard);
    owners.set(shard, scene);
  }
  byCell.clear();
}

/** West is scene-1, east is scene-2, with a bend in the south; but for those that were moved or cut anew. */
export function ownerOf(shard: string): string {
  const owner = owners.get(shard);
  if (owner) return owner;
  const [x, z] = shard.split("/")[2]!.split(",").map(Number) as [number, number];
  return (z < 3 ? x < 2 : x < 1) ? "scene-1" : "scene-2";
}

export function allShards(): readonly string[] {
  return [...shards];
}

for (let i = 0, n = EDGE_CELLS >> SHARD_LEVEL; i < n * n; i++) shards.add(shardName({ space: 0, level: SHARD_LEVEL, x: i % n, z: Math.floor(i / n) }));
