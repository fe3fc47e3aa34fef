// Cells and shards, as the server's geometry has them: x grows east, z grows south.

/** A square block of cells with one owner; its name is space/level/x,z and level is the base-2 logarithm of its edge. */
export interface ShardGeometry {
  readonly space: number;
  readonly level: number;
  readonly x: number;
  readonly z: number;
}

/** From a name such as `0/3/1,0`; undefined when it is none. */
export function parseShard(name: string): ShardGeometry | undefined {
  const match = /^(\d+)\/(\d+)\/(\d+),(\d+)$/.exec(name);
  if (!match) return undefined;
  const [space, level, x, z] = match.slice(1).map(Number) as [number, number, number, number];
  return level <= 16 ? { space, level, x, z } : undefined;
}

export function shardName({ space, level, x, z }: ShardGeometry): string {
  return `${space}/${level}/${x},${z}`;
}

/** The one of which it is a quarter. */
export function parentOf({ space, level, x, z }: ShardGeometry): ShardGeometry {
  return { space, level: level + 1, x: x >> 1, z: z >> 1 };
}

/** The four that it may be cut into; none for a single cell. */
export function quartersOf({ space, level, x, z }: ShardGeometry): ShardGeometry[] {
  if (level === 0) return [];
  return [[0, 0], [1, 0], [0, 1], [1, 1]].map(([east, south]) => ({ space, level: level - 1, x: 2 * x + east!, z: 2 * z + south! }));
}

/** Whether one of them is a part of the other, or both are the same. */
export function overlap(one: ShardGeometry, other: ShardGeometry): boolean {
  const [small, large] = one.level <= other.level ? [one, other] : [other, one];
  const up = large.level - small.level;
  return small.space === large.space && small.x >> up === large.x && small.z >> up === large.z;
}

/** Of the shards there are, the one that has a shard's first cell: itself, or another since the map was cut anew there. */
export function heirOf(name: string, there: readonly string[]): string | undefined {
  if (there.includes(name)) return name;
  const shard = parseShard(name);
  if (!shard) return undefined;
  const first = { space: shard.space, level: 0, x: shard.x << shard.level, z: shard.z << shard.level };
  return there.find((other) => {
    const geometry = parseShard(other);
    return geometry !== undefined && overlap(first, geometry);
  });
}

/** A square in metres. */
export interface Square {
  readonly x: number;
  readonly z: number;
  readonly edge: number;
}

export function shardSquare(shard: ShardGeometry, cellEdgeM: number): Square {
  const edge = 2 ** shard.level * cellEdgeM;
  return { x: shard.x * edge, z: shard.z * edge, edge };
}

export function squareContains(square: Square, x: number, z: number): boolean {
  return x >= square.x && z >= square.z && x < square.x + square.edge && z < square.z + square.edge;
}

/** One number per cell. */
export function cellKey(x: number, z: number): number {
  return ((x << 16) | z) >>> 0;
}
