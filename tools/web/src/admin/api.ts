// The cluster's admin API as this page reads it: what it is, how it is, and what happens.
import { list, number, object, text, type Json } from "./json.js";
import { authorization } from "./token.js";

export interface SpaceConfig {
  readonly id: number;
  readonly name: string;
  readonly edgeCells: number;
}

export interface ClusterConfig {
  readonly cluster: string;
  /** Addresses of gateways' WebSockets. */
  readonly gateways: readonly string[];
  readonly spaces: readonly SpaceConfig[];
  readonly cellEdgeM: number;
  readonly tickHz: number;
  /** A development cluster: shards may be stopped. */
  readonly development: boolean;
}

export interface NodeStatus {
  readonly id: string;
  readonly role: string;
  readonly pid: number;
  readonly address: string;
  readonly state: string;
}

export interface ShardStatus {
  readonly id: string;
  readonly owner: string;
  readonly epoch: number;
  readonly phase: string;
  readonly entities: number;
  readonly players: number;
  readonly ghosts: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Share of the tick, 0 to 1. */
  readonly load: number;
  readonly handoversIn: number;
  readonly handoversOut: number;
  /** An operator has stopped it; undefined: it ticks. */
  readonly paused: Paused | undefined;
}

/** A shard in which nobody moves. */
export interface Paused {
  /** Seconds until it goes on by itself. */
  readonly leftS: number;
  /** Ticks that are still to be run one by one. */
  readonly steps: number;
}

/** A scene, and how much it has to do. */
export interface SceneStatus {
  readonly id: string;
  /** `up`, `draining` or `drained`. */
  readonly state: string;
  readonly shards: number;
}

/** `move` to another scene, or, where it is, `split` into its four quarters or `merge` of them. */
export type MoveKind = "move" | "split" | "merge";

/** A shard on its way from one scene to another, or being cut anew where it is, or one that was. */
export interface MoveStatus {
  readonly id: number;
  readonly kind: MoveKind;
  /** To split: the one that becomes four; to merge: the one that four become. */
  readonly shard: string;
  readonly from: string;
  readonly to: string;
  /** Such as `copying`; in the end `done` or `kept`. */
  readonly step: string;
  readonly over: boolean;
  readonly rounds: number;
  readonly entities: number;
  readonly bytes: number;
  /** Once over: how long nobody ticked the shard, and ticks that nobody ran in time. */
  readonly blackoutMs: number;
  readonly missedTicks: number;
  /** Why it was kept. */
  readonly reason: string;
}

export interface ClusterStatus {
  /** Unix time of the tick in milliseconds, by the cluster's clock; 0 when unknown. */
  readonly atMs: number;
  readonly nodes: readonly NodeStatus[];
  readonly shards: readonly ShardStatus[];
  readonly scenes: readonly SceneStatus[];
  /** Moves in flight and the last that were, the oldest first. */
  readonly moves: readonly MoveStatus[];
  readonly sessions: number;
}

