// What the page costs a browser, measured against a running cluster: `npm run cost -- http://127.0.0.1:7000/ [seconds]`.
//
// CPU time is that of the page's thread by the browser's own count, so that a busy machine does not change it much. Drawing in
// software is another thread's: a small window keeps it from slowing the frames down.
import { openBrowser, openPage, probe } from "./browser.mjs";

const [url = "http://127.0.0.1:7000/", seconds = "15"] = process.argv.slice(2);
const SMALL = { width: 360, height: 240 };
const WARM_UP_MS = 5_000;

const browser = await openBrowser();
try {
  const page = await openPage(browser, url, SMALL);
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  await page.waitForFunction(() => window.pangaea.probe().entities > 0, undefined, { polling: 500 });
  await page.waitForTimeout(WARM_UP_MS);
  const cpu = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "ScriptDuration").value * 1_000;
  };
  const before = await cpu();
  await page.waitForTimeout(Number(seconds) * 1_000);
  const perSecond = (await cpu() - before) / Number(seconds);
  const { entities, fps, frameMs, updateMs, updatesPerS, bytesPerS } = await probe(page);
  const round = (value) => Math.round(value * 100) / 100;
  const all = (figures) => Object.fromEntries(Object.entries(figures).map(([key, value]) => [key, round(value)]));
  console.log(JSON.stringify({
    entities, fps: round(fps), frameMs: all(frameMs), updateMs: all(updateMs), updatesPerS: round(updatesPerS),
    kibPerS: Math.round(bytesPerS / 1024), scriptCpuMsPerS: round(perSecond),
  }));
} finally {
  await browser.close();
}
