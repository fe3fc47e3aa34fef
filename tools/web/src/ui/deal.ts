// The card to pay somebody or to trade: one form for all of a deal's states, which can be filled in only while it is written.
// An offer that arrives shows itself here without taking the focus. Below: who stands at arm's length.
import type { Belongings } from "../play/belongings.js";
import type { Dealing, DealKind, DealState, Terms } from "../play/dealing.js";
import { byId, gem, make } from "./elements.js";

/** What the buttons say: to go on, and to end it. */
const BUTTONS: Readonly<Record<DealState, { readonly yes?: string; readonly no: string }>> = {
  none: { no: "" }, writing: { yes: "Offer", no: "Cancel" }, waiting: { no: "Call it off" }, asked: { yes: "Accept", no: "Decline" },
  settling: { no: "Call it off" },
};

/** What the card must know of the world. */
export interface Surroundings {
  /** Whoever stands at arm's length, the nearest first. */
  readonly neighbour: bigint | undefined;
  reaches(other: bigint): boolean;
  nameOf(entity: bigint): string;
  /** Opens the form for the neighbour. */
  deal(kind: DealKind): void;
}

export class DealCard {
  readonly #card = byId<HTMLFormElement>("deal");
  readonly #near = byId("near");
  readonly #words = byId("deal-words");
  readonly #yes = byId<HTMLButtonElement>("deal-yes");
  readonly #give = new Side("give");
  readonly #get = new Side("get");
  #version = -1;
  #bagVersion = -1;
  #shownNeighbour: string | undefined;

