// What tick it is at the server, estimated from when updates arrive. The quickest arrival of the last seconds wins; slower
// ones are delay, not time. Drifts slowly so that a changed route is followed without a visible step.

/** How fast the estimate follows a way that became longer, in milliseconds per second. */
const DRIFT_MS_PER_S = 20;
/** A larger difference is a new timeline (a paused tab, a restarted cluster), not jitter. */
const STEP_MS = 1_000;

export class ServerClock {
  #tickMs = 50;
  /** Server milliseconds minus local milliseconds. */
  #offset = NaN;
  #lastNow = 0;

  setRate(hz: number): void {
    this.#tickMs = 1_000 / Math.max(1, hz);
  }

  get tickMs(): number {
    return this.#tickMs;
  }

  reset(): void {
    this.#offset = NaN;
  }

  /** An update of `tick` (relative to any fixed one) arrived at `now` milliseconds. */
  observe(tick: number, now: number): void {
    const offset = tick * this.#tickMs - now;
    if (Number.isNaN(this.#offset) || Math.abs(offset - this.#offset) > STEP_MS) {
      this.#offset = offset;
    } else {
      const drift = ((now - this.#lastNow) / 1_000) * DRIFT_MS_PER_S;
      this.#offset = Math.max(offset, this.#offset - drift);
    }
    this.#lastNow = now;
  }

  /** The server's tick at `now`, with a fraction, in the unit of `observe`. */
  tickAt(now: number): number {
    return Number.isNaN(this.#offset) ? 0 : (now + this.#offset) / this.#tickMs;
  }
}
