// End to end, in a real browser against a running cluster: the map, a guest who walks over a border, talk, a lost line.
//
//     PANGAEA_URL=http://127.0.0.1:7000 PANGAEA_TOKEN=$(cat pangaea-data/keys/operator.token) npm run e2e
//                                                         a cluster that runs already
//     npm run e2e                                         starts the pretended one
//
// Screenshots are left in target/e2e/ (or E2E_SHOTS).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { DESKTOP, PHONE, openBrowser, openPage, probe } from "./browser.mjs";
import { meanColours } from "./pixels.mjs";
import { acrossTheBorder, join, meetAtTheBorder, recordWalk, walkInto, walkTo } from "./walk.mjs";

const SHOTS = process.env.E2E_SHOTS ?? "target/e2e";
/** Metres that the prediction may be off while walking, at the worst: what is walked in one and a half seconds, since a machine that
 * draws in software and runs the cluster, too, may stall for one. */
const PREDICTION_ERROR_MAX_M = Number(process.env.E2E_PREDICTION_M ?? 7.5);

let url = process.env.PANGAEA_URL;
/** The operator's, from keys/operator.token in the cluster's data folder. */
const token = process.env.PANGAEA_TOKEN ?? (url ? undefined : "operator");
let browser;
let mock;

before(async () => {
  await mkdir(SHOTS, { recursive: true });
  if (!url) {
    const port = 17_000 + (process.pid % 1_000) * 2;
    mock = spawn(process.execPath, ["target/mock/server.js", String(port), "600"], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => mock.stdout.once("data", resolve));
    url = `http://127.0.0.1:${port}/`;
  }
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  mock?.kill();
});

/** Becomes an operator, in the card that asks for the token. */
async function showToken(page) {
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.locator("#panel").getByText("operator", { exact: false }).first().waitFor();
}

/** Chooses a shard on the map, as an operator; its panel. */
async function chooseAsOperator(page, shard) {
  await page.waitForFunction((id) => window.pangaea.probe().shards.some((one) => one.id === id), shard);
  await page.waitForTimeout(1_000);
  const tile = (await probe(page)).shards.find((one) => one.id === shard);
  await page.mouse.click(tile.screenX, tile.screenY);
  const panel = page.locator("#panel");
  await panel.getByRole("button", { name: "Change" }).click();
  await showToken(page);
  return panel;
}

/** Nothing went wrong in these pages, and they are not needed any more. */
async function endWell(...pages) {
  for (const page of pages) {
    assert.deepEqual(page.faults, []);
    await page.close();
  }
}

const shot = (page, name) => page.screenshot({ path: `${SHOTS}/${name}.png` });

test("the map shows two scenes' land in their own colours, and entities that move", async () => {
  const page = await openPage(browser, url, DESKTOP);
  await page.waitForFunction(() => window.pangaea.probe().owners.length >= 2 && window.pangaea.probe().entities > 0);
  await page.waitForTimeout(2_500);
  const seen = await probe(page);
  const colours = await meanColours(page, seen.shards);
  const owners = [...colours.keys()];
  for (const [i, a] of owners.entries()) {
    for (const b of owners.slice(i + 1)) {
      const apart = Math.hypot(...colours.get(a).map((value, channel) => value - colours.get(b)[channel]));
      assert.ok(apart > 9, `${a} and ${b} are told apart by colour (${apart.toFixed(1)})`);
    }
  }
  assert.ok(seen.updatesPerS > 5, `${seen.updatesPerS} updates per second`);
  assert.equal(seen.anomaliesTotal, 0, JSON.stringify(seen.anomalies));
  await shot(page, "map-desktop");
  await page.click(".shards button");
  await page.getByText("Hand-overs in / out").waitFor();
  await page.locator(".profile").getByText("movement::walk").waitFor();
  await shot(page, "map-shard");
  assert.deepEqual(page.faults, []);
  await page.close();
});

