// Tunables of the pretended cluster: two of them, with ranges and a history. Nothing else heeds them.
import type { IncomingMessage, ServerResponse } from "node:http";

type Value = number | boolean | null;
interface Change {
  version: number; at_us: number; by: string; why: string; name: string; before: Value; after: Value;
}

const SPECS = [
  { name: "wandering.speed_m_per_s", about: "Speed in m/s.", kind: "float", initial: 2.4, min: 0, max: 20 },
  { name: "weather.rain", about: "Whether it rains.", kind: "flag", initial: false, min: null, max: null },
];

export class Tunables {
  readonly #set = new Map<string, Value>();
  readonly #history: Change[] = [];

  view(): unknown {
    const version = this.#history.length;
    const tunables = SPECS.map((spec) => ({ ...spec, value: this.#set.get(spec.name) ?? spec.initial, is_set: this.#set.has(spec.name) }));
    return { version, from_tick: 0, tunables, history: this.#history, scenes: { "scene-1": version, "scene-2": version } };
  }

  order(request: IncomingMessage, response: ServerResponse, isUndo: boolean): void {
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      const told = JSON.parse(body) as { values?: Record<string, Value>; version?: number };
      const undone = this.#history.find((change) => change.version === told.version);
      const [name, value] = isUndo ? [undone?.name, undone?.before ?? null] : (Object.entries(told.values ?? {})[0] ?? []);
      const spec = SPECS.find((one) => one.name === name);
      if (!spec || value === undefined) return void response.writeHead(422).end("there is no such tunable\n");
      if (spec.max !== null && value !== null && !(typeof value === "number" && value >= spec.min && value <= spec.max)) {
        return void response.writeHead(422).end(`\`${spec.name}\` is a number from ${spec.min} to ${spec.max}; ${JSON.stringify(value)} is not\n`);
      }
      this.#change(spec.name, value, isUndo ? `undo ${told.version}` : "set");
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  }

  #change(name: string, after: Value, why: string): void {
    const before = this.#set.get(name) ?? null;
    if (after === null) this.#set.delete(name);
    else this.#set.set(name, after);
    this.#history.push({ version: this.#history.length + 1, at_us: Date.now() * 1_000, by: "olaf", why, name, before, after });
  }
}
