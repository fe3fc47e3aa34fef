// Shards as tinted squares with a border towards other owners' land; the chosen one is outlined, a hand-over lets both glow,
// one that moves to another scene is striped.
import type { Rgb } from "./gl.js";
import { Program, Quads } from "./gl.js";
import type { Square } from "../world/geometry.js";

/** A shard as drawn. */
export interface ShardTile {
  readonly square: Square;
  readonly colour: Rgb;
  /** 0 to 1, fades by itself. */
  glow: number;
  /** 0: as any other, 1: chosen, between: pointed at. */
  emphasis: number;
  /** Which sides touch another owner's land or the end of the world: north, east, south, west; 0 or 1. */
  readonly foreign: readonly [number, number, number, number];
  /** The colour of whoever the shard moves to. */
  readonly into: Rgb | undefined;
}

const STAYS: Rgb = [0, 0, 0];

const VERTEX = `
layout(location=0) in vec2 corner;
layout(location=1) in vec4 square; // x, z, edge, glow
layout(location=2) in vec4 paint; // colour, emphasis
layout(location=3) in vec4 foreign; // north, east, south, west
layout(location=4) in vec4 into; // colour of the next owner, 1 while the shard moves
out vec2 v_metres;
flat out float v_edge;
flat out float v_glow;
flat out vec4 v_paint;
flat out vec4 v_foreign;
flat out vec4 v_into;
void main() {
  vec2 unit = corner * 0.5 + 0.5;
  v_metres = unit * square.z;
  v_edge = square.z;
  v_glow = square.w;
  v_paint = paint;
  v_foreign = foreign;
  v_into = into;
  gl_Position = clip(square.xy + v_metres);
}`;

const FRAGMENT = `
uniform float u_scale; // pixels per metre
uniform float u_strength; // 1 on the map, less while playing
uniform float u_seconds;
in vec2 v_metres;
flat in float v_edge;
flat in float v_glow;
flat in vec4 v_paint;
flat in vec4 v_foreign;
flat in vec4 v_into;
out vec4 colour;
void main() {
  vec4 away = vec4(v_metres.y, v_edge - v_metres.x, v_edge - v_metres.y, v_metres.x) * u_scale; // pixels to each side
  float edge = min(min(away.x, away.y), min(away.z, away.w));
  vec4 far = mix(vec4(1e4), away, v_foreign);
  float rim = exp(-min(min(far.x, far.y), min(far.z, far.w)) / 16.0);
  vec4 line = 1.0 - smoothstep(vec4(0.4), vec4(1.6), away);
  vec4 strength = mix(vec4(0.16), vec4(0.8), v_foreign) * line;
  float border = max(max(strength.x, strength.y), max(strength.z, strength.w));
  float chosen = (1.0 - smoothstep(1.6, 2.8, edge)) * v_paint.w;
  float alpha = (0.11 + 0.10 * rim + 0.10 * v_paint.w + 0.16 * v_glow * (0.4 + exp(-edge / 26.0))) * u_strength;
  alpha = max(alpha, max(border * mix(0.75, 1.0, u_strength), chosen));
  // Stripes of the next owner's colour go over a shard that moves.
  float wave = abs(fract((v_metres.x + v_metres.y) * u_scale / 28.0 - u_seconds * 0.5) - 0.5) * 2.0;
  float stripe = smoothstep(0.42, 0.58, wave) * v_into.a;
  colour = vec4(mix(v_paint.rgb, v_into.rgb, stripe), 1.0) * mix(alpha, max(alpha, 0.3 * u_strength), stripe);
}`;

export class ShardTiles {
  readonly #program: Program;
  readonly #quads: Quads;

  constructor(readonly gl: WebGL2RenderingContext) {
    this.#program = new Program(gl, VERTEX, FRAGMENT);
    this.#quads = new Quads(gl, [4, 4, 4, 4], 64);
  }

  draw(tiles: readonly ShardTile[], view: (program: Program) => void, scale: number, strength: number, seconds: number): void {
    this.#quads.reserve(tiles.length);
    const { data } = this.#quads;
    let at = 0;
    for (const tile of tiles) {
      data[at++] = tile.square.x;
      data[at++] = tile.square.z;
      data[at++] = tile.square.edge;
      data[at++] = tile.glow;
      data[at++] = tile.colour[0];
      data[at++] = tile.colour[1];
      data[at++] = tile.colour[2];
      data[at++] = tile.emphasis;
      for (const side of tile.foreign) data[at++] = side;
      for (const channel of tile.into ?? STAYS) data[at++] = channel;
      data[at++] = tile.into ? 1 : 0;
    }
    this.#program.use();
    view(this.#program);
    this.gl.uniform1f(this.#program.uniform("u_scale"), scale);
    this.gl.uniform1f(this.#program.uniform("u_strength"), strength);
    this.gl.uniform1f(this.#program.uniform("u_seconds"), seconds);
    this.#quads.draw(tiles.length);
  }
}
