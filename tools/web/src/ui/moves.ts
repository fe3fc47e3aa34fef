// Moves in flight: how far each is, and a button to abort it.
import type { MoveStatus } from "../admin/api.js";
import { ownerCss } from "../render/palette.js";
import type { Desk } from "./desk.js";
import { bar, dot, make } from "./elements.js";

/** In the order in which a move goes through them. */
const STEPS = ["gathering", "preparing", "copying", "freezing", "frozen", "committing", "given", "done"];
const RECUT_WORDS = { split: "into four at", merge: "from four at" } as const;
/** Moves shown; while a scene is drained there may be many. */
const MOVES_MAX = 6;

/** How far a move is, from 0 to 1: most of its time goes into copying. */
export function part({ step, rounds }: MoveStatus): number {
  const at = STEPS.indexOf(step);
  if (step === "copying") return 0.15 + 0.55 * (rounds / (rounds + 1));
  return at <= 1 ? 0.05 : 0.7 + 0.3 * ((at - 2) / (STEPS.length - 3));
}

/** A section that is only there while something moves. */
export class MovesCard {
  readonly section = make("section", "flying");
  #shown = "";

  constructor(readonly desk: Desk) {
    this.section.hidden = true;
  }

  show(moves: readonly MoveStatus[], now: boolean): void {
    const flying = moves.filter((move) => !move.over);
    const shown = `${this.desk.who.mayChange} ${now} ${flying.map((move) => `${move.id}${move.step}${move.rounds}${move.bytes}`).join()}`;
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.section.hidden = flying.length === 0;
    this.section.replaceChildren(make("h2", "", "On the way", make("span", "", String(flying.length))),
      ...flying.slice(0, MOVES_MAX).map((move) => this.#row(move, now)));
  }

  #row(move: MoveStatus, now: boolean): HTMLElement {
    const { kind, shard, from, to, step, bytes } = move;
    const copied = bytes > 0 ? ` · ${(bytes / 1_024).toFixed(0)} KiB` : "";
    const way = kind === "move" ? [dot(ownerCss(from)), "→", dot(ownerCss(to)), to] : [RECUT_WORDS[kind], dot(ownerCss(to)), to];
    const row = make("div", "flight",
      make("strong", "", shard), make("span", "", ...way), bar(part(move), ownerCss(to)),
      make("small", "", `${step}${copied}`));
    if (now) row.append(this.desk.button("Abort", () => this.desk.abort(move)));
    return row;
  }
}
