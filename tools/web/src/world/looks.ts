// What the game's components mean to a player: names, looks, health, items and pace, found in the registry by name. A game
// without one of them is drawn without it.
import type { Entities } from "./entities.js";
import { friendlyName } from "./names.js";
import type { PlainType, Registry } from "./registry.js";

type Apply = (entities: Entities, slot: number, view: DataView, base: number) => void;

/** Component id → what it changes in a slot. */
export class Looks {
  readonly #apply = new Map<number, Apply>();

  constructor(registry: Registry) {
    this.#on(registry.component("name"), ["text"], (type) => (entities, slot, view, base) => {
      entities.name[slot] = friendlyName(type.text(view, base, "text"));
    });
    this.#on(registry.component("look"), ["kind", "hue"], (type) => (entities, slot, view, base) => {
      entities.kind[slot] = type.number(view, base, "kind");
      entities.hue[slot] = type.number(view, base, "hue");
    });
    this.#on(registry.component("health"), ["now", "max"], (type) => (entities, slot, view, base) => {
      entities.health[slot] = type.number(view, base, "now");
      entities.healthMax[slot] = type.number(view, base, "max");
    });
    this.#on(registry.component("pace"), ["metres_per_s"], (type) => (entities, slot, view, base) => {
      entities.pace[slot] = type.number(view, base, "metres_per_s");
    });
    this.#on(registry.component("item"), ["kind"], (type) => (entities, slot, view, base) => {
      entities.item[slot] = type.number(view, base, "kind");
    });
  }

  /** The component `id` of `slot` now has the bytes at `base`. */
  apply(entities: Entities, slot: number, id: number, view: DataView, base: number): void {
    this.#apply.get(id)?.(entities, slot, view, base);
  }

  #on(type: PlainType | undefined, fields: string[], make: (type: PlainType) => Apply): void {
    if (type?.has(...fields)) this.#apply.set(type.id, make(type));
  }
}
