// Which gateway to connect to: the one a goodbye named, else the one in turn; the next one when it fails.

export class Gateways {
  #turn = 0;
  #named: string | undefined;

  constructor(readonly urls: readonly string[]) {}

  get url(): string {
    return this.#named ?? this.urls[this.#turn % this.urls.length] ?? "";
  }

  /** A gateway that drains sends its clients there. */
  sendOn(address: string): void {
    this.#named = asUrl(address);
  }

  /** The connection was lost, or never came about: sessions go on at any gateway. */
  failed(): void {
    if (this.#named) this.#named = undefined;
    else this.#turn++;
  }
}

/** A WebSocket URL from an address with or without a scheme. */
export function asUrl(address: string): string {
  return /^wss?:/.test(address) ? address : `${location.protocol === "https:" ? "wss" : "ws"}://${address}`;
}
