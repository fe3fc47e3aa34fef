// The chosen shard: its numbers, how they went, what befell it, and what an operator may do with it.
import type { ClusterStatus, MoveStatus, Paused, ShardStatus } from "../admin/api.js";
import type { History } from "../admin/history.js";
import { concerns } from "../admin/moves.js";
import { ownerCss } from "../render/palette.js";
import { parentOf, parseShard, quartersOf, shardName } from "../world/geometry.js";
import type { Desk } from "./desk.js";
import { count, dot, make, ms } from "./elements.js";
import { ProfileCard } from "./profile.js";
import { spark } from "./spark.js";
import { clock } from "./timeline.js";

/** How far back its lines go. */
const LINES_MS = 300_000;
/** Events shown; some at once, the others when the list is scrolled. */
const EVENTS_MAX = 50;

export class ShardCard {
  readonly #title = make("div", "title");
  readonly #numbers = make("div");
  readonly #befell = make("ol", "befell");
  readonly #moving = make("div", "moving");
  readonly #profile = new ProfileCard();
  readonly #close = make("button", "", "×");
  /** What the buttons were made for: they stay, and keep the focus, until that changes. */
  #offered = "";
  /** What the list of events was made for: it stays, and where it was scrolled to, until that changes. */
  #told = "";

  constructor(readonly history: History, readonly desk: Desk, close: () => void) {
    this.#close.type = "button";
    this.#close.ariaLabel = "Show all shards";
    this.#close.onclick = close;
    this.#title.append(this.#close);
  }

  get parts(): readonly HTMLElement[] {
    return [this.#title, this.#numbers, this.#profile.section, this.#befell, this.#moving];
  }

  /** `now` is false when the status is one of the past, in which nothing can be ordered. */
  show(shard: ShardStatus, status: ClusterStatus, now: boolean): void {
    const move = status.moves.findLast((one) => concerns(one, shard.id));
    while (this.#title.firstChild !== this.#close) this.#title.firstChild?.remove();
    this.#close.before(dot(ownerCss(shard.owner)), `Shard ${shard.id}`);
    this.#numbers.replaceChildren(facts(shard, move), this.#lines(shard, status.atMs));
    this.#profile.of(now ? shard.id : undefined);
    this.#tell(shard.id, now ? Infinity : status.atMs);
    this.#offer(shard, move, now ? status : undefined);
  }

  /** How its numbers went in the last minutes before the time on show. */
  #lines(shard: ShardStatus, atMs: number): HTMLElement {
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

  #tell(shard: string, atMs: number): void {
    const events = this.history.ofShard(shard, atMs).slice(0, EVENTS_MAX);
    const told = `${shard} ${events[0]?.atMs} ${events[0]?.seq}`;
    if (told === this.#told) return;
    this.#told = told;
    this.#befell.replaceChildren(...events.map(({ atMs: at, text }) => make("li", "", make("time", "", clock(at)), make("span", "", text))));
  }

  /** Buttons to move it to each other scene and to cut it anew, or to abort what is done with it. */
  #offer(shard: ShardStatus, move: MoveStatus | undefined, status: ClusterStatus | undefined): void {
    const scenes = (status?.nodes ?? []).filter((node) => node.role === "scene" && node.state === "up" && node.id !== shard.owner);
    const flying = status && move && !move.over ? move : undefined;
    const home = status?.scenes.find((scene) => scene.id === shard.owner && scene.state === "up");
    const parent = status ? mergesInto(shard.id, status) : undefined;
    const stands = shard.paused !== undefined;
    const offered = [shard.id, shard.owner, this.desk.who.mayChange, flying?.id ?? "", home?.id ?? "", parent, stands, ...scenes.map((scene) => scene.id)].join(" ");
    if (offered === this.#offered) return;
    this.#offered = offered;
    if (status && stands) return this.#moving.replaceChildren(...this.#haltButtons(shard));
    const buttons = flying
      ? [this.desk.button(`Abort the ${flying.kind}`, () => this.desk.abort(flying))]
      : scenes.map(({ id }) => this.desk.button(`Move to ${id}`, () => this.desk.move(shard, id)));
    if (status && !flying) {
      if (isLarge(shard.id)) buttons.push(this.desk.button("Split into four", () => this.desk.split(shard)));
      if (parent) buttons.push(this.desk.button(`Merge into ${parent}`, () => this.desk.merge(parent)));
    }
    if (status && !flying && this.desk.development) buttons.push(this.desk.button("Pause", () => this.desk.pause(shard)));
    if (home && scenes.length > 0) buttons.push(this.desk.button(`Drain ${home.id}`, () => this.desk.drain(home)));
    this.#moving.replaceChildren(...buttons);
  }

  /** Of a shard that stands: neither moved nor cut before it goes on. */
  #haltButtons(shard: ShardStatus): HTMLElement[] {
    const steps = [1, 20].map((ticks) => this.desk.button(`Step ${ticks === 1 ? "a tick" : `${ticks} ticks`}`, () => this.desk.halt("step", shard, ticks)));
    return [this.desk.button("Resume", () => this.desk.halt("resume", shard, 1)), ...steps];
  }
}

function isLarge(id: string): boolean {
  const shard = parseShard(id);
  return shard !== undefined && quartersOf(shard).length > 0;
}

/** What it would become together with its three siblings, if they are all on the map. */
function mergesInto(id: string, { shards }: ClusterStatus): string | undefined {
  const shard = parseShard(id);
  if (!shard) return undefined;
  const parent = parentOf(shard);
  const names = new Set(shards.map((one) => one.id));
  return quartersOf(parent).every((quarter) => names.has(shardName(quarter))) ? shardName(parent) : undefined;
}

function facts(shard: ShardStatus, move: MoveStatus | undefined): HTMLElement {
  const rows: (readonly [string, string])[] = [
    ["Owner", `${shard.owner || "none"} · epoch ${shard.epoch}`],
    ["State", shard.paused ? pausedWords(shard.paused) : shard.phase || "–"],
    ["Players", count(shard.players)],
    ["Ghosts", count(shard.ghosts)],
    ["Tick p50", `${ms(shard.p50)} ms`],
    ["Hand-overs in / out", `${count(shard.handoversIn)} / ${count(shard.handoversOut)}`],
  ];
  if (move) rows.push([move.over ? "Last change" : "Change", moveWords(move)]);
  return make("dl", "facts", ...rows.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
}

function pausedWords({ leftS, steps }: Paused): string {
  return steps > 0 ? `paused · ${count(steps)} ticks to step` : `paused · goes on in ${Math.ceil(leftS / 60)} min`;
}

const DONE_WORDS = { split: "split at", merge: "merged at" } as const;

/** Where a move is, or how it ended. */
function moveWords({ kind, to, step, over, rounds, bytes, blackoutMs, missedTicks, reason }: MoveStatus): string {
  const way = kind === "move" ? `to ${to}` : over ? `${DONE_WORDS[kind]} ${to}` : `${kind} at ${to}`;
  if (over && step !== "done") return `${kind === "move" ? `not to ${to}` : `no ${kind}`}: ${reason}`;
  if (over) return `${way} · ${ms(blackoutMs)} ms blackout${missedTicks > 0 ? `, ${missedTicks} ticks missed` : ""}`;
  return `${way} · ${step}${rounds > 0 ? `, round ${rounds}` : ""}${bytes > 0 ? ` · ${(bytes / 1_048_576).toFixed(1)} MB` : ""}`;
}