test("a shard is chosen with a click, and the map goes back to how it was", async () => {
  const page = await openPage(browser, url, DESKTOP);
  await page.waitForFunction(() => window.pangaea.probe().shards.length > 0 && window.pangaea.probe().entities > 0);
  await page.waitForTimeout(4_000);
  const [shard] = (await probe(page)).shards;
  await page.mouse.click(shard.screenX, shard.screenY);
  const panel = page.locator("#panel-body");
  await panel.getByText(`Shard ${shard.id}`).waitFor();
  assert.match(await panel.locator(".facts").innerText(), new RegExp(`${shard.owner} · epoch [1-9]`));
  assert.equal(await panel.locator(".lines canvas").count(), 3);
  const slider = panel.getByRole("slider", { name: "Time on show" });
  await slider.press("Home");
  await page.getByText("As it was at").waitFor();
  const begin = await slider.inputValue();
  await page.waitForTimeout(2_500);
  assert.equal(await slider.inputValue(), begin, "time goes on, what is on show does not");
  await shot(page, "map-as-it-was");
  await page.click("#past-back");
  await page.getByText("As it was at").waitFor({ state: "hidden" });
  assert.ok(Number(await slider.inputValue()) > Number(begin));
  assert.deepEqual(page.faults, []);
  await page.close();
});

test("a guest walks over the border between two scenes and back without a jump or a blink", async () => {
  const page = await openPage(browser, url, DESKTOP);
  await join(page, "Walker");
  const start = await probe(page);
  await recordWalk(page);
  const other = await acrossTheBorder(page);
  await walkInto(page, other.there);
  await page.getByRole("status").getByText(other.there.owner).waitFor();
  await shot(page, "play-over-the-border");
  await walkInto(page, other.here);
  await page.getByRole("status").getByText(other.here.owner).waitFor();
  const walk = await page.evaluate(() => window.walk.stop());
  const end = await probe(page);
  assert.equal(end.agent, start.agent);
  assert.equal(end.anomaliesTotal, 0, JSON.stringify(end.anomalies));
  assert.deepEqual(walk.jumps, [], "the own agent is never drawn further than it can walk");
  assert.ok(walk.frames > 20 && walk.emptyFrames === 0, `${walk.emptyFrames} of ${walk.frames} frames without anybody`);
  assert.ok(end.prediction.errorMax < PREDICTION_ERROR_MAX_M, `prediction off by ${end.prediction.errorMax.toFixed(2)} m`);
  assert.equal(end.reconnects, 0);
  assert.deepEqual(page.faults, []);
  await page.close();
});

test("keys walk, and the agent stands where the server says once they are let go", async () => {
  const page = await openPage(browser, url, DESKTOP);
  await join(page, "Keys");
  const from = (await probe(page)).position;
  await page.keyboard.down("KeyA");
  await page.waitForFunction((x) => window.pangaea.probe().position.x < x - 3, from.x);
  await page.keyboard.up("KeyA");
  await page.waitForFunction(() => {
    const { position, serverPosition, prediction } = window.pangaea.probe();
    return prediction.open === 0 && Math.hypot(position.x - serverPosition.x, position.z - serverPosition.z) < 0.05;
  });
  const seen = await probe(page);
  assert.equal(seen.anomaliesTotal, 0, JSON.stringify(seen.anomalies));
  await page.close();
});

