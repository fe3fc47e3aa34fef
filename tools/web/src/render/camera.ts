// Which part of the space is on the screen. Moves towards its aim smoothly; all sizes in CSS pixels and metres.

/** Closes the way to its aim by this factor per second. */
const EASE_PER_S = 9;
const SCALE_MAX = 48;

export class Camera {
  /** Middle of the view, metres. */
  x = 0;
  z = 0;
  /** Pixels per metre. */
  scale = 1;
  width = 1;
  height = 1;
  /** Pixels at the edges that panels cover. */
  insetTop = 0;
  insetRight = 0;
  insetBottom = 0;
  #aimX = 0;
  #aimZ = 0;
  #aimScale = 1;
  #scaleMin = 0.05;

  resize(width: number, height: number): void {
    this.width = width;
    this.height = height;
  }

  /** The whole square in view. */
  fit(edgeM: number, jump: boolean): void {
    const scale = this.fitScale(edgeM);
    this.#scaleMin = scale * 0.6;
    this.aim(edgeM / 2, edgeM / 2, scale);
    if (jump) this.jump();
  }

  fitScale(edgeM: number): number {
    return (Math.min(this.width - this.insetRight, this.height - this.insetTop - this.insetBottom) * 0.95) / edgeM;
  }

  aim(x: number, z: number, scale = this.#aimScale): void {
    this.#aimX = x;
    this.#aimZ = z;
    this.#aimScale = Math.min(Math.max(scale, this.#scaleMin), SCALE_MAX);
  }

  jump(): void {
    this.x = this.#aimX;
    this.z = this.#aimZ;
    this.scale = this.#aimScale;
  }

  /** Keeps (x, z) in the middle exactly, only the zoom eases. */
  follow(x: number, z: number): void {
    const far = Math.hypot(x - this.x, z - this.z) * this.scale;
    this.#aimX = x;
    this.#aimZ = z;
    if (far < 24) {
      this.x = x;
      this.z = z;
    }
  }

  pan(pixelsX: number, pixelsY: number): void {
    this.aim(this.#aimX - pixelsX / this.scale, this.#aimZ - pixelsY / this.scale);
    this.x = this.#aimX;
    this.z = this.#aimZ;
  }

  /** Zooms by `factor`, keeping what is under (px, py) there. */
  zoom(factor: number, px: number, py: number): void {
    const scale = Math.min(Math.max(this.#aimScale * factor, this.#scaleMin), SCALE_MAX);
    const [x, z] = [this.worldX(px), this.worldZ(py)];
    this.aim(x - (px - this.centreX) / scale, z - (py - this.centreY) / scale, scale);
  }

  zoomAtCentre(factor: number): void {
    this.aim(this.#aimX, this.#aimZ, this.#aimScale * factor);
  }

  step(seconds: number): void {
    const part = 1 - Math.exp(-EASE_PER_S * seconds);
    this.x += (this.#aimX - this.x) * part;
    this.z += (this.#aimZ - this.z) * part;
    this.scale *= Math.exp(Math.log(this.#aimScale / this.scale) * part);
  }

  get centreX(): number {
    return (this.width - this.insetRight) / 2;
  }

  get centreY(): number {
    return (this.height + this.insetTop - this.insetBottom) / 2;
  }

  screenX(x: number): number {
    return (x - this.x) * this.scale + this.centreX;
  }

  screenY(z: number): number {
    return (z - this.z) * this.scale + this.centreY;
  }

  worldX(px: number): number {
    return (px - this.centreX) / this.scale + this.x;
  }

  worldZ(py: number): number {
    return (py - this.centreY) / this.scale + this.z;
  }
}
