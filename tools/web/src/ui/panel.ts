// The side panel: who owns what, the chosen shard with how its numbers went, nodes, and the timeline.
import type { ClusterStatus, MoveStatus, ShardStatus } from "../admin/api.js";
import type { History } from "../admin/history.js";
import { ownerCss } from "../render/palette.js";
import { parseShard } from "../world/geometry.js";
import { bar, byId, dot, make } from "./elements.js";
import { spark } from "./spark.js";
import type { Timeline } from "./timeline.js";
import { clock } from "./timeline.js";

/** How far back the chosen shard's lines go. */
const LINES_MS = 300_000;
/** Events of the chosen shard shown. */
const EVENTS_MAX = 5;
/** Shards as buttons; more than this are chosen on the map. */
const BUTTONS_MAX = 64;

export const ms = (value: number): string => (value < 10 ? value.toFixed(2) : value.toFixed(1));
const many = (n: number, one: string): string => `${count(n)} ${one}${n === 1 ? "" : "s"}`;
const count = (value: number): string => value.toLocaleString("en");

export class Panel {
  chosen: string | undefined;
  readonly #owners = make("section");
  readonly #shard = make("section");
  readonly #nodes = make("section");
  #status: ClusterStatus = { atMs: 0, nodes: [], shards: [], moves: [], sessions: 0 };

  constructor(readonly history: History, timeline: Timeline, readonly choose: (shard: string | undefined) => void) {
    const panel = byId("panel");
    const toggle = byId("panel-toggle");
    toggle.onclick = () => toggle.setAttribute("aria-expanded", String(panel.classList.toggle("open")));
    byId("panel-body").append(this.#owners, this.#shard, this.#nodes, timeline.section);
  }

  show(status: ClusterStatus): void {
    this.#status = status;
    this.#showOwners();
    this.#showShard();
    this.#showNodes();
    const entities = status.shards.reduce((sum, shard) => sum + shard.entities, 0);
    byId("panel-brief").textContent = `${many(status.shards.length, "shard")} · ${count(entities)} entities · ${many(status.sessions, "session")}`;
  }

  select(shard: string | undefined): void {
    this.chosen = shard;
    this.#showShard();
  }

  #showOwners(): void {
    const owners = new Map<string, ShardStatus[]>();
    for (const shard of this.#status.shards) {
      const owned = owners.get(shard.owner);
      if (owned) owned.push(shard);
      else owners.set(shard.owner, [shard]);
    }
    const rows = [...owners].sort(([a], [b]) => a.localeCompare(b)).map(([owner, shards]) => {
      const sum = (of: (shard: ShardStatus) => number) => shards.reduce((total, shard) => total + of(shard), 0);
      const load = sum((shard) => shard.load);
      const row = make("div", "owner",
        dot(ownerCss(owner)), make("strong", "", owner || "no owner"),
        make("span", "num", `${many(shards.length, "shard")} · ${count(sum((shard) => shard.entities))}`),
        bar(load, ownerCss(owner)));
      row.title = `load ${Math.round(load * 100)} %, slowest shard p99 ${ms(Math.max(...shards.map((shard) => shard.p99)))} ms`;
      return row;
    });
    this.#owners.replaceChildren(heading("Scenes", many(this.#status.sessions, "session")), ...rows);
  }