test("an operator moves a shard by clicking, while somebody walks in it", { skip: !token && "PANGAEA_TOKEN is not set" }, async () => {
  const [admin, walker] = await Promise.all([openPage(browser, url, DESKTOP), openPage(browser, url, PHONE)]);
  await join(walker, "Rider");
  // A newborn may stand beyond the border of the shard that it was born in, and goes over at once.
  await walker.waitForTimeout(2_500);
  const { shard, scene: from } = await probe(walker);
  await admin.waitForFunction((id) => window.pangaea.probe().shards.some((one) => one.id === id), shard);
  const { shards, owners } = await probe(admin);
  const to = owners.find((owner) => owner !== from && owner.startsWith("scene-"));
  const tile = shards.find((one) => one.id === shard);
  await admin.waitForTimeout(1_000);
  await admin.mouse.click(tile.screenX, tile.screenY);
  await walker.evaluate(() => setInterval(() => window.pangaea.walk([Math.cos(Date.now() / 500) / 3, Math.sin(Date.now() / 500) / 3]), 50));

  const panel = admin.locator("#panel");
  const refusing = panel.getByRole("button", { name: `Move to ${to}` });
  await refusing.waitFor();
  assert.ok(await refusing.isDisabled(), "a viewer only looks");
  assert.match(await refusing.getAttribute("title"), /viewer/);
  await panel.getByRole("button", { name: "Change" }).click();
  await admin.getByLabel("Token").fill("guessed");
  await admin.getByRole("button", { name: "Continue" }).click();
  await admin.getByText("does not know this token").waitFor();
  await showToken(admin);

  const move = async (target) => {
    await panel.getByRole("button", { name: `Move to ${target}` }).click();
    const card = admin.locator("#order");
    await card.getByText("players among them").waitFor();
    await shot(admin, "move-asked");
    await card.getByRole("button", { name: "Move", exact: true }).click();
    await walker.waitForFunction((scene) => window.pangaea.probe().scene === scene, target, { timeout: 60_000 });
    await admin.waitForFunction(([id, owner]) => window.pangaea.probe().shards.some((one) => one.id === id && one.owner === owner), [shard, target]);
    await admin.getByText(`to ${target} · `).waitFor();
    await admin.getByText("ms blackout").first().waitFor();
  };
  await move(to);
  await shot(admin, "move-done");
  await move(from);
  await panel.getByText("Audit log").click();
  await panel.locator(".audit li").filter({ hasText: "migrate" }).filter({ hasText: to }).first().waitFor();
  await shot(admin, "audit");
  await panel.getByRole("button", { name: `Drain ${from}` }).click();
  await admin.locator("#order").getByText("Then it may be stopped").waitFor();
  await shot(admin, "drain-asked");
  await admin.locator("#order").getByRole("button", { name: "Cancel" }).click();
  const seen = await probe(walker);
  assert.equal(seen.anomaliesTotal, 0, JSON.stringify(seen.anomalies));
  assert.equal(seen.reconnects, 0);
  for (const page of [admin, walker]) {
    assert.deepEqual(page.faults.filter((fault) => !fault.includes("401")), []);
    await page.close();
  }
});

test("an operator splits a shard and merges it again by clicking, while somebody walks in it", { skip: !token && "PANGAEA_TOKEN is not set" }, async () => {
  const [admin, walker] = await Promise.all([openPage(browser, url, DESKTOP), openPage(browser, url, PHONE)]);
  await join(walker, "Carver");
  // In a circle of a metre: who stands beside a border goes over it at once, as may a newborn, and not later.
  await walker.evaluate(() => setInterval(() => window.pangaea.walk([Math.cos(Date.now() / 500) / 10, Math.sin(Date.now() / 500) / 10]), 50));
  await walker.waitForTimeout(4_000);
  const { shard } = await probe(walker);
  const panel = await chooseAsOperator(admin, shard);

  const recut = async (button, verb) => {
    await panel.getByRole("button", { name: button }).click();
    const card = admin.locator("#order");
    await card.getByText("players among them").waitFor();
    await shot(admin, `${verb.toLowerCase()}-asked`);
    await card.getByRole("button", { name: verb, exact: true }).click();
  };
  const isOnTheMap = (page, id, there) =>
    page.waitForFunction(([id, there]) => window.pangaea.probe().shards.some((one) => one.id === id) === there, [id, there], { timeout: 60_000 });
  const [, level, x, z] = shard.match(/^0\/(\d+)\/(\d+),(\d+)$/).map(Number);
  const quarters = [[0, 0], [1, 0], [0, 1], [1, 1]].map(([east, south]) => `0/${level - 1}/${2 * x + east},${2 * z + south}`);

  await recut("Split into four", "Split");
  for (const quarter of quarters) await isOnTheMap(admin, quarter, true);
  await isOnTheMap(admin, shard, false);
  await panel.getByText(`Shard ${quarters[0]}`).waitFor();
  await panel.locator(".facts").getByText("ms blackout").waitFor();
  await panel.locator(".befell").getByText(`${shard} is four at`).waitFor();
  await walker.waitForFunction((names) => names.includes(window.pangaea.probe().shard), quarters);
  await shot(admin, "split-done");

  await recut(`Merge into ${shard}`, "Merge");
  await isOnTheMap(admin, shard, true);
  await panel.getByText(`Shard ${shard}`).waitFor();
  await panel.locator(".befell").getByText(`${shard} is one at`).waitFor();
  await walker.waitForFunction((id) => window.pangaea.probe().shard === id, shard);
  await shot(admin, "merge-done");
  await panel.getByText("Audit log").click();
  for (const what of ["shards/split", "shards/merge"]) await panel.locator(".audit li").filter({ hasText: what }).first().waitFor();
  const seen = await probe(walker);
  assert.equal(seen.anomaliesTotal, 0, JSON.stringify(seen.anomalies));
  assert.equal(seen.reconnects, 0);
  await endWell(admin, walker);
});

