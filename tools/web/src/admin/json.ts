// What the admin API answers, read forgivingly: missing numbers are zero, missing texts empty, unknown fields ignored.
import { authorization } from "./token.js";

export type Json = Record<string, unknown>;

/** What the cluster answers to a question; what it says instead is the error's message. */
export async function ask(path: string): Promise<unknown> {
  const answer = await fetch(path, { headers: { accept: "application/json", ...authorization() }, cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `${path} answered ${answer.status}`);
  return answer.json();
}

export const object = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});
export const list = (value: unknown): Json[] => (Array.isArray(value) ? value.map(object) : []);
export const text = (value: unknown): string => (value === undefined || value === null ? "" : String(value));
export const number = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value : Number(value) || 0);
