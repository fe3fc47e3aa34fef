// What the player owns, as reliable events tell it.

/** A number or a name out of an event's values. */
type Values = Record<string, unknown>;

export class Belongings {
  gold: bigint | undefined;
  /** Item → kind, in the order they came. */
  readonly items = new Map<bigint, number>();
  /** Rises with every change. */
  version = 0;

  /** Everything inferred from events is void. */
  clear(): void {
    this.gold = undefined;
    this.items.clear();
    this.version++;
  }

  /** Takes what concerns belongings out of an event. */
  told(name: string, values: Values): void {
    if (name === "holdings" && typeof values["gold"] === "bigint") {
      this.gold = values["gold"];
      this.version++;
    }
    if (Array.isArray(values["items"])) this.#all(values["items"], values["kinds"]);
    const item = values["item"];
    if (typeof item !== "bigint" || item === 0n) return;
    if (/held|gained|got|received/.test(name)) this.items.set(item, Number(values["kind"] ?? 0));
    else if (/lost|gone|dropped|given|removed/.test(name)) this.items.delete(item);
    this.version++;
  }

  /** A whole bag at once: items and, beside them, their kinds; 0 is none. */
  #all(items: unknown[], kinds: unknown): void {
    this.items.clear();
    items.forEach((item, i) => {
      if (typeof item === "bigint" && item !== 0n) this.items.set(item, Array.isArray(kinds) ? Number(kinds[i] ?? 0) : 0);
    });
    this.version++;
  }

  /** The item that came last. */
  get last(): bigint | undefined {
    return [...this.items.keys()].at(-1);
  }
}
