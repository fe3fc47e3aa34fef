// The cluster as it was.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterEvent, ClusterStatus } from "../src/admin/api.js";
import { parseStatus } from "../src/admin/api.js";
import { History } from "../src/admin/history.js";

function status(second: number, ...entities: number[]): ClusterStatus {
  const shards = entities.map((count, i) => ({ id: `0/3/${i},0`, owner: "scene-1", entities: count }));
  return parseStatus({ tick: second * 20, shards }, 20);
}

function event(second: number, kind: string, to = "0/3/0,0"): ClusterEvent {
  return { seq: second, atMs: second * 1_000, kind, text: `${kind} ${second}`, entity: undefined, from: undefined, to };
}

test("a status is what it was until the next one", () => {
  const history = new History();
  for (const second of [10, 11, 12]) history.record(status(second, second));
  assert.deepEqual(history.span, [10_000, 12_000]);
  assert.equal(history.at(11_999)?.shards[0]?.entities, 11);
  assert.equal(history.at(99_000)?.shards[0]?.entities, 12);
  assert.equal(history.at(1)?.shards[0]?.entities, 10, "the first there is");
  assert.deepEqual(history.shard("0/3/0,0", 11_000, 12_000).map(({ shard }) => shard.entities), [11, 12]);
});

test("a long time is remembered coarsely, the end of it sharply", () => {
  const history = new History();
  const crowd = new Array<number>(1_000).fill(1);
  for (let second = 1; second < 400; second++) history.record(status(second, ...crowd));
  const seconds = history.shard("0/3/7,0", 0, 400_000).map(({ atMs }) => atMs / 1_000);
  assert.ok(seconds.length <= 60 && seconds.length > 25, `${seconds.length} kept`);
  assert.equal(seconds[0], 1);
  assert.deepEqual(seconds.slice(-10), [390, 391, 392, 393, 394, 395, 396, 397, 398, 399]);
});

test("many hand-overs do not push out what befell a shard", () => {
  const history = new History();
  history.tell(event(1, "shard"));
  history.tell(event(2, "shard", "0/3/1,0"));
  for (let second = 3; second < 4_000; second++) history.tell(event(second, "handover"));
  assert.deepEqual(history.ofShard("0/3/0,0", 9_000_000).map(({ text }) => text), ["shard 1"]);
  assert.deepEqual(history.events(2_500, 5).map(({ text }) => text), ["shard 2", "shard 1"]);
  assert.deepEqual(history.handovers(3_990_000, 3_992_000).map(({ seq }) => seq), [3_991, 3_992]);
});

test("what befell the land of a shard is told of it, however the map was cut then", () => {
  const history = new History();
  for (const [second, shard] of ["0/3/1,0", "0/2/3,1", "0/2/2,0", "0/3/0,0"].entries()) history.tell(event(second, "shard", shard));
  const told = (shard: string) => history.ofShard(shard, 9_000_000).map(({ to }) => to);
  assert.deepEqual(told("0/3/1,0"), ["0/2/2,0", "0/2/3,1", "0/3/1,0"]);
  assert.deepEqual(told("0/2/3,1"), ["0/2/3,1", "0/3/1,0"]);
});

test("a cluster whose clock went back starts a history of its own", () => {
  const history = new History();
  history.record(status(50, 1));
  history.record(status(20, 2));
  assert.deepEqual(history.span, [20_000, 20_000]);
});
