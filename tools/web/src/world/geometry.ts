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
