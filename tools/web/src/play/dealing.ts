// A deal with another player: a payment or a trade, from the form to the ledger's word. One at a time, as in the game.
//
//   state     | what happens                    | next                      | what is sent
//   ----------|---------------------------------|---------------------------|--------------
//   none      | write                           | writing                   |
//   none      | somebody offers                 | asked                     |
//   writing   | propose a payment               | none, asked               | pay
//   writing   | propose a trade                 | waiting                   | trade_offer
//   writing   | the other one offers            | asked; after a payment    |
//   any       | a third one offers              | the same: it lies there   |
//   writing   | close                           | none, asked               |
//   waiting, asked, settling | the same one offers other terms | asked |
//   asked     | accept                          | settling                  | trade_accept
//   asked     | write: other terms              | writing                   |
//   waiting, asked, settling | close            | none                      | trade_cancel
//   waiting, asked, settling | it ended         | none                      |
//
// "none, asked": asked when an offer lies there. Whatever is not in the table changes nothing.
import type { Scalar } from "../world/registry.js";

export type DealState = "none" | "writing" | "waiting" | "asked" | "settling";
export type DealKind = "pay" | "trade";

/** What changes hands, as the own player sees it. An item 0 is none. */
export interface Terms {
  readonly giveGold: bigint;
  readonly giveItem: bigint;
  readonly wantGold: bigint;
  readonly wantItem: bigint;
}

export const NOTHING: Terms = { giveGold: 0n, giveItem: 0n, wantGold: 0n, wantItem: 0n };

export class Dealing {
  state: DealState = "none";
  kind: DealKind = "trade";
  /** The other one. */
  with = 0n;
  /** Of the form at its start, of the own offer, or of theirs. */
  terms = NOTHING;
  /** Rises with every change. */
  version = 0;
  /** The offer that lies there, from the other's last word to its end. */
  #offer: { readonly from: bigint; readonly terms: Terms } | undefined;

  constructor(readonly act: (input: string, values: Record<string, Scalar>) => void) {}

  /** Opens the form for `person`; with their terms, when they have made an offer. */
  write(kind: DealKind, person: bigint): void {
    const counters = this.state === "asked" && kind === "trade" && person === this.with;
    if (this.state !== "none" && !counters) return;
    this.#enter("writing", person, counters ? this.terms : NOTHING, kind);
  }

  /** Sends the form. */
  propose(terms: Terms): void {
    if (this.state !== "writing") return;
    if (this.kind === "pay") {
      this.act("pay", { to: this.with, gold: terms.giveGold });
      return this.#rest();
    }
    const { giveGold, giveItem, wantGold, wantItem } = terms;
    this.act("trade_offer", { to: this.with, give_gold: giveGold, give_item: giveItem, want_gold: wantGold, want_item: wantItem });
    if (this.#offer?.from === this.with) this.#offer = undefined;
    this.#enter("waiting", this.with, terms);
  }

  accept(): void {
    if (this.state !== "asked") return;
    this.act("trade_accept", { from: this.with });
    this.#enter("settling", this.with, this.terms);
  }

  /** Closes the form, or calls the trade off. */
  close(): void {
    if (this.state === "none") return;
    if (this.state !== "writing") {
      this.act("trade_cancel", { with: this.with });
      this.#offer = undefined;
    }
    this.#rest();
  }

  /** Somebody put terms on the table: what they give is what the own player gets. */
  offered(from: bigint, terms: Terms): void {
    this.#offer = { from, terms };
    const pays = this.state === "writing" && this.kind === "pay";
    if (this.state === "none" || (this.with === from && !pays)) this.#rest();
  }

  /** The ledger's word on the trade with `other`; 0 when it was not said with whom. */
  ended(other: bigint): void {
    const mine = other === 0n || other === this.with;
    if (other === 0n || this.#offer?.from === other) this.#offer = undefined;
    if (mine && this.state !== "none" && this.state !== "writing") this.#rest();
  }

  /** Everything inferred from events is void. */
  clear(): void {
    this.#offer = undefined;
    this.#rest();
  }

  /** To the offer that lies there, or to nothing. */
  #rest(): void {
    if (this.#offer) this.#enter("asked", this.#offer.from, this.#offer.terms);
    else this.#enter("none", 0n, NOTHING);
  }

  #enter(state: DealState, other: bigint, terms: Terms, kind: DealKind = "trade"): void {
    this.state = state;
    this.with = other;
    this.terms = terms;
    this.kind = kind;
    this.version++;
  }
}
