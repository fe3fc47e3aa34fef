// A deal, from the form to the ledger's word.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Dealing, NOTHING } from "../src/play/dealing.js";

const ANNA = 7n;
const BERT = 9n;
const TERMS = { giveGold: 5n, giveItem: 0n, wantGold: 0n, wantItem: 31n };
const OTHER_TERMS = { ...TERMS, giveGold: 8n };

function dealing(): { deal: Dealing; sent: string[] } {
  const sent: string[] = [];
  const deal = new Dealing((input, values) => sent.push(`${input} ${Object.values(values).join(" ")}`));
  return { deal, sent };
}

test("a payment is sent and the form is gone", () => {
  const { deal, sent } = dealing();
  deal.write("pay", ANNA);
  deal.propose({ ...NOTHING, giveGold: 5n });
  assert.deepEqual(sent, ["pay 7 5"]);
  assert.equal(deal.state, "none");
});

test("an offer waits for the other's answer and ends with the ledger's word", () => {
  const { deal, sent } = dealing();
  deal.write("trade", ANNA);
  deal.propose(TERMS);
  assert.deepEqual([deal.state, deal.terms, sent], ["waiting", TERMS, ["trade_offer 7 5 0 0 31"]]);
  deal.ended(BERT);
  assert.equal(deal.state, "waiting", "that was another trade");
  deal.ended(ANNA);
  assert.equal(deal.state, "none");
});

test("an offer that arrives can be accepted, once", () => {
  const { deal, sent } = dealing();
  deal.offered(ANNA, TERMS);
  assert.deepEqual([deal.state, deal.with, deal.terms], ["asked", ANNA, TERMS]);
  deal.accept();
  deal.accept();
  assert.deepEqual([deal.state, sent], ["settling", ["trade_accept 7"]]);
  deal.ended(ANNA);
  assert.equal(deal.state, "none");
});

test("who has accepted is asked again when the terms have changed meanwhile", () => {
  const { deal } = dealing();
  deal.offered(ANNA, TERMS);
  deal.accept();
  deal.offered(ANNA, OTHER_TERMS);
  assert.deepEqual([deal.state, deal.terms], ["asked", OTHER_TERMS]);
});

test("other terms start from theirs, and closing the form brings theirs back", () => {
  const { deal, sent } = dealing();
  deal.offered(ANNA, TERMS);
  deal.write("trade", ANNA);
  assert.deepEqual([deal.state, deal.terms], ["writing", TERMS]);
  deal.close();
  assert.deepEqual([deal.state, sent], ["asked", []]);
  deal.write("trade", ANNA);
  deal.propose(OTHER_TERMS);
  assert.equal(deal.state, "waiting");
  deal.offered(ANNA, TERMS);
  assert.equal(deal.state, "asked", "they answer with terms of their own");
});

test("an offer does not take away a form for somebody else, but shows itself after it", () => {
  const { deal } = dealing();
  deal.write("pay", BERT);
  deal.offered(ANNA, TERMS);
  assert.deepEqual([deal.state, deal.with], ["writing", BERT]);
  deal.close();
  assert.deepEqual([deal.state, deal.with], ["asked", ANNA]);
});

test("an offer that ended meanwhile does not show itself any more", () => {
  const { deal } = dealing();
  deal.write("pay", BERT);
  deal.offered(ANNA, TERMS);
  deal.ended(ANNA);
  deal.close();
  assert.equal(deal.state, "none");
});

test("closing anything but a form calls the trade off", () => {
  const { deal, sent } = dealing();
  deal.offered(ANNA, TERMS);
  deal.close();
  deal.write("trade", ANNA);
  deal.propose(TERMS);
  deal.close();
  deal.close();
  assert.deepEqual(sent, ["trade_cancel 7", "trade_offer 7 5 0 0 31", "trade_cancel 7"]);
  assert.equal(deal.state, "none");
});
