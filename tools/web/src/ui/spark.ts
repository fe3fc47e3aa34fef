// A small line of how a number went, with its value now and its highest.
import { make } from "./elements.js";

const WIDTH = 112;
const HEIGHT = 22;

/** A moment and a value. */
export type SparkPoint = readonly [atMs: number, value: number];

/** `points` in order of time, drawn from `fromMs` to `toMs` and from 0 to `full`, or to more where they go beyond it. */
export function spark(points: readonly SparkPoint[], fromMs: number, toMs: number, full: number, colour: string): HTMLCanvasElement {
  const canvas = make("canvas", "spark");
  const ratio = Math.min(devicePixelRatio || 1, 2);
  canvas.width = WIDTH * ratio;
  canvas.height = HEIGHT * ratio;
  const pen = canvas.getContext("2d");
  if (!pen || points.length === 0) return canvas;
  const top = Math.max(full, ...points.map(([, value]) => value)) || 1;
  const x = (atMs: number) => ((atMs - fromMs) / Math.max(1, toMs - fromMs)) * WIDTH;
  const y = (value: number) => HEIGHT - 1.5 - (value / top) * (HEIGHT - 3);
  pen.scale(ratio, ratio);
  pen.beginPath();
  for (const [atMs, value] of points) pen.lineTo(x(atMs), y(value));
  pen.strokeStyle = colour;
  pen.lineWidth = 1.4;
  pen.lineJoin = "round";
  pen.stroke();
  pen.lineTo(x(points.at(-1)![0]), HEIGHT);
  pen.lineTo(x(points[0]![0]), HEIGHT);
  pen.fillStyle = colour;
  pen.globalAlpha = 0.16;
  pen.fill();
  return canvas;
}
