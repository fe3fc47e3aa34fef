// Before anything is changed: what the order means, as the cluster sees it now, and a last question.
import { byId } from "./elements.js";

/** Something an operator may order. */
export interface Order {
  readonly title: string;
  /** What the button says. */
  readonly verb: string;
  /** Asks the cluster what it would mean, in words. */
  weigh(): Promise<string>;
  give(): Promise<unknown>;
}

export class OrderCard {
  readonly #card = byId<HTMLDialogElement>("order");
  readonly #words = byId("order-words");
  readonly #yes = byId<HTMLButtonElement>("order-yes");
  #order: Order | undefined;

  constructor() {
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
    this.#yes.textContent = order.verb;
    this.#card.showModal();
    void this.#try(async () => {
      byId("order-meaning").textContent = await order.weigh();
    });
  }

  async #agreed(): Promise<void> {
    const order = this.#order;
    if (!order) return;
    await this.#try(async () => {
      await order.give();
      this.#card.close();
    });
  }

  /** Does it, or says why not; what was refused is not offered again. */
  async #try(does: () => Promise<void>): Promise<void> {
    this.#words.textContent = "";
    this.#yes.disabled = true;
    try {
      await does();
      this.#yes.disabled = false;
    } catch (error) {
      this.#words.textContent = error instanceof Error ? error.message : String(error);
    }
  }
}
