// The cluster as it was: a status per second and what happened, as far back as the bounds allow. Older statuses are thinned out
// first, so that a short time is remembered sharply and a long one coarsely.
import type { ClusterEvent, ClusterStatus, ShardStatus } from "./api.js";
import { isSameLand } from "./moves.js";

/** Shards of all statuses together. */
const SHARDS_KEPT = 60_000;
/** Hand-overs kept, and events of all other kinds: the many do not push out the few. */
const EVENTS_KEPT = 1_500;

/** A shard at a moment, Unix time in milliseconds. */
export interface ShardMoment {
  readonly atMs: number;
  readonly shard: ShardStatus;
}

export class History {
  #statuses: ClusterStatus[] = [];
  #shards = 0;
  readonly #handovers: ClusterEvent[] = [];
  readonly #others: ClusterEvent[] = [];

  record(status: ClusterStatus): void {
    const last = this.#statuses.at(-1);
    if (status.atMs === 0) return; // the world has not ticked yet
    if (last && status.atMs < last.atMs) this.#forget(); // another cluster, or one whose clock went back
    else if (last && status.atMs === last.atMs) return;
    this.#statuses.push(status);
    this.#shards += status.shards.length;
    if (this.#shards > SHARDS_KEPT) this.#thin();
  }

  tell(event: ClusterEvent): void {
    const kept = event.kind === "handover" ? this.#handovers : this.#others;
    kept.push(event);
    if (kept.length > EVENTS_KEPT) kept.shift();
  }

  /** The first and the last moment known; undefined before the first status. */
  get span(): readonly [number, number] | undefined {
    const [first, last] = [this.#statuses[0], this.#statuses.at(-1)];
    return first && last ? [first.atMs, last.atMs] : undefined;
  }

  /** The status at that time: the last one not after it, or the first there is. */
  at(atMs: number): ClusterStatus | undefined {
    return this.#statuses[Math.max(0, after(this.#statuses, atMs) - 1)];
  }

  /** A shard's way from one time to another, oldest first. */
  shard(id: string, fromMs: number, toMs: number): ShardMoment[] {
    const moments = this.#statuses.slice(after(this.#statuses, fromMs - 1), after(this.#statuses, toMs));
    return moments.flatMap((status) => {
      const shard = status.shards.find((one) => one.id === id);
      return shard ? [{ atMs: status.atMs, shard }] : [];
    });
  }

  /** What happened up to that time, latest first, at most so many. */
  events(toMs: number, most: number): ClusterEvent[] {
    const upTo = (list: readonly ClusterEvent[]) => list.slice(0, after(list, toMs)).slice(-most);
    return [...upTo(this.#handovers), ...upTo(this.#others)].sort((a, b) => b.atMs - a.atMs || b.seq - a.seq).slice(0, most);
  }

  /** Hand-overs after one time and up to another. */
  handovers(fromMs: number, toMs: number): ClusterEvent[] {
    return this.#handovers.slice(after(this.#handovers, fromMs), after(this.#handovers, toMs));
  }

  /** What befell a shard itself, what it was cut from and what it was made of, up to that time, latest first. */
  ofShard(id: string, toMs: number): ClusterEvent[] {
    const itsLand = (shard: string | undefined) => shard !== undefined && isSameLand(shard, id);
    return this.#others.filter((event) => event.atMs <= toMs && (itsLand(event.from) || itsLand(event.to))).reverse();
  }

  #thin(): void {
    const old = this.#statuses.length >> 1;
    this.#statuses = this.#statuses.filter((_, i) => i >= old || i % 2 === 0);
    this.#shards = this.#statuses.reduce((sum, status) => sum + status.shards.length, 0);
  }

  #forget(): void {
    this.#statuses = [];
    this.#shards = 0;
  }
}

/** Index of the first that is later than `atMs`, in a list in order of time. */
function after(list: readonly { readonly atMs: number }[], atMs: number): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]!.atMs <= atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
