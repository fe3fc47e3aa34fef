// Everything that is drawn, in order: ground, shards, entities, rings, then words on a second canvas.
import { Camera } from "./camera.js";
import type { Program } from "./gl.js";
import { Ground } from "./ground.js";
import type { PointStyle } from "./points.js";
import { Points } from "./points.js";
import type { ShardTile } from "./shards.js";
import { ShardTiles } from "./shards.js";
import type { Entities } from "../world/entities.js";

/** Rings alive at a time; the oldest gives way. */
const RINGS = 64;
const RING_MS = 1_400;
/** Fewer frames than this make the picture coarser, down to this part of its pixels' edge. */
const SLOW_FRAMES_PER_S = 25;
const QUALITY_MIN = 0.6;

export class Stage {
  readonly camera = new Camera();
  readonly words: CanvasRenderingContext2D;
  /** Device pixels per CSS pixel: of words, and of the picture, which is coarser on machines that cannot keep up. */
  wordRatio = 1;
  ratio = 1;
  #quality = 1;
  #slowSeconds = 0;
  #resized = true;
  readonly #gl: WebGL2RenderingContext;
  readonly #ground: Ground;
  readonly #tiles: ShardTiles;
  readonly #points: Points;
  readonly #rings = Array.from({ length: RINGS }, () => ({ x: 0, z: 0, at: -Infinity }));
  #nextRing = 0;
  readonly #view = (program: Program) => this.#setView(program);

  constructor(readonly canvas: HTMLCanvasElement, readonly wordCanvas: HTMLCanvasElement) {
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: false, powerPreference: "high-performance" });
    const words = wordCanvas.getContext("2d");
    if (!gl || !words) throw new Error("This page draws with WebGL 2, which this browser does not offer.");
    this.#gl = gl;
    this.words = words;
    this.#ground = new Ground(gl);
    this.#tiles = new ShardTiles(gl);
    this.#points = new Points(gl);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** So many frames in the last second: too few for three seconds make the picture coarser. */
  adapt(framesPerS: number): void {
    this.#slowSeconds = framesPerS < SLOW_FRAMES_PER_S && !document.hidden ? this.#slowSeconds + 1 : 0;
    if (this.#slowSeconds < 3 || this.#quality <= QUALITY_MIN) return;
    this.#quality *= 0.75;
    this.#slowSeconds = 0;
    this.#resized = true;
  }

  /** The window changed; takes effect with the next frame, so that no empty canvas is ever seen. */
  resize(): void {
    this.#resized = true;
    this.camera.resize(this.canvas.clientWidth, this.canvas.clientHeight);
  }

  /** Something happened at (x, z): a ring opens there. */
  ring(x: number, z: number, now: number): void {
    const ring = this.#rings[this.#nextRing++ % RINGS]!;
    ring.x = x;
    ring.z = z;
    ring.at = now;
  }

  /** Call before anything of a frame is drawn. */
  begin(): void {
    if (!this.#resized) return;
    this.#resized = false;
    this.#fitCanvases();
  }

  draw(edgeM: number, tiles: readonly ShardTile[], entities: Entities, style: PointStyle, now: number): void {
    const gl = this.#gl;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0.031, 0.043, 0.051, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const scale = this.camera.scale * this.ratio;
    this.#ground.draw(edgeM, this.#view, scale);
    this.#tiles.draw(tiles, this.#view, scale, style.quiet ? 1 : 0.45, (now / 1_000) % 3_600);
    this.#points.begin(entities.count * 2 + RINGS + 1);
    this.#points.addEntities(entities, style, now);
    for (const ring of this.#rings) {
      const age = (now - ring.at) / RING_MS;
      if (age < 1) this.#points.add(ring.x, ring.z, (3 + 20 * Math.sqrt(age)) * this.ratio, 2, 1, 0.97, 0.88, (1 - age) ** 2 * 0.9);
    }
    this.#points.draw(this.#view, 2 / this.canvas.width, 2 / this.canvas.height);
  }

  #setView(program: Program): void {
    const { camera } = this;
    const [ux, uz] = [(2 * camera.scale) / camera.width, (2 * camera.scale) / camera.height];
    this.#gl.uniform4f(program.uniform("u_view"), camera.x, camera.z, ux, uz);
    this.#gl.uniform2f(program.uniform("u_shift"), (2 * camera.centreX) / camera.width - 1, (2 * camera.centreY) / camera.height - 1);
  }

  #fitCanvases(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.wordRatio = Math.min(devicePixelRatio || 1, 2);
    this.ratio = this.wordRatio * this.#quality;
    const fit = (canvas: HTMLCanvasElement, ratio: number) => {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    };
    fit(this.canvas, this.ratio);
    fit(this.wordCanvas, this.wordRatio);
  }
}
