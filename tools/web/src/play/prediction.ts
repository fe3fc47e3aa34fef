// Where the own agent is, before the server says so: each input moves it at once; each update puts it where the server
// saw it and repeats the inputs the server has not seen. What is left of a difference is smoothed away in the picture.

/** The picture closes a correction by this factor per second. */
const SMOOTHING_PER_S = 10;
/** A larger correction is shown at once. */
const SNAP_M = 6;
/** Full speed until it is measured or told, in m/s. */
const SPEED_GUESS_M_S = 5;
/** Confirmed ways kept to measure the speed. */
const SPEED_SAMPLES = 15;

interface Step {
  readonly seq: number;
  /** Parts of full speed, -1 to 1. */
  readonly dx: number;
  readonly dz: number;
}

export class Prediction {
  /** Present position, metres. */
  x = 0;
  z = 0;
  /** Full speed in m/s. */
  speed = SPEED_GUESS_M_S;
  /** The last correction in metres. */
  error = 0;
  /** The largest correction since the start, the first two seconds excluded. */
  errorMax = 0;
  #speedTold = false;
  #ready = false;
  #edge = Infinity;
  #stepS = 0.05;
  #steps: Step[] = [];
  #before = { x: 0, z: 0 };
  #offset = { x: 0, z: 0 };
  #confirmed: { x: number; z: number; tick: number } | undefined;
  #confirmedStep: Step | undefined;
  #ways: number[] = [];
  #reconciled = 0;

  /** Known once the first position came. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Steps the server has not confirmed. */
  get open(): number {
    return this.#steps.length;
  }

  start(edgeM: number, tickHz: number): void {
    this.#edge = edgeM;
    this.#stepS = 1 / tickHz;
    this.#steps = [];
    this.#ready = false;
    this.#confirmed = undefined;
    this.#reconciled = 0;
  }

  /** The game tells its speed: no need to measure. */
  tellSpeed(speed: number): void {
    if (speed > 0 && speed < 1_000) {
      this.speed = speed;
      this.#speedTold = true;
    }
  }

  /** The input `seq` was sent: one tick's walk in that direction. */
  step(seq: number, dx: number, dz: number): void {
    this.#before = { x: this.x, z: this.z };
    const step = { seq, dx, dz };
    this.#steps.push(step);
    this.#walk(step);
  }

  /** A tick without an input: the agent stands. */
  rest(): void {
    this.#before = { x: this.x, z: this.z };
  }

  /** The server had the agent at (x, z) at `tick`, after input `applied`. */
  reconcile(applied: number, tick: number, x: number, z: number): void {
    const drawn = { x: this.x + this.#offset.x, z: this.z + this.#offset.z };
    const before = { x: this.x, z: this.z };
    const first = this.#steps.findIndex((step) => step.seq > applied);
    const done = first < 0 ? this.#steps.splice(0) : this.#steps.splice(0, first);
    this.#measure(done, tick, x, z);
    this.x = x;
    this.z = z;
    for (const step of this.#steps) this.#walk(step);
    if (!this.#ready) {
      this.#ready = true;
      this.#before = { x: this.x, z: this.z };
      return;
    }
    this.#correct(before, drawn);
  }

  /** Where to draw it: `part` of the present tick has passed, `seconds` since the last drawing. */
  drawnAt(part: number, seconds: number, out: { x: number; z: number }): void {
    const keep = Math.exp(-SMOOTHING_PER_S * seconds);
    this.#offset.x *= keep;
    this.#offset.z *= keep;
    out.x = this.#before.x + (this.x - this.#before.x) * part + this.#offset.x;
    out.z = this.#before.z + (this.z - this.#before.z) * part + this.#offset.z;
  }

  #correct(before: { x: number; z: number }, drawn: { x: number; z: number }): void {
    const [dx, dz] = [this.x - before.x, this.z - before.z];
    this.error = Math.hypot(dx, dz);
    this.#reconciled++;
    if (this.#reconciled > 40) this.errorMax = Math.max(this.errorMax, this.error);
    this.#before = { x: this.#before.x + dx, z: this.#before.z + dz };
    this.#offset = { x: drawn.x - this.x, z: drawn.z - this.z };
    if (Math.hypot(this.#offset.x, this.#offset.z) > SNAP_M) this.#offset = { x: 0, z: 0 };
  }

  #walk(step: Step): void {
    const way = this.speed * this.#stepS;
    this.x = Math.min(Math.max(this.x + step.dx * way, 0), this.#edge);
    this.z = Math.min(Math.max(this.z + step.dz * way, 0), this.#edge);
  }

  /** Full speed, from what the server made of a steady walk: the median of the last ways. */
  #measure(applied: Step[], tick: number, x: number, z: number): void {
    const last = applied.at(-1) ?? this.#confirmedStep;
    const steady = last !== undefined && this.#confirmedStep !== undefined
      && applied.every((step) => step.dx === last.dx && step.dz === last.dz)
      && this.#confirmedStep.dx === last.dx && this.#confirmedStep.dz === last.dz
      && Math.hypot(last.dx, last.dz) > 0.9;
    const from = this.#confirmed;
    if (steady && from && tick > from.tick && !this.#speedTold) {
      const way = Math.hypot(x - from.x, z - from.z) / ((tick - from.tick) * this.#stepS);
      if (way > 0.1) this.#ways.push(way);
      if (this.#ways.length > SPEED_SAMPLES) this.#ways.shift();
      if (this.#ways.length >= 3) this.speed = this.#ways.toSorted((a, b) => a - b)[this.#ways.length >> 1]!;
    }
    this.#confirmed = { x, z, tick };
    this.#confirmedStep = last;
  }
}
