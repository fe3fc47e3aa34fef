// Before anything is changed: what the order means, as the cluster sees it now, and a last question. Asks for the operator's
// token when the cluster wants it.
import type { Orders } from "../admin/orders.js";
import { Refusal } from "../admin/orders.js";
import { byId } from "./elements.js";

/** Something an operator may order. */
export interface Order {
  readonly title: string;
  /** What the button says. */
  readonly verb: string;
  /** Asks the cluster what it would mean, in words. */
  weigh(): Promise<string>;
  give(): Promise<void>;
}

export class OrderCard {
  readonly #card = byId<HTMLDialogElement>("order");
  readonly #token = byId<HTMLInputElement>("order-token");
  readonly #words = byId("order-words");
  readonly #yes = byId<HTMLButtonElement>("order-yes");
  #order: Order | undefined;

  constructor(readonly orders: Orders) {
    byId("order-no").onclick = () => this.#card.close();
    byId("order-form").onsubmit = (event) => {
      event.preventDefault();
      void this.#agreed();
    };
  }

  ask(order: Order): void {
    this.#order = order;
    byId("order-title").textContent = order.title;
    byId("order-meaning").textContent = "";
    this.#wantToken(false);
    this.#card.showModal();
    void this.#try(() => this.#weigh(order));
  }

  async #weigh(order: Order): Promise<void> {
    byId("order-meaning").textContent = await order.weigh();
    this.#wantToken(false);
  }

  async #agreed(): Promise<void> {
    const order = this.#order;
    if (!order) return;
    if (!byId("order-key").hidden) {
      this.orders.token = this.#token.value;
      this.#token.value = "";
      return this.#try(() => this.#weigh(order));
    }
    await this.#try(async () => {
      await order.give();
      this.#card.close();
    });
  }

  /** Does it, or says why not. */
  async #try(does: () => Promise<void>): Promise<void> {
    this.#words.textContent = "";
    this.#yes.disabled = true;
    try {
      await does();
      this.#yes.disabled = false;
    } catch (error) {
      this.#words.textContent = error instanceof Error ? error.message : String(error);
      if (error instanceof Refusal && error.wantsToken) this.#wantToken(true);
    }
  }

  #wantToken(wanted: boolean): void {
    byId("order-key").hidden = !wanted;
    this.#yes.textContent = wanted ? "Continue" : this.#order?.verb ?? "";
    this.#yes.disabled = false;
    if (wanted) this.#token.focus();
  }
}