  constructor(
    readonly dealing: Dealing, readonly belongings: Belongings, readonly around: Surroundings, readonly done: () => void,
  ) {
    const act = (id: string, does: () => void) => {
      byId(id).onclick = () => {
        does();
        done();
      };
    };
    act("deal-close", () => dealing.close());
    act("deal-no", () => dealing.close());
    byId("deal-other").onclick = () => dealing.write("trade", dealing.with);
    this.#card.onsubmit = (event) => {
      event.preventDefault();
      if (!this.#complaint()) this.#agree();
    };
    this.#card.onkeydown = (event) => {
      event.stopPropagation();
      if (event.key !== "Escape") return;
      dealing.close();
      done();
    };
  }

  /** Cheap to call in each frame: touches the page only when something changed. */
  show(): void {
    const { dealing, belongings } = this;
    if (dealing.version !== this.#version) this.#changed();
    if (belongings.version !== this.#bagVersion) {
      this.#bagVersion = belongings.version;
      this.#showItems();
    }
    this.#showNeighbour();
    if (dealing.state === "none") return;
    const complaint = this.#complaint();
    this.#yes.disabled = complaint !== undefined;
    const words = complaint ?? this.#saying();
    if (this.#words.textContent !== words) this.#words.textContent = words;
  }

  #agree(): void {
    if (this.dealing.state === "asked") this.dealing.accept();
    else this.dealing.propose(this.#terms);
    this.done();
  }

  get #terms(): Terms {
    return { giveGold: this.#give.gold, giveItem: this.#give.item, wantGold: this.#get.gold, wantItem: this.#get.item };
  }

  /** The dealing is in another state. */
  #changed(): void {
    const { state, kind, terms, version } = this.dealing;
    const opened = state === "writing";
    this.#version = version;
    this.#card.hidden = state === "none";
    if (state === "none") return;
    const who = this.around.nameOf(this.dealing.with);
    byId("deal-title").textContent = kind === "pay" ? `Pay ${who}` : state === "asked" ? `${who} offers a trade` : `Trade with ${who}`;
    byId("deal-get").hidden = kind === "pay";
    byId("deal-give-items").hidden = kind === "pay";
    byId("deal-other").hidden = state !== "asked";
    byId("deal-no").textContent = BUTTONS[state].no;
    this.#yes.hidden = BUTTONS[state].yes === undefined;
    this.#yes.textContent = kind === "pay" ? "Pay" : BUTTONS[state].yes ?? "";
    this.#give.fill(terms.giveGold, terms.giveItem, opened);
    this.#get.fill(terms.wantGold, terms.wantItem, opened);
    this.#showItems();
    if (opened) this.#give.focus();
  }

  /** While writing: all there is to choose from; else what was chosen. */
  #showItems(): void {
    const { state, terms } = this.dealing;
    const { items } = this.belongings;
    const chosen = (item: bigint) => (item === 0n ? [] : [item]);
    this.#give.show(state === "writing" ? [...items.keys()] : chosen(terms.giveItem), items);
    this.#get.show(chosen(terms.wantItem), items);
  }

  /** Why it cannot go on just now. */
  #complaint(): string | undefined {
    const { state, kind, with: other, terms } = this.dealing;
    if (state !== "writing" && state !== "asked") return undefined;
    const now = state === "writing" ? this.#terms : terms;
    if (!this.around.reaches(other)) return `Walk closer to ${this.around.nameOf(other)}.`;
    if (now.giveGold > (this.belongings.gold ?? 0n)) return "You do not have that much gold.";
    if (now.giveItem !== 0n && !this.belongings.items.has(now.giveItem)) return "You no longer have that item.";
    if (kind === "pay" && now.giveGold === 0n) return "How much?";
    if (Object.values(now).every((value) => value === 0n)) return "What for what?";
    return undefined;
  }

  #saying(): string {
    const who = this.around.nameOf(this.dealing.with);
    switch (this.dealing.state) {
      case "none": case "writing": return "";
      case "waiting": return `Waiting for ${who} to answer.`;
      case "asked": return `${who} says yes to this. Do you?`;
      case "settling": return "You both say yes. It is being settled.";
    }
  }

  #showNeighbour(): void {
    const { neighbour } = this.around;
    const name = neighbour === undefined || this.dealing.state !== "none" ? undefined : this.around.nameOf(neighbour);
    if (name === this.#shownNeighbour) return;
    this.#shownNeighbour = name;
    this.#near.hidden = name === undefined;
    if (name === undefined) return;
    const button = (kind: DealKind, words: string, key: string) => {
      const made = make("button", "", words, make("kbd", "", key));
      made.type = "button";
      made.onclick = () => this.around.deal(kind);
      return made;
    };
    this.#near.replaceChildren(make("span", "", name), button("pay", "Pay", "P"), button("trade", "Trade", "T"));
  }
}

/** What one of the two gives: gold, and one item of those shown. */
class Side {
  item = 0n;
  readonly #gold: HTMLInputElement;
  readonly #fields: HTMLFieldSetElement;
  readonly #items: HTMLElement;

  constructor(which: "give" | "get") {
    this.#fields = byId(`deal-${which}`);
    this.#gold = byId(`deal-${which}-gold`);
    this.#items = byId(`deal-${which}-items`);
  }

  get gold(): bigint {
    return BigInt(this.#gold.value.replace(/\D/g, "") || 0);
  }

  fill(gold: bigint, item: bigint, open: boolean): void {
    this.#gold.value = gold === 0n ? "" : String(gold);
    this.item = item;
    this.#fields.disabled = !open;
  }

  focus(): void {
    this.#gold.focus();
  }

  show(items: readonly bigint[], kinds: ReadonlyMap<bigint, number>): void {
    const buttons = items.map((item) => {
      const kind = kinds.get(item);
      const button = make("button", "", gem(kind));
      button.type = "button";
      button.title = kind === undefined ? `Item ${item}` : `Item ${item}, kind ${kind}`;
      button.ariaPressed = String(item === this.item);
      button.onclick = () => {
        this.item = this.item === item ? 0n : item;
        for (const one of buttons) one.ariaPressed = String(one === button && this.item !== 0n);
      };
      return button;
    });
    this.#items.replaceChildren(...buttons);
  }
}
