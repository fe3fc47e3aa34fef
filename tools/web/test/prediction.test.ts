// The own agent's prediction against a server that walks one step per input.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Belongings } from "../src/play/belongings.js";
import { Steering } from "../src/play/keys.js";
import { Prediction } from "../src/play/prediction.js";

const HZ = 20;
const SPEED = 6;
const WAY = SPEED / HZ;

function walking(): Prediction {
  const p = new Prediction();
  p.start(1_024, HZ);
  p.tellSpeed(SPEED);
  p.reconcile(0, 0, 100, 100);
  return p;
}

test("an input moves at once, and its confirmation changes nothing", () => {
  const p = walking();
  for (let seq = 1; seq <= 5; seq++) p.step(seq, 1, 0);
  assert.ok(Math.abs(p.x - (100 + 5 * WAY)) < 1e-9);
  for (let seq = 1; seq <= 5; seq++) {
    p.reconcile(seq, seq, 100 + seq * WAY, 100);
    assert.ok(p.error < 1e-9, `no correction at ${seq}`);
  }
  assert.equal(p.open, 0);
});

test("a pause of the server, as at a hand-over, is bridged by the open inputs", () => {
  const p = walking();
  for (let seq = 1; seq <= 12; seq++) p.step(seq, 0, 1);
  p.reconcile(2, 2, 100, 100 + 2 * WAY);
  p.reconcile(2, 6, 100, 100 + 2 * WAY);
  assert.ok(p.error < 1e-9);
  p.reconcile(12, 7, 100, 100 + 12 * WAY);
  assert.ok(p.error < 1e-9);
});

test("what the server refuses is taken back smoothly, not at once", () => {
  const p = walking();
  for (let seq = 1; seq <= 4; seq++) p.step(seq, 1, 0);
  const [drawn, later] = [{ x: 0, z: 0 }, { x: 0, z: 0 }];
  p.drawnAt(1, 0, drawn);
  p.reconcile(4, 4, 100, 100);
  assert.ok(Math.abs(p.error - 4 * WAY) < 1e-9);
  p.drawnAt(1, 0.016, later);
  assert.ok(Math.abs(later.x - drawn.x) < 0.25, "the picture moves little in a frame");
  for (let i = 0; i < 90; i++) p.drawnAt(1, 0.016, later);
  assert.ok(Math.abs(later.x - 100) < 0.01, "and ends where the server says");
});

test("the full speed is measured when the game does not tell it", () => {
  const p = new Prediction();
  p.start(1_024, HZ);
  p.reconcile(0, 0, 100, 100);
  for (let seq = 1; seq <= 30; seq++) {
    p.step(seq, 1, 0);
    p.reconcile(seq, seq, 100 + seq * 0.4, 100);
  }
  assert.ok(Math.abs(p.speed - 8) < 0.01);
  p.step(31, 1, 0);
  p.reconcile(31, 31, 100 + 31 * 0.4, 100);
  assert.ok(p.error < 1e-6);
});

test("nobody walks off the map", () => {
  const p = new Prediction();
  p.start(64, HZ);
  p.tellSpeed(SPEED);
  p.reconcile(0, 0, 63.9, 0.1);
  for (let seq = 1; seq <= 10; seq++) p.step(seq, 1, -1);
  assert.equal(p.x, 64);
  assert.equal(p.z, 0);
});

test("two keys walk no faster than one, and opposite keys stand", () => {
  const s = new Steering();
  assert.ok(s.press("KeyD") && s.press("ArrowUp"));
  assert.ok(Math.abs(Math.hypot(...s.direction()) - 1) < 1e-9);
  s.press("KeyS");
  assert.deepEqual(s.direction(), [1, 0]);
  assert.equal(s.press("KeyX"), false);
  s.rest();
  assert.deepEqual(s.direction(), [0, 0]);
});

test("belongings follow events, one by one or the whole bag at once", () => {
  const b = new Belongings();
  b.told("item_held", { item: 5n, kind: 2 });
  b.told("holdings", { gold: 40n });
  assert.deepEqual([b.gold, [...b.items]], [40n, [[5n, 2]]]);
  b.told("holdings", { gold: 41n, count: 2n, items: [7n, 8n, 0n], kinds: [1, 3, 0] });
  assert.deepEqual([b.gold, [...b.items]], [41n, [[7n, 1], [8n, 3]]]);
  assert.equal(b.last, 8n);
});
