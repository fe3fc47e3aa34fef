// Designers' scripts: which run, and which failed where.
import { ask, list, number, object, text } from "./json.js";

export interface ScriptFault {
  readonly shard: string;
  /** 0: nowhere in particular. */
  readonly line: number;
  readonly text: string;
  /** The entity that it had in hand, in words. */
  readonly values: string;
}

export interface Script {
  readonly name: string;
  readonly isOn: boolean;
  readonly isRolledBack: boolean;
  /** There is an earlier version that failed nowhere. */
  readonly hasGood: boolean;
  readonly faults: readonly ScriptFault[];
}

export async function fetchScripts(): Promise<Script[]> {
  return parseScripts(await ask("/api/scripts"));
}

export function parseScripts(json: unknown): Script[] {
  return list(object(json)["scripts"]).map((script) => ({
    name: text(script["name"]), isOn: script["is_on"] === true, isRolledBack: script["is_rolled_back"] === true, hasGood: script["has_good"] === true,
    faults: list(script["faults"]).map((fault) => ({
      shard: text(fault["shard"]), line: number(fault["line"]), text: text(fault["text"]), values: text(fault["values"]),
    })),
  }));
}