test("an operator stops a shard, steps it and lets it go on, and who plays in it is told", { skip: !token && "PANGAEA_TOKEN is not set" }, async () => {
  const [admin, walker] = await Promise.all([openPage(browser, url, DESKTOP), openPage(browser, url, PHONE)]);
  await join(walker, "Statue");
  await walker.waitForTimeout(2_500);
  const { shard } = await probe(walker);
  const panel = await chooseAsOperator(admin, shard);
  await panel.getByRole("button", { name: "Pause", exact: true }).click();
  const card = admin.locator("#order");
  await card.getByText("Nobody moves in it").waitFor();
  await shot(admin, "pause-asked");
  await card.getByRole("button", { name: "Pause", exact: true }).click();
  await panel.locator(".facts").getByText("paused").waitFor();
  await walker.getByRole("status").getByText("paused by an operator").waitFor();
  await shot(admin, "paused");
  await shot(walker, "paused-phone");
  await panel.getByRole("button", { name: "Step a tick" }).click();
  await panel.getByRole("button", { name: "Step 20 ticks" }).click();
  assert.equal((await probe(walker)).reconnects, 0);
  await panel.getByRole("button", { name: "Resume" }).click();
  await panel.locator(".facts").getByText("running").waitFor();
  await walker.getByText("paused by an operator").waitFor({ state: "hidden" });
  await panel.getByText("Audit log").click();
  for (const what of ["shards/pause", "shards/step", "shards/resume"]) await panel.locator(".audit li").filter({ hasText: what }).first().waitFor();
  const seen = await probe(walker);
  assert.deepEqual([seen.reconnects, seen.anomaliesTotal], [0, 0], JSON.stringify(seen.anomalies));
  await endWell(admin, walker);
});

test("an operator tunes the world, is told what cannot be, and takes it back", { skip: !token && "PANGAEA_TOKEN is not set" }, async () => {
  const page = await openPage(browser, url, DESKTOP);
  await page.getByText("Tunables", { exact: true }).click();
  const card = page.locator(".tunables");
  const speed = card.getByLabel("wandering.speed_m_per_s");
  await speed.waitFor();
  assert.ok(await speed.isDisabled(), "a viewer only looks");
  const before = await speed.inputValue();
  await page.locator("#panel").getByRole("button", { name: "Change" }).click();
  await showToken(page);
  await page.waitForFunction(() => !document.querySelector(".tunables input").disabled);

  const wanted = before === "9.5" ? "8.5" : "9.5";
  await speed.fill(wanted);
  await speed.press("Enter");
  const change = card.locator("li").filter({ hasText: `→ ${wanted}` }).first();
  await change.waitFor();
  await card.getByText("is at 2 of 2 scenes").waitFor();
  await speed.fill("300");
  await speed.press("Enter");
  await card.getByText("is a number from 0 to 20; 300 is not").waitFor();
  await shot(page, "tunables");
  await speed.press("Escape");
  assert.equal(await speed.inputValue(), wanted);
  await change.getByRole("button", { name: "Undo" }).click();
  await page.waitForFunction((value) => document.querySelector('[aria-label="wandering.speed_m_per_s"]').value === value, before);
  // The browser itself tells that an order was refused.
  page.faults = page.faults.filter((fault) => !fault.includes("422"));
  await endWell(page);
});

