// What a shard's ticks cost, phase by phase and system by system, as its owner measured it.
import { authorization } from "./token.js";

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

type Json = Record<string, unknown>;

export async function fetchProfile(shard: string): Promise<Profile> {
  const answer = await fetch(`/api/shards/profile?${new URLSearchParams({ shard })}`, { headers: authorization(), cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return parseProfile(await answer.json());
}

export function parseProfile(json: unknown): Profile {
  const told = (json ?? {}) as Json;
  const costs = (value: unknown): Cost[] => (Array.isArray(value) ? (value as Json[]) : []).map((cost) => ({
    name: String(cost["name"] ?? ""), meanUs: Number(cost["mean_us"]) || 0, maxUs: Number(cost["max_us"]) || 0,
  }));
  return { ticks: Number(told["ticks"]) || 0, phases: costs(told["phases"]), systems: costs(told["systems"]) };
}
