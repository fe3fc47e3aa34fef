// Updates applied to the world: entering, moving, going on, leaving; and what must count as an anomaly.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as flatbuffers from "flatbuffers";
import type { Being } from "../mock/land.js";
import * as types from "../mock/types.js";
import { encodeUpdate } from "../mock/update.js";
import { Registry as WireRegistry } from "../src/generated/pangaea/client.js";
import type { Update } from "../src/net/update.js";
import { isUpdate, readUpdate } from "../src/net/update.js";
import { totalAnomalies } from "../src/world/anomalies.js";
import { NO_ITEM } from "../src/world/entities.js";
import { Registry } from "../src/world/registry.js";
import { World } from "../src/world/world.js";

function being(id: number, x: number, z: number): Being {
  return {
    id: BigInt(id), alias: id + 100, x, z, vx: 2, vz: 0, heading: 0, kind: 1, hue: 7, name: `b${id}`, health: 80, item: NO_ITEM,
    player: false, movedAt: 0, lookedAt: 0, credit: 0,
  };
}

interface Told {
  entered?: Being[];
  moved?: Being[];
  left?: Being[];
}

function update(tick: number, { entered, moved, left = [] }: Told = {}, x = 170, z = 170): Update {
  const bytes = encodeUpdate({ tick: 36_000_000_000 + tick, x, z, entered, moved, left: left.map((one) => one.alias) });
  assert.ok(isUpdate(bytes));
  return readUpdate(bytes);
}

function world(): World {
  const b = new flatbuffers.Builder(1_024);
  b.finish(types.describe(b));
  const wire = WireRegistry.getRootAsRegistry(new flatbuffers.ByteBuffer(b.asUint8Array()));
  const made = new World();
  made.describe(Registry.from(wire, 1n), 20, 32);
  return made;
}

test("who enters has its components and its place", () => {
  const w = world();
  w.apply(update(0, { entered: [being(1, 170, 165.5)] }), 0);
  const slot = w.entities.find(1n)!;
  assert.equal(w.present, 1);
  assert.equal(w.entities.name[slot], "b1");
  assert.equal(w.entities.health[slot], 80);
  assert.equal(w.entities.hue[slot], 7);
  const told = w.entities.told(slot)!;
  assert.ok(Math.hypot(told.x - 170, told.z - 165.5) < 0.003, "exact to 3 mm");
});

test("an update that is cut short is refused", () => {
  const whole = encodeUpdate({ tick: 5, entered: [being(1, 170, 170)], left: [3] });
  for (let length = 1; length < whole.length; length++) assert.throws(() => readUpdate(whole.slice(0, length)), RangeError);
});

test("who is told anew under the slot that it has neither doubles nor blinks", () => {
  const w = world();
  const one = being(1, 170, 170);
  w.apply(update(0, { entered: [one] }), 0);
  w.apply(update(1, { entered: [{ ...one, health: 30 }] }), 50);
  assert.equal(w.present, 1);
  assert.equal(w.entities.health[w.entities.find(1n)!], 30);
  assert.equal(totalAnomalies(w.anomalies), 0);
});

test("who left fades and is forgotten, and nobody else", () => {
  const w = world();
  const [a, b, c] = [being(1, 170, 170), being(2, 171, 170), being(3, 200, 170)];
  w.apply(update(0, { entered: [a, b, c] }), 0);
  w.apply(update(1, { left: [a] }), 50);
  assert.equal(w.present, 2);
  assert.notEqual(w.entities.leftAt[w.entities.find(1n)!], 0);
  w.apply(update(30), 1_500);
  assert.equal(w.entities.find(1n), undefined, "forgotten after its fading");
  assert.equal(w.entities.count, 2);
});

test("leaving and coming back near the own agent is a blink, far away it is not", () => {
  for (const [x, blinks] of [[172, 1], [700, 0]] as const) {
    const w = world();
    w.own = 9n;
    const other = being(1, x, 170);
    w.apply(update(0, { entered: [being(9, 170, 170), other] }), 0);
    w.apply(update(1, { left: [other] }), 50);
    w.apply(update(2, { entered: [other] }), 100);
    assert.equal(w.anomalies.blinked, blinks);
    assert.equal(w.present, 2);
  }
});

