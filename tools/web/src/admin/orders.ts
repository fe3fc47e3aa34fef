// What an operator may order. Each order is weighed first: the cluster says what it would mean, and nothing is changed.
import { authorization } from "./token.js";
import type { TunableValue } from "./tunables.js";

/** An order was refused; the message says why, in the cluster's words. */
export class Refusal extends Error {}

/** What moving a shard would mean. */
export interface MoveMeaning {
  readonly from: string;
  readonly entities: number;
  readonly players: number;
}

/** Ways to cut the map anew, as the API's routes call them. */
export type Recut = "split" | "merge";

/** A part of a shard to be, which is at another scene and moves first. */
export interface Gathered {
  readonly shard: string;
  readonly from: string;
}

/** What cutting the map anew would mean. */
export interface RecutMeaning extends MoveMeaning {
  /** Where it is done. */
  readonly to: string;
  readonly gathers: readonly Gathered[];
}

/** What emptying a process would mean. */
export interface DrainMeaning {
  readonly was: string;
  readonly shards?: number;
  readonly entities?: number;
  readonly connections?: number;
  readonly to: readonly string[];
}

/** What is done with a shard of a development cluster, as the API's routes call it. */
export type Halt = "pause" | "resume" | "step";

/** What is done with a script, as the API's routes call it. */
export type ScriptOrder = "on" | "off" | "rollback";

/** Kinds of processes that can be emptied, as the API's routes call them. */
export type Drainable = "scenes" | "gateways";

export class Orders {
  async move(shard: string, to: string, dryRun: boolean): Promise<MoveMeaning> {
    return (await post(`/api/migrate?${new URLSearchParams({ shard, to, dry_run: String(dryRun) })}`)) as MoveMeaning;
  }

  /** Cuts a shard into its four quarters, or makes it of them. */
  async recut(way: Recut, shard: string, dryRun: boolean): Promise<RecutMeaning> {
    return (await post(`/api/shards/${way}?${new URLSearchParams({ shard, dry_run: String(dryRun) })}`)) as RecutMeaning;
  }

  /** Stops a shard, lets it go on, or runs some ticks of it. */
  async halt(what: Halt, shard: string, ticks: number, dryRun: boolean): Promise<MoveMeaning> {
    return (await post(`/api/shards/${what}?${new URLSearchParams({ shard, ticks: String(ticks), dry_run: String(dryRun) })}`)) as MoveMeaning;
  }

  /** Ends a move where it began, if that is still possible. */
  async abort(move: number): Promise<void> {
    await post(`/api/migrations/${move}/abort`);
  }

  async drain(kind: Drainable, node: string, dryRun: boolean): Promise<DrainMeaning> {
    return (await post(`/api/${kind}/${node}/drain?dry_run=${dryRun}`)) as DrainMeaning;
  }

  async undrain(kind: Drainable, node: string, dryRun: boolean): Promise<DrainMeaning> {
    return (await post(`/api/${kind}/${node}/undrain?dry_run=${dryRun}`)) as DrainMeaning;
  }

  /** Turns a script on or off everywhere, or takes the last version that failed nowhere. */
  async script(name: string, what: ScriptOrder, dryRun: boolean): Promise<void> {
    await post(`/api/scripts/${encodeURIComponent(name)}/${what}?dry_run=${dryRun}`, { by: "" });
  }

  /** Sets a tunable; `null`: as the game begins with it. */
  async tune(name: string, value: TunableValue | null): Promise<void> {
    await post("/api/tune", { values: { [name]: value } });
  }

  /** Takes back what was changed with that version of the rules. */
  async untune(version: number): Promise<void> {
    await post("/api/tune/undo", { by: "", version });
  }
}

async function post(path: string, body?: unknown): Promise<unknown> {
  const said = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json", ...authorization() } };
  const answer = await fetch(path, { method: "POST", headers: authorization(), cache: "no-store", ...said });
  if (!answer.ok) throw new Refusal((await answer.text()).trim());
  return answer.json();
}
