// Talking: near or to the whole world. Lines are text, never markup.
import type { Channel } from "../play/player.js";
import { byId, make } from "./elements.js";

const LINES_MAX = 40;

export class Chat {
  #channel: Channel = "near";
  readonly #text = byId<HTMLInputElement>("chat-text");

  constructor(say: (channel: Channel, text: string) => void, readonly done: () => void) {
    const button = byId("chat-channel");
    button.onclick = () => {
      this.#channel = this.#channel === "near" ? "world" : "near";
      button.textContent = this.#channel;
      this.#text.focus();
    };
    byId<HTMLFormElement>("chat-form").onsubmit = (event) => {
      event.preventDefault();
      const text = this.#text.value.trim();
      this.#text.value = "";
      if (text !== "") say(this.#channel, text);
      this.#text.blur();
      done();
    };
    this.#text.onkeydown = (event) => {
      event.stopPropagation();
      if (event.key !== "Escape") return;
      this.#text.blur();
      done();
    };
  }

  open(): void {
    this.#text.focus();
  }

  said(name: string, channel: Channel, text: string): void {
    this.#line(make("li", channel, make("b", "", name), text));
  }

  note(text: string): void {
    const last = byId("chat-log").lastElementChild;
    if (last?.textContent === text) return;
    this.#line(make("li", "note", text));
  }

  #line(line: HTMLElement): void {
    const log = byId("chat-log");
    log.append(line);
    while (log.childElementCount > LINES_MAX) log.firstElementChild?.remove();
  }
}
