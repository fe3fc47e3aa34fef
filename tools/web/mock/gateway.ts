// A pretended gateway: speaks the client protocol over WebSocket, one object per connection.
import * as flatbuffers from "flatbuffers";
import type { WebSocket } from "ws";
import {
  ClientBody, ClientMessage, Event, Events, Guest, Hello, Inputs, Joined, Ping, Pong,
  Refused, Resume, Routed, ServerBody, ServerMessage, Spectate, Ticket, Watching, Welcome,
} from "../src/generated/pangaea/client.js";
import { NO_ITEM } from "../src/world/entities.js";
import { cellKey } from "../src/world/geometry.js";
import type { PlainType, Scalar } from "../src/world/registry.js";
import type { Being, Land } from "./land.js";
import { CELL_EDGE_M, EDGE_CELLS, ownerOf, shardAt, TICK_HZ } from "./land.js";
import * as deals from "./deals.js";
import * as types from "./types.js";
import { encodeUpdate } from "./update.js";

const HASH = 0x5eedn;
const VIEW_CELLS = 3;
const REACH_M = 4;
/** A player whose connection is lost for so long falls asleep. */
const ASLEEP_AFTER_MS = 5_000;

/** What outlives a connection. */
interface Player {
  readonly being: Being;
  inSeq: number;
  outSeq: number;
  gold: bigint;
  items: Map<bigint, number>;
  queue: { seq: number; id: number; bytes: Uint8Array }[];
}

const players = new Map<string, Player>();

export class Client {
  static readonly all = new Set<Client>();
  #player: Player | undefined;
  readonly #cells = new Set<number>();
  /** Aliases that the client knows; they are its slots. */
  readonly #known = new Set<number>();
  #toldAt = 0;
  #party: deals.Party | undefined;
  #watching = false;
  #route = "";