test("an operator turns a script off and on again by clicking", { skip: !token && "PANGAEA_TOKEN is not set" }, async () => {
  const page = await openPage(browser, url, DESKTOP);
  await page.locator("#panel").getByRole("button", { name: "Change" }).click();
  await showToken(page);
  const section = page.locator(".scripts");
  await page.waitForTimeout(2_500);
  if (!(await section.locator("ol").isVisible())) await section.locator("summary").click();
  const line = section.locator("li").filter({ hasText: "wounds" }).filter({ hasText: "Turn" });
  for (const [verb, state] of [["Turn off", "Turn on"], ["Turn on", "Turn off"]]) {
    await line.getByRole("button", { name: verb }).click();
    await page.locator("#order").getByRole("button", { name: verb }).click();
    await line.getByRole("button", { name: state }).waitFor();
  }
  await shot(page, "scripts");
  await endWell(page);
});

test("an entity that is clicked is inspected live, and its hand-over is in its past", async () => {
  const [admin, walker] = await Promise.all([openPage(browser, url, DESKTOP), openPage(browser, url, PHONE)]);
  await join(walker, "Subject");
  await walker.waitForTimeout(2_500);
  const { here, there } = await acrossTheBorder(walker);
  const { agent } = await probe(walker);
  // Close up, so that it is the only one under the pointer.
  const isNear = (id) => window.pangaea.probe().near.find((one) => one.id === id);
  await admin.waitForFunction(isNear, agent);
  for (let zoom = 0; zoom < 3; zoom++) {
    const { near } = await probe(admin);
    const { screenX, screenY } = near.find((one) => one.id === agent);
    await admin.mouse.move(screenX, screenY);
    await admin.mouse.wheel(0, -500);
    await admin.waitForTimeout(1_500);
  }
  const place = (await probe(admin)).near.find((one) => one.id === agent);
  await admin.mouse.click(place.screenX, place.screenY);
  const card = admin.getByRole("complementary", { name: "Inspector" });
  await card.getByRole("heading", { name: "Subject" }).waitFor();
  await card.getByRole("heading", { name: "health" }).waitFor();
  await card.locator(".facts").getByText("awake").waitFor();
  await shot(admin, "inspector");

  const before = await admin.waitForFunction(() => window.pangaea.probe().inspected);
  const { x, z } = await before.jsonValue();
  await walkInto(walker, there);
  // Whoever walks straight south keeps the very same x.
  await admin.waitForFunction(([id, x, z]) => {
    const { inspected } = window.pangaea.probe();
    return inspected?.shard === id && (inspected.x !== x || inspected.z !== z);
  }, [there.id, x, z], { timeout: 60_000 });
  await card.locator(".past").getByText(`→ ${there.id}`).first().waitFor();
  await card.getByText(there.owner, { exact: false }).first().waitFor();
  await shot(admin, "inspector-after-hand-over");
  await admin.keyboard.press("Escape");
  await card.waitFor({ state: "hidden" });
  assert.notEqual(here.owner, there.owner);
  await endWell(admin, walker);
});

test("two guests hear each other", async () => {
  const [ada, theo] = await Promise.all([openPage(browser, url, DESKTOP), openPage(browser, url, PHONE)]);
  await join(ada, "Ada");
  await join(theo, "Theo");
  const words = `Hello ${Date.now() % 100_000}`;
  await ada.keyboard.press("Enter");
  await ada.click("#chat-channel");
  await ada.keyboard.type(words);
  await ada.keyboard.press("Enter");
  await theo.waitForFunction((said) => window.pangaea.probe().chat.some((line) => line.includes(said)), words);
  await shot(ada, "play-desktop");
  await shot(theo, "play-phone");
  await endWell(ada, theo);
});

