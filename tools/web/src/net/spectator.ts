// Watching a whole space without an agent, for the live map. Comes back by itself.
//
// Off --watch--> Connecting --welcome--> Asking --watching--> Watching
// any --closed--> Waiting --back-off--> Connecting;   Asking --refused--> Denied;   any --stop--> Off
import { Registry } from "../world/registry.js";
import type { World } from "../world/world.js";
import type { FromGateway } from "./codec.js";
import { hello, spectate } from "./codec.js";
import { Gateways } from "./gateways.js";
import { backOffMs, Link } from "./link.js";

export type SpectatorState = "off" | "connecting" | "asking" | "watching" | "waiting" | "denied";

export class Spectator {
  state: SpectatorState = "off";
  /** Why it was denied, in the gateway's words. */
  denial = "";
  link: Link | undefined;
  #failures = 0;
  #sentOn = false;
  readonly #gateways: Gateways;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly world: World, urls: readonly string[], readonly space: number, readonly edgeCells: number) {
    this.#gateways = new Gateways(urls);
  }

  watch(): void {
    if (this.state !== "off") return;
    this.#connect();
  }

  stop(): void {
    this.state = "off";
    clearTimeout(this.#timer);
    const link = this.link;
    this.link = undefined;
    link?.close();
    this.world.clear();
  }

  #connect(): void {
    this.state = "connecting";
    const link = new Link(this.#gateways.url, {
      opened: () => link.send(hello(0n)),
      received: (message) => { if (this.link === link) this.#received(message, link); },
      closed: () => { if (this.link === link) this.#closed(); },
    });
    this.link = link;
  }

  #received(message: FromGateway, link: Link): void {
    switch (message.type) {
      case "welcome": {
        const description = message.body.description();
        const registry = description ? Registry.from(description, message.body.registry()) : Registry.EMPTY;
        this.world.describe(registry, message.body.tickHz(), message.body.cellEdgeM());
        this.state = "asking";
        link.send(spectate(this.space, 0, 0, this.edgeCells - 1, this.edgeCells - 1));
        break;
      }
      case "watching":
        this.state = "watching";
        this.#failures = 0;
        this.world.reconnected(performance.now());
        break;
      case "update":
        this.world.apply(message.body, performance.now());
        break;
      case "goodbye":
        this.#sentOn = !!message.body.reconnectTo();
        if (this.#sentOn) this.#gateways.sendOn(message.body.reconnectTo()!);
        break;
      case "refused":
        this.state = "denied";
        this.denial = message.body.text() ?? "";
        break;
      default:
        break;
    }
  }

  #closed(): void {
    if (this.state === "denied") return;
    this.state = "waiting";
    if (!this.#sentOn) this.#gateways.failed();
    this.#timer = setTimeout(() => this.#connect(), this.#sentOn ? 0 : backOffMs(this.#failures++));
    this.#sentOn = false;
  }
}
