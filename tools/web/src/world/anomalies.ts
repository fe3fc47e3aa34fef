// What must never be seen: the client's own witness of the server's promises. Every count stays zero on a healthy cluster.

export interface Anomalies {
  /** One entity under two names at a time. */
  twice: number;
  /** An entity near the own agent went and came back at once. */
  blinked: number;
  /** The own agent was missing from its own view. */
  vanished: number;
  /** News of an entity that was never introduced. */
  unknown: number;
  /** The own agent moved further than it can walk. */
  jumped: number;
  /** Reliable events with a hole, without a resync. */
  eventGaps: number;
  /** Tick, input or event numbers that went back. */
  wentBack: number;
}

export function noAnomalies(): Anomalies {
  return { twice: 0, blinked: 0, vanished: 0, unknown: 0, jumped: 0, eventGaps: 0, wentBack: 0 };
}

export function totalAnomalies(anomalies: Anomalies): number {
  return Object.values(anomalies).reduce((sum: number, count: number) => sum + count, 0);
}
