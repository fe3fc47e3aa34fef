// The side panel: who owns what, the chosen shard, nodes, and the timeline.
import type { ClusterStatus, ShardStatus } from "../admin/api.js";
import type { History } from "../admin/history.js";
import { ownerCss } from "../render/palette.js";
import { heirOf, parseShard } from "../world/geometry.js";
import { bar, byId, count, dot, make, ms } from "./elements.js";
import { AuditCard } from "./audit.js";
import { Desk } from "./desk.js";
import { MovesCard } from "./moves.js";
import { ScriptsCard } from "./scripts.js";
import { ShardCard } from "./shard.js";
import type { Timeline } from "./timeline.js";
import { TunablesCard } from "./tunables.js";
import { Who } from "./who.js";

/** Shards as buttons; more than this are chosen on the map. */
const BUTTONS_MAX = 64;

const many = (n: number, one: string): string => `${count(n)} ${one}${n === 1 ? "" : "s"}`;

export class Panel {
  /** As it was chosen; the map may have been cut anew there since. */
  #wanted: string | undefined;
  readonly #owners = make("section");
  readonly #shard = make("section");
  readonly #nodes = make("section");
  #status: ClusterStatus = { atMs: 0, nodes: [], shards: [], scenes: [], moves: [], sessions: 0 };

  readonly who: Who;
  readonly #desk: Desk;
  readonly #moves: MovesCard;
  readonly #card: ShardCard;

  constructor(history: History, readonly timeline: Timeline, development: boolean, readonly choose: (shard: string | undefined) => void) {
    this.who = new Who(() => {
      this.show(this.#status);
      void tunables.look();
    });
    this.#desk = new Desk(this.who, development);
    const tunables = new TunablesCard(this.#desk);
    this.#moves = new MovesCard(this.#desk);
    this.#card = new ShardCard(history, this.#desk, () => choose(undefined));
    const panel = byId("panel");
    const toggle = byId("panel-toggle");
    toggle.onclick = () => toggle.setAttribute("aria-expanded", String(panel.classList.toggle("open")));
    byId("panel-body").append(this.who.section, this.#owners, this.#moves.section, this.#shard, this.#nodes, timeline.section,
      tunables.section, new ScriptsCard(this.#desk, (shard) => choose(shard)).section, new AuditCard().section);
  }

  /** The shard on show: at the time on show, the one that has the first cell of the one that was chosen. */
  get chosen(): string | undefined {
    return this.#wanted === undefined ? undefined : heirOf(this.#wanted, this.#status.shards.map((shard) => shard.id));
  }

  show(status: ClusterStatus): void {
    this.#status = status;
    this.#showOwners();
    this.#moves.show(status.moves, this.timeline.pastMs === undefined);
    this.#showShard();
    this.#showNodes();
    const entities = status.shards.reduce((sum, shard) => sum + shard.entities, 0);
    byId("panel-brief").textContent = `${many(status.shards.length, "shard")} · ${count(entities)} entities · ${many(status.sessions, "session")}`;
  }

  select(shard: string | undefined): void {
    this.#wanted = shard;
    this.#showShard();
  }

  #showOwners(): void {
    const owners = new Map<string, ShardStatus[]>(this.#status.scenes.map((scene) => [scene.id, []]));
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
      const scene = this.#status.scenes.find((one) => one.id === owner && one.state !== "up");
      if (scene) row.append(make("small", "", scene.state), this.#desk.button("Use again", () => this.#desk.undrain(scene)));
      row.title = `load ${Math.round(load * 100)} %, slowest shard p99 ${ms(Math.max(0, ...shards.map((shard) => shard.p99)))} ms`;
      return row;
    });
    this.#owners.replaceChildren(heading("Scenes", many(this.#status.sessions, "session")), ...rows);
  }

  #showShard(): void {
    const { chosen } = this;
    const shard = this.#status.shards.find((one) => one.id === chosen);
    if (!shard) {
      this.#showButtons();
      return;
    }
    this.#card.show(shard, this.#status, this.timeline.pastMs === undefined);
    if (this.#shard.firstChild !== this.#card.parts[0]) this.#shard.replaceChildren(...this.#card.parts);
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

/** As on the map, row by row, where all are of one size. */
function byPlace(a: ShardStatus, b: ShardStatus): number {
  const [one, other] = [parseShard(a.id), parseShard(b.id)];
  return one && other ? one.space - other.space || one.level - other.level || one.z - other.z || one.x - other.x : 0;
}

function heading(title: string, aside: string): HTMLElement {
  return make("h2", "", title, make("span", "", aside));
}
