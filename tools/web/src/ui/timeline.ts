// What happened, latest first, and a slider to go back in it: the map and the panel then show the cluster as it was.
import type { ClusterEvent } from "../admin/api.js";
import type { History } from "../admin/history.js";
import { byId, make } from "./elements.js";

/** Lines shown. */
const LINES_MAX = 60;
/** Of the slider. */
const STEP_MS = 500;
/** Nearer to the end of the slider than this is now. */
const NOW_MS = 1_500;

export class Timeline {
  readonly section = make("section");
  /** The time on show; undefined: now. */
  pastMs: number | undefined;
  readonly #list = make("ol");
  readonly #aside = make("span", "", "now");
  readonly #slider = make("input");

  constructor(readonly history: History, readonly moved: () => void) {
    this.section.id = "timeline";
    this.#slider.type = "range";
    this.#slider.step = String(STEP_MS);
    this.#slider.ariaLabel = "Time on show";
    this.#slider.oninput = () => this.#slide(Number(this.#slider.value));
    byId("past-back").onclick = () => this.go(undefined);
    this.section.append(make("h2", "", "Timeline", this.#aside), this.#slider, this.#list);
  }

  /** Something happened just now. */
  tell(event: ClusterEvent): void {
    if (this.pastMs !== undefined) return;
    const line = lineOf(event);
    line.classList.add("new");
    this.#list.prepend(line);
    while (this.#list.childElementCount > LINES_MAX) this.#list.lastElementChild?.remove();
  }

  /** A new status is in the history. */
  grow(): void {
    const span = this.history.span;
    if (!span) return;
    // Whole steps since the epoch: what is on show stays where it is while the ends move on.
    const now = Math.ceil(span[1] / STEP_MS) * STEP_MS;
    this.#slider.min = String(Math.ceil(span[0] / STEP_MS) * STEP_MS);
    this.#slider.max = String(now);
    this.#slider.value = String(this.pastMs ?? now);
    if (this.pastMs !== undefined) this.#say();
  }

  /** Shows the cluster as it was; undefined: as it is. */
  go(pastMs: number | undefined): void {
    this.pastMs = pastMs;
    byId("past").hidden = pastMs === undefined;
    this.#list.replaceChildren(...this.history.events(pastMs ?? Infinity, LINES_MAX).map(lineOf));
    this.grow();
    this.#say();
    this.moved();
  }

  #slide(atMs: number): void {
    const last = this.history.span?.[1] ?? atMs;
    this.go(last - atMs < NOW_MS ? undefined : atMs);
  }

  #say(): void {
    const at = this.pastMs;
    const ago = at === undefined ? 0 : Math.round(((this.history.span?.[1] ?? at) - at) / 1_000);
    this.#aside.textContent = at === undefined ? "now" : `${ago < 120 ? `${ago} s` : `${Math.floor(ago / 60)} min`} ago`;
    this.#slider.ariaValueText = at === undefined ? "now" : clock(at);
    byId("past-words").textContent = at === undefined ? "" : `As it was at ${clock(at)}`;
  }
}

/** Hours, minutes and seconds. */
export function clock(atMs: number): string {
  return new Date(atMs).toLocaleTimeString("en-GB");
}

function lineOf(event: ClusterEvent): HTMLElement {
  const crossing = event.kind === "handover" && event.entity !== undefined && event.from && event.to;
  const words = make("span", "", crossing ? `e${event.entity}  ${event.from} → ${event.to}` : event.text || event.kind);
  words.title = event.text;
  return make("li", "", make("time", "", clock(event.atMs > 0 ? event.atMs : Date.now())), words);
}
