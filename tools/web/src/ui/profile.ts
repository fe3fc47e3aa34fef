// What a tick of the chosen shard costs: asked for now and then, as long as a shard is chosen and it is now.
import type { Cost, Profile } from "../admin/profile.js";
import { fetchProfile } from "../admin/profile.js";
import { bar, make } from "./elements.js";

const ASK_EVERY_MS = 2_000;
const us = (value: number): string => (value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en"));

export class ProfileCard {
  readonly section = make("div", "profile");
  #shard: string | undefined;
  #asked = 0;

  constructor() {
    this.section.hidden = true;
    setInterval(() => void this.#look(), ASK_EVERY_MS);
  }

  /** The shard that is looked at; undefined: none, or the time on show is past. */
  of(shard: string | undefined): void {
    if (shard === this.#shard) return;
    this.#shard = shard;
    this.section.hidden = true;
    void this.#look();
  }

  async #look(): Promise<void> {
    const shard = this.#shard;
    if (shard === undefined || document.hidden || !this.section.isConnected) return;
    const asked = ++this.#asked;
    let profile: Profile | undefined;
    try {
      profile = await fetchProfile(shard);
    } catch {
      // Nobody runs it just now: what it cost before is no news.
    }
    if (asked !== this.#asked || shard !== this.#shard) return;
    this.section.hidden = profile === undefined || profile.ticks === 0;
    if (profile) this.#show(profile);
  }

  #show({ ticks, phases, systems }: Profile): void {
    const title = make("div", "head", make("span", "", "Systems"), make("span", "", "µs in a tick"));
    title.title = `Means of ${ticks} measured ticks, one of twenty`;
    const most = Math.max(...systems.map((system) => system.meanUs), 1e-9);
    const list = make("ol", "", ...systems.map((system) => row(system, most)));
    const scrolled = this.section.querySelector("ol")?.scrollTop ?? 0;
    this.section.replaceChildren(title, list, make("small", "", phases.map(({ name, meanUs }) => `${name} ${us(meanUs)}`).join(" · ")));
    list.scrollTop = scrolled;
  }
}

function row({ name, meanUs, maxUs }: Cost, most: number): HTMLElement {
  const made = make("li", "", make("span", "", name), make("span", "num", us(meanUs)), bar(meanUs / most));
  made.title = `${name}: ${us(meanUs)} µs, at most ${us(maxUs)} µs`;
  return made;
}
