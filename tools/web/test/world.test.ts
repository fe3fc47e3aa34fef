// Updates applied to the world: entering, moving, changing cell, snapshots, leaving; and what must count as an anomaly.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as flatbuffers from "flatbuffers";
import { encodeCell } from "../mock/gateway.js";
import type { Being } from "../mock/land.js";
import * as types from "../mock/types.js";
import { CellBytes, Gone, Registry as WireRegistry, Update } from "../src/generated/pangaea/client.js";
import { totalAnomalies } from "../src/world/anomalies.js";
import { NO_ITEM } from "../src/world/entities.js";
import { cellKey } from "../src/world/geometry.js";
import { Registry } from "../src/world/registry.js";
import { World } from "../src/world/world.js";

const HERE = cellKey(5, 5);
const EAST = cellKey(6, 5);

function being(id: number, x: number, z: number): Being {
  return {
    id: BigInt(id), alias: id + 100, x, z, vx: 2, vz: 0, heading: 0, kind: 1, hue: 7, name: `b${id}`, health: 80, item: NO_ITEM,
    player: false, movedAt: 0, lookedAt: 0, credit: 0,
  };
}

interface Cell {
  key: number;
  snapshot?: boolean;
  entered?: Being[];
  moved?: Being[];
  left?: Being[];
}

function update(tick: number, cells: Cell[], gone: number[] = []): Update {
  const b = new flatbuffers.Builder(1_024);
  const made = cells.map(({ key, snapshot = false, entered = [], moved = [], left = [] }) => {
    const bytes = encodeCell(key, snapshot, entered, [...entered, ...moved], entered, left.map((one) => one.alias));
    return CellBytes.createCellBytes(b, CellBytes.createCellVector(b, bytes));
  });
  const list = Update.createCellsVector(b, made);
  Update.startGoneVector(b, gone.length);
  for (const key of gone) Gone.createGone(b, key >>> 16, key & 0xffff);
  const goneList = b.endVector();
  b.finish(Update.createUpdate(b, BigInt(1_000_000 + tick), 1n, 0, 0, 0, 100, list, goneList, 0));
  return Update.getRootAsUpdate(new flatbuffers.ByteBuffer(b.asUint8Array()));
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
  w.apply(update(0, [{ key: HERE, snapshot: true, entered: [being(1, 170, 165.5)] }]), 0);
  const slot = w.entities.find(1n)!;
  assert.equal(w.present, 1);
  assert.equal(w.entities.name[slot], "b1");
  assert.equal(w.entities.health[slot], 80);
  assert.equal(w.entities.hue[slot], 7);
  const told = w.entities.told(slot)!;
  assert.ok(Math.hypot(told.x - 170, told.z - 165.5) < 0.003, "exact to 3 mm");
});

test("changing cell within one update neither doubles nor blinks, in whatever order the cells come", () => {
  for (const flip of [false, true]) {
    const w = world();
    const walker = being(1, 191, 170);
    w.apply(update(0, [{ key: HERE, snapshot: true, entered: [walker] }, { key: EAST, snapshot: true }]), 0);
    const moved = { ...walker, x: 193 };
    const cells = [{ key: HERE, left: [walker] }, { key: EAST, entered: [moved] }];
    w.apply(update(1, flip ? cells.toReversed() : cells), 50);
    const slot = w.entities.find(1n)!;
    assert.equal(w.present, 1);
    assert.equal(w.entities.leftAt[slot], 0);
    assert.equal(w.entities.cell[slot], EAST);
    assert.equal(totalAnomalies(w.anomalies), 0);
  }
});

test("a late leave of the old cell does not end who has entered the new one", () => {
  const w = world();
  const walker = being(1, 191, 170);
  w.apply(update(0, [{ key: HERE, snapshot: true, entered: [walker] }]), 0);
  w.apply(update(1, [{ key: EAST, entered: [{ ...walker, x: 193 }] }]), 50);
  w.apply(update(5, [{ key: HERE, left: [walker] }]), 250);
  assert.equal(w.present, 1);
  assert.equal(totalAnomalies(w.anomalies), 0);
});

test("a snapshot ends whom it does not name, and nobody else", () => {
  const w = world();
  const [a, b, c] = [being(1, 170, 170), being(2, 171, 170), being(3, 200, 170)];
  w.apply(update(0, [{ key: HERE, snapshot: true, entered: [a, b] }, { key: EAST, snapshot: true, entered: [c] }]), 0);
  w.apply(update(1, [{ key: HERE, snapshot: true, entered: [b] }]), 50);
  assert.equal(w.present, 2);
  assert.notEqual(w.entities.leftAt[w.entities.find(1n)!], 0);
  w.apply(update(30, []), 1_500);
  assert.equal(w.entities.find(1n), undefined, "forgotten after its fading");
  assert.equal(w.entities.count, 2);
});

