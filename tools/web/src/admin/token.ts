// Who asks: the token that this page shows to the cluster, kept for as long as its tab lives. It is in no cookie, so no other
// page can ask in its name.
const TOKEN = "pangaea.token";

/** The token shown; empty: none, which is enough to look on the world's own machine. */
export const shownToken = (): string => sessionStorage.getItem(TOKEN) ?? "";

export function showToken(token: string): void {
  if (token.trim() === "") sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, token.trim());
}

/** What every request to the admin API carries. */
export function authorization(): Record<string, string> {
  const token = shownToken();
  return token === "" ? {} : { authorization: `Bearer ${token}` };
}
