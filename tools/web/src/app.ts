// The page: one world view, two modes. Owns the frame loop and passes what the user does to where it belongs.
import type { ClusterConfig, ClusterEvent, ClusterStatus } from "./admin/api.js";
import { fetchStatus, listen } from "./admin/api.js";
import { Cost, Rate } from "./figures.js";
import { History } from "./admin/history.js";
import { Atlas } from "./map/atlas.js";
import type { LinkFigures } from "./net/link.js";
import type { SessionState } from "./net/session.js";
import { asUrl } from "./net/gateways.js";
import { Spectator } from "./net/spectator.js";
import { Player } from "./play/player.js";
import { nearestBeing, nearestOfAll, ATTACK_LOOK_M } from "./play/targets.js";
import { Stage } from "./render/stage.js";
import { Words } from "./render/words.js";
import { Chat } from "./ui/chat.js";
import type { Probe } from "./ui/dev.js";
import { DevOverlay } from "./ui/dev.js";
import { DealCard } from "./ui/deal.js";
import { byId } from "./ui/elements.js";
import { Hud } from "./ui/hud.js";
import { Inspector } from "./ui/inspector.js";
import { JoinCard } from "./ui/join.js";
import { Panel } from "./ui/panel.js";
import { Pointer } from "./ui/pointer.js";
import { Timeline } from "./ui/timeline.js";
import { totalAnomalies } from "./world/anomalies.js";
import { Entities } from "./world/entities.js";
import { World } from "./world/world.js";

const STATUS_EVERY_MS = 1_000;
/** How far behind the server others are drawn. */
const PLAY_DELAY_MS = 100;
const MAP_DELAY_MS = 260;
/** Metres across the smaller side of the screen while playing. */
const PLAY_WIDTH_M = 62;
/** A click on the map so near to an entity means it. */
const CLICK_REACH_PX = 9;
const CHAT_KEPT = 50;
/** Entities that a probe tells of. */
const PROBED_ENTITIES = 2_000;
/** Older hand-overs, told to a page that comes late, do not flash. */
const FLASH_AGE_MS = 4_000;
/** Back in time, those of so long before flash. */
const PAST_FLASH_MS = 1_000;

type Mode = "map" | "play";

export class App {
  mode: Mode = "map";
  readonly #config: ClusterConfig;
  readonly #edgeM: number;
  readonly #stage: Stage;
  readonly #words: Words;
  readonly #history = new History();
  readonly #timeline = new Timeline(this.#history, () => this.#showTime());
  readonly #atlas = new Atlas();
  /** Shown back in time: where everybody was is not remembered. */
  readonly #nobody = new Entities();
  readonly #spectator: Spectator;
  readonly #player: Player;
  readonly #panel: Panel;
  readonly #hud: Hud;
  readonly #chat: Chat;
  readonly #deal: DealCard;
  readonly #join: JoinCard;
  readonly #dev = new DevOverlay();
  readonly #inspector = new Inspector();
  readonly #frames = new Rate();
  readonly #frameCost = new Cost();
  readonly #updates = new Rate();
  readonly #bytes = new Rate();
  readonly #style = { scale: 1, own: undefined as number | undefined, ownX: 0, ownZ: 0, target: undefined as number | undefined, quiet: true };
  readonly #heard: string[] = [];
  #frameCount = 0;
  #last = performance.now();
  #reconnects = 0;
  #wasPlaying = false;