test("two names for one entity, news of nobody, and time going back are anomalies", () => {
  const w = world();
  const one = being(1, 170, 170);
  w.apply(update(3, { entered: [one] }), 0);
  w.apply(update(4, { entered: [{ ...one, alias: 555, x: 200 }] }), 50);
  assert.equal(w.anomalies.twice, 1);
  w.apply(update(5, { moved: [being(77, 170, 170)] }), 100);
  assert.equal(w.anomalies.unknown, 1);
  w.apply(update(2), 150);
  assert.equal(w.anomalies.wentBack, 1);
});

test("a slot that was given up may name another entity, in the same update too", () => {
  const w = world();
  const first = being(1, 170, 170);
  const second = { ...being(2, 171, 171), alias: first.alias };
  w.apply(update(0, { entered: [first] }), 0);
  w.apply(update(2, { left: [first], entered: [second] }), 100);
  assert.equal(totalAnomalies(w.anomalies), 0);
  w.apply(update(3, { moved: [{ ...second, x: 173 }] }), 150);
  assert.ok(Math.abs(w.entities.told(w.entities.find(2n)!)!.x - 173) < 0.01);
});

test("after a reconnection entities stay until introduced again, and go when they are not", () => {
  const w = world();
  const [stays, goes] = [being(1, 170, 170), being(2, 171, 170)];
  w.apply(update(0, { entered: [stays, goes] }), 0);
  w.reconnected(1_000);
  assert.equal(w.entities.count, 2);
  w.apply(update(30, { entered: [{ ...stays, alias: 900, x: 200 }] }), 1_100);
  assert.equal(w.entities.count, 2);
  w.apply(update(100), 3_500);
  assert.equal(w.entities.count, 1);
  assert.equal(totalAnomalies(w.anomalies), 0);
});

test("whoever is not told of goes on, as far as updates come", () => {
  const w = world();
  w.apply(update(0, { entered: [being(1, 170, 170)] }), 0);
  for (let tick = 1; tick <= 60; tick++) w.apply(update(tick), tick * 50);
  const slot = w.entities.find(1n)!;
  w.entities.place(60);
  assert.ok(Math.abs(w.entities.x[slot]! - 176) < 0.01, "three seconds at 2 m/s");
  w.entities.place(1_000);
  assert.ok(w.entities.x[slot]! < 177, "never far beyond the last update");
});

test("who turns leaves its course shortly before it is told of again", () => {
  const w = world();
  const walker = being(1, 170, 170);
  w.apply(update(0, { entered: [{ ...walker, vx: 0 }] }), 0);
  for (let tick = 1; tick < 100; tick++) w.apply(update(tick), tick * 50);
  w.apply(update(100, { moved: [{ ...walker, x: 173 }] }), 5_000);
  const slot = w.entities.find(1n)!;
  w.entities.place(50);
  assert.ok(Math.abs(w.entities.x[slot]! - 170) < 0.01, "it stood");
  w.entities.place(98.5);
  assert.ok(Math.abs(w.entities.x[slot]! - 171.5) < 0.01, "evenly from there to where it was told to be");
  w.entities.place(101);
  assert.ok(Math.abs(w.entities.x[slot]! - 173.1) < 0.01, "2 m/s onwards");
});

test("the own agent is where every update says", () => {
  const w = world();
  w.own = 9n;
  w.apply(update(0, { entered: [being(9, 170, 170)] }), 0);
  w.apply(update(1, {}, 170.3, 169), 50);
  const told = w.entities.told(w.entities.find(9n)!)!;
  assert.ok(Math.hypot(told.x - 170.3, told.z - 169) < 0.001);
});

test("five thousand entities survive growth and removal in any order", () => {
  const w = world();
  const all = Array.from({ length: 5_000 }, (_, i) => being(i + 1, 160 + (i % 32), 160 + (i % 31)));
  w.apply(update(0, { entered: all }), 0);
  w.apply(update(1, { left: all.filter((one) => one.id % 3n === 0n) }), 50);
  w.apply(update(40), 2_000);
  assert.equal(w.entities.count, 5_000 - 1_666);
  for (const one of all) {
    const slot = w.entities.find(one.id);
    assert.equal(slot === undefined, one.id % 3n === 0n);
    if (slot === undefined) continue;
    assert.equal(w.entities.name[slot], one.name);
    assert.equal(w.entities.findAlias(one.alias + 1), slot);
  }
});
