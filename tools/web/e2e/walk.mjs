// Walking through the page: joining as a guest, finding the border between two scenes, crossing it, and watching each frame.
import { probe } from "./browser.mjs";

/** Plays as a guest and waits until the agent stands in the world. */
export async function join(page, name) {
  await page.click("#mode-play");
  await page.fill("#join-name", name);
  await page.click("#join-go");
  await page.waitForFunction(() => {
    const { joined, scene, position } = window.pangaea.probe();
    return joined && scene !== "" && position.x !== 0;
  });
}

/** The tile the agent stands on, and the nearest tile of another owner. */
export async function acrossTheBorder(page) {
  await page.waitForFunction(() => window.pangaea.probe().shards.length > 0);
  const { shards, position } = await probe(page);
  const away = (shard) => {
    const outside = (value, low) => Math.max(low - value, value - (low + shard.edge), 0);
    return Math.hypot(outside(position.x, shard.x), outside(position.z, shard.z));
  };
  const here = shards.find((shard) => away(shard) === 0);
  const others = shards.filter((shard) => shard.owner !== here.owner).sort((a, b) => away(a) - away(b));
  if (others.length === 0) throw new Error(`all land belongs to ${here.owner}`);
  return { here, there: others[0] };
}

/** Walks until the agent is ten metres inside `shard` and the server has said who runs it now. */
export async function walkInto(page, shard, timeout = 60_000) {
  const { position } = await probe(page);
  const inside = (value, low) => Math.min(Math.max(value, low + 10), low + shard.edge - 10);
  await walkTo(page, inside(position.x, shard.x), inside(position.z, shard.z), timeout);
  await page.waitForFunction((owner) => window.pangaea.probe().scene === owner, shard.owner, { timeout });
}

/** Walks until the agent is within a metre of (x, z). */
export async function walkTo(page, x, z, timeout = 60_000) {
  await page.evaluate((target) => {
    const steer = () => {
      const { position } = window.pangaea.probe();
      const [dx, dz] = [target.x - position.x, target.z - position.z];
      const far = Math.hypot(dx, dz);
      window.arrived = far < 1;
      window.pangaea.walk(window.arrived ? undefined : [dx / far, dz / far]);
      if (!window.arrived) requestAnimationFrame(steer);
    };
    window.arrived = false;
    steer();
  }, { x, z });
  await page.waitForFunction(() => window.arrived, undefined, { timeout });
}

/** Watches every frame from now on; `window.walk.stop()` gives what was seen. */
export function recordWalk(page) {
  return page.evaluate(() => {
    const seen = { frames: 0, emptyFrames: 0, jumps: [] };
    let last = { at: performance.now(), seconds: 0, ...window.pangaea.probe().position };
    let running = true;
    const frame = (at) => {
      const { position, entities, prediction } = window.pangaea.probe();
      const seconds = (at - last.at) / 1_000;
      const way = Math.hypot(position.x - last.x, position.z - last.z);
      // Twice the speed leaves room for a smoothed correction; half a metre for a late frame.
      // A frame's way may be seen in the next one, hence the longer of two frames.
      if (way > prediction.speed * Math.max(seconds, last.seconds) * 2 + 0.5) seen.jumps.push({ way, seconds, position });
      seen.frames++;
      if (entities === 0) seen.emptyFrames++;
      last = { at, seconds, ...position };
      if (running) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    window.walk = {
      stop() {
        running = false;
        return seen;
      },
    };
  });
}

/** Metres from a border: near enough to reach over it, and not enough beyond it to be handed over. */
const NEAR_BORDER_M = 0.8;

/** Two pages' agents at arm's length on the two sides of a border between scenes: one comes up to it, one crosses it and turns. */
export async function meetAtTheBorder(comes, crosses) {
  const { here, there } = await acrossTheBorder(crosses);
  // Who was born beyond the border would stay with its owner so near to it.
  await Promise.all([walkInto(comes, here), walkInto(crosses, there)]);
  const { position } = await probe(crosses);
  const across = position.x < here.x || position.x > here.x + here.edge ? "x" : "z";
  const inward = there[across] > here[across] ? 1 : -1;
  const line = Math.max(here[across], there[across]);
  const beside = (metres) => ({ ...position, [across]: line + inward * metres });
  await Promise.all([[comes, -NEAR_BORDER_M], [crosses, NEAR_BORDER_M]].map(([page, metres]) => {
    const { x, z } = beside(metres);
    return walkTo(page, x, z);
  }));
  return { here, there };
}
