// Starts the page: reads where the gateway is, then shows the world, or says in words why it cannot.
import type { ClusterConfig } from "./admin/api.js";
import { fetchConfig, TokenWanted } from "./admin/api.js";
import { become } from "./admin/caller.js";
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

/** From another machine even looking wants a token. */
function tokenFromUser(words: string): Promise<void> {
  const card = byId<HTMLDialogElement>("who");
  byId("who-words").textContent = words;
  if (!card.open) card.showModal();
  return new Promise((resolve) => {
    card.oncancel = (event) => event.preventDefault();
    byId("who-form").onsubmit = (event) => {
      event.preventDefault();
      void become(byId<HTMLInputElement>("who-token").value).then((caller) => {
        if (!caller) byId("who-words").textContent = "The cluster does not know this token.";
        else {
          card.oncancel = null;
          card.close();
          resolve();
        }
      });
    };
  });
}

async function configWhenReady(): Promise<ClusterConfig> {
  for (;;) {
    try {
      return await fetchConfig();
    } catch (error) {
      if (error instanceof TokenWanted) await tokenFromUser(error.message);
      else {
        say(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
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
