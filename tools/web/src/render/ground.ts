// The ground: quiet contour lines of an invented relief, so that walking is felt. Decoration only: it repeats every
// kilometre and says nothing about the game.
import { Program, Quads } from "./gl.js";

/** Texels of the relief along one period. */
const TEXELS = 256;
/** Metres of one period. */
const PERIOD_M = 1_024;

const VERTEX = `
layout(location=0) in vec2 corner;
layout(location=1) in vec4 square; // x, z, edge, -
out vec2 v_world;
void main() {
  vec2 half_edge = vec2(square.z * 0.5);
  v_world = square.xy + half_edge + corner * half_edge;
  gl_Position = clip(v_world);
}`;

const FRAGMENT = `
uniform sampler2D u_relief;
uniform float u_scale; // pixels per metre
in vec2 v_world;
out vec4 colour;
float relief(vec2 world) {
  vec2 p = world / ${PERIOD_M.toFixed(1)} * ${TEXELS.toFixed(1)} - 0.5;
  vec2 f = fract(p);
  f = f * f * (3.0 - 2.0 * f);
  return texture(u_relief, (floor(p) + f + 0.5) / ${TEXELS.toFixed(1)}).r;
}
float line(float value, float width) {
  float d = abs(fract(value - 0.5) - 0.5) / max(fwidth(value), 1e-5);
  return 1.0 - smoothstep(width - 0.5, width + 0.8, d);
}
void main() {
  float h = relief(v_world);
  float close = smoothstep(3.0, 9.0, u_scale);
  vec3 land = mix(vec3(0.048, 0.069, 0.076), vec3(0.086, 0.112, 0.110), h);
  if (close > 0.0) {
    float tufts = relief(v_world * 11.0);
    land *= 1.0 + close * ((tufts - 0.5) * 0.5 + smoothstep(0.66, 0.72, tufts) * 0.16);
  }
  float contours = line(h * 14.0, 0.4) * 0.05 + line(h * 2.8, 0.7) * 0.05 + line(h * 56.0, 0.5) * 0.045 * close;
  float cells = line(v_world.x / 32.0, 0.3) + line(v_world.y / 32.0, 0.3);
  land += contours * vec3(0.75, 0.95, 0.9) + clamp(cells, 0.0, 1.0) * 0.022 * smoothstep(1.2, 4.0, u_scale);
  colour = vec4(land, 1.0);
}`;

export class Ground {
  readonly #program: Program;
  readonly #quad: Quads;
  readonly #relief: WebGLTexture;

  constructor(readonly gl: WebGL2RenderingContext) {
    this.#program = new Program(gl, VERTEX, FRAGMENT);
    this.#quad = new Quads(gl, [4], 1);
    this.#relief = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.#relief);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16F, TEXELS, TEXELS, 0, gl.RED, gl.FLOAT, relief());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
  }

  draw(edgeM: number, view: (program: Program) => void, scale: number): void {
    this.#program.use();
    view(this.#program);
    this.gl.uniform1f(this.#program.uniform("u_scale"), scale);
    this.gl.bindTexture(this.gl.TEXTURE_2D, this.#relief);
    this.#quad.data.set([0, 0, edgeM, 0]);
    this.#quad.draw(1);
  }
}

/** Value noise in four octaves, periodic. */
function relief(): Float32Array {
  const heights = new Float32Array(TEXELS * TEXELS);
  const hash = (x: number, z: number, seed: number) => {
    let h = Math.imul(x, 374761393) + Math.imul(z, 668265263) + Math.imul(seed, 974711);
    h = Math.imul(h ^ (h >>> 13), 1274126177);
    return ((h ^ (h >>> 16)) >>> 0) / 4294967295;
  };
  const octave = (x: number, z: number, cells: number) => {
    const [fx, fz] = [(x / TEXELS) * cells, (z / TEXELS) * cells];
    const [ix, iz] = [Math.floor(fx), Math.floor(fz)];
    const smooth = (t: number) => t * t * t * (t * (t * 6 - 15) + 10);
    const [tx, tz] = [smooth(fx - ix), smooth(fz - iz)];
    const at = (dx: number, dz: number) => hash((ix + dx) % cells, (iz + dz) % cells, cells);
    const north = at(0, 0) + (at(1, 0) - at(0, 0)) * tx;
    const south = at(0, 1) + (at(1, 1) - at(0, 1)) * tx;
    return north + (south - north) * tz;
  };
  for (let z = 0; z < TEXELS; z++) {
    for (let x = 0; x < TEXELS; x++) {
      heights[z * TEXELS + x] = octave(x, z, 4) * 0.54 + octave(x, z, 9) * 0.27 + octave(x, z, 19) * 0.13 + octave(x, z, 37) * 0.06;
    }
  }
  return heights;
}