  constructor(readonly socket: WebSocket, readonly land: Land) {
    Client.all.add(this);
    socket.on("message", (data: Buffer) => this.#receive(new Uint8Array(data)));
    socket.on("close", () => {
      Client.all.delete(this);
      const player = this.#player;
      if (player) setTimeout(() => [...Client.all].some((one) => one.#player === player) || land.beings.delete(player.being.id), ASLEEP_AFTER_MS);
    });
  }

  /** One tick's update. */
  update(byCell: Map<number, Being[]>): void {
    const player = this.#player;
    if (!player && !this.#watching) return;
    if (player) this.#tickPlayer(player);
    if (player) this.#follow(player.being);
    if (this.#watching && this.land.tick % 4 !== 0) return;
    const here = [...this.#cells].flatMap((key) => byCell.get(key) ?? []);
    const entered = here.filter((being) => !this.#known.has(being.alias));
    const since = this.#toldAt;
    const known = here.filter((being) => this.#known.has(being.alias));
    const present = new Set(here.map((being) => being.alias));
    const left = [...this.#known].filter((alias) => !present.has(alias));
    for (const alias of left) this.#known.delete(alias);
    for (const being of entered) this.#known.add(being.alias);
    this.#toldAt = this.land.tick;
    const moved = known.filter((being) => being.movedAt > since);
    const looked = known.filter((being) => being.lookedAt > since);
    const at = { x: player?.being.x, z: player?.being.z };
    this.socket.send(encodeUpdate({ tick: this.land.tick, inSeq: player?.inSeq, ...at, left, entered, moved, looked }));
  }

  #tickPlayer(player: Player): void {
    const next = player.queue.shift();
    if (next) this.#input(player, next.id, next.bytes), (player.inSeq = next.seq);
    if (player.queue.length > 0) this.#tickPlayer(player);
    const shard = shardAt(player.being.x, player.being.z);
    const route = `${shard} ${ownerOf(shard)}`;
    if (route !== this.#route) {
      this.#route = route;
      this.#send(ServerBody.Routed, (b) => Routed.createRouted(b, b.createString(shard), b.createString(ownerOf(shard)), 1n));
    }
  }

  #input(player: Player, id: number, bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { being } = player;
    if (id === types.MOVE.id) this.land.steer(being, types.MOVE.number(view, 0, "dx"), types.MOVE.number(view, 0, "dz"));
    if (id === types.ATTACK.id) {
      const target = this.land.beings.get(types.ATTACK.entity(view, 0, "target"));
      if (target) Object.assign(target, { health: target.health > 10 ? target.health - 10 : 100, lookedAt: this.land.tick + 1 }); // some clients have this tick's update already
    }
    if (id === types.PICK_UP.id) {
      const item = this.land.beings.get(types.PICK_UP.entity(view, 0, "item"));
      if (item && item.item !== NO_ITEM && Math.hypot(item.x - being.x, item.z - being.z) < REACH_M) {
        this.land.beings.delete(item.id);
        player.items.set(item.id, item.item);
        this.#event(types.ITEM_HELD, { item: item.id, kind: item.item });
        this.#event(types.HOLDINGS, { gold: player.gold });
      }
    }
    if (id === types.DROP.id) {
      const item = types.DROP.entity(view, 0, "item");
      const kind = player.items.get(item);
      if (kind !== undefined) {
        player.items.delete(item);
        Object.assign(this.land.add(being.x + 1, being.z), { item: kind, kind: 3 });
        this.#event(types.ITEM_LOST, { item });
      }
    }
    if (this.#party) this.#deal(this.#party, id, view);
    if (id === types.CHAT.id) {
      const said = { from: being.id, channel: types.CHAT.number(view, 0, "channel"), name: being.name, text: types.CHAT.text(view, 0, "text") };
      for (const client of Client.all) if (client.#player) client.#event(types.SAID, said);
    }
  }

  #deal(party: deals.Party, id: number, view: DataView): void {
    const parties = [...Client.all].flatMap((one) => one.#party ?? []);
    const partyIn = (type: PlainType, field: string) => parties.find((one) => one.id === type.entity(view, 0, field));
    if (id === types.PAY.id) deals.pay(party, partyIn(types.PAY, "to"), types.PAY.entity(view, 0, "gold"));
    if (id === types.TRADE_OFFER.id) deals.offer(party, partyIn(types.TRADE_OFFER, "to"), view);
    if (id === types.TRADE_ACCEPT.id) deals.accept(party, types.TRADE_ACCEPT.entity(view, 0, "from"));
    if (id === types.TRADE_CANCEL.id) deals.cancel(party, partyIn(types.TRADE_CANCEL, "with"));
  }

  #follow(being: Being): void {
    const [cx, cz] = [Math.floor(being.x / CELL_EDGE_M), Math.floor(being.z / CELL_EDGE_M)];
    this.#cells.clear();
    for (let x = Math.max(0, cx - VIEW_CELLS); x <= Math.min(EDGE_CELLS - 1, cx + VIEW_CELLS); x++) {
      for (let z = Math.max(0, cz - VIEW_CELLS); z <= Math.min(EDGE_CELLS - 1, cz + VIEW_CELLS); z++) this.#cells.add(cellKey(x, z));
    }
  }

  #receive(bytes: Uint8Array): void {
    const wire = ClientMessage.getRootAsClientMessage(new flatbuffers.ByteBuffer(bytes));
    switch (wire.bodyType()) {
      case ClientBody.Hello: return this.#welcome(wire.body(new Hello()));
      case ClientBody.Guest: return this.#ticket((wire.body(new Guest()) as Guest).name() || "Guest");
      case ClientBody.Join: return this.#join("0", false);
      case ClientBody.Resume: return this.#join((wire.body(new Resume()) as Resume).token() ?? "", true);
      case ClientBody.Spectate: return this.#spectate(wire.body(new Spectate()));
      case ClientBody.Inputs: return this.#inputs(wire.body(new Inputs()));
      case ClientBody.Ping: {
        const time = (wire.body(new Ping()) as Ping).clientTimeUs();
        return this.#send(ServerBody.Pong, (b) => Pong.createPong(b, time, BigInt(Date.now()) * 1000n));
      }
      case ClientBody.Leave: {
        if (this.#player) this.land.beings.delete(this.#player.being.id);
        return;
      }
      default: return;
    }
  }

  #welcome(hello: Hello): void {
    this.#send(ServerBody.Welcome, (b) => {
      const description = hello.registry() === 0n ? types.describe(b) : 0;
      const [cluster, gateway] = [b.createString("mock"), b.createString("gateway-1")];
      Welcome.startWelcome(b);
      Welcome.addProtocol(b, 2);
      Welcome.addRegistry(b, HASH);
      Welcome.addCluster(b, cluster);
      Welcome.addGateway(b, gateway);
      Welcome.addTickHz(b, TICK_HZ);
      Welcome.addCellEdgeM(b, CELL_EDGE_M);
      if (description) Welcome.addDescription(b, description);
      return Welcome.endWelcome(b);
    });
  }

  #name = "Guest";

  #ticket(name: string): void {
    this.#name = name;
    this.#send(ServerBody.Ticket, (b) => Ticket.createTicket(b, b.createString("ticket"), 0n, b.createString(name)));
  }

  #join(token: string, resumed: boolean): void {
    let player = players.get(token);
    if (resumed && !player) {
      return this.#send(ServerBody.Refused, (b) => Refused.createRefused(b, 4, b.createString("This session is over."), 0));
    }
    if (!player) {
      const being = this.land.add(EDGE_CELLS * CELL_EDGE_M / 2 - 6, EDGE_CELLS * CELL_EDGE_M / 2 - 6);
      Object.assign(being, { player: true, name: this.#name, hue: 110 });
      player = { being, inSeq: 0, outSeq: 0, gold: 100n, items: new Map(), queue: [] };
      players.set(String(being.id), player);
    }
    const joined = player;
    this.#player = player;
    this.#party = {
      id: joined.being.id, items: joined.items, tell: (type, values) => this.#event(type, values),
      get gold() { return joined.gold; },
      set gold(gold) { joined.gold = gold; },
    };
    player.queue = [];
    this.#send(ServerBody.Joined, (b) => Joined.createJoined(
      b, joined.being.id, b.createString(String(joined.being.id)), resumed, 0, EDGE_CELLS, VIEW_CELLS, BigInt(this.land.tick), joined.inSeq, joined.outSeq,
    ));
    if (!resumed) this.#event(types.HOLDINGS, { gold: player.gold });
  }

  #spectate(watch: Spectate): void {
    this.#watching = true;
    for (let x = watch.x0(); x <= watch.x1(); x++) for (let z = watch.z0(); z <= watch.z1(); z++) this.#cells.add(cellKey(x, z));
    this.#send(ServerBody.Watching, (b) => Watching.createWatching(b, 0, EDGE_CELLS));
  }

  #inputs(message: Inputs): void {
    const player = this.#player;
    if (!player) return;
    for (let i = 0; i < message.inputsLength(); i++) {
      const input = message.inputs(i)!;
      const last = player.queue.at(-1)?.seq ?? player.inSeq;
      if (input.seq() === last + 1) player.queue.push({ seq: input.seq(), id: input.id(), bytes: input.bytesArray()!.slice() });
    }
  }

  #event(type: PlainType, values: Record<string, Scalar>): void {
    const player = this.#player;
    if (!player) return;
    player.outSeq++;
    this.#send(ServerBody.Events, (b) => {
      const event = Event.createEvent(b, player.outSeq, type.id, Event.createBytesVector(b, type.write(values)));
      return Events.createEvents(b, Events.createEventsVector(b, [event]), false);
    });
  }

  #send(type: ServerBody, build: (builder: flatbuffers.Builder) => number): void {
    const builder = new flatbuffers.Builder(1_024);
    this.#finish(builder, type, build(builder));
  }

  #finish(builder: flatbuffers.Builder, type: ServerBody, body: number): void {
    builder.finish(ServerMessage.createServerMessage(builder, type, body));
    this.socket.send(builder.asUint8Array());
  }
}
