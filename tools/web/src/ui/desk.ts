// An operator's desk: what changes something. Buttons ask first, unless it can be undone; to a viewer they say why not.
import type { MoveStatus, SceneStatus, ShardStatus } from "../admin/api.js";
import { VIEWER_REASON } from "../admin/caller.js";
import type { ScriptOrder } from "../admin/orders.js";
import { Orders } from "../admin/orders.js";
import type { TunableValue } from "../admin/tunables.js";
import { count, make } from "./elements.js";
import { OrderCard } from "./order.js";
import type { Who } from "./who.js";

export class Desk {
  readonly #orders = new Orders();
  readonly #card = new OrderCard();

  /** `development`: shards may be stopped. */
  constructor(readonly who: Who, readonly development: boolean) {}

  /** A button that orders something, or, to a viewer, tells why not. */
  button(words: string, does: () => void): HTMLButtonElement {
    const made = make("button", "", words);
    made.type = "button";
    made.disabled = !this.who.mayChange;
    made.title = this.who.mayChange ? "" : VIEWER_REASON;
    made.onclick = does;
    return made;
  }

  move(shard: ShardStatus, to: string): void {
    this.#card.ask({
      title: `Move shard ${shard.id} to ${to}?`,
      verb: "Move",
      weigh: async () => {
        const { from, entities, players } = await this.#orders.move(shard.id, to, true);
        return `It leaves ${from} with ${count(entities)} entities, ${count(players)} players among them. They go on while it is copied.`;
      },
      give: () => this.#orders.move(shard.id, to, false),
    });
  }

  split(shard: ShardStatus): void {
    this.#card.ask({
      title: `Split shard ${shard.id} into four?`,
      verb: "Split",
      weigh: async () => {
        const { from, entities, players } = await this.#orders.recut("split", shard.id, true);
        return `Its four quarters stay at ${from} with its ${count(entities)} entities, ${count(players)} players among them. They stand still for a moment.`;
      },
      give: () => this.#orders.recut("split", shard.id, false),
    });
  }

  /** `parent`: the one to become. */
  merge(parent: string): void {
    this.#card.ask({
      title: `Merge four shards into ${parent}?`,
      verb: "Merge",
      weigh: async () => {
        const { to, entities, players, gathers } = await this.#orders.recut("merge", parent, true);
        const first = gathers.length === 0 ? "" : ` First ${gathers.map(({ shard, from }) => `${shard} moves there from ${from}`).join(", ")}.`;
        return `Its four quarters become one at ${to}, with ${count(entities)} entities, ${count(players)} players among them. They stand still for a moment.${first}`;
      },
      give: () => this.#orders.recut("merge", parent, false),
    });
  }

  pause(shard: ShardStatus): void {
    this.#card.ask({
      title: `Pause shard ${shard.id}?`,
      verb: "Pause",
      weigh: async () => {
        const { entities, players } = await this.#orders.halt("pause", shard.id, 1, true);
        return `Nobody moves in it, neither its ${count(entities)} entities nor the ${count(players)} players among them, until you let it go on, or for ten minutes.`;
      },
      give: () => this.#orders.halt("pause", shard.id, 1, false),
    });
  }

  /** Lets it go on, or runs some ticks of it: nothing that would have to be asked twice. */
  halt(what: "resume" | "step", shard: ShardStatus, ticks: number): void {
    const told = this.#orders.halt(what, shard.id, ticks, false);
    told.catch((error: unknown) => this.#card.ask({
      title: `Shard ${shard.id} did not ${what === "step" ? "step" : "go on"}`, verb: "Try again",
      weigh: () => Promise.reject(error), give: () => this.#orders.halt(what, shard.id, ticks, false),
    }));
  }

  abort({ id, kind, shard, from, to }: MoveStatus): void {
    this.#card.ask({
      title: `Abort the ${kind} of shard ${shard}?`,
      verb: "Abort",
      weigh: () => Promise.resolve(kind === "move" ? `It stays at ${from}, unless ${to} owns it by then.` : "The map stays as it is, unless it is cut by then."),
      give: () => this.#orders.abort(id),
    });
  }

  drain({ id }: SceneStatus): void {
    this.#card.ask({
      title: `Drain ${id}?`,
      verb: "Drain",
      weigh: async () => {
        const { shards, entities, to } = await this.#orders.drain("scenes", id, true);
        return `Its ${count(shards ?? 0)} shards with ${count(entities ?? 0)} entities move to ${to.join(", ")}, one after the other, while people play. Then it may be stopped.`;
      },
      give: () => this.#orders.drain("scenes", id, false),
    });
  }

  undrain({ id }: SceneStatus): void {
    this.#card.ask({
      title: `Use ${id} again?`,
      verb: "Use again",
      weigh: async () => `It is ${(await this.#orders.undrain("scenes", id, true)).was}, and takes shards again.`,
      give: () => this.#orders.undrain("scenes", id, false),
    });
  }

  script(name: string, what: ScriptOrder): void {
    const [title, verb, meaning] = {
      on: [`Turn script ${name} on?`, "Turn on", "It runs in all shards from one tick on."],
      off: [`Turn script ${name} off?`, "Turn off", "It runs nowhere until it is turned on again; what it has changed stays."],
      rollback: [`Roll script ${name} back?`, "Roll back", "The last version that failed nowhere runs in all shards from one tick on. The file stays as it was saved."],
    }[what] as [string, string, string];
    this.#card.ask({
      title, verb,
      weigh: async () => {
        await this.#orders.script(name, what, true);
        return meaning;
      },
      give: () => this.#orders.script(name, what, false),
    });
  }

  /** `null`: as the game begins with it. */
  tune(name: string, value: TunableValue | null): Promise<void> {
    return this.#orders.tune(name, value);
  }

  untune(version: number): Promise<void> {
    return this.#orders.untune(version);
  }
}
