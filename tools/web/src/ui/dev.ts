// The overlay behind F3, and the same figures as `window.pangaea` for end-to-end tests.
import type { EntitySight } from "../admin/entity.js";
import type { Anomalies } from "../world/anomalies.js";
import type { CostFigures } from "../figures.js";
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
  /** What the page's own script takes per frame, and per update that comes. */
  readonly frameMs: CostFigures;
  readonly updateMs: CostFigures;
  readonly pingMs: number;
  readonly updatesPerS: number;
  readonly bytesPerS: number;
  readonly reconnects: number;
  readonly owners: string[];
  /** What the inspector shows; undefined while it is closed or waits. */
  readonly inspected: EntitySight | undefined;
  /** Some entities, and where they are on the screen. */
  readonly near: { id: string; screenX: number; screenY: number }[];
  /** Shards on show: where in the space, metres, and where their middle is on the screen. */
  readonly shards: { id: string; owner: string; x: number; z: number; edge: number; screenX: number; screenY: number }[];
  /** Of the own agent. */
  readonly health: number;
  readonly gold: string;
  readonly items: string[];
  readonly chat: string[];
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
      `script     frame ${cost(p.frameMs)}   update ${cost(p.updateMs)}`,
      `updates/s  ${p.updatesPerS.toFixed(1)}   ${(p.bytesPerS / 1024).toFixed(1)} KiB/s`,
      `entities   ${p.entities}`,
      `session    ${p.state}   agent ${p.agent}   ${p.shard} ${p.scene}`,
      `position   ${p.position.x.toFixed(2)}, ${p.position.z.toFixed(2)}   open inputs ${p.prediction.open}`,
      `prediction ${p.prediction.error.toFixed(3)} m, at most ${p.prediction.errorMax.toFixed(3)} m   speed ${p.prediction.speed.toFixed(2)} m/s`,
      `anomalies  ${p.anomaliesTotal}   ${wrong}`,
    ].join("\n");
  }
}

function cost({ p50, p99, max }: CostFigures): string {
  return `p50 ${p50.toFixed(1)} p99 ${p99.toFixed(1)} max ${max.toFixed(1)} ms`;
}
