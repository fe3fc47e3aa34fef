// Starts the page: reads where the gateway is, then shows the world, or says in words why it cannot.
import type { ClusterConfig } from "./admin/api.js";
import { fetchConfig } from "./admin/api.js";
import { App } from "./app.js";
import type { Probe } from "./ui/dev.js";
import { byId } from "./ui/elements.js";

declare global {
  interface Window {
    /** For end-to-end tests. */
    pangaea?: {
      probe(): Probe;
      walk(direction: readonly [number, number] | undefined): void;
      cut(): void;
    };
  }
}

const RETRY_MS = 1_000;

function say(error: unknown): void {
  const curtain = byId("curtain");
  curtain.hidden = false;
  curtain.textContent = error instanceof Error ? error.message : String(error);
}

async function configWhenReady(): Promise<ClusterConfig> {
  for (;;) {
    try {
      return await fetchConfig();
    } catch (error) {
      say(error);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

try {
  const app = new App(await configWhenReady());
  byId("curtain").hidden = true;
  app.start();
  window.pangaea = { probe: () => app.probe(), walk: (direction) => app.walk(direction), cut: () => app.cut() };
} catch (error) {
  say(error);
}
