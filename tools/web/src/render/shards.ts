// Shards as tinted squares with a border towards other owners' land; the chosen one is outlined, a hand-over lets both glow.
import type { Rgb } from "./gl.js";
import { Program, Quads } from "./gl.js";
import type { Square } from "../world/geometry.js";

/** A shard as drawn. */
export interface ShardTile {
  readonly square: Square;
  readonly colour: Rgb;
  /** 0 to 1, fades by itself. */
  glow: number;
  chosen: boolean;
}

const VERTEX = `
layout(location=0) in vec2 corner;
layout(location=1) in vec4 square; // x, z, edge, glow
layout(location=2) in vec4 paint; // colour, chosen
out vec2 v_metres;
flat out float v_edge;
flat out float v_glow;
flat out vec4 v_paint;
void main() {
  vec2 unit = corner * 0.5 + 0.5;
  v_metres = unit * square.z;
  v_edge = square.z;
  v_glow = square.w;
  v_paint = paint;
  gl_Position = clip(square.xy + v_metres);
}`;

const FRAGMENT = `
uniform float u_scale; // pixels per metre
uniform float u_strength; // 1 on the map, less while playing
in vec2 v_metres;
flat in float v_edge;
flat in float v_glow;
flat in vec4 v_paint;
out vec4 colour;
void main() {
  vec2 inside = min(v_metres, v_edge - v_metres) * u_scale;
  float edge = min(inside.x, inside.y); // pixels to the border
  float width = mix(1.0, 2.0, v_paint.w);
  float border = 1.0 - smoothstep(width - 0.6, width + 0.6, edge);
  float rim = exp(-edge / 22.0);
  float alpha = (0.10 + 0.10 * rim + 0.10 * v_paint.w + 0.14 * v_glow * (0.35 + rim)) * u_strength;
  alpha = max(alpha, border * mix(0.42, 1.0, v_paint.w) * mix(0.7, 1.0, u_strength));
  colour = vec4(v_paint.rgb, 1.0) * alpha;
}`;

export class ShardTiles {
  readonly #program: Program;
  readonly #quads: Quads;

  constructor(readonly gl: WebGL2RenderingContext) {
    this.#program = new Program(gl, VERTEX, FRAGMENT);
    this.#quads = new Quads(gl, [4, 4], 64);
  }

  draw(tiles: readonly ShardTile[], view: (program: Program) => void, scale: number, strength: number): void {
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
      data[at++] = tile.chosen ? 1 : 0;
    }
    this.#program.use();
    view(this.#program);
    this.gl.uniform1f(this.#program.uniform("u_scale"), scale);
    this.gl.uniform1f(this.#program.uniform("u_strength"), strength);
    this.#quads.draw(tiles.length);
  }
}
