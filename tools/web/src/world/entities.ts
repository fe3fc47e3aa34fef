// All entities a connection knows, as columns: one slot per entity, dense, so that drawing walks plain arrays and
// allocates nothing. A slot holds the last few positions by server tick; `place` turns them into where to draw.

/** Positions kept per entity. */
const SAMPLES = 4;
/** After a longer silence than this, in ticks, the entity turns off its course so shortly before it is told of again. */
const TURN_TICKS = 3;
/** Longest guess ahead of the last update, in ticks. */
const AHEAD_TICKS_MAX = 5;
/** Slots at the start; doubled when full. */
const SLOTS = 1_024;
/** No item. */
export const NO_ITEM = 0xffff;
/** `kind` of a player's agent; others are creatures and things. */
export const PERSON = 0;

type Column = Float32Array | Float64Array | Uint8Array | Uint16Array | Uint32Array;

export class Entities {
  /** Slots in use: 0 to count - 1. */
  count = 0;
  #slots = SLOTS;
  readonly id: bigint[] = [];
  readonly name: string[] = [];
  /** One more than its slot on the wire; 0 for none. */
  alias = new Uint32Array(SLOTS);
  /** Where to draw, metres; set by `place`. */
  x = new Float32Array(SLOTS);
  z = new Float32Array(SLOTS);
  /** Metres per tick. */
  vx = new Float32Array(SLOTS);
  vz = new Float32Array(SLOTS);
  kind = new Uint8Array(SLOTS);
  hue = new Uint8Array(SLOTS);
  health = new Float32Array(SLOTS);
  healthMax = new Float32Array(SLOTS);
  item = new Uint16Array(SLOTS);
  /** Full speed in m/s, where the game tells it. */
  pace = new Float32Array(SLOTS);
  /** Server tick at which it appeared, for fading in. */
  since = new Float32Array(SLOTS);
  /** Local milliseconds at which it left, 0 while it is there. */
  leftAt = new Float64Array(SLOTS);
  /** Local milliseconds of the last hit. */
  hurtAt = new Float64Array(SLOTS);
  /** Tick of the last update: up to there, whoever was not told of goes on as before. */
  #horizon = 0;
  #samples = new Uint8Array(SLOTS);
  #tick = new Float64Array(SLOTS * SAMPLES);
  #sx = new Float32Array(SLOTS * SAMPLES);
  #sz = new Float32Array(SLOTS * SAMPLES);
  readonly #byId = new Map<bigint, number>();
  readonly #byAlias = new Map<number, number>();

  find(id: bigint): number | undefined {
    return this.#byId.get(id);
  }

  findAlias(alias: number): number | undefined {
    return this.#byAlias.get(alias);
  }

