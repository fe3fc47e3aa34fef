// One WebSocket to a gateway and its figures: what came, how much, how long the way is.
import type { FromGateway } from "./codec.js";
import { Cost } from "../figures.js";
import { decode, ping } from "./codec.js";

const PING_EVERY_MS = 2_000;

/** Who hears of a link's life. */
export interface LinkEvents {
  opened(): void;
  received(message: FromGateway): void;
  /** Also when it never opened. Nothing comes after. */
  closed(): void;
}

/** What a link has carried. */
export interface LinkFigures {
  bytesIn: number;
  bytesOut: number;
  updates: number;
  /** Of decoding an update and applying it. */
  readonly updateCost: Cost;
  /** Round trip in milliseconds; NaN before the first answer. */
  pingMs: number;
}

export class Link {
  readonly figures: LinkFigures = { bytesIn: 0, bytesOut: 0, updates: 0, updateCost: new Cost(), pingMs: NaN };
  readonly #socket: WebSocket;
  #pinging: ReturnType<typeof setInterval> | undefined;

  constructor(url: string, events: LinkEvents) {
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      this.#pinging = setInterval(() => this.#ping(), PING_EVERY_MS);
      events.opened();
    };
    this.#socket.onmessage = (event: MessageEvent) => {
      if (event.data instanceof ArrayBuffer) this.#receive(new Uint8Array(event.data), events);
    };
    this.#socket.onclose = () => {
      clearInterval(this.#pinging);
      events.closed();
    };
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(bytes: Uint8Array): void {
    if (!this.isOpen) return;
    this.figures.bytesOut += bytes.length;
    this.#socket.send(bytes as Uint8Array<ArrayBuffer>);
  }

  close(): void {
    this.#socket.close();
  }

  #ping(): void {
    this.send(ping(BigInt(Math.round(performance.now() * 1_000))));
  }

  #receive(bytes: Uint8Array, events: LinkEvents): void {
    const began = performance.now();
    this.figures.bytesIn += bytes.length;
    const message = decode(bytes);
    if (!message) return;
    if (message.type === "pong") this.figures.pingMs = performance.now() - Number(message.body.clientTimeUs()) / 1_000;
    events.received(message);
    if (message.type !== "update") return;
    this.figures.updates++;
    this.figures.updateCost.add(performance.now() - began);
  }
}

/** Time until the next attempt: doubles with every failure, with jitter so that a crowd does not come back at once. */
export function backOffMs(failures: number): number {
  const ceiling = Math.min(250 * 2 ** failures, 4_000);
  return ceiling * (0.5 + Math.random() / 2);
}
