// Colours of owners: few, calm, told apart also by people who see colours differently (they differ in lightness too).
import type { Rgb } from "./gl.js";

const OWNERS: readonly string[] = ["#4fb6a8", "#e0a458", "#8c9eff", "#d9799b", "#a9c25d", "#6fb1e3", "#c08bd8", "#d98a6a"];
export const UNOWNED = "#5d6b70";

/** A scene's colour by its number; the same in every session. */
export function ownerCss(owner: string | undefined): string {
  const ordinal = owner ? Number(/(\d+)$/.exec(owner)?.[1] ?? 0) : 0;
  return ordinal > 0 ? OWNERS[(ordinal - 1) % OWNERS.length]! : UNOWNED;
}

export function ownerRgb(owner: string | undefined): Rgb {
  const hex = parseInt(ownerCss(owner).slice(1), 16);
  return [(hex >> 16) / 255, ((hex >> 8) & 255) / 255, (hex & 255) / 255];
}
