// Shards by name: what they are cut into, made of, and who comes after them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { heirOf, parentOf, parseShard, quartersOf, shardName } from "../src/world/geometry.js";

test("a shard's quarters are those whose parent it is", () => {
  const shard = parseShard("0/3/1,2")!;
  assert.deepEqual(quartersOf(shard).map(shardName), ["0/2/2,4", "0/2/3,4", "0/2/2,5", "0/2/3,5"]);
  for (const quarter of quartersOf(shard)) assert.deepEqual(parentOf(quarter), shard);
  assert.deepEqual(quartersOf(parseShard("0/0/5,5")!), []);
});

test("whoever has a shard's first cell comes after it", () => {
  const there = ["0/3/0,0", "7/2/2,0", "0/2/2,0", "0/2/3,0"];
  assert.equal(heirOf("0/3/0,0", there), "0/3/0,0", "it is still there");
  assert.equal(heirOf("0/3/1,0", there), "0/2/2,0", "it was split");
  assert.equal(heirOf("0/2/1,1", there), "0/3/0,0", "it was merged");
  assert.equal(heirOf("0/3/5,5", there), undefined);
});
