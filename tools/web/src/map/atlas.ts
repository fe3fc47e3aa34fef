// The shards of the space on show: tiles and labels made from the cluster's status, glow where hand-overs happen.
import type { ClusterEvent, ClusterStatus, ShardStatus } from "../admin/api.js";
import { concerns } from "../admin/moves.js";
import { ownerRgb } from "../render/palette.js";
import type { ShardTile } from "../render/shards.js";
import type { ShardLabel } from "../render/words.js";
import { shardLabel } from "../render/words.js";
import type { Square } from "../world/geometry.js";
import { parseShard, shardSquare, squareContains } from "../world/geometry.js";

/** A glow fades by this factor per second. */
const FADE_PER_S = 2.2;

export class Atlas {
  readonly tiles: ShardTile[] = [];
  readonly labels: ShardLabel[] = [];
  #ids: string[] = [];
  #byId = new Map<string, number>();
  #chosen: string | undefined;
  #pointed: string | undefined;

  show({ shards, moves }: ClusterStatus, space: number, cellEdgeM: number): void {
    const glows = new Map(this.#ids.map((id, i) => [id, this.tiles[i]!.glow]));
    this.#ids = [];
    this.#byId = new Map();
    this.tiles.length = 0;
    this.labels.length = 0;
    const ownerAt = this.#ownersOf(shards, cellEdgeM);
    for (const shard of shards) {
      const geometry = parseShard(shard.id);
      if (!geometry || geometry.space !== space) continue;
      const square = shardSquare(geometry, cellEdgeM);
      const move = moves.find((one) => !one.over && concerns(one, shard.id));
      this.#byId.set(shard.id, this.#ids.length);
      this.#ids.push(shard.id);
      this.tiles.push({
        square, colour: ownerRgb(shard.owner), glow: glows.get(shard.id) ?? 0, emphasis: this.#emphasis(shard.id),
        foreign: foreignSides(square, cellEdgeM, (x, z) => ownerAt(x, z) !== shard.owner),
        into: move?.kind === "move" ? ownerRgb(move.to) : undefined,
      });
      this.labels.push(shardLabel(shard, square, move));
    }
  }

  /** Whose land (x, z) is. */
  #ownersOf(shards: readonly ShardStatus[], cellEdgeM: number): (x: number, z: number) => string | undefined {
    const squares = shards.flatMap((shard) => {
      const geometry = parseShard(shard.id);
      return geometry ? [{ square: shardSquare(geometry, cellEdgeM), owner: shard.owner }] : [];
    });
    return (x, z) => squares.find(({ square }) => squareContains(square, x, z))?.owner;
  }

  choose(shard: string | undefined): void {
    this.#chosen = shard;
    this.#emphasise();
  }

  /** The pointer is over a shard, or over none. */
  point(shard: string | undefined): void {
    if (shard === this.#pointed) return;
    this.#pointed = shard;
    this.#emphasise();
  }

  #emphasise(): void {
    this.tiles.forEach((tile, i) => { tile.emphasis = this.#emphasis(this.#ids[i]!); });
  }

  #emphasis(shard: string): number {
    return shard === this.#chosen ? 1 : shard === this.#pointed ? 0.4 : 0;
  }

  at(x: number, z: number): string | undefined {
    return this.#ids[this.tiles.findIndex((tile) => squareContains(tile.square, x, z))];
  }

  /** Lets both shards of a hand-over glow; returns the middle of their border, for when the entity is not in view. */
  flash(event: ClusterEvent): { x: number; z: number } | undefined {
    const ends = [event.from, event.to].flatMap((id) => this.tiles[this.#byId.get(id ?? "") ?? -1] ?? []);
    for (const tile of ends) tile.glow = Math.min(1, tile.glow + 0.25);
    if (ends.length < 2) return undefined;
    const middle = (axis: "x" | "z") => ends.reduce((sum, { square }) => sum + square[axis] + square.edge / 2, 0) / 2;
    return { x: middle("x"), z: middle("z") };
  }

  step(seconds: number): void {
    const keep = Math.exp(-FADE_PER_S * seconds);
    for (const tile of this.tiles) tile.glow *= keep;
  }
}

/** North, east, south, west: 1 where the land beyond, looked at in two places, is not the same owner's. */
function foreignSides(square: Square, cellEdgeM: number, isForeign: (x: number, z: number) => boolean): [number, number, number, number] {
  const { x, z, edge } = square;
  const out = cellEdgeM / 2;
  const side = (at: (part: number) => [number, number]) => ([0.25, 0.75].some((part) => isForeign(...at(edge * part))) ? 1 : 0);
  return [
    side((along) => [x + along, z - out]), side((along) => [x + edge + out, z + along]),
    side((along) => [x + along, z + edge + out]), side((along) => [x - out, z + along]),
  ];
}
