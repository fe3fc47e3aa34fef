// The overlay behind F3, and the same figures as `window.pangaea` for end-to-end tests.
import type { Anomalies } from "../world/anomalies.js";
import { byId } from "./elements.js";

/** What an end-to-end test may read and do. All plain data, so that it can be taken out of the page. */
export interface Probe {
  readonly mode: "map" | "play";
  readonly state: string;
  readonly joined: boolean;
  readonly agent: string;
  readonly position: { x: number; z: number };
  readonly serverPosition: { x: number; z: number };
  readonly shard: string;
  readonly scene: string;
  readonly entities: number;
  readonly anomalies: Anomalies;
  readonly anomaliesTotal: number;
  readonly prediction: { error: number; errorMax: number; speed: number; open: number };
  readonly fps: number;
  readonly pingMs: number;
  readonly updatesPerS: number;
  readonly bytesPerS: number;
  readonly reconnects: number;
  readonly owners: string[];
  /** Shards on show: where in the space, metres, and where their middle is on the screen. */
  readonly shards: { id: string; owner: string; x: number; z: number; edge: number; screenX: number; screenY: number }[];
  /** Of the own agent. */
  readonly health: number;
  readonly gold: string;
  readonly items: string[];
  readonly chat: string[];
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

export class DevOverlay {
  readonly #box = byId("dev");
  #shownAt = 0;

  toggle(): void {
    this.#box.hidden = !this.#box.hidden;
  }

  show(probe: () => Probe, now: number): void {
    if (this.#box.hidden || now - this.#shownAt < 250) return;
    this.#shownAt = now;
    const p = probe();
    const wrong = Object.entries(p.anomalies).map(([kind, count]) => `${kind} ${count}`).join("  ");
    this.#box.textContent = [
      `fps        ${p.fps.toFixed(0)}    ping ${p.pingMs.toFixed(1)} ms`,
      `updates/s  ${p.updatesPerS.toFixed(1)}   ${(p.bytesPerS / 1024).toFixed(1)} KiB/s`,
      `entities   ${p.entities}`,
      `session    ${p.state}   agent ${p.agent}   ${p.shard} ${p.scene}`,
      `position   ${p.position.x.toFixed(2)}, ${p.position.z.toFixed(2)}   open inputs ${p.prediction.open}`,
      `prediction ${p.prediction.error.toFixed(3)} m, at most ${p.prediction.errorMax.toFixed(3)} m   speed ${p.prediction.speed.toFixed(2)} m/s`,
      `anomalies  ${p.anomaliesTotal}   ${wrong}`,
    ].join("\n");
  }
}
