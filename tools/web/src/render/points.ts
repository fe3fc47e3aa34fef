// Entities as instanced discs, diamonds for items, and rings for what happens: all in one draw call each.
import type { Entities } from "../world/entities.js";
import { NO_ITEM } from "../world/entities.js";
import { Program, Quads } from "./gl.js";

const VERTEX = `
layout(location=0) in vec2 corner;
layout(location=1) in vec4 place; // x, z, radius in pixels, shape: 0 disc, 1 diamond, 2 ring, 3 disc with a halo
layout(location=2) in vec4 paint; // colour, alpha
uniform vec2 u_pixel; // clip units per pixel
out vec2 v_pixels;
flat out float v_radius;
flat out float v_shape;
flat out vec4 v_paint;
void main() {
  float reach = place.z + (place.w > 2.5 ? place.z * 1.2 + 6.0 : 2.0);
  v_pixels = corner * reach;
  v_radius = place.z;
  v_shape = place.w;
  v_paint = paint;
  gl_Position = clip(place.xy) + vec4(v_pixels * u_pixel, 0.0, 0.0);
}`;

const FRAGMENT = `
in vec2 v_pixels;
flat in float v_radius;
flat in float v_shape;
flat in vec4 v_paint;
out vec4 colour;
void main() {
  float d = length(v_pixels);
  float cover;
  vec3 rgb = v_paint.rgb;
  if (v_shape < 0.5) {
    float big = step(4.5, v_radius);
    float rim = smoothstep(v_radius - 2.4, v_radius - 1.2, d) * big;
    cover = 1.0 - smoothstep(v_radius - 0.6, v_radius + 0.6, d);
    rgb = mix(rgb * mix(1.0, 1.12, big * smoothstep(v_radius, -v_radius, v_pixels.x + v_pixels.y)), vec3(0.03, 0.05, 0.055), rim * 0.8);
  } else if (v_shape < 1.5) {
    float m = abs(v_pixels.x) + abs(v_pixels.y);
    cover = 1.0 - smoothstep(v_radius - 0.8, v_radius + 0.8, m);
    rgb *= mix(0.8, 1.15, step(v_pixels.y, 0.0));
  } else if (v_shape < 2.5) {
    cover = 1.0 - smoothstep(0.5, 1.6, abs(d - v_radius));
  } else {
    cover = 1.0 - smoothstep(v_radius - 0.6, v_radius + 0.6, d);
    float ring = 1.0 - smoothstep(0.5, 1.5, abs(d - v_radius - 4.0));
    rgb = mix(vec3(1.0), rgb, cover);
    cover = max(cover, ring * 0.85);
  }
  colour = vec4(rgb, 1.0) * (cover * v_paint.a);
}`;

/** Milliseconds a slot fades when its entity left. */
const FADE_MS = 250;
/** Milliseconds a hit is seen. */
const HURT_MS = 220;
/** Hues as in the `look` component, 0 to 255, made calm: red, green and blue of each. */
const HUES = makeHues();

/** How each `kind` of the `look` component is drawn: people in their own colour, creatures and plants in quieter tones. */
const KINDS: readonly { size: number; quietSize: number; pale: number; alpha: number; tone: readonly [number, number, number] }[] = [
  { size: 1.25, quietSize: 1.45, pale: 0, alpha: 1, tone: [1, 1, 1] },
  { size: 0.85, quietSize: 1, pale: 0.72, alpha: 1, tone: [0.86, 0.88, 0.83] },
  { size: 1, quietSize: 1.1, pale: 0.7, alpha: 1, tone: [0.56, 0.62, 0.7] },
  { size: 0.8, quietSize: 1, pale: 0.5, alpha: 1, tone: [0.9, 0.78, 0.5] },
  { size: 1.7, quietSize: 1.1, pale: 0.85, alpha: 0.8, tone: [0.33, 0.5, 0.36] },
];

