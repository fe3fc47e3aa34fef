// Designers' scripts: a section that asks the cluster now and then, and opens itself when one fails.
import type { Script } from "../admin/scripts.js";
import { fetchScripts } from "../admin/scripts.js";
import type { Desk } from "./desk.js";
import { make } from "./elements.js";

const ASK_EVERY_MS = 2_000;
/** Shards of one script that are told apart; the rest is a number. */
const FAULTS_SHOWN = 4;

export class ScriptsCard {
  readonly section = make("section", "audit scripts");
  readonly #more = make("details");
  readonly #summary = make("summary", "", "Scripts");
  readonly #list = make("ol");
  #failing = 0;
  /** What is on show: whoever is about to click there is not disturbed. */
  #told = "";

  constructor(readonly desk: Desk, readonly choose: (shard: string) => void) {
    this.#more.append(this.#summary, this.#list);
    this.section.append(this.#more);
    setInterval(() => void this.#look(), ASK_EVERY_MS);
  }

  async #look(): Promise<void> {
    if (document.hidden) return;
    try {
      const scripts = await fetchScripts();
      const told = JSON.stringify([scripts, this.desk.who.mayChange]);
      if (told === this.#told) return;
      this.#told = told;
      const failing = scripts.filter((script) => script.isOn && script.faults.length > 0).length;
      this.#summary.textContent = failing > 0 ? `Scripts: ${failing} failed` : "Scripts";
      if (failing > this.#failing) this.#more.open = true;
      this.#failing = failing;
      const lines = scripts.flatMap((script) => this.#linesOf(script));
      this.#list.replaceChildren(...(lines.length > 0 ? lines : [make("li", "", "There are no scripts.")]));
    } catch (error) {
      this.#told = "";
      this.#list.replaceChildren(make("li", "", error instanceof Error ? error.message : String(error)));
    }
  }

  #linesOf(script: Script): HTMLElement[] {
    const shards = script.faults.length;
    const state = !script.isOn ? "off" : shards > 0 ? `failed in ${shards} shard${shards === 1 ? "" : "s"}` : "on";
    const head = make("li", "", make("strong", "", script.name), make("em", "", script.isRolledBack ? `${state}, rolled back` : state));
    head.append(this.desk.button(script.isOn ? "Turn off" : "Turn on", () => this.desk.script(script.name, script.isOn ? "off" : "on")));
    if (script.hasGood && shards > 0) head.append(this.desk.button("Roll back", () => this.desk.script(script.name, "rollback")));
    head.dataset["result"] = script.isOn && script.faults.length > 0 ? "refused" : "";
    const faults = script.isOn ? script.faults.slice(0, FAULTS_SHOWN) : [];
    return [head, ...faults.map((fault) => {
      const place = fault.line > 0 ? `${script.name}.luau:${fault.line}` : `${script.name}.luau`;
      const line = make("li", "", make("strong", "", place), make("span", "", `${fault.text}${fault.values ? ` (${fault.values})` : ""}`), make("em", "", fault.shard));
      line.title = "Show the shard";
      line.onclick = () => this.choose(fault.shard);
      return line;
    })];
  }
}
