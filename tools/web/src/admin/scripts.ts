// Designers' scripts: which run, and which failed where.
import { authorization } from "./token.js";

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
  readonly faults: readonly ScriptFault[];
}

type Json = Record<string, unknown>;

export async function fetchScripts(): Promise<Script[]> {
  const answer = await fetch("/api/scripts", { headers: authorization(), cache: "no-store" });
  if (!answer.ok) throw new Error(`the scripts' list answered ${answer.status}`);
  return parseScripts(await answer.json());
}

export function parseScripts(json: unknown): Script[] {
  const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  return list((json as Json | null)?.["scripts"]).map((script) => ({
    name: text(script["name"]), isOn: script["is_on"] === true, isRolledBack: script["is_rolled_back"] === true,
    faults: list(script["faults"]).map((fault) => ({
      shard: text(fault["shard"]), line: Number(fault["line"]) || 0, text: text(fault["text"]), values: text(fault["values"]),
    })),
  }));
}
