// Who this page is to the cluster, and what that allows.
import { authorization, showToken, shownToken } from "./token.js";

/** What somebody may do. */
export type Rank = "viewer" | "operator";

export interface Caller {
  readonly name: string;
  readonly rank: Rank;
}

/** Why a viewer's buttons do nothing. */
export const VIEWER_REASON = "A viewer may only look. Choose who you are at the top of this panel.";

export async function whoAmI(): Promise<Caller | undefined> {
  const answer = await fetch("/api/me", { headers: authorization(), cache: "no-store" });
  if (!answer.ok) return undefined;
  const { name, rank } = (await answer.json()) as { name: unknown; rank: unknown };
  return { name: String(name), rank: rank === "operator" ? "operator" : "viewer" };
}

/** Shows another token from now on, if the cluster knows it; otherwise everything stays. */
export async function become(token: string): Promise<Caller | undefined> {
  const before = shownToken();
  showToken(token);
  const caller = await whoAmI();
  if (!caller) showToken(before);
  return caller;
}
