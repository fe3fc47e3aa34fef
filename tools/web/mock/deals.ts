// Payments and trades of the pretended cluster: what a ledger does, without one.
import type { PlainType, Scalar } from "../src/world/registry.js";
import * as types from "./types.js";

/** Who can own something. */
export interface Party {
  readonly id: bigint;
  gold: bigint;
  /** Item → kind. */
  readonly items: Map<bigint, number>;
  tell(event: PlainType, values: Record<string, Scalar>): void;
}

interface Offer {
  readonly from: Party;
  readonly to: Party;
  readonly gives: readonly [gold: bigint, item: bigint];
  readonly wants: readonly [gold: bigint, item: bigint];
}

const DONE = 0;
const REFUSED = 1;
const CALLED_OFF = 3;
const offers = new Set<Offer>();

export function pay(from: Party, to: Party | undefined, gold: bigint): void {
  if (!to) return;
  const done = from.gold >= gold;
  if (done) {
    give(from, to, [gold, 0n]);
    to.tell(types.WAS_PAID, { from: from.id, gold });
  }
  from.tell(types.PAID, { to: to.id, gold, done: done ? 1n : 0n });
}

export function offer(from: Party, to: Party | undefined, view: DataView): void {
  if (!to) return;
  const value = (field: string) => types.TRADE_OFFER.entity(view, 0, field);
  for (const one of offers) if (between(one, from, to)) offers.delete(one);
  offers.add({ from, to, gives: [value("give_gold"), value("give_item")], wants: [value("want_gold"), value("want_item")] });
  const terms = Object.fromEntries(["give_gold", "give_item", "want_gold", "want_item"].map((field) => [field, value(field)]));
  to.tell(types.TRADE_OFFERED, { from: from.id, ...terms });
}

export function accept(party: Party, from: bigint): void {
  for (const one of offers) {
    if (one.to.id !== party.id || one.from.id !== from) continue;
    const has = (who: Party, [gold, item]: Offer["gives"]) => who.gold >= gold && (item === 0n || who.items.has(item));
    const fine = has(one.from, one.gives) && has(one.to, one.wants);
    if (fine) {
      give(one.from, one.to, one.gives);
      give(one.to, one.from, one.wants);
    }
    end(one, fine ? DONE : REFUSED);
  }
}

export function cancel(party: Party, other: Party | undefined): void {
  for (const one of offers) if (other && between(one, party, other)) end(one, CALLED_OFF);
}

function between(offer: Offer, a: Party, b: Party): boolean {
  return (offer.from.id === a.id && offer.to.id === b.id) || (offer.from.id === b.id && offer.to.id === a.id);
}

function end(offer: Offer, outcome: number): void {
  offers.delete(offer);
  offer.from.tell(types.TRADE_ENDED, { with: offer.to.id, outcome });
  offer.to.tell(types.TRADE_ENDED, { with: offer.from.id, outcome });
}

function give(from: Party, to: Party, [gold, item]: Offer["gives"]): void {
  from.gold -= gold;
  to.gold += gold;
  const kind = from.items.get(item);
  if (kind !== undefined) {
    from.items.delete(item);
    to.items.set(item, kind);
    from.tell(types.ITEM_LOST, { item });
    to.tell(types.ITEM_HELD, { item, kind });
  }
  for (const party of [from, to]) party.tell(types.HOLDINGS, { gold: party.gold });
}
