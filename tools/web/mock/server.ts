// A pretended cluster for developing the page without one: the page itself, the admin API, and a gateway, on loopback.
//
//     npm run mock -- [port] [entities]
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { Client } from "./gateway.js";
import type { Being } from "./land.js";
import { allShards, cellAt, CELL_EDGE_M, EDGE_CELLS, Land, ownerOf, shardAt, SHARD_LEVEL, TICK_HZ } from "./land.js";
import { Tunables } from "./tunables.js";
import { abortMove, epochOf, moves, moveView, quarterNames, startMove, stepMoves } from "./moves.js";

const port = Number(process.argv[2] ?? 7000);
const land = new Land(Number(process.argv[3] ?? 5_000));
const listeners = new Set<ServerResponse>();
const handovers = new Map<string, { in: number; out: number }>();
let seq = 0;

const kinds: Record<string, string> = { html: "text/html", js: "text/javascript", css: "text/css", svg: "image/svg+xml", woff2: "font/woff2" };

const server = createServer((request, response) => {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  if (path === "/api/status") return json(response, status());
  if (path === "/api/config") return json(response, config());
  if (path === "/api/me") return me(request, response);
  if (path === "/api/audit") return json(response, audit);
  if (path === "/api/scripts") return json(response, scripts);
  if (path === "/api/tune" && request.method === "GET") return json(response, tunables.view());
  if (path === "/api/shards/profile") return json(response, profile);
  if (path.startsWith("/api/agents/e")) return entity(response, BigInt(path.slice("/api/agents/e".length)));
  if (request.method === "POST") return order(request, response);
  if (path === "/api/events") return listen(response);
  const file = path === "/" ? "index.html" : path.slice(1);
  readFile(`dist/${file.replaceAll("..", "")}`).then(
    (bytes) => response.writeHead(200, { "content-type": kinds[file.split(".").pop()!] ?? "application/octet-stream" }).end(bytes),
    () => response.writeHead(404).end(),
  );
});

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

/** Hand-overs of each being, the latest first. */
const passages = new Map<bigint, unknown[]>();
const PASSAGES_KEPT = 32;

function entity(response: ServerResponse, id: bigint): void {
  const being = land.beings.get(id);
  if (!being) return void response.writeHead(404).end(`e${id} is nowhere: there is no such entity\n`);
  const shard = shardAt(being.x, being.z);
  json(response, {
    id: Number(id), name: being.player ? being.name : null, player: being.player, state: "awake", toward: null, awake: true, shard, scene: ownerOf(shard),
    shard_epoch: epochOf(shard), epoch: 1 + (passages.get(id)?.length ?? 0), position: { x: being.x, z: being.z }, session: "0.0",
    gateway: being.player ? "gateway-1" : null,
    components: { health: { now: being.health, max: 100 }, look: { kind: being.kind, hue: being.hue, name: being.name }, velocity: { x: being.vx, z: being.vz } },
    history: passages.get(id) ?? [],
  });
}

const audit: unknown[] = [];

const scripts = {
  scripts: [
    { name: "lanterns", is_on: true, is_rolled_back: false, has_good: false, faults: [] },
    { name: "wounds", is_on: true, is_rolled_back: true, has_good: true, faults: [{ shard: "0/3/1,0", line: 12, text: "\"look.hue\" wants a number for each entity; for number 3 there is nil", values: "entity e77, health.now = 4" }] },
  ],
};

function switchScript(response: ServerResponse, [name, word]: string[], dryRun: boolean): void {
  const script = scripts.scripts.find((one) => one.name === name);
  if (!script) return void response.writeHead(409).end(`there is no script \`${name}\`\n`);
  if (!dryRun) script.is_on = word !== "off";
  json(response, {});
}

const tunables = new Tunables();

const profile = {
  scene: "scene-1", ticks: 32,
  phases: ["ingest", "simulate", "hand-over", "publish", "persist"].map((name, i) => ({ name, mean_us: [6.2, 141, 3.1, 58, 12][i], max_us: [20, 390, 41, 120, 66][i] })),
  systems: ["flock::gather", "script wounds", "wander::wander", "movement::walk", "combat::strike", "health::heal", "items::show"].map((name, i) => ({
    name, mean_us: 61.3 / (i + 1), max_us: 180 / (i + 1),
  })),
};

const isOperator = (request: IncomingMessage): boolean => request.headers.authorization === "Bearer operator";

function me(request: IncomingMessage, response: ServerResponse): void {
  const given = request.headers.authorization;
  if (given !== undefined && !isOperator(request)) return void response.writeHead(401).end("this token is not known\n");
  json(response, isOperator(request) ? { name: "olaf", rank: "operator" } : { name: "local", rank: "viewer" });
}

