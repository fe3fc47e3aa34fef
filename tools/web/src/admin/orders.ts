// What an operator may order. Every order wants the operator's token, which this page keeps for as long as its tab lives.
const TOKEN = "pangaea.operator";

/** An order was refused; the message says why, in the cluster's words. */
export class Refusal extends Error {
  constructor(message: string, readonly wantsToken: boolean) {
    super(message);
  }
}

/** What moving a shard would mean. */
export interface MoveMeaning {
  readonly from: string;
  readonly entities: number;
  readonly players: number;
}

export class Orders {
  set token(token: string) {
    sessionStorage.setItem(TOKEN, token.trim());
  }

  /** What the move would mean now. Nothing is ordered. */
  async weighMove(shard: string, to: string): Promise<MoveMeaning> {
    return this.#migrate(shard, to, true);
  }

  async move(shard: string, to: string): Promise<void> {
    await this.#migrate(shard, to, false);
  }

  /** Ends a move where it began, if that is still possible. */
  async abort(move: number): Promise<void> {
    await this.#post(`/api/migrations/${move}/abort`);
  }

  async #migrate(shard: string, to: string, dryRun: boolean): Promise<MoveMeaning> {
    const answer = await this.#post(`/api/migrate?${new URLSearchParams({ shard, to, dry_run: String(dryRun) })}`);
    return (await answer.json()) as MoveMeaning;
  }

  async #post(path: string): Promise<Response> {
    const headers = { authorization: `Bearer ${sessionStorage.getItem(TOKEN) ?? ""}` };
    const answer = await fetch(path, { method: "POST", headers, cache: "no-store" });
    if (!answer.ok) throw new Refusal((await answer.text()).trim(), answer.status === 401);
    return answer;
  }
}
