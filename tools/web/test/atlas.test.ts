// Shards as tiles and labels, from the cluster's status.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStatus } from "../src/admin/api.js";
import { Atlas } from "../src/map/atlas.js";
import { ownerRgb } from "../src/render/palette.js";

const SHARDS = [{ id: "0/3/0,0", owner: "scene-1" }, { id: "0/3/1,0", owner: "scene-2" }, { id: "7/3/0,0", owner: "scene-2" }, { id: "odd" }];

test("shards of the space on show become tiles in their owner's colour, with a border to foreign land", () => {
  const atlas = new Atlas();
  atlas.show(parseStatus({ shards: SHARDS }, 20), 0, 32);
  assert.deepEqual(atlas.tiles.map(({ square, colour, into }) => [square.x, colour, into]), [
    [0, ownerRgb("scene-1"), undefined], [256, ownerRgb("scene-2"), undefined],
  ]);
  assert.equal(atlas.tiles[0]!.foreign[1], 1, "the east is another's");
  assert.equal(atlas.at(300, 10), "0/3/1,0");
});

test("a shard on its way says where to, and how far it is", () => {
  const atlas = new Atlas();
  const moves = [
    { id: 1, shard: "0/3/0,0", from: "scene-2", to: "scene-1", step: "done", over: true, blackout_ms: 4.5 },
    { id: 2, shard: "0/3/1,0", from: "scene-2", to: "scene-1", step: "copying", over: false, rounds: 2, entities: 40, bytes: 7_000 },
  ];
  atlas.show(parseStatus({ shards: SHARDS, moves }, 20), 0, 32);
  assert.deepEqual(atlas.tiles.map(({ into }) => into), [undefined, ownerRgb("scene-1")]);
  assert.match(atlas.labels[1]!.move, /scene-1 · copying/);
});

test("all that is cut anew says so", () => {
  const atlas = new Atlas();
  const quarters = ["0/2/0,0", "0/2/1,0", "0/2/0,1", "0/2/1,1", "0/2/2,0"].map((id) => ({ id, owner: "scene-1" }));
  const moves = [{ id: 1, kind: "merge", shard: "0/3/0,0", from: "scene-1", to: "scene-1", step: "freezing", over: false }];
  atlas.show(parseStatus({ shards: quarters, moves }, 20), 0, 32);
  assert.deepEqual(atlas.labels.map(({ move }) => move), [...new Array<string>(4).fill(" · merge · freezing"), ""]);
  assert.ok(atlas.tiles.every(({ into }) => into === undefined), "it goes nowhere");
});