/** How entities are drawn. */
export interface PointStyle {
  /** Pixels per metre. */
  readonly scale: number;
  /** The own agent, drawn where it is predicted, not where it was told. */
  readonly own: number | undefined;
  readonly ownX: number;
  readonly ownZ: number;
  readonly target: number | undefined;
  /** On the map all are small and quiet. */
  readonly quiet: boolean;
}

export class Points {
  readonly #program: Program;
  readonly #quads: Quads;
  #count = 0;

  constructor(readonly gl: WebGL2RenderingContext) {
    this.#program = new Program(gl, VERTEX, FRAGMENT);
    this.#quads = new Quads(gl, [4, 4], 8_192);
  }

  begin(count: number): void {
    this.#quads.reserve(count);
    this.#count = 0;
  }

  add(x: number, z: number, radius: number, shape: number, r: number, g: number, b: number, a: number): void {
    const { data } = this.#quads;
    const at = this.#count++ * 8;
    data[at] = x;
    data[at + 1] = z;
    data[at + 2] = radius;
    data[at + 3] = shape;
    data[at + 4] = r;
    data[at + 5] = g;
    data[at + 6] = b;
    data[at + 7] = a;
  }

  addEntities(entities: Entities, style: PointStyle, now: number): void {
    const size = style.quiet ? Math.min(Math.max(style.scale * 0.7, 1.15), 9) : Math.min(Math.max(style.scale * 0.55, 2.5), 16);
    for (let slot = 0; slot < entities.count; slot++) {
      if (slot === style.own) continue;
      const leftAt = entities.leftAt[slot]!;
      const alpha = leftAt === 0 ? 1 : 1 - (now - leftAt) / FADE_MS;
      if (alpha <= 0) continue;
      const [x, z] = [entities.x[slot]!, entities.z[slot]!];
      if (entities.item[slot] !== NO_ITEM) {
        this.add(x, z, size * (style.quiet ? 1.1 : 0.8), 1, 0.93, 0.78, 0.46, alpha * 0.95);
        continue;
      }
      const hue = entities.hue[slot]! * 3;
      const hurt = now - entities.hurtAt[slot]! < HURT_MS ? 1 : 0;
      const kind = KINDS[entities.kind[slot]!] ?? KINDS[1]!;
      const grow = style.quiet ? kind.quietSize : kind.size;
      const pale = style.quiet ? 0.62 : kind.pale;
      const r = HUES[hue]! + (kind.tone[0] - HUES[hue]!) * pale;
      const g = HUES[hue + 1]! + (kind.tone[1] - HUES[hue + 1]!) * pale;
      const b = HUES[hue + 2]! + (kind.tone[2] - HUES[hue + 2]!) * pale;
      this.add(x, z, size * grow, 0, r + (1 - r) * hurt, g * (1 - 0.5 * hurt), b * (1 - 0.5 * hurt), alpha * (style.quiet ? 0.82 : kind.alpha));
      if (slot === style.target) this.add(x, z, size * grow + 5, 2, 0.95, 0.62, 0.55, 0.8);
    }
    if (style.own !== undefined) this.#addOwn(entities, style, size);
  }

  draw(view: (program: Program) => void, pixelX: number, pixelY: number): void {
    this.#program.use();
    view(this.#program);
    this.gl.uniform2f(this.#program.uniform("u_pixel"), pixelX, -pixelY);
    this.#quads.draw(this.#count);
  }

  #addOwn(entities: Entities, style: PointStyle, size: number): void {
    const hue = entities.hue[style.own!]! * 3;
    this.add(style.ownX, style.ownZ, size * 1.15, 3, HUES[hue]!, HUES[hue + 1]!, HUES[hue + 2]!, 1);
  }
}

function makeHues(): Float32Array {
  const table = new Float32Array(256 * 3);
  for (let hue = 0; hue < 256; hue++) {
    for (let channel = 0; channel < 3; channel++) {
      const turn = (hue / 256) * Math.PI * 2 - (channel * Math.PI * 2) / 3;
      table[hue * 3 + channel] = 0.68 + 0.17 * Math.cos(turn);
    }
  }
  return table;
}