test("two guests trade and pay over the border between two scenes", async () => {
  const [ada, theo] = await Promise.all([openPage(browser, url, DESKTOP), openPage(browser, url, DESKTOP)]);
  await join(ada, "Ada");
  await join(theo, "Theo");
  const { here, there } = await meetAtTheBorder(ada, theo);
  const has = (page, gold) => page.waitForFunction((wanted) => window.pangaea.probe().gold === wanted, String(gold));
  await Promise.all([has(ada, 100), has(theo, 100)]);

  await ada.locator("#near").waitFor();
  await ada.keyboard.press("t");
  await ada.fill("#deal-give-gold", "7");
  await ada.fill("#deal-get-gold", "2");
  await shot(ada, "trade-written");
  await ada.click("#deal-yes");
  await theo.getByText("offers a trade").waitFor();
  await shot(theo, "trade-asked");
  await theo.click("#deal-other");
  await theo.fill("#deal-give-gold", "3");
  await theo.click("#deal-yes");
  await ada.getByText("offers a trade").waitFor();
  await ada.click("#deal-yes");
  await Promise.all([has(ada, 96), has(theo, 104)]);
  await ada.getByText("is done").waitFor();

  await theo.keyboard.press("p");
  await theo.fill("#deal-give-gold", "14");
  await theo.click("#deal-yes");
  await Promise.all([has(ada, 110), has(theo, 90)]);
  await shot(ada, "trade-done");
  const seen = await Promise.all([probe(ada), probe(theo)]);
  assert.deepEqual(seen.map((one) => one.scene), [here.owner, there.owner], "each agent is still run by its own scene");
  for (const [i, page] of [ada, theo].entries()) {
    assert.equal(seen[i].anomaliesTotal, 0, JSON.stringify(seen[i].anomalies));
    assert.deepEqual(page.faults, []);
    await page.close();
  }
});

test("a guest who stands beside another hits them, and they see their health fall", async () => {
  const [bold, calm] = await Promise.all([openPage(browser, url, PHONE), openPage(browser, url, PHONE)]);
  await join(calm, "Calm");
  const { serverPosition: there } = await probe(calm);
  await join(bold, "Bold");
  await walkTo(bold, there.x, there.z);
  await calm.waitForFunction(() => window.pangaea.probe().health > 0);
  const unhurt = (await probe(calm)).health;
  for (let blows = 0; blows < 20 && (await probe(calm)).health >= unhurt; blows++) {
    await bold.mouse.click(PHONE.width / 2, PHONE.height / 2);
    await bold.waitForTimeout(700);
  }
  assert.ok((await probe(calm)).health < unhurt, `still ${unhurt}`);
  await shot(bold, "play-fight");
  for (const page of [bold, calm]) {
    const seen = await probe(page);
    assert.equal(seen.anomaliesTotal, 0, JSON.stringify(seen.anomalies));
    await page.close();
  }
});

test("a lost connection comes back by itself with the same agent", async () => {
  const page = await openPage(browser, url, DESKTOP);
  await join(page, "Phoenix");
  const before = await probe(page);
  await page.evaluate(() => window.pangaea.cut());
  await page.getByText("Reconnecting").waitFor();
  await page.waitForFunction(() => window.pangaea.probe().joined);
  const middle = await probe(page);
  await page.keyboard.down("ArrowDown");
  await page.waitForFunction((z) => window.pangaea.probe().serverPosition.z > z + 2, middle.position.z);
  await page.keyboard.up("ArrowDown");
  await page.waitForTimeout(2_500);
  const end = await probe(page);
  assert.equal(end.agent, before.agent);
  assert.equal(end.reconnects, 1);
  assert.equal(end.anomaliesTotal, 0, JSON.stringify(end.anomalies));
  await page.close();
});

test("on a phone the map fits, and a dragged finger walks", async () => {
  const page = await openPage(browser, url, PHONE, { hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
  await page.waitForFunction(() => window.pangaea.probe().owners.length >= 2);
  await page.waitForTimeout(1_500);
  await shot(page, "map-phone");
  for (const shard of (await probe(page)).shards) {
    assert.ok(shard.screenX > 0 && shard.screenX < PHONE.width, `${shard.id} is on the screen`);
  }
  await join(page, "Thumb");
  const from = (await probe(page)).position;
  await page.mouse.move(150, 400);
  await page.mouse.down();
  await page.mouse.move(90, 400, { steps: 3 });
  await page.waitForFunction((x) => window.pangaea.probe().position.x < x - 2, from.x);
  await page.mouse.up();
  await shot(page, "play-phone-walked");
  assert.deepEqual(page.faults, []);
  await page.close();
});
