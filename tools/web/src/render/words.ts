// Words on the world: shard labels on the map; names, health and speech while playing. Strings are made when numbers
// change, not when they are drawn.
import type { MoveStatus, ShardStatus } from "../admin/api.js";
import type { Entities } from "../world/entities.js";
import { NO_ITEM, PERSON } from "../world/entities.js";
import type { Square } from "../world/geometry.js";
import type { Camera } from "./camera.js";
import { ownerCss } from "./palette.js";

const FONT = '"Inter", system-ui, sans-serif';
const SMALL = `450 11px ${FONT}`;
const STRONG = `580 12px ${FONT}`;
const TALK = `450 13px ${FONT}`;
/** Names and bars drawn at most. */
const NAMES_MAX = 120;
const SPEECH_MS = 5_000;

/** A shard's label. */
export interface ShardLabel {
  readonly id: string;
  readonly square: Square;
  readonly title: string;
  readonly owner: string;
  readonly numbers: string;
  readonly brief: string;
  readonly load: number;
  readonly colour: string;
  /** Where it moves to, or how it is cut anew, and how far that is. */
  readonly move: string;
}

export function shardLabel(shard: ShardStatus, square: Square, move: MoveStatus | undefined): ShardLabel {
  const tick = (value: number) => value.toFixed(value < 10 ? 1 : 0);
  return {
    id: shard.id, square, colour: ownerCss(shard.owner), load: shard.load, owner: shard.owner || "no owner",
    title: shard.id.split("/").pop() ?? shard.id,
    numbers: `${shard.entities.toLocaleString("en")} · ${tick(shard.p50)} / ${tick(shard.p99)} ms`,
    brief: shard.entities.toLocaleString("en"),
    move: shard.paused ? " · paused" : move ? ` ${move.kind === "move" ? `→ ${move.to}` : `· ${move.kind}`} · ${move.step}` : "",
  };
}

export class Words {
  readonly #speech = new Map<bigint, { lines: string[]; until: number }>();

  constructor(readonly pen: CanvasRenderingContext2D) {}

  /** An entity said something. */
  say(entity: bigint, text: string, now: number): void {
    this.#speech.set(entity, { lines: wrap(text, 30, 3), until: now + SPEECH_MS });
  }

  begin(camera: Camera, ratio: number): void {
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.pen.clearRect(0, 0, camera.width, camera.height);
    this.pen.textBaseline = "alphabetic";
    this.pen.lineJoin = "round";
  }

  shards(labels: readonly ShardLabel[], camera: Camera): void {
    const { pen } = this;
    pen.textAlign = "left";
    for (const label of labels) {
      const width = label.square.edge * camera.scale;
      if (width < 44) continue;
      const [left, top] = [camera.screenX(label.square.x) + 10, camera.screenY(label.square.z) + 19];
      if (left > camera.width || top > camera.height || left + width < 0 || top + width < 0) continue;
      pen.font = width < 110 ? SMALL : STRONG;
      this.#text(label.title, left, top, "rgb(231 236 234 / 92%)");
      if (width < 110) {
        this.#text(label.brief, left, top + 14, label.colour);
        continue;
      }
      pen.font = SMALL;
      this.#text(label.owner + label.move, left, top + 16, label.colour);
      this.#text(label.numbers, left, top + 31, "rgb(190 202 200 / 85%)");
      const full = Math.min(width - 20, 92);
      pen.fillStyle = "rgb(255 255 255 / 12%)";
      pen.fillRect(left, top + 39, full, 2.5);
      pen.fillStyle = label.colour;
      pen.fillRect(left, top + 39, full * Math.min(1, Math.max(label.load, 0.015)), 2.5);
    }
  }

  /** Names of people and of the target, bars of the wounded, speech. `own` is drawn at (ownX, ownZ). */
  beings(entities: Entities, camera: Camera, own: number | undefined, target: number | undefined, ownX: number, ownZ: number, now: number): void {
    const { pen } = this;
    pen.textAlign = "center";
    const radius = Math.min(Math.max(camera.scale * 0.55, 2.5), 16) * 1.15;
    let drawn = 0;
    for (let slot = 0; slot < entities.count && drawn < NAMES_MAX; slot++) {
      if (entities.leftAt[slot] !== 0 || entities.item[slot] !== NO_ITEM) continue;
      const wounded = entities.healthMax[slot]! > 0 && entities.health[slot]! < entities.healthMax[slot]!;
      const named = entities.name[slot] !== "" && (entities.kind[slot] === PERSON || slot === target);
      if (!named && !wounded) continue;
      const x = camera.screenX(slot === own ? ownX : entities.x[slot]!);
      const y = camera.screenY(slot === own ? ownZ : entities.z[slot]!) - radius - 9;
      if (x < -60 || y < -20 || x > camera.width + 60 || y > camera.height + 40) continue;
      drawn++;
      if (wounded) this.#health(x, y, entities.health[slot]! / entities.healthMax[slot]!);
      if (named) {
        pen.font = slot === own ? STRONG : SMALL;
        this.#text(entities.name[slot]!, x, y - (wounded ? 5 : 0), slot === own ? "#fff" : "rgb(220 228 226 / 90%)");
      }
    }
    this.#talk(entities, camera, own, ownX, ownZ, radius, now);
  }

  #health(x: number, y: number, part: number): void {
    const { pen } = this;
    pen.fillStyle = "rgb(0 0 0 / 55%)";
    pen.fillRect(x - 15, y, 30, 4);
    pen.fillStyle = part > 0.5 ? "#6fbf8f" : part > 0.25 ? "#e0a458" : "#e5806f";
    pen.fillRect(x - 14, y + 1, 28 * part, 2);
  }

  #talk(entities: Entities, camera: Camera, own: number | undefined, ownX: number, ownZ: number, radius: number, now: number): void {
    const { pen } = this;
    for (const [entity, speech] of this.#speech) {
      if (now > speech.until) {
        this.#speech.delete(entity);
        continue;
      }
      const slot = entities.find(entity);
      if (slot === undefined) continue;
      pen.font = TALK;
      const width = Math.max(...speech.lines.map((line) => pen.measureText(line).width)) + 20;
      const height = speech.lines.length * 17 + 11;
      const x = camera.screenX(slot === own ? ownX : entities.x[slot]!);
      const top = camera.screenY(slot === own ? ownZ : entities.z[slot]!) - radius - 27 - height;
      pen.globalAlpha = Math.min(1, (speech.until - now) / 400);
      pen.fillStyle = "rgb(231 236 234 / 94%)";
      pen.beginPath();
      pen.roundRect(x - width / 2, top, width, height, 10);
      pen.fill();
      pen.fillStyle = "#0c1214";
      speech.lines.forEach((line, i) => pen.fillText(line, x, top + 19 + i * 17));
      pen.globalAlpha = 1;
    }
  }

  #text(text: string, x: number, y: number, colour: string): void {
    const { pen } = this;
    pen.strokeStyle = "rgb(6 10 11 / 70%)";
    pen.lineWidth = 3;
    pen.strokeText(text, x, y);
    pen.fillStyle = colour;
    pen.fillText(text, x, y);
  }
}

function wrap(text: string, width: number, most: number): string[] {
  const lines: string[] = [""];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + word.length >= width) lines.push(word.slice(0, width));
    else lines[lines.length - 1] = line === "" ? word.slice(0, width) : `${line} ${word}`;
  }
  return lines.length > most ? [...lines.slice(0, most - 1), `${lines[most - 1]!.slice(0, width - 1)}…`] : lines;
}
