// Whom an attack meets and what a hand can take: the nearest that fits, on either side of any border.
import type { Entities } from "../world/entities.js";
import { NO_ITEM, PERSON } from "../world/entities.js";

/** How far the client looks for somebody to hit; the server decides what is in reach. */
export const ATTACK_LOOK_M = 7;
/** How far the client looks for something to take. */
export const TAKE_LOOK_M = 5;

/** Farthest hand-to-hand distance; the server decides as well. */
export const ARM_M = 4;

/** The nearest person at arm's length of (x, z), but `self`. */
export function nearestPerson(entities: Entities, x: number, z: number, self: number | undefined): number | undefined {
  return nearest(entities, x, z, ARM_M, (slot) => slot !== self && isUp(entities, slot) && entities.kind[slot] === PERSON);
}

/** The nearest being with health within `reach` of (x, z), but `self`. */
export function nearestBeing(entities: Entities, x: number, z: number, reach: number, self: number | undefined): number | undefined {
  return nearest(entities, x, z, reach, (slot) => slot !== self && isUp(entities, slot));
}

/** The nearest item within `reach` of (x, z). */
export function nearestItem(entities: Entities, x: number, z: number, reach: number): number | undefined {
  return nearest(entities, x, z, reach, (slot) => entities.item[slot] !== NO_ITEM);
}

/** Whether it is a being, and alive. */
function isUp(entities: Entities, slot: number): boolean {
  return entities.item[slot] === NO_ITEM && entities.healthMax[slot]! > 0 && entities.health[slot]! > 0;
}

/** Whatever is drawn within `reach` of (x, z). */
export function nearestOfAll(entities: Entities, x: number, z: number, reach: number): number | undefined {
  return nearest(entities, x, z, reach, () => true);
}

function nearest(entities: Entities, x: number, z: number, reach: number, fits: (slot: number) => boolean): number | undefined {
  let found: number | undefined;
  let best = reach;
  for (let slot = 0; slot < entities.count; slot++) {
    if (entities.leftAt[slot] !== 0 || !fits(slot)) continue;
    const far = Math.hypot(entities.x[slot]! - x, entities.z[slot]! - z);
    if (far < best) [best, found] = [far, slot];
  }
  return found;
}
