// What the player sees of themselves: where they are, health, gold, what they carry, and which keys do what.
import type { Route } from "../net/session.js";
import type { Belongings } from "../play/belongings.js";
import { ownerCss } from "../render/palette.js";
import { bar, byId, dot, gem, make } from "./elements.js";

const KEYS: readonly [string, string][] = [
  ["WASD", "walk"], ["Space", "attack"], ["E", "take"], ["Q", "drop"], ["Enter", "talk"], ["M", "map"],
];
/** Slots shown; the rest is a number. */
const BAG_MAX = 8;

export class Hud {
  readonly #paused = make("span", "quiet");
  readonly #name = make("span", "", "");
  readonly #gold = make("span", "num", "");
  #goldShown: bigint | undefined;
  readonly #fill = make("i");
  readonly #health = make("span", "num", "");
  readonly #place = make("span", "", "");
  #shown = "";
  #bagVersion = -1;

  constructor(readonly drop: (item: bigint) => void) {
    const health = bar(1);
    health.replaceChildren(this.#fill);
    byId("vitals").append(make("div", "name", this.#name, this.#gold), health, make("small", "", this.#health, this.#place));
    for (const [key, does] of KEYS) byId("hints").append(make("span", "", make("kbd", "", key), does));
  }

  /** Cheap to call often: touches the page only when something changed. */
  show(name: string, now: number, max: number, x: number, z: number, belongings: Belongings): void {
    const shown = `${name}|${now}|${max}|${Math.round(x)}|${Math.round(z)}`;
    if (shown !== this.#shown) {
      this.#shown = shown;
      this.#name.textContent = name;
      const part = max > 0 ? now / max : 1;
      this.#fill.style.width = `${Math.round(part * 100)}%`;
      this.#fill.className = part < 0.3 ? "low" : "";
      this.#health.textContent = max > 0 ? `${now} / ${max}` : "";
      this.#place.textContent = `${Math.round(x)} E, ${Math.round(z)} S`;
    }
    if (belongings.version !== this.#bagVersion) {
      this.#bagVersion = belongings.version;
      this.#showBag(belongings);
    }
  }

  /** An operator has stopped the shard: nobody in it moves, and that is no fault of the connection. */
  paused(isPaused: boolean): void {
    this.#paused.textContent = isPaused ? " · paused by an operator" : "";
  }

  route(route: Route): void {
    const chip = byId("chip");
    const colour = ownerCss(route.scene);
    const changed = !chip.hidden && chip.textContent !== "";
    this.#paused.textContent = "";
    chip.style.setProperty("--owner", colour);
    chip.replaceChildren(dot(colour), `shard ${route.shard} · ${route.scene}`, this.#paused);
    chip.classList.remove("changed");
    if (changed) requestAnimationFrame(() => chip.classList.add("changed"));
  }

  /** What came or went is seen for a moment. */
  #showGold(gold: bigint | undefined): void {
    const before = this.#goldShown;
    this.#goldShown = gold;
    this.#gold.textContent = gold === undefined ? "" : `${gold.toLocaleString("en")} gold`;
    if (gold === undefined || before === undefined || gold === before) return;
    const more = gold > before;
    const change = (more ? gold - before : before - gold).toLocaleString("en");
    this.#gold.prepend(more ? make("i", "change more", `+${change}`) : make("i", "change", `−${change}`));
  }

  #showBag(belongings: Belongings): void {
    this.#showGold(belongings.gold);
    const items = [...belongings.items];
    const slots: HTMLElement[] = items.slice(-BAG_MAX).map(([item, kind]) => {
      const button = make("button", "", gem(kind), make("b", "", String(kind)));
      button.type = "button";
      button.title = `Item ${item}, kind ${kind}: drop it`;
      button.onclick = () => this.drop(item);
      return button;
    });
    if (items.length > BAG_MAX) slots.push(make("span", "quiet", `+${items.length - BAG_MAX}`));
    const bag = byId("bag");
    bag.replaceChildren(...slots);
    bag.hidden = slots.length === 0;
  }
}