  #showShard(): void {
    const shard = this.#status.shards.find((one) => one.id === this.chosen);
    if (!shard) {
      this.#showButtons();
      return;
    }
    const close = make("button", "", "×");
    close.ariaLabel = "Show all shards";
    close.onclick = () => this.choose(undefined);
    const move = this.#status.moves.findLast((one) => one.shard === shard.id);
    const facts: [string, string | HTMLElement][] = [
      ["Owner", `${shard.owner || "none"} · epoch ${shard.epoch}`],
      ["State", shard.phase || "–"],
      ...(move ? [[move.over ? "Last move" : "Move", moveWords(move)] as [string, string]] : []),
      ["Players", count(shard.players)],
      ["Ghosts", count(shard.ghosts)],
      ["Tick p50", `${ms(shard.p50)} ms`],
      ["Hand-overs in / out", `${count(shard.handoversIn)} / ${count(shard.handoversOut)}`],
    ];
    const table = make("dl", "facts");
    for (const [name, value] of facts) table.append(make("dt", "", name), make("dd", "", value));
    const title = make("div", "title", dot(ownerCss(shard.owner)), `Shard ${shard.id}`, close);
    this.#shard.replaceChildren(title, table, this.#lines(shard), this.#events(shard.id));
  }

  /** How the shard's numbers went in the last minutes before the time on show. */
  #lines(shard: ShardStatus): HTMLElement {
    const { atMs } = this.#status;
    const moments = this.history.shard(shard.id, atMs - LINES_MS, atMs);
    const from = moments[0]?.atMs ?? atMs;
    const row = (name: string, of: (one: ShardStatus) => number, full: number, words: (value: number) => string) => {
      const points = moments.map((moment) => [moment.atMs, of(moment.shard)] as const);
      const highest = Math.max(0, ...points.map(([, value]) => value));
      const line = spark(points, from, atMs, full, ownerCss(shard.owner));
      line.title = `at most ${words(highest)} since ${clock(from)}`;
      return [make("dt", "", name), make("dd", "", line, make("span", "", words(of(shard))))];
    };
    return make("dl", "lines",
      ...row("Load", (one) => one.load, 0.2, (value) => `${(value * 100).toFixed(1)} %`),
      ...row("Tick p99", (one) => one.p99, 5, (value) => `${ms(value)} ms`),
      ...row("Entities", (one) => one.entities, 50, count));
  }

  #events(shard: string): HTMLElement {
    const list = make("ol", "befell");
    for (const event of this.history.ofShard(shard, this.#status.atMs).slice(0, EVENTS_MAX)) {
      list.append(make("li", "", make("time", "", clock(event.atMs)), make("span", "", event.text)));
    }
    return list;
  }

  #showButtons(): void {
    const focused = (document.activeElement as HTMLElement | null)?.dataset["shard"];
    const shards = this.#status.shards.slice(0, BUTTONS_MAX).sort(byPlace);
    const list = make("ul", "shards");
    const columns = Math.sqrt(shards.length);
    list.style.setProperty("--columns", String(Number.isInteger(columns) && columns > 1 && columns <= 8 ? columns : 4));
    for (const shard of shards) {
      const button = make("button", "", shard.id.split("/").pop() ?? shard.id);
      button.type = "button";
      button.dataset["shard"] = shard.id;
      button.title = `${shard.id} · ${shard.owner} · ${shard.entities} entities · p99 ${ms(shard.p99)} ms`;
      button.style.setProperty("--owner", ownerCss(shard.owner));
      button.onclick = () => this.choose(shard.id);
      list.append(make("li", "", button));
    }
    this.#shard.replaceChildren(heading("Shards", count(this.#status.shards.length)), list);
    if (focused) list.querySelector<HTMLElement>(`[data-shard="${focused}"]`)?.focus();
  }

  #showNodes(): void {
    const list = make("ul", "nodes");
    for (const node of this.#status.nodes) {
      const fine = /^(up|ready|running|alive|live|ok)$/i.test(node.state);
      const line = make("li", "", dot(fine ? "#6fbf8f" : "#e5806f"), node.id, make("span", "quiet", String(node.pid || "")));
      line.title = `${node.role} · pid ${node.pid} · ${node.address} · ${node.state}`;
      list.append(line);
    }
    this.#nodes.replaceChildren(heading("Nodes", String(this.#status.nodes.length)), list);
  }
}

/** Where a move is, or how it ended. */
function moveWords({ to, step, over, rounds, bytes, blackoutMs, missedTicks, reason }: MoveStatus): string {
  if (over && step !== "done") return `not to ${to}: ${reason}`;
  if (over) return `to ${to} · done, ${ms(blackoutMs)} ms blackout, ${missedTicks} ticks missed`;
  return `to ${to} · ${step}${rounds > 0 ? `, round ${rounds}` : ""}${bytes > 0 ? ` · ${(bytes / 1_048_576).toFixed(1)} MB` : ""}`;
}

/** As on the map, row by row, where all are of one size. */
function byPlace(a: ShardStatus, b: ShardStatus): number {
  const [one, other] = [parseShard(a.id), parseShard(b.id)];
  return one && other ? one.space - other.space || one.level - other.level || one.z - other.z || one.x - other.x : 0;
}

function heading(title: string, aside: string): HTMLElement {
  return make("h2", "", title, make("span", "", aside));
}
