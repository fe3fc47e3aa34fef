// The card before the game: a name, and what the gateway says to it.
import type { SessionState } from "../net/session.js";
import { byId } from "./elements.js";

const NAMES = ["Ada", "Linnea", "Tomas", "Ingrid", "Mara", "Oskar", "Selma", "Juno", "Theo", "Nils", "Vera", "Ivo"];
const REMEMBERED = "pangaea.name";

export class JoinCard {
  readonly #card = byId<HTMLDialogElement>("join");
  readonly #name = byId<HTMLInputElement>("join-name");
  readonly #words = byId("join-words");
  readonly #go = byId<HTMLButtonElement>("join-go");

  constructor(play: (name: string) => void, cancel: () => void) {
    byId("join-form").onsubmit = (event) => {
      event.preventDefault();
      const name = this.#name.value.trim() || this.#name.placeholder;
      localStorage.setItem(REMEMBERED, name);
      this.#words.textContent = "";
      this.#go.disabled = true;
      play(name);
    };
    const leave = () => {
      this.#card.close();
      cancel();
    };
    byId("join-cancel").onclick = leave;
    this.#card.oncancel = leave;
  }

  open(): void {
    const number = Math.floor(Math.random() * 900) + 100;
    this.#name.placeholder = `${NAMES[Math.floor(Math.random() * NAMES.length)]}${number}`;
    this.#name.value = localStorage.getItem(REMEMBERED) ?? "";
    this.#go.disabled = false;
    this.#words.textContent = "";
    if (!this.#card.open) this.#card.showModal();
    this.#name.select();
  }

  changed(state: SessionState, words: string): void {
    if (!this.#card.open) return;
    if (state === "playing") this.#card.close();
    if (state === "ended") {
      this.#words.textContent = words || "The gateway said no.";
      this.#go.disabled = false;
    }
    if (state === "waiting") this.#words.textContent = words || "No answer yet, trying again…";
  }
}
