// Names as people read them. A guest is called `<wish>~<agent id>`, which is unique but no name; shown is the wish and a short
// number. Accounts' names hold no blank, so nobody can be taken for an account.

/** Agents' ids come in blocks of so many; the number within its block tells guests of one evening apart. */
const ID_BLOCK = 65_536;

/** `Walker~65549` → `Walker 13`; other names stay as they are. */
export function friendlyName(name: string): string {
  const guest = /^(.+)~(\d+)$/.exec(name);
  return guest ? `${guest[1]} ${Number(BigInt(guest[2]!) % BigInt(ID_BLOCK))}` : name;
}
