// What the page makes of the admin API: the audit log, streams of events, and how far a move is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStatus, readEvents } from "../src/admin/api.js";
import { parseAudit } from "../src/admin/audit.js";
import { parseEntity } from "../src/admin/entity.js";
import { parseProfile } from "../src/admin/profile.js";
import { parseScripts } from "../src/admin/scripts.js";
import { parseTunables, typed } from "../src/admin/tunables.js";
import { part } from "../src/ui/moves.js";

test("entries of the audit log are told in words, the latest first", () => {
  const entries = parseAudit([
    { seq: 1, at_us: 2_000, who: "olaf", what: "migrate", args: { shard: "0/3/1,0", to: "scene-2" }, dry_run: true, result: "done", words: "" },
    { seq: 2, who: "unknown", what: "tokens", body: "{}", dry_run: false, result: "refused", words: "no" },
  ]);
  assert.deepEqual(entries.map((entry) => entry.what), ["tokens {}", "migrate 0/3/1,0 scene-2"]);
  assert.deepEqual([entries[1]!.atMs, entries[1]!.dryRun, entries[0]!.result], [2, true, "refused"]);
  assert.deepEqual(parseAudit("nonsense"), []);
});

test("events are read whole however the stream is cut", async () => {
  const text = new TextEncoder().encode("id: 1\nevent: event\ndata: {\"seq\":1,\"text\":\"Grüße\"}\n\n:\n\ndata: {\"seq\":2}\n\n");
  for (const size of [1, 7, text.length]) {
    const body = new ReadableStream<Uint8Array>({
      start(control) {
        for (let at = 0; at < text.length; at += size) control.enqueue(text.slice(at, at + size));
        control.close();
      },
    });
    const heard: string[] = [];
    await readEvents(body, (data) => heard.push(data));
    assert.deepEqual(heard, ['{"seq":1,"text":"Grüße"}', '{"seq":2}'], `pieces of ${size} bytes`);
  }
});

test("a move only ever gets further", () => {
  const move = (step: string, rounds: number) => part({ step, rounds } as Parameters<typeof part>[0]);
  const way = [move("preparing", 0), move("copying", 0), move("copying", 1), move("copying", 3), move("freezing", 3), move("committing", 4), move("given", 4), move("done", 4)];
  assert.deepEqual([...way].sort((a, b) => a - b), way);
  assert.ok(way[0]! > 0 && way.at(-1)! <= 1);
});

test("an entity is read with its components' fields and its past", () => {
  const seen = parseEntity({
    id: 7, name: null, player: false, state: "leaving", toward: "0/3/1,0", shard: "0/3/0,0", scene: "scene-1", shard_epoch: 3, epoch: 5,
    position: { x: 1.5, z: 2 }, gateway: null,
    components: { health: { now: 4, max: 10.123456789 }, marks: { at: [1, 2, 0.5] }, tag: {}, Notes: "8 bytes" },
    history: [{ from: "0/3/2,0", from_scene: "scene-2", to: "0/3/0,0", to_scene: null, at_us: 2_000, took_ms: 31.25 }],
  });
  assert.deepEqual([seen.name, seen.toward, seen.gateway, seen.x], ["", "0/3/1,0", "", 1.5]);
  assert.deepEqual(seen.components, [
    { name: "health", fields: [["now", "4"], ["max", "10.1235"]] }, { name: "marks", fields: [["at", "1, 2, 0.5"]] },
    { name: "tag", fields: [] }, { name: "Notes", fields: [["", "8 bytes"]] },
  ]);
  assert.deepEqual(seen.history, [{ from: "0/3/2,0", fromScene: "scene-2", to: "0/3/0,0", toScene: "", atMs: 2, tookMs: 31.25 }]);
  assert.deepEqual(parseEntity(undefined).components, []);
});

test("a profile is read with what is missing as nothing", () => {
  const profile = parseProfile({ ticks: 32, phases: [{ name: "ingest", mean_us: 1.5, max_us: 3 }], systems: [{ name: "act" }] });
  assert.deepEqual(profile, { ticks: 32, phases: [{ name: "ingest", meanUs: 1.5, maxUs: 3 }], systems: [{ name: "act", meanUs: 0, maxUs: 0 }] });
  assert.deepEqual(parseProfile(null), { ticks: 0, phases: [], systems: [] });
});

test("a shard that stands is told from one that ticks", () => {
  const { shards } = parseStatus({ shards: [{ id: "0/3/0,0", paused: { left_s: 61.5, steps: 3 } }, { id: "0/3/1,0", paused: null }, { id: "0/3/2,0" }] }, 20);
  assert.deepEqual(shards.map((shard) => shard.paused), [{ leftS: 61.5, steps: 3 }, undefined, undefined]);
});

test("scripts tell where they failed", () => {
  const fault = { shard: "0/3/1,0", line: 7, text: "no", values: "entity 5", tick: 9 };
  const [script] = parseScripts({ version: 3, scripts: [{ name: "wolves", is_on: true, is_rolled_back: false, has_good: true, faults: [fault, {}] }] });
  assert.deepEqual(script, {
    name: "wolves", isOn: true, isRolledBack: false, hasGood: true,
    faults: [{ shard: "0/3/1,0", line: 7, text: "no", values: "entity 5" }, { shard: "", line: 0, text: "", values: "" }],
  });
  assert.deepEqual(parseScripts(null), []);
});

test("tunables are read with their range and what was changed, the latest first", () => {
  const tunable = { name: "wandering.speed_m_per_s", about: "Speed.", kind: "float", value: 3, initial: 2.4, min: 0, max: 20, is_set: true };
  const change = { version: 1, at_us: 2_000, by: "anna", why: "set", name: tunable.name, before: null, after: 3 };
  const seen = parseTunables({
    version: 2, tunables: [tunable, { name: "a.b", kind: "flag", value: true, initial: false, min: null, max: null, is_set: false }],
    history: [change, { ...change, version: 2, before: true, after: "x" }], scenes: { "scene-1": 2, "scene-2": 1 },
  });
  assert.deepEqual(seen.tunables.map(({ value, initial, range, isSet }) => [value, initial, range, isSet]), [[3, 2.4, [0, 20], true], [true, false, undefined, false]]);
  assert.deepEqual(seen.history.map(({ version, atMs, before, after }) => [version, atMs, before, after]), [[2, 2, "true", "x"], [1, 2, "", "3"]]);
  assert.deepEqual(seen.scenes, [2, 1]);
  assert.deepEqual(parseTunables(null), { version: 0, tunables: [], history: [], scenes: [] });
});

test("what is typed as a number is sent as one, and what is none as it is", () => {
  assert.deepEqual([typed("float", "9.5"), typed("int", " 3 "), typed("int", "many"), typed("float", ""), typed("text", "7")], [9.5, 3, "many", "", "7"]);
});
