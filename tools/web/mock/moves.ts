// Moves of shards between the pretended cluster's scenes: they take some seconds and then are done.
import { moved, ownerOf, TICK_HZ } from "./land.js";

/** Ticks that a move takes. */
const LASTS = 5 * TICK_HZ;

interface Move {
  readonly id: number;
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

export function startMove(shard: string, to: string): void {
  moves.push({ id: moves.length + 1, shard, from: ownerOf(shard), to, ticks: 0, end: undefined });
}

export function abortMove(id: number): void {
  const move = moves.find((one) => one.id === id);
  if (move && !move.end) move.end = "kept";
}

/** One tick; returns what happened. */
export function stepMoves(): Record<string, unknown>[] {
  const done = moves.filter((move) => !move.end && ++move.ticks > LASTS);
  return done.flatMap((move) => {
    move.end = "done";
    moved.set(move.shard, move.to);
    epochs.set(move.shard, epochOf(move.shard) + 1);
    const text = `${move.to} runs ${move.shard} under epoch ${epochOf(move.shard)}`;
    return [
      { kind: "shard", to: move.shard, text },
      { kind: "move", to: move.shard, text: `${move.shard} moved from ${move.from} to ${move.to}, 3.2 ms of blackout` },
    ];
  });
}

/** As `/api/status` tells it. */
export function moveView({ id, shard, from, to, ticks, end }: Move): unknown {
  const part = ticks / LASTS;
  const step = end ?? (part < 0.15 ? "preparing" : part < 0.9 ? "copying" : "committing");
  return {
    id, shard, from, to, step, over: end !== undefined, rounds: Math.ceil(part * 4), entities: 56, bytes: Math.round(part * 3e6),
    blackout_ms: end === "done" ? 3.2 : 0, missed_ticks: 0, reason: end === "kept" ? "aborted" : "",
  };
}
