// A headless Chromium for the end-to-end tests: the system's own, drawing WebGL in software.
import { chromium } from "playwright-core";

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
];

export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** A browser; close it when done. */
export function openBrowser() {
  return chromium.launch({ executablePath: EXECUTABLE, headless: true, args: FLAGS });
}

/** The page at `url`, ready; errors of the page are collected in `page.faults`. */
export async function openPage(browser, url, viewport, options = {}) {
  const page = await browser.newPage({ viewport, ...options });
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => {
    // A shard that is being cut answers nobody what it costs; the page asks again.
    const isAboutCosts = message.location().url.includes("/api/shards/profile");
    if (message.type() === "error" && !isAboutCosts) page.faults.push(message.text());
  });
  await page.goto(url);
  await page.waitForFunction(() => window.pangaea !== undefined);
  return page;
}

export const probe = (page) => page.evaluate(() => window.pangaea.probe());
