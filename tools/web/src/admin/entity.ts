// One entity as its owner sees it: what it is made of, who has it, and the shards that it came through.
import { ask, list, number, object, text } from "./json.js";

/** A hand-over. */
export interface Passage {
  readonly from: string;
  readonly fromScene: string;
  readonly to: string;
  /** Empty: nobody known. */
  readonly toScene: string;
  /** When it left, Unix time in milliseconds. */
  readonly atMs: number;
  /** From then until the other shard had confirmed to have it, durably. */
  readonly tookMs: number;
}

/** A component with its fields; one that has no description is told in a word. */
export interface Component {
  readonly name: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

export interface EntitySight {
  readonly id: number;
  /** Of a player with a session; otherwise empty. */
  readonly name: string;
  readonly isPlayer: boolean;
  /** `awake`, `at rest`, `parked`, or between two shards `leaving` or `arriving`. */
  readonly state: string;
  /** The shard that it leaves for, or is offered to; empty: none. */
  readonly toward: string;
  readonly shard: string;
  readonly scene: string;
  readonly shardEpoch: number;
  readonly epoch: number;
  readonly x: number;
  readonly z: number;
  /** Who has its session; empty: nobody. */
  readonly gateway: string;
  readonly components: readonly Component[];
  /** The latest first. */
  readonly history: readonly Passage[];
}

export async function fetchEntity(id: bigint): Promise<EntitySight> {
  return parseEntity(await ask(`/api/agents/e${id}`));
}

export function parseEntity(json: unknown): EntitySight {
  const told = object(json);
  const place = object(told["position"]);
  return {
    id: number(told["id"]), name: text(told["name"]), isPlayer: told["player"] === true, state: text(told["state"]), toward: text(told["toward"]),
    shard: text(told["shard"]), scene: text(told["scene"]), shardEpoch: number(told["shard_epoch"]), epoch: number(told["epoch"]),
    x: number(place["x"]), z: number(place["z"]), gateway: text(told["gateway"]),
    components: Object.entries(object(told["components"])).map(([name, value]) => component(name, value)),
    history: list(told["history"]).map((went) => ({
      from: text(went["from"]), fromScene: text(went["from_scene"]), to: text(went["to"]), toScene: text(went["to_scene"]),
      atMs: number(went["at_us"]) / 1_000, tookMs: number(went["took_ms"]),
    })),
  };
}

function component(name: string, value: unknown): Component {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { name, fields: [["", shown(value)]] };
  return { name, fields: Object.entries(value).map(([field, part]) => [field, shown(part)] as const) };
}

/** A field's value; numbers as exactly as they are looked at. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return value.map(shown).join(", ");
  if (typeof value !== "number") return text(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
}
