// Tunables: a section to see and to set what designers tune while people play, and to take changes back. Nothing is asked twice:
// whatever was changed can be undone.
import { VIEWER_REASON } from "../admin/caller.js";
import type { Tunable, Tunables, TunableValue, Tuning } from "../admin/tunables.js";
import { fetchTunables, typed } from "../admin/tunables.js";
import type { Desk } from "./desk.js";
import { make } from "./elements.js";
import { clock } from "./timeline.js";

/** While it is open: what is saved in a designer's file is to be seen here well within two seconds. */
const ASK_EVERY_MS = 500;
/** After an order, until all scenes have it: so often, and so many times. */
const FOLLOW_EVERY_MS = 100;
const FOLLOWS_MAX = 100;
const CHANGES_SHOWN = 12;

type Order = () => Promise<void>;

export class TunablesCard {
  readonly section = make("section", "audit tunables");
  readonly #more = make("details");
  readonly #state = make("p", "quiet");
  readonly #list = make("ol");
  readonly #history = make("ol");
  readonly #rows = new Map<string, Row>();
  /** What the history on show is of: whoever is about to click there is not disturbed. */
  #told = "";

  constructor(readonly desk: Desk) {
    this.#more.append(make("summary", "", "Tunables"), this.#list, this.#state, this.#history);
    this.section.append(this.#more);
    this.#more.ontoggle = () => void this.look();
    setInterval(() => void this.look(), ASK_EVERY_MS);
  }

  /** Asks the cluster, if anybody looks; what it says, if it does. */
  async look(): Promise<Tunables | undefined> {
    if (!this.#more.open || document.hidden) return undefined;
    try {
      const told = await fetchTunables();
      this.#show(told);
      return told;
    } catch (error) {
      this.#say(error);
      return undefined;
    }
  }

  #show({ version, tunables, history, scenes }: Tunables): void {
    const rows = tunables.map((one) => this.#rows.get(one.name) ?? this.#newRow(one));
    tunables.forEach((one, at) => rows[at]!.show(one, this.desk.who.mayChange));
    const lines = rows.map((row) => row.line);
    if (lines.length !== this.#list.children.length || lines.some((line, at) => line !== this.#list.children[at])) {
      this.#list.replaceChildren(...lines);
    }
    const have = scenes.filter((known) => known >= version).length;
    this.#state.textContent = tunables.length === 0 ? "There are no tunables." : `Version ${version} is at ${have} of ${scenes.length} scenes.`;
    const told = `${version} ${this.desk.who.mayChange}`;
    if (told === this.#told) return;
    this.#told = told;
    this.#history.replaceChildren(...history.slice(0, CHANGES_SHOWN).map((change) => this.#lineOf(change)));
  }

  #newRow(one: Tunable): Row {
    const row = new Row(one, (value) => this.#order(() => this.desk.tune(one.name, value)));
    this.#rows.set(one.name, row);
    return row;
  }

  #lineOf(change: Tuning): HTMLElement {
    const [before, after] = [change.before || "as it began", change.after || "as it began"];
    const undo = this.desk.button("Undo", () => void this.#order(() => this.desk.untune(change.version)).catch((error: unknown) => this.#say(error)));
    const line = make("li", "", make("time", "", clock(change.atMs)), make("strong", "", change.name), undo, make("span", "", `${before} → ${after}, ${change.by}`));
    line.title = `version ${change.version}, ${change.why}`;
    return line;
  }

  async #order(does: Order): Promise<void> {
    await does();
    void this.#follow();
  }

  /** Looks until every scene has what was ordered. */
  async #follow(): Promise<void> {
    for (let follows = 0; follows < FOLLOWS_MAX; follows++) {
      const told = await this.look();
      if (!told || (follows > 0 && told.scenes.every((known) => known >= told.version))) return;
      await new Promise((resolve) => setTimeout(resolve, FOLLOW_EVERY_MS));
    }
  }

  #say(error: unknown): void {
    this.#state.textContent = error instanceof Error ? error.message : String(error);
  }
}

/** One tunable. It stays the same element, so that nobody is interrupted who types. */
class Row {
  readonly line = make("li");
  readonly #input = make("input");
  readonly #reset = make("button", "", "Reset");
  readonly #words = make("span");
  readonly #isFlag: boolean;
  #shown: TunableValue = "";
  #about = "";
  /** Somebody types, or was refused. */
  #isTouched = false;

  constructor({ name, kind }: Tunable, readonly set: (value: TunableValue | null) => Promise<void>) {
    this.#isFlag = kind === "flag";
    this.#input.type = this.#isFlag ? "checkbox" : kind === "text" ? "text" : "number";
    this.#input.step = kind === "int" ? "1" : "any";
    this.#input.ariaLabel = name;
    this.#input.oninput = () => (this.#isTouched = true);
    this.#input.onchange = () => void this.#try(this.#isFlag ? this.#input.checked : typed(kind, this.#input.value));
    this.#input.onkeydown = (event) => {
      event.stopPropagation(); // it is typed, and no key of the map
      if (event.key === "Escape") this.#settle();
    };
    this.#reset.type = "button";
    this.#reset.onclick = () => void this.#try(null);
    this.line.append(make("strong", "", name), this.#reset, this.#input, this.#words);
  }

  show({ about, value, initial, range, isSet }: Tunable, mayChange: boolean): void {
    this.#shown = value;
    this.#about = range ? `${about} ${range[0]} to ${range[1]}.` : about;
    if (range) [this.#input.min, this.#input.max] = [String(range[0]), String(range[1])];
    this.#input.disabled = !mayChange;
    this.#input.title = mayChange ? "" : VIEWER_REASON;
    this.#reset.hidden = !isSet;
    this.#reset.disabled = !mayChange;
    this.#reset.title = mayChange ? `As the game begins: ${initial}` : VIEWER_REASON;
    if (!this.#isTouched) this.#settle();
  }

  /** As the cluster has it. */
  #settle(): void {
    this.#isTouched = false;
    if (this.#isFlag) this.#input.checked = this.#shown === true;
    else this.#input.value = String(this.#shown);
    this.#words.textContent = this.#about;
    this.line.dataset["result"] = "";
  }

  /** Orders it; whoever is refused reads why, and may go on typing. */
  async #try(value: TunableValue | null): Promise<void> {
    const sent = this.#input.value;
    try {
      await this.set(value);
      // Unless more was typed meanwhile: the next look at the cluster shows what it has.
      if (this.#input.value === sent) this.#isTouched = false;
    } catch (error) {
      this.#words.textContent = error instanceof Error ? error.message : String(error);
      this.line.dataset["result"] = "refused";
    }
  }
}