test("cells no longer followed take their entities with them", () => {
  const w = world();
  w.apply(update(0, [{ key: HERE, snapshot: true, entered: [being(1, 170, 170), being(2, 171, 171)] }]), 0);
  w.apply(update(1, [{ key: EAST, snapshot: true, entered: [being(3, 200, 170)] }], [HERE]), 50);
  assert.equal(w.present, 1);
  assert.equal(w.entities.find(3n), 0, "the last slot moved up");
});

test("leaving and coming back near the own agent is a blink, far away it is not", () => {
  for (const [x, blinks] of [[172, 1], [700, 0]] as const) {
    const w = world();
    w.own = 9n;
    const key = cellKey(Math.floor(x / 32), 5);
    const other = being(1, x, 170);
    w.apply(update(0, [{ key: HERE, entered: [being(9, 170, 170)] }, { key, entered: [other] }]), 0);
    w.apply(update(1, [{ key, left: [other] }]), 50);
    w.apply(update(2, [{ key, entered: [other] }]), 100);
    assert.equal(w.anomalies.blinked, blinks);
    assert.equal(w.present, 2);
  }
});

test("two names for one entity, news of nobody, and time going back are anomalies", () => {
  const w = world();
  const one = being(1, 170, 170);
  w.apply(update(3, [{ key: HERE, entered: [one] }]), 0);
  w.apply(update(4, [{ key: EAST, entered: [{ ...one, alias: 555, x: 200 }] }]), 50);
  assert.equal(w.anomalies.twice, 1);
  w.apply(update(5, [{ key: HERE, moved: [being(77, 170, 170)] }]), 100);
  assert.equal(w.anomalies.unknown, 1);
  w.apply(update(2, []), 150);
  assert.equal(w.anomalies.wentBack, 1);
});

test("an alias that was given up may name another entity", () => {
  const w = world();
  const first = being(1, 170, 170);
  w.apply(update(0, [{ key: HERE, entered: [first] }]), 0);
  w.apply(update(1, [{ key: HERE, left: [first] }]), 50);
  w.apply(update(2, [{ key: HERE, entered: [{ ...being(2, 171, 171), alias: first.alias }] }]), 100);
  assert.equal(totalAnomalies(w.anomalies), 0);
  w.apply(update(3, [{ key: HERE, moved: [{ ...being(2, 173, 171), alias: first.alias }] }]), 150);
  assert.ok(Math.abs(w.entities.told(w.entities.find(2n)!)!.x - 173) < 0.01);
});

test("after a reconnection entities stay until introduced again, and go when they are not", () => {
  const w = world();
  const [stays, goes] = [being(1, 170, 170), being(2, 171, 170)];
  w.apply(update(0, [{ key: HERE, snapshot: true, entered: [stays, goes] }]), 0);
  w.reconnected(1_000);
  assert.equal(w.entities.count, 2);
  w.apply(update(30, [{ key: EAST, snapshot: true, entered: [{ ...stays, alias: 900, x: 200 }] }]), 1_100);
  assert.equal(w.entities.count, 2);
  w.apply(update(100, []), 3_500);
  assert.equal(w.entities.count, 1);
  assert.equal(totalAnomalies(w.anomalies), 0);
});

test("between two updates an entity walks evenly, and after a rest it starts from where it stood", () => {
  const w = world();
  const walker = being(1, 170, 170);
  w.apply(update(0, [{ key: HERE, entered: [{ ...walker, vx: 0 }] }]), 0);
  w.apply(update(100, [{ key: HERE, moved: [{ ...walker, x: 172 }] }]), 5_000);
  const slot = w.entities.find(1n)!;
  w.entities.place(50);
  assert.ok(Math.abs(w.entities.x[slot]! - 170) < 0.01, "still resting in the middle of the rest");
  w.entities.place(99.5);
  assert.ok(Math.abs(w.entities.x[slot]! - 171) < 0.01, "half way in the last tick");
  w.entities.place(101);
  assert.ok(Math.abs(w.entities.x[slot]! - 172.1) < 0.01, "2 m/s onwards");
  w.entities.place(1_000);
  assert.ok(w.entities.x[slot]! < 173, "never far beyond the last news");
});

test("five thousand entities survive growth and removal in any order", () => {
  const w = world();
  const all = Array.from({ length: 5_000 }, (_, i) => being(i + 1, 160 + (i % 32), 160 + (i % 31)));
  w.apply(update(0, [{ key: HERE, snapshot: true, entered: all }]), 0);
  w.apply(update(1, [{ key: HERE, left: all.filter((one) => one.id % 3n === 0n) }]), 50);
  w.apply(update(40, []), 2_000);
  assert.equal(w.entities.count, 5_000 - 1_666);
  for (const one of all) {
    const slot = w.entities.find(one.id);
    assert.equal(slot === undefined, one.id % 3n === 0n);
    if (slot === undefined) continue;
    assert.equal(w.entities.name[slot], one.name);
    assert.equal(w.entities.findAlias(one.alias), slot);
  }
});
