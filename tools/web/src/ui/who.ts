// Who this page is to the cluster: shown at the top of the panel, changed by a token.
import type { Caller } from "../admin/caller.js";
import { become, whoAmI } from "../admin/caller.js";
import { byId, make } from "./elements.js";

/** A token may be revoked, or the cluster another one, while the page is open. */
const ASK_AGAIN_MS = 10_000;
const NOBODY = "nobody known";

export class Who {
  readonly section = make("section", "who");
  caller: Caller | undefined;
  readonly #name = make("span");
  readonly #change = make("button", "", "Change");
  readonly #card = byId<HTMLDialogElement>("who");
  readonly #token = byId<HTMLInputElement>("who-token");
  readonly #words = byId("who-words");

  /** `changed` hears of another name or rank. */
  constructor(readonly changed: () => void) {
    this.#change.type = "button";
    this.#change.onclick = () => this.ask("");
    this.section.append(this.#name, this.#change);
    byId("who-no").onclick = () => this.#card.close();
    byId("who-form").onsubmit = (event) => {
      event.preventDefault();
      void this.#become(this.#token.value);
    };
    this.#name.textContent = NOBODY;
    void this.#look();
    setInterval(() => void this.#look(), ASK_AGAIN_MS);
  }

  get mayChange(): boolean {
    return this.caller?.rank === "operator";
  }

  /** Asks for a token, with a reason if there is one. */
  ask(words: string): void {
    this.#words.textContent = words;
    this.#token.value = "";
    if (!this.#card.open) this.#card.showModal();
    this.#token.focus();
  }

  async #become(token: string): Promise<void> {
    const caller = await become(token).catch(() => undefined);
    if (!caller) {
      this.#words.textContent = "The cluster does not know this token.";
      return;
    }
    this.#card.close();
    this.#show(caller);
  }

  async #look(): Promise<void> {
    try {
      this.#show(await whoAmI());
    } catch {
      // The cluster does not answer just now: it still knows who this is.
    }
  }

  #show(caller: Caller | undefined): void {
    const words = caller ? `${caller.name} · ${caller.rank}` : NOBODY;
    if (this.#name.textContent === words) return;
    this.caller = caller;
    this.#name.textContent = words;
    this.section.dataset["rank"] = caller?.rank ?? "none";
    this.#change.title = "Show the cluster another token";
    this.changed();
  }
}
