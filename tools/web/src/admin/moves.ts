// Which shards a move is about.
import { overlap, parseShard } from "../world/geometry.js";
import type { MoveStatus } from "./api.js";

/** Whether a move is about a shard: what is cut anew are a shard and its quarters. */
export function concerns({ kind, shard }: MoveStatus, id: string): boolean {
  return kind === "move" ? shard === id : isSameLand(shard, id);
}

/** Whether two shards are the same, or one of them is a part of the other, before or after the map was cut anew. */
export function isSameLand(one: string, other: string): boolean {
  if (one === other) return true;
  const [here, there] = [parseShard(one), parseShard(other)];
  return here !== undefined && there !== undefined && overlap(here, there);
}
