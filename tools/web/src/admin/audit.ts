// The audit log: who changed what, when, and how it ended.
import { ask, list, number, object, text } from "./json.js";

export interface AuditEntry {
  readonly seq: number;
  /** Unix time in milliseconds. */
  readonly atMs: number;
  readonly who: string;
  /** What was asked for, in words. */
  readonly what: string;
  readonly dryRun: boolean;
  /** `done`, `refused`, `moved`, `kept`; empty when it is not known. */
  readonly result: string;
  readonly words: string;
}

/** The latest entries, the latest first. */
export async function fetchAudit(most: number): Promise<AuditEntry[]> {
  return parseAudit(await ask(`/api/audit?limit=${most}`));
}

export function parseAudit(json: unknown): AuditEntry[] {
  return list(json).map((entry) => ({
    seq: number(entry["seq"]), atMs: number(entry["at_us"]) / 1_000, who: text(entry["who"]),
    what: [text(entry["what"]), ...Object.values(object(entry["args"])).map(text), text(entry["body"])].filter((part) => part !== "").join(" "),
    dryRun: entry["dry_run"] === true, result: text(entry["result"]), words: text(entry["words"]),
  })).reverse();
}
