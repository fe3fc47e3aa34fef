// The audit log: who changed what, when, and how it ended.
import { authorization } from "./token.js";

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

type Json = Record<string, unknown>;

/** The latest entries, the latest first. */
export async function fetchAudit(most: number): Promise<AuditEntry[]> {
  const answer = await fetch(`/api/audit?limit=${most}`, { headers: authorization(), cache: "no-store" });
  if (!answer.ok) throw new Error(`the audit log answered ${answer.status}`);
  return parseAudit(await answer.json());
}

export function parseAudit(json: unknown): AuditEntry[] {
  const entries = Array.isArray(json) ? (json as Json[]) : [];
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  return entries.map((entry) => ({
    seq: Number(entry["seq"]) || 0, atMs: (Number(entry["at_us"]) || 0) / 1_000, who: text(entry["who"]),
    what: [text(entry["what"]), ...Object.values((entry["args"] ?? {}) as Json).map(text), text(entry["body"])].filter((part) => part !== "").join(" "),
    dryRun: entry["dry_run"] === true, result: text(entry["result"]), words: text(entry["words"]),
  })).reverse();
}