export interface ClusterEvent {
  readonly seq: number;
  /** Unix time in milliseconds; 0 when unknown. */
  readonly atMs: number;
  readonly kind: string;
  readonly text: string;
  readonly entity: bigint | undefined;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** The cluster does not know who asks; the message says what it wants. */
export class TokenWanted extends Error {}

async function get(path: string): Promise<Json> {
  const response = await fetch(path, { headers: { accept: "application/json", ...authorization() }, cache: "no-store" });
  if (response.status === 401) throw new TokenWanted((await response.text()).trim());
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return object(await response.json());
}

export async function fetchConfig(): Promise<ClusterConfig> {
  const json = await get("/api/config");
  const gateways = Array.isArray(json["gateway_ws"]) ? json["gateway_ws"].map(text) : [text(json["gateway_ws"])];
  return {
    cluster: text(json["cluster"]),
    gateways: gateways.filter((address) => address !== ""),
    cellEdgeM: number(json["cell_edge_m"]) || 32,
    tickHz: number(json["tick_hz"]) || 20,
    development: json["development"] === true,
    spaces: list(json["spaces"]).map((space) => ({
      id: number(space["id"]),
      name: text(space["name"]),
      edgeCells: number(space["edge_cells"]) || 2 ** number(space["level"]),
    })),
  };
}

export async function fetchStatus(tickHz: number): Promise<ClusterStatus> {
  return parseStatus(await get("/api/status"), tickHz);
}

/** `sessions` may be a number, a list, or an object with a count. */
export function parseStatus(json: Json, tickHz: number): ClusterStatus {
  const sessions = json["sessions"];
  return {
    atMs: (number(json["tick"]) * 1_000) / tickHz,
    nodes: list(json["nodes"]).map((node) => ({
      id: text(node["id"]), role: text(node["role"]), pid: number(node["pid"]), address: text(node["address"]), state: text(node["state"]),
    })),
    shards: list(json["shards"]).map((shard) => ({
      id: text(shard["id"]), owner: text(shard["owner"]), epoch: number(shard["epoch"]), phase: text(shard["phase"]),
      entities: number(shard["entities"]), players: number(shard["players"]), ghosts: number(shard["ghosts"]),
      p50: number(object(shard["tick_ms"])["p50"]), p99: number(object(shard["tick_ms"])["p99"]), load: number(shard["load"]),
      handoversIn: number(shard["handovers_in"]), handoversOut: number(shard["handovers_out"]), paused: pausedOf(shard["paused"]),
    })),
    scenes: list(json["scenes"]).map((scene) => ({ id: text(scene["id"]), state: text(scene["state"]), shards: number(scene["shards"]) })),
    moves: list(json["moves"]).map((move) => ({
      id: number(move["id"]), kind: kindOf(text(move["kind"])), shard: text(move["shard"]), from: text(move["from"]), to: text(move["to"]), step: text(move["step"]),
      over: move["over"] === true, rounds: number(move["rounds"]), entities: number(move["entities"]), bytes: number(move["bytes"]),
      blackoutMs: number(move["blackout_ms"]), missedTicks: number(move["missed_ticks"]), reason: text(move["reason"]),
    })),
    sessions: Array.isArray(sessions) ? sessions.length : number(typeof sessions === "object" ? object(sessions)["count"] : sessions),
  };
}

function pausedOf(value: unknown): Paused | undefined {
  const told = object(value);
  return "left_s" in told ? { leftS: number(told["left_s"]), steps: number(told["steps"]) } : undefined;
}

function kindOf(name: string): MoveKind {
  return name === "split" || name === "merge" ? name : "move";
}

/** A lost stream of events is asked for again after this time. */
const LISTEN_AGAIN_MS = 1_500;

/**
 * Events as they happen, for ever. A restarted cluster counts from 1 again, so a lost stream starts over from the oldest
 * event there is, and what was told before is known by its time. Not by `EventSource`, which shows no token.
 */
export function listen(told: (event: ClusterEvent) => void): void {
  let [lastAt, lastSeq] = [0, 0];
  const receive = (data: string) => {
    const event = parseEvent(data);
    if (!event || (event.atMs < lastAt && event.atMs > 0) || (event.atMs === lastAt && event.seq <= lastSeq)) return;
    [lastAt, lastSeq] = [event.atMs, event.seq];
    told(event);
  };
  const open = async () => {
    try {
      const response = await fetch("/api/events", { headers: { accept: "text/event-stream", ...authorization() }, cache: "no-store" });
      if (response.ok && response.body) await readEvents(response.body, receive);
    } catch {
      // It is lost, as it is when it ends.
    }
    setTimeout(() => void open(), LISTEN_AGAIN_MS);
  };
  void open();
}

/** Longest line of a stream. */
const LINE_MAX = 65_536;

/** Server-sent events as they come: the data of each, one line. */
export async function readEvents(body: ReadableStream<Uint8Array>, receive: (data: string) => void): Promise<void> {
  const [reader, decoder] = [body.getReader(), new TextDecoder()];
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done || waiting.length > LINE_MAX) return;
    const lines = (waiting + decoder.decode(value, { stream: true })).split("\n");
    waiting = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data:")) receive(line.slice(5).trim());
  }
}

export function parseEvent(data: string): ClusterEvent | undefined {
  let json: Json;
  try {
    json = object(JSON.parse(data));
  } catch {
    return undefined; // one bad line never ends the timeline
  }
  const entity = /\d+/.exec(text(json["entity"]));
  return {
    seq: number(json["seq"]), atMs: number(json["at_us"]) / 1_000, kind: text(json["kind"]), text: text(json["text"]),
    entity: entity ? BigInt(entity[0]) : undefined,
    from: text(json["from"]) || undefined, to: text(json["to"]) || undefined,
  };
}
