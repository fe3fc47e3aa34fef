// The chosen shard: its numbers, how they went, what befell it, and where an operator may move it.
import type { ClusterStatus, MoveStatus, ShardStatus } from "../admin/api.js";
import type { History } from "../admin/history.js";
import { ownerCss } from "../render/palette.js";
import type { Desk } from "./desk.js";
import { count, dot, make, ms } from "./elements.js";
import { spark } from "./spark.js";
import { clock } from "./timeline.js";

/** How far back its lines go. */
const LINES_MS = 300_000;
/** Events shown. */
const EVENTS_MAX = 5;

export class ShardCard {
  readonly #title = make("div", "title");
  readonly #numbers = make("div");
  readonly #moving = make("div", "moving");
  readonly #close = make("button", "", "×");
  /** What the buttons were made for: they stay, and keep the focus, until that changes. */
  #offered = "";

  constructor(readonly history: History, readonly desk: Desk, close: () => void) {
    this.#close.type = "button";
    this.#close.ariaLabel = "Show all shards";
    this.#close.onclick = close;
    this.#title.append(this.#close);
  }

  get parts(): readonly HTMLElement[] {
    return [this.#title, this.#numbers, this.#moving];
  }

  /** `now` is false when the status is one of the past, in which nothing can be ordered. */
  show(shard: ShardStatus, status: ClusterStatus, now: boolean): void {
    const move = status.moves.findLast((one) => one.shard === shard.id);
    while (this.#title.firstChild !== this.#close) this.#title.firstChild?.remove();
    this.#close.before(dot(ownerCss(shard.owner)), `Shard ${shard.id}`);
    this.#numbers.replaceChildren(facts(shard, move), this.#lines(shard, status.atMs), this.#events(shard.id, now ? Infinity : status.atMs));
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

  #events(shard: string, atMs: number): HTMLElement {
    const list = make("ol", "befell");
    for (const event of this.history.ofShard(shard, atMs).slice(0, EVENTS_MAX)) {
      list.append(make("li", "", make("time", "", clock(event.atMs)), make("span", "", event.text)));
    }
    return list;
  }

  /** Buttons to move it to each other scene, or to abort the move it is on. */
  #offer(shard: ShardStatus, move: MoveStatus | undefined, status: ClusterStatus | undefined): void {
    const scenes = (status?.nodes ?? []).filter((node) => node.role === "scene" && node.state === "up" && node.id !== shard.owner);
    const flying = status && move && !move.over ? move : undefined;
    const home = status?.scenes.find((scene) => scene.id === shard.owner && scene.state === "up");
    const offered = [shard.id, shard.owner, this.desk.who.mayChange, flying?.id ?? "", home?.id ?? "", ...scenes.map((scene) => scene.id)].join(" ");
    if (offered === this.#offered) return;
    this.#offered = offered;
    const buttons = flying
      ? [this.desk.button("Abort the move", () => this.desk.abort(flying))]
      : scenes.map(({ id }) => this.desk.button(`Move to ${id}`, () => this.desk.move(shard, id)));
    if (home && scenes.length > 0) buttons.push(this.desk.button(`Drain ${home.id}`, () => this.desk.drain(home)));
    this.#moving.replaceChildren(...buttons);
  }
}

function facts(shard: ShardStatus, move: MoveStatus | undefined): HTMLElement {
  const rows: (readonly [string, string])[] = [
    ["Owner", `${shard.owner || "none"} · epoch ${shard.epoch}`],
    ["State", shard.phase || "–"],
    ["Players", count(shard.players)],
    ["Ghosts", count(shard.ghosts)],
    ["Tick p50", `${ms(shard.p50)} ms`],
    ["Hand-overs in / out", `${count(shard.handoversIn)} / ${count(shard.handoversOut)}`],
  ];
  if (move) rows.push([move.over ? "Last move" : "Move", moveWords(move)]);
  return make("dl", "facts", ...rows.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
}

/** Where a move is, or how it ended. */
function moveWords({ to, step, over, rounds, bytes, blackoutMs, missedTicks, reason }: MoveStatus): string {
  if (over && step !== "done") return `not to ${to}: ${reason}`;
  if (over) return `to ${to} · ${ms(blackoutMs)} ms blackout${missedTicks > 0 ? `, ${missedTicks} ticks missed` : ""}`;
  return `to ${to} · ${step}${rounds > 0 ? `, round ${rounds}` : ""}${bytes > 0 ? ` · ${(bytes / 1_048_576).toFixed(1)} MB` : ""}`;
}