/** Orders of an operator, whose token is the word “operator”. */
function order(request: IncomingMessage, response: ServerResponse): void {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
  if (!isOperator(request)) return void response.writeHead(401).end("this wants the operator's token\n");
  if (pathname.startsWith("/api/scripts/")) return switchScript(response, pathname.split("/").slice(3), searchParams.get("dry_run") === "true");
  if (pathname.startsWith("/api/tune")) return tunables.order(request, response, pathname.endsWith("undo"));
  const asked = { who: "olaf", what: pathname.slice(5), args: Object.fromEntries(searchParams), dry_run: searchParams.get("dry_run") === "true" };
  audit.push({ seq: audit.length + 1, at_us: Date.now() * 1_000, ...asked, result: "done", words: "" });
  if (/drain$/.test(pathname)) return json(response, { was: "up", shards: 32, entities: 900, to: ["scene-2"] });
  if (/abort$/.test(pathname)) {
    abortMove(Number(pathname.split("/")[3]));
    return json(response, null);
  }
  const shard = searchParams.get("shard") ?? "";
  if (/(pause|resume|step)$/.test(pathname)) return json(response, halt(pathname.split("/").pop()!, shard, asked.dry_run));
  const kind = pathname === "/api/shards/split" ? "split" : pathname === "/api/shards/merge" ? "merge" : "move";
  const from = ownerOf(kind === "merge" ? quarterNames(shard)[0]! : shard);
  const to = searchParams.get("to") ?? from;
  if (kind === "move" && from === to) return void response.writeHead(409).end(`shard ${shard} is at ${to} already\n`);
  if (!asked.dry_run) startMove(kind, shard, from, to);
  const gathers = (kind === "merge" ? quarterNames(shard) : []).flatMap((one) => (ownerOf(one) === to ? [] : [{ shard: one, from: ownerOf(one) }]));
  json(response, { shard, from, to, gathers, entities: 56, players: 1 });
}

/** Shards that stand. Whoever is in them walks on all the same: it is only pretended. */
const paused = new Set<string>();

function halt(what: string, shard: string, dryRun: boolean): unknown {
  if (!dryRun && what === "pause") paused.add(shard);
  if (!dryRun && what === "resume") paused.delete(shard);
  return { shard, scene: ownerOf(shard), entities: 56, players: 1, paused: paused.has(shard), left_s: 600, steps: 0, tick: land.tick, dry_run: dryRun };
}

function listen(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(":\n\n");
  listeners.add(response);
  response.on("close", () => listeners.delete(response));
}

function tell(event: Record<string, unknown>): void {
  event = { at_us: Date.now() * 1_000, ...event };
  const text = `id: ${++seq}\ndata: ${JSON.stringify({ seq, ...event })}\n\n`;
  for (const listener of listeners) listener.write(text);
}

function config(): unknown {
  return {
    gateway_ws: [`127.0.0.1:${port + 1}`], cluster: "mock", cell_edge_m: CELL_EDGE_M, tick_hz: TICK_HZ, development: true,
    spaces: [{ id: 0, name: "pangaea", level: 5, shard_level: SHARD_LEVEL, edge_cells: EDGE_CELLS }],
  };
}

function status(): unknown {
  const counts = new Map<string, number>();
  for (const being of land.beings.values()) {
    const shard = shardAt(being.x, being.z);
    counts.set(shard, (counts.get(shard) ?? 0) + 1);
  }
  const roles = ["world-1", "data-1", "auth-1", "scene-1", "scene-2", "gateway-1"];
  return {
    tick: land.tick,
    moves: moves.map(moveView),
    scenes: ["scene-1", "scene-2"].map((id) => ({ id, state: "up", shards: 32, entities: 0, load: 0 })),
    nodes: roles.map((id, i) => ({ id, role: id.split("-")[0], pid: 4120 + i, address: `127.0.0.1:${port + 10 + i}`, state: "up" })),
    shards: allShards().map((id) => {
      const entities = counts.get(id) ?? 0;
      const p50 = 0.12 + entities * 0.0021;
      return {
        id, owner: ownerOf(id), epoch: epochOf(id), phase: "running", entities, players: 0, ghosts: Math.round(entities / 9),
        tick_ms: { p50, p99: p50 * 2.3 }, load: p50 / 20, handovers_in: handovers.get(id)?.in ?? 0, handovers_out: handovers.get(id)?.out ?? 0,
        paused: paused.has(id) ? { left_s: 600, steps: 0 } : null,
      };
    }),
    sessions: Client.all.size,
  };
}

function tick(): void {
  land.step();
  for (const event of stepMoves()) tell(event);
  const byCell = new Map<number, Being[]>();
  for (const being of land.beings.values()) {
    const key = cellAt(being.x, being.z);
    const list = byCell.get(key);
    if (list) list.push(being);
    else byCell.set(key, [being]);
  }
  for (const client of Client.all) client.update(byCell);
  for (const crossing of land.crossings.splice(0)) {
    const count = (shard: string) => handovers.get(shard) ?? handovers.set(shard, { in: 0, out: 0 }).get(shard)!;
    count(crossing.from).out++;
    count(crossing.to).in++;
    const passage = { from: crossing.from, from_scene: ownerOf(crossing.from), to: crossing.to, to_scene: ownerOf(crossing.to), at_us: Date.now() * 1_000, took_ms: 12.5 };
    passages.set(crossing.entity, [passage, ...(passages.get(crossing.entity) ?? [])].slice(0, PASSAGES_KEPT));
    const entity = `e${crossing.entity}`;
    tell({ kind: "handover", text: `${entity} ${crossing.from} → ${crossing.to}`, ...crossing, entity });
  }
}

const gateway = new WebSocketServer({ host: "127.0.0.1", port: port + 1 });
gateway.on("connection", (socket) => new Client(socket, land));
server.listen(port, "127.0.0.1", () => console.log(`mock cluster on http://127.0.0.1:${port}`));
setInterval(tick, 1_000 / TICK_HZ);
