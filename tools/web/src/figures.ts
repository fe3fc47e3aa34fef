// The page's own measurements: how often something happens, and what it costs.

/** Times kept of what is measured. */
const COSTS_KEPT = 512;

/** Milliseconds. */
export interface CostFigures {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** What something costs: the last times it took, in milliseconds. */
export class Cost {
  readonly #taken = new Float32Array(COSTS_KEPT);
  #count = 0;

  add(ms: number): void {
    this.#taken[this.#count++ % COSTS_KEPT] = ms;
  }

  get figures(): CostFigures {
    const sorted = this.#taken.slice(0, Math.min(this.#count, COSTS_KEPT)).sort();
    const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))] ?? 0;
    return { p50: at(0.5), p99: at(0.99), max: at(1) };
  }
}

/** A count turned into a rate, once per second. */
export class Rate {
  perSecond = 0;
  #last = 0;
  #at = 0;

  /** Whether a second is over and the rate is new. */
  sample(count: number, now: number): boolean {
    const seconds = (now - this.#at) / 1_000;
    if (seconds < 1) return false;
    this.perSecond = Math.max(0, count - this.#last) / seconds;
    this.#last = count;
    this.#at = now;
    return true;
  }
}