  constructor(config: ClusterConfig) {
    this.#config = config;
    const space = config.spaces[0] ?? { id: 0, name: "", edgeCells: 32 };
    this.#edgeM = space.edgeCells * config.cellEdgeM;
    const known = config.gateways.length > 0 ? config.gateways : [`${location.hostname}:${Number(location.port) + 31}`];
    const urls = known.map(asUrl);
    this.#stage = new Stage(byId("ground"), byId("words"));
    this.#words = new Words(this.#stage.words);
    this.#spectator = new Spectator(new World(), urls, space.id, space.edgeCells);
    this.#player = new Player(new World(), urls, {
      changed: (state) => this.#sessionChanged(state),
      said: (name, channel, text, from) => {
        this.#chat.said(name, channel, text);
        this.#heard.push(`${name}: ${text}`);
        if (this.#heard.length > CHAT_KEPT) this.#heard.shift();
        this.#words.say(from, text, performance.now());
      },
      note: (text) => this.#chat.note(text),
      routed: (route) => this.#hud.route(route),
    });
    this.#panel = new Panel(this.#history, this.#timeline, config.development, (shard) => this.#choose(shard));
    this.#hud = new Hud((item) => this.#player.drop(item));
    this.#chat = new Chat((channel, text) => this.#player.say(channel, text), () => byId("view").focus());
    this.#deal = new DealCard(this.#player.dealing, this.#player.belongings, this.#player, () => byId("view").focus());
    this.#join = new JoinCard((name) => this.#player.session.play(name), () => this.#cancelJoin());
    byId("cluster").textContent = config.cluster;
  }

  start(): void {
    this.#wire();
    this.#resize();
    this.#fit(true);
    this.#spectator.watch();
    listen((event) => this.#told(event));
    void this.#poll();
    requestAnimationFrame((now) => this.#frame(now));
    if (location.hash === "#play") this.#enter("play");
  }

  /** For end-to-end tests and the overlay. */
  probe(): Probe {
    const { session, prediction, belongings, route } = this.#player;
    const world = this.#world;
    return {
      mode: this.mode, state: session.state, joined: this.#player.playing, agent: String(session.agent),
      position: { ...this.#player.drawn }, serverPosition: { ...this.#player.confirmed },
      shard: route?.shard ?? "", scene: route?.scene ?? "", entities: world.present,
      anomalies: { ...world.anomalies }, anomaliesTotal: totalAnomalies(world.anomalies),
      prediction: { error: prediction.error, errorMax: prediction.errorMax, speed: prediction.speed, open: prediction.open },
      frameMs: this.#frameCost.figures, updateMs: this.#figures?.updateCost.figures ?? new Cost().figures,
      fps: this.#frames.perSecond, pingMs: this.#figures?.pingMs ?? NaN,
      updatesPerS: this.#updates.perSecond, bytesPerS: this.#bytes.perSecond, reconnects: this.#reconnects,
      inspected: this.#inspector.seen,
      near: this.#near(),
      owners: [...new Set(this.#atlas.labels.map((label) => label.owner))].sort(),
      shards: this.#atlas.labels.map(({ id, owner, square }) => ({
        id, owner, ...square,
        screenX: this.#stage.camera.screenX(square.x + square.edge / 2), screenY: this.#stage.camera.screenY(square.z + square.edge / 2),
      })),
      health: this.#player.slot === undefined ? 0 : this.#player.world.entities.health[this.#player.slot]!,
      gold: belongings.gold?.toString() ?? "", items: [...belongings.items.keys()].map(String), chat: [...this.#heard],
    };
  }

  /** Some entities and where they are on the screen, for tests that click. */
  #near(): Probe["near"] {
    const { entities } = this.#world;
    const { camera } = this.#stage;
    return Array.from({ length: Math.min(entities.count, PROBED_ENTITIES) }, (_, slot) => ({
      id: String(entities.id[slot]!), screenX: camera.screenX(entities.x[slot]!), screenY: camera.screenY(entities.z[slot]!),
    }));
  }

  /** Walks by itself, for tests: parts of full speed, or nothing to give the keys back. */
  walk(direction: readonly [number, number] | undefined): void {
    this.#player.steering.forced = direction;
  }

  /** Loses the connection, for tests. */
  cut(): void {
    this.#player.session.cut();
  }

  get #world(): World {
    return this.mode === "play" ? this.#player.world : this.#spectator.world;
  }

  get #figures(): LinkFigures | undefined {
    return (this.mode === "play" ? this.#player.session.link : this.#spectator.link)?.figures;
  }

  // ---- modes -----------------------------------------------------------------------------------------------------------

  #enter(mode: Mode): void {
    const { state } = this.#player.session;
    if (mode === "play" && (state === "idle" || state === "ended")) return this.#join.open();
    if (mode === this.mode) return;
    this.mode = mode;
    document.body.dataset["mode"] = mode;
    for (const id of ["hud", "chat", "touch", "chip", "log-out"]) byId(id).hidden = mode === "map";
    byId("mode-map").ariaPressed = String(mode === "map");
    byId("mode-play").ariaPressed = String(mode === "play");
    this.#resize();
    if (mode === "map") {
      this.#player.steering.rest();
      this.#spectator.watch();
      this.#fit(false);
    } else {
      this.#spectator.stop();
      this.#timeline.go(undefined);
      this.#choose(undefined);
      this.#stage.camera.aim(this.#player.drawn.x, this.#player.drawn.z, this.#playScale());
      this.#stage.camera.jump();
    }
    byId("view").focus();
  }

  /** Logs out: the agent falls asleep where it stands. */
  #leave(): void {
    this.#wasPlaying = false;
    this.#player.session.leave();
    this.#enter("map");
  }

  #cancelJoin(): void {
    if (!this.#player.playing) this.#player.session.leave();
    this.#enter("map");
  }

  #sessionChanged(state: SessionState): void {
    this.#join.changed(state, this.#player.session.words);
    if (state === "playing") {
      this.#wasPlaying = true;
      if (this.mode === "map") this.#enter("play");
    }
    const away = this.#wasPlaying && state !== "playing" && state !== "idle";
    if (state === "waiting" && this.#wasPlaying) this.#reconnects++;
    const curtain = byId("curtain");
    curtain.hidden = !away;
    curtain.textContent = state === "ended" ? `The session has ended. ${this.#player.session.words}` : "Reconnecting…";
    if (state === "ended") this.#wasPlaying = false;
  }

  #choose(shard: string | undefined): void {
    this.#panel.select(shard);
    this.#atlas.choose(this.#panel.chosen);
  }

  // ---- what the cluster tells --------------------------------------------------------------------------------------------

  async #poll(): Promise<void> {
    this.#player.session.acknowledge(); // also while the page is hidden and draws no frames
    try {
      this.#showStatus(await fetchStatus(this.#config.tickHz));
      byId("cluster").textContent = this.#config.cluster;
    } catch {
      byId("cluster").textContent = "no answer from the cluster";
    }
    setTimeout(() => void this.#poll(), document.hidden ? STATUS_EVERY_MS * 5 : STATUS_EVERY_MS);
  }

  #showStatus(status: ClusterStatus): void {
    const own = this.#player.route?.shard;
    this.#hud.paused(status.shards.some((shard) => shard.id === own && shard.paused !== undefined));
    this.#history.record(status);
    this.#timeline.grow();
    if (this.#timeline.pastMs === undefined) this.#showCluster(status);
  }

  /** The cluster as it is, or as it was. */
  #showCluster(status: ClusterStatus): void {
    this.#atlas.show(status, this.#config.spaces[0]?.id ?? 0, this.#config.cellEdgeM);
    if (this.mode !== "map") return;
    this.#panel.show(status);
    this.#atlas.choose(this.#panel.chosen);
  }

  /** Another time is on show: the cluster as it was, and the hand-overs on the way there. */
  #showTime(): void {
    const at = this.#timeline.pastMs;
    const status = this.#history.at(at ?? Infinity);
    if (status) this.#showCluster(status);
    if (at !== undefined) for (const event of this.#history.handovers(at - PAST_FLASH_MS, at)) this.#flash(event);
  }

  #told(event: ClusterEvent): void {
    this.#history.tell(event);
    this.#timeline.tell(event);
    const old = event.atMs > 0 && Date.now() - event.atMs > FLASH_AGE_MS;
    if (event.kind === "handover" && !old && this.#timeline.pastMs === undefined) this.#flash(event);
  }

  #flash(event: ClusterEvent): void {
    const border = this.#atlas.flash(event);
    const { entities } = this.#world;
    const past = this.#timeline.pastMs !== undefined;
    const slot = past || event.entity === undefined ? undefined : entities.find(event.entity);
    if (slot !== undefined) this.#stage.ring(entities.x[slot]!, entities.z[slot]!, performance.now());
    else if (border && this.mode === "map") this.#stage.ring(border.x, border.z, performance.now());
  }

  // ---- the frame -----------------------------------------------------------------------------------------------------------

  #frame(now: number): void {
    const began = performance.now();
    const seconds = Math.min((now - this.#last) / 1_000, 0.25);
    this.#last = now;
    this.#frameCount++;
    const { camera } = this.#stage;
    this.#atlas.step(seconds);
    this.#player.frame(now, seconds);
    this.#world.place(now, this.mode === "play" ? PLAY_DELAY_MS : MAP_DELAY_MS);
    if (this.mode === "play" && this.#player.prediction.ready) camera.follow(this.#player.drawn.x, this.#player.drawn.z);
    camera.step(seconds);
    this.#draw(now);
    this.#measure(now);
    this.#frameCost.add(performance.now() - began);
    requestAnimationFrame((next) => this.#frame(next));
  }

  #draw(now: number): void {
    const { camera } = this.#stage;
    const { drawn } = this.#player;
    const playing = this.mode === "play";
    const past = this.#timeline.pastMs !== undefined;
    const entities = past ? this.#nobody : this.#world.entities;
    const style = this.#style;
    style.scale = camera.scale * this.#stage.ratio;
    style.quiet = !playing;
    style.own = playing ? this.#player.slot : undefined;
    style.ownX = drawn.x;
    style.ownZ = drawn.z;
    style.target = playing ? nearestBeing(entities, drawn.x, drawn.z, ATTACK_LOOK_M, style.own) : this.#inspectedSlot(entities);
    this.#stage.begin();
    this.#stage.draw(this.#edgeM, this.#atlas.tiles, entities, style, now);
    this.#words.begin(camera, this.#stage.wordRatio);
    if (playing) this.#words.beings(entities, camera, style.own, style.target, drawn.x, drawn.z, now);
    else this.#words.shards(this.#atlas.labels, camera);
    if (playing) this.#deal.show();
    if (!playing || style.own === undefined) return;
    const own = style.own;
    this.#hud.show(entities.name[own]!, entities.health[own]!, entities.healthMax[own]!, drawn.x, drawn.z, this.#player.belongings);
  }

  /** The inspected entity, marked on the map. */
  #inspectedSlot(entities: Entities): number | undefined {
    return this.#inspector.entity === undefined ? undefined : entities.find(this.#inspector.entity);
  }

  #measure(now: number): void {
    if (this.#frames.sample(this.#frameCount, now)) this.#stage.adapt(this.#frames.perSecond);
    this.#updates.sample(this.#figures?.updates ?? 0, now);
    this.#bytes.sample(this.#figures?.bytesIn ?? 0, now);
    this.#dev.show(() => this.probe(), now);
  }

  // ---- what the user does -----------------------------------------------------------------------------------------------

  #resize(): void {
    this.#stage.resize();
    const wide = innerWidth > 720;
    const { camera } = this.#stage;
    camera.insetRight = this.mode === "map" && wide ? 328 : 0;
    camera.insetTop = this.mode === "map" ? 58 : 0;
    camera.insetBottom = this.mode === "map" && !wide ? 60 : 0;
    if (this.mode === "play") camera.aim(this.#player.drawn.x, this.#player.drawn.z, this.#playScale());
  }

  #fit(jump: boolean): void {
    this.#stage.camera.fit(this.#edgeM, jump);
  }

  #playScale(): number {
    return Math.min(innerWidth, innerHeight) / PLAY_WIDTH_M;
  }

  #wire(): void {
    byId("mode-map").onclick = () => this.#enter("map");
    byId("log-out").onclick = () => this.#leave();
    byId("mode-play").onclick = () => this.#enter("play");
    for (const button of byId("touch").querySelectorAll<HTMLElement>("button")) button.onclick = () => this.#do(button.dataset["do"] ?? "");
    addEventListener("resize", () => this.#resize());
    addEventListener("blur", () => this.#player.steering.rest());
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("keyup", (event) => this.#player.steering.release(event.code));
    new Pointer(byId("view"), this.#stage.camera, {
      isWalking: () => this.mode === "play",
      drag: (way) => this.#player.steering.drag(way),
      hover: (x, z) => this.#atlas.point(this.mode === "map" ? this.#atlas.at(x, z) : undefined),
      click: (x, z) => this.#click(x, z),
    });
  }

  #click(x: number, z: number): void {
    if (this.mode === "play") return this.#player.attack({ x, z });
    const { entities } = this.#world;
    const past = this.#timeline.pastMs !== undefined;
    const slot = past ? undefined : nearestOfAll(entities, x, z, CLICK_REACH_PX / this.#stage.camera.scale);
    if (slot !== undefined) return this.#inspect(entities.id[slot]!, this.#atlas.at(x, z));
    const shard = this.#atlas.at(x, z);
    this.#choose(shard === this.#panel.chosen ? undefined : shard);
    byId("panel").classList.toggle("open", shard !== undefined);
  }

  /** An entity in the inspector, and the shard where it was clicked in the panel. */
  #inspect(entity: bigint, shard: string | undefined): void {
    this.#inspector.open(entity);
    if (shard !== undefined) this.#choose(shard);
  }

  #key(event: KeyboardEvent): void {
    if (event.code === "F3") {
      event.preventDefault();
      return this.#dev.toggle();
    }
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, dialog[open]")) return;
    if (this.mode === "map") return this.#mapKey(event);
    if (this.#player.steering.press(event.code)) return event.preventDefault();
    const does = { Space: "attack", KeyE: "pick_up", KeyQ: "drop", KeyP: "pay", KeyT: "trade", Enter: "chat", KeyM: "map" }[event.code];
    if (!does || event.repeat || target.closest("button")) return;
    event.preventDefault();
    this.#do(does);
  }

  #mapKey(event: KeyboardEvent): void {
    const { camera } = this.#stage;
    const step = 80;
    const onView = (event.target as HTMLElement).closest("#view, body") !== null;
    switch (event.key) {
      case "+": case "=": return camera.zoomAtCentre(1.4);
      case "-": return camera.zoomAtCentre(1 / 1.4);
      case "0": return this.#fit(false);
      case "Escape": return this.#inspector.entity === undefined ? this.#choose(undefined) : this.#inspector.close();
      case "ArrowLeft": return onView ? camera.pan(step, 0) : undefined;
      case "ArrowRight": return onView ? camera.pan(-step, 0) : undefined;
      case "ArrowUp": return onView ? camera.pan(0, step) : undefined;
      case "ArrowDown": return onView ? camera.pan(0, -step) : undefined;
      case "p": case "m": return this.#enter("play");
      default: return undefined;
    }
  }

  #do(what: string): void {
    switch (what) {
      case "attack": return this.#player.attack();
      case "pick_up": return this.#player.pickUp();
      case "drop": return this.#player.drop();
      case "pay": case "trade": return this.#player.deal(what);
      case "chat": return this.#chat.open();
      case "map": return this.#enter("map");
      default: return undefined;
    }
  }
}
