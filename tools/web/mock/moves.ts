// What is done with the pretended cluster's shards: moves between scenes and new cuts of the map. They take some seconds and then
// are done.
import { parseShard, quartersOf, shardName } from "../src/world/geometry.js";
import { cut, moveTo, ownerOf, TICK_HZ } from "./land.js";

/** Ticks that it takes. */
const LASTS = 5 * TICK_HZ;

type Kind = "move" | "split" | "merge";

interface Move {
  readonly id: number;
  readonly kind: Kind;
  readonly shard: string;
  readonly from: string;
  readonly to: string;
  ticks: number;
  end: "done" | "kept" | undefined;
}

export const moves: Move[] = [];
const epochs = new Map<string, number>();

export function epochOf(shard: string): number {
  return epochs.get(shard) ?? 3;
}

/** `shard`: for a merge the one to become. */
export function startMove(kind: Kind, shard: string, from: string, to: string): void {
  moves.push({ id: moves.length + 1, kind, shard, from, to, ticks: 0, end: undefined });
}

export function abortMove(id: number): void {
  const move = moves.find((one) => one.id === id);
  if (move && !move.end) move.end = "kept";
}

export function quarterNames(shard: string): string[] {
  const geometry = parseShard(shard);
  return geometry ? quartersOf(geometry).map(shardName) : [];
}

/** One tick; returns what happened. */
export function stepMoves(): Record<string, unknown>[] {
  const done = moves.filter((move) => !move.end && ++move.ticks > LASTS);
  return done.flatMap((move) => {
    move.end = "done";
    return [...carryOut(move), { kind: "move", to: move.shard, text: `${wordsOf(move)}, 3.2 ms of blackout` }];
  });
}

function carryOut({ kind, shard, to }: Move): Record<string, unknown>[] {
  const quarters = quarterNames(shard);
  const opened = kind === "split" ? quarters : [shard];
  const closed = kind === "split" ? [shard] : kind === "merge" ? quarters : [];
  const epoch = 1 + Math.max(...[...opened, ...closed].map(epochOf));
  if (kind === "move") moveTo(shard, to);
  else cut(closed, opened, to);
  return opened.map((one) => {
    epochs.set(one, epoch);
    return { kind: "shard", to: one, text: `${ownerOf(one)} runs ${one} under epoch ${epoch}` };
  });
}

function wordsOf({ kind, shard, from, to }: Move): string {
  if (kind === "move") return `${shard} moved from ${from} to ${to}`;
  return `${shard} is ${kind === "split" ? "four" : "one"} at ${to} now`;
}

/** As `/api/status` tells it. */
export function moveView({ id, kind, shard, from, to, ticks, end }: Move): unknown {
  const part = ticks / LASTS;
  const step = end ?? (part < 0.15 ? "preparing" : part < 0.9 ? "copying" : "committing");
  return {
    id, kind, shard, from, to, step, over: end !== undefined, rounds: Math.ceil(part * 4), entities: 56, bytes: Math.round(part * 3e6),
    blackout_ms: end === "done" ? 3.2 : 0, missed_ticks: 0, reason: end === "kept" ? "aborted" : "",
  };
}
