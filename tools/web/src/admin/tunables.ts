// Tunables: numbers, switches and texts that designers set while people play.
import { ask, list, number, object, text } from "./json.js";

export type TunableValue = number | boolean | string;

export interface Tunable {
  /** Group and name, such as `wandering.speed_m_per_s`. */
  readonly name: string;
  readonly about: string;
  /** `int`, `float`, `flag` or `text`. */
  readonly kind: string;
  readonly value: TunableValue;
  /** As the game begins with it. */
  readonly initial: TunableValue;
  /** Of numbers: the lowest and the highest. */
  readonly range: readonly [min: number, max: number] | undefined;
  /** It is not as the game begins with it. */
  readonly isSet: boolean;
}

export interface Tuning {
  readonly version: number;
  readonly atMs: number;
  readonly by: string;
  /** `set`, `edit`, or `undo` with a version. */
  readonly why: string;
  readonly name: string;
  /** In words; empty: as the game begins with it. */
  readonly before: string;
  readonly after: string;
}

export interface Tunables {
  /** Rises with each change. */
  readonly version: number;
  /** In the game's order. */
  readonly tunables: readonly Tunable[];
  /** The latest first. */
  readonly history: readonly Tuning[];
  /** The version that each scene has. */
  readonly scenes: readonly number[];
}

export async function fetchTunables(): Promise<Tunables> {
  return parseTunables(await ask("/api/tune"));
}

export function parseTunables(json: unknown): Tunables {
  const told = object(json);
  return {
    version: number(told["version"]),
    tunables: list(told["tunables"]).map((one) => ({
      name: text(one["name"]), about: text(one["about"]), kind: text(one["kind"]), value: valueOf(one["value"]), initial: valueOf(one["initial"]),
      range: typeof one["min"] === "number" && typeof one["max"] === "number" ? [one["min"], one["max"]] : undefined, isSet: one["is_set"] === true,
    })),
    history: list(told["history"]).map((change) => ({
      version: number(change["version"]), atMs: number(change["at_us"]) / 1_000, by: text(change["by"]), why: text(change["why"]),
      name: text(change["name"]), before: text(change["before"]), after: text(change["after"]),
    })).reverse(),
    scenes: Object.values(object(told["scenes"])).map(number),
  };
}

const valueOf = (value: unknown): TunableValue => (typeof value === "number" || typeof value === "boolean" ? value : text(value));

/** What was typed, as the cluster takes it. What is no number goes there as it is: the cluster says best what it wants. */
export function typed(kind: string, words: string): TunableValue {
  const isNumber = (kind === "int" || kind === "float") && words.trim() !== "" && Number.isFinite(Number(words));
  return isNumber ? Number(words) : words;
}