  /** A slot for a new entity. */
  add(id: bigint): number {
    if (this.count === this.#slots) this.#grow();
    const slot = this.count++;
    this.#byId.set(id, slot);
    this.id[slot] = id;
    this.name[slot] = "";
    for (const column of this.#columns()) column[slot] = 0;
    this.item[slot] = NO_ITEM;
    this.#samples[slot] = 0;
    return slot;
  }

  bind(slot: number, alias: number): void {
    this.unbind(slot);
    this.alias[slot] = alias;
    this.#byAlias.set(alias, slot);
  }

  /** Its alias may name another entity from now on. */
  unbind(slot: number): void {
    if (this.#byAlias.get(this.alias[slot]!) === slot) this.#byAlias.delete(this.alias[slot]!);
    this.alias[slot] = 0;
  }

  /** A new connection names entities anew. */
  forgetAliases(): void {
    this.#byAlias.clear();
    this.alias.fill(0);
  }

  clear(): void {
    this.count = 0;
    this.#horizon = 0;
    this.id.length = 0;
    this.name.length = 0;
    this.#byId.clear();
    this.#byAlias.clear();
  }

  /** Forgets the entity in `slot`; the last slot takes its place. */
  remove(slot: number): void {
    this.#byId.delete(this.id[slot]!);
    this.unbind(slot);
    const last = --this.count;
    if (slot !== last) {
      const id = this.id[last]!;
      this.id[slot] = id;
      this.name[slot] = this.name[last]!;
      this.#byId.set(id, slot);
      if (this.#byAlias.get(this.alias[last]!) === last) this.#byAlias.set(this.alias[last]!, slot);
      for (const column of this.#columns()) column[slot] = column[last]!;
      this.#samples[slot] = this.#samples[last]!;
      for (let i = 0; i < SAMPLES; i++) this.#copySample(last * SAMPLES + i, slot * SAMPLES + i);
    }
    this.id.length = last;
    this.name.length = last;
  }

  /** An update of `tick` came. */
  toldUpTo(tick: number): void {
    this.#horizon = tick;
  }

  /** It was at (x, z) at `tick`, moving by (vx, vz) metres per tick. News older than the last are ignored. */
  moved(slot: number, tick: number, x: number, z: number, vx: number, vz: number): void {
    const have = this.#samples[slot]!;
    const newest = slot * SAMPLES + have - 1;
    if (have > 0) {
      const gap = tick - this.#tick[newest]!;
      if (gap <= 0) return;
      if (gap > TURN_TICKS) {
        const ticks = gap - TURN_TICKS;
        const [x0, z0] = [this.#sx[newest]! + this.vx[slot]! * ticks, this.#sz[newest]! + this.vz[slot]! * ticks];
        this.#push(slot, tick - TURN_TICKS, x0, z0);
      }
    } else {
      this.x[slot] = x;
      this.z[slot] = z;
    }
    this.#push(slot, tick, x, z);
    this.vx[slot] = vx;
    this.vz[slot] = vz;
  }

  /** The newest position told, without smoothing; undefined before the first. */
  told(slot: number): { x: number; z: number } | undefined {
    const have = this.#samples[slot]!;
    if (have === 0) return undefined;
    const newest = slot * SAMPLES + have - 1;
    return { x: this.#sx[newest]!, z: this.#sz[newest]! };
  }

  /** Sets x and z of all entities to where they are drawn at `tick` (a fraction is fine). */
  place(tick: number): void {
    for (let slot = 0; slot < this.count; slot++) this.#placeOne(slot, tick);
  }

  #placeOne(slot: number, tick: number): void {
    const have = this.#samples[slot]!;
    if (have === 0) return;
    const first = slot * SAMPLES;
    let i = first + have - 1;
    const ahead = tick - this.#tick[i]!;
    if (ahead >= 0) {
      const ticks = Math.min(ahead, Math.max(0, this.#horizon - this.#tick[i]!) + AHEAD_TICKS_MAX);
      this.x[slot] = this.#sx[i]! + this.vx[slot]! * ticks;
      this.z[slot] = this.#sz[i]! + this.vz[slot]! * ticks;
      return;
    }
    while (i > first && this.#tick[i - 1]! > tick) i--;
    if (i === first) {
      this.x[slot] = this.#sx[i]!;
      this.z[slot] = this.#sz[i]!;
      return;
    }
    const from = this.#tick[i - 1]!;
    const part = (tick - from) / (this.#tick[i]! - from);
    this.x[slot] = this.#sx[i - 1]! + (this.#sx[i]! - this.#sx[i - 1]!) * part;
    this.z[slot] = this.#sz[i - 1]! + (this.#sz[i]! - this.#sz[i - 1]!) * part;
  }

  #push(slot: number, tick: number, x: number, z: number): void {
    const first = slot * SAMPLES;
    let have = this.#samples[slot]!;
    if (have === SAMPLES) {
      for (let i = 1; i < SAMPLES; i++) this.#copySample(first + i, first + i - 1);
      have--;
    }
    this.#tick[first + have] = tick;
    this.#sx[first + have] = x;
    this.#sz[first + have] = z;
    this.#samples[slot] = have + 1;
  }

  #copySample(from: number, to: number): void {
    this.#tick[to] = this.#tick[from]!;
    this.#sx[to] = this.#sx[from]!;
    this.#sz[to] = this.#sz[from]!;
  }

  #columns(): Column[] {
    return [
      this.alias, this.x, this.z, this.vx, this.vz, this.kind, this.hue, this.health, this.healthMax,
      this.item, this.pace, this.since, this.leftAt, this.hurtAt,
    ];
  }

  #grow(): void {
    this.#slots *= 2;
    const n = this.#slots;
    const f32 = (old: Float32Array, length = n) => { const grown = new Float32Array(length); grown.set(old); return grown; };
    const f64 = (old: Float64Array, length = n) => { const grown = new Float64Array(length); grown.set(old); return grown; };
    const u8 = (old: Uint8Array) => { const grown = new Uint8Array(n); grown.set(old); return grown; };
    const u16 = (old: Uint16Array) => { const grown = new Uint16Array(n); grown.set(old); return grown; };
    const u32 = (old: Uint32Array) => { const grown = new Uint32Array(n); grown.set(old); return grown; };
    this.alias = u32(this.alias);
    this.x = f32(this.x); this.z = f32(this.z); this.vx = f32(this.vx); this.vz = f32(this.vz);
    this.kind = u8(this.kind); this.hue = u8(this.hue); this.item = u16(this.item);
    this.health = f32(this.health); this.healthMax = f32(this.healthMax); this.since = f32(this.since); this.pace = f32(this.pace);
    this.leftAt = f64(this.leftAt); this.hurtAt = f64(this.hurtAt);
    this.#samples = u8(this.#samples);
    this.#tick = f64(this.#tick, n * SAMPLES); this.#sx = f32(this.#sx, n * SAMPLES); this.#sz = f32(this.#sz, n * SAMPLES);
  }
}
