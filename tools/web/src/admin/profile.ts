// What a shard's ticks cost, phase by phase and system by system, as its owner measured it.
import { ask, list, number, object, text } from "./json.js";

/** A part of a tick, in microseconds. */
export interface Cost {
  readonly name: string;
  readonly meanUs: number;
  readonly maxUs: number;
}

export interface Profile {
  /** Ticks that the figures are of. */
  readonly ticks: number;
  /** In order. */
  readonly phases: readonly Cost[];
  /** Systems and scripts, the costliest first. */
  readonly systems: readonly Cost[];
}

export async function fetchProfile(shard: string): Promise<Profile> {
  return parseProfile(await ask(`/api/shards/profile?${new URLSearchParams({ shard })}`));
}

export function parseProfile(json: unknown): Profile {
  const told = object(json);
  const costs = (value: unknown): Cost[] => list(value).map((cost) => ({
    name: text(cost["name"]), meanUs: number(cost["mean_us"]), maxUs: number(cost["max_us"]),
  }));
  return { ticks: number(told["ticks"]), phases: costs(told["phases"]), systems: costs(told["systems"]) };
}
