// The inspector: an entity that was clicked, live, as long as its card is open.
import type { Component, EntitySight, Passage } from "../admin/entity.js";
import { fetchEntity } from "../admin/entity.js";
import { ownerCss } from "../render/palette.js";
import { byId, dot, make } from "./elements.js";
import { clock } from "./timeline.js";

/** Between two looks; the next one only begins when the former was answered. */
const LOOK_EVERY_MS = 250;

export class Inspector {
  readonly #card = byId("inspector");
  readonly #title = byId("inspector-title");
  readonly #body = byId("inspector-body");
  /** Whom it shows; undefined while it is closed. */
  entity: bigint | undefined;
  /** What it shows, for whoever asks. */
  seen: EntitySight | undefined;

  constructor() {
    byId("inspector-close").onclick = () => this.close();
  }

  open(entity: bigint): void {
    if (entity === this.entity) return;
    const begins = this.entity === undefined;
    this.entity = entity;
    this.seen = undefined;
    this.#card.hidden = false;
    this.#title.textContent = `e${entity}`;
    this.#body.replaceChildren();
    if (begins) void this.#look();
  }

  close(): void {
    this.entity = undefined;
    this.seen = undefined;
    this.#card.hidden = true;
  }

  async #look(): Promise<void> {
    const { entity } = this;
    if (entity === undefined) return;
    if (!document.hidden) {
      const seen = await fetchEntity(entity).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
      if (entity === this.entity) this.#show(seen);
    }
    setTimeout(() => void this.#look(), LOOK_EVERY_MS);
  }

  /** An entity, or why there is none. Whoever is nowhere just now may be somewhere a moment later. */
  #show(seen: EntitySight | string): void {
    const scrolled = this.#body.scrollTop;
    if (typeof seen === "string") {
      this.#body.replaceChildren(make("p", "nowhere", seen));
      return;
    }
    this.seen = seen;
    this.#title.replaceChildren(dot(ownerCss(seen.scene)), seen.name || `e${seen.id}`, make("span", "quiet", seen.name ? `e${seen.id}` : seen.isPlayer ? "a player's" : ""));
    this.#body.replaceChildren(facts(seen), ...seen.components.map(componentRows), ...pastRows(seen.history));
    this.#body.scrollTop = scrolled;
  }
}

function facts(seen: EntitySight): HTMLElement {
  const way = seen.toward ? ` · ${seen.state === "leaving" ? "handed over" : "about to go"} to ${seen.toward}` : "";
  const rows: (readonly [string, string])[] = [
    ["State", `${seen.state}${way}`],
    ["Owner", `${seen.scene} · epoch ${seen.epoch}`],
    ["Shard", `${seen.shard} · epoch ${seen.shardEpoch}`],
    ["Place", `${seen.x.toFixed(2)} E, ${seen.z.toFixed(2)} S`],
  ];
  if (seen.isPlayer) rows.push(["Session", seen.gateway || "no gateway"]);
  const list = make("dl", "facts", ...rows.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
  list.dataset["state"] = seen.state;
  return list;
}

function componentRows({ name, fields }: Component): HTMLElement {
  const rows = fields.flatMap(([field, value]) => [make("dt", "", field), make("dd", "", value)]);
  return make("section", "", make("h3", "", name), make("dl", "", ...rows));
}

function pastRows(history: readonly Passage[]): HTMLElement[] {
  if (history.length === 0) return [];
  const rows = history.map(({ from, fromScene, to, toScene, atMs, tookMs }) => {
    const row = make("li", "", make("time", "", clock(atMs)), make("span", "", `${from} → ${to}`), make("span", "num", `${tookMs.toFixed(1)} ms`));
    row.title = `From ${fromScene} to ${toScene || "nobody known"}: ${tookMs.toFixed(1)} ms until that had confirmed to have it`;
    return row;
  });
  return [make("section", "past", make("h3", "", "Hand-overs"), make("ol", "", ...rows))];
}
