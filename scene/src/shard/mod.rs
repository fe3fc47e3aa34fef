//! One shard: its incarnation, its world and its conversations.
//!
//! Protocol messages act at once in [`Shard::handle`]; entities change only in [`Shard::tick`], whose phases stand in [`tick`]:
//! Ingest → Simulate → Hand over → Publish → Persist. Everything that a stop must drop is in `Life`.
//!
//! | open | when |
//! |---|---|
//! | `ownership` | a claim, a recovery, a doubt, an end |
//! | `attendance` | a client attaches, plays, goes |
//! | `probation` | a new owner tries whose inputs may have ended the former one |
//! | `crossing` | an agent leaves or comes |
//! | `dealings` | under which name something was agreed: its own, or a closed shard's |
//! | `settling` | nobody asks any more where it went |
//! | `effects` | something is done to an entity of another shard |
//! | `value` | the ledger is asked, and answers |
//! | `giving`, `taking`, `rest` | the whole shard moves to another scene |
//! | `admin` | an admin looks, or puts somebody elsewhere |
//! | `inspection` | an admin looks at one entity |
//! | `pause` | an admin stops it, and runs single ticks |
//! | `costs` | what in its ticks costs how much |
//! | `recording` | an admin records it |
//! | `cutting` | the shard becomes four, or one of four |
//! | `outside` | feed, directory |
//! | `tick` | the phases |

mod admin;
mod attendance;
mod costs;
mod crossing;
mod cutting;
mod dealings;
mod effects;
mod followers;
mod giving;
mod inspection;
mod ledger_desk;
mod meter;
mod neighbours;
mod outside;
mod ownership;
mod pause;
mod probation;
mod recording;
mod residents;
mod rest;
mod routes;
mod settling;
mod taking;
mod tick;
mod unsaved;
mod value;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pangaea_schemas::geometry::{ShardId, SpaceSpec};
use pangaea_schemas::journal::{Mark, Xid};
use pangaea_schemas::message::{
    Address, BusEvent, Control, Envelope, Message, Migration, OpId, Refusal, ShardReport, ShardRoute,
};
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::record::Record;
use pangaea_schemas::rules::Rules;
use pangaea_schemas::wire::flat::RecordHead;
use pangaea_schemas::{AgentEpoch, EffectSeq, EntityId, NodeId, Nonce, RequestId, ShardEpoch, Tick, TickRate, Timestamp};

use crate::ecs::{Encoded, ShardWorld, TickInput};
use crate::game::BuiltGame;
use crate::handover::source::Leaves;
use crate::incarnation::{Happening, Incarnation};
use crate::journal_writer::JournalWriter;
use crate::lanes::Lanes;
use crate::scripts::Turns;
use crate::sessions::Sessions;
use crate::trials::Trials;

pub use costs::TickCosts;
pub(crate) use giving::shard_of as shard_of_migration;
pub use pause::{PAUSE_TIME_MAX, STEPS_MAX};
pub(crate) use recording::NOT_RECORDED;
pub use routes::Routes;
pub use tick::TickPhase;

use cutting::Still;
use dealings::Dealings;
use followers::Followers;
use giving::Gift;
use ledger_desk::LedgerDesk;
use meter::Meter;
use neighbours::Neighbours;
use ownership::{ClaimOrder, Recovery};
use pause::Pause;
use residents::{Resident, Residents};
use taking::{Arrived, Draft};
use unsaved::Unsaved;

/// Names of appends and questions that one opened shard may give, as a power of two: a thousand per tick for a year and a half.
const OPENED_SHIFT: u32 = 40;
/// Most live entities of one shard.
pub const ENTITIES_MAX: usize = 1 << 20;
/// Most bus events that wait for a tick; more are dropped, the bus promises no more.
pub const NEWS_MAX: usize = 1_024;
/// Most ghost frames that wait for a tick; more are a gap.
pub const GHOST_FRAMES_MAX: usize = 256;
/// Most effects that wait for a tick; further batches are sent again later.
pub const EFFECTS_WAITING_MAX: usize = 65_536;
/// Ids a shard asks for at a time, and below half of which it asks again.
pub const SHARD_IDS: u64 = 4_096;
/// A shard is unconfirmed this long before its lease ends.
pub const LEASE_MARGIN: Duration = Duration::from_millis(300);
/// So long after the world's order a claim that was refused is made again.
const CLAIM_WITHIN: Duration = Duration::from_millis(500);
/// A shard is unconfirmed when its journal has not answered for this long.
pub const JOURNAL_SILENCE: Duration = Duration::from_millis(1_500);
/// Nobody is let go while the journal has not answered for this long: they would be nowhere until it does.
pub const LET_GO_SILENCE: Duration = Duration::from_millis(500);
/// An unconfirmed shard stops after this: an engine may be away for half a minute, and then needs seconds to choose a leader.
pub const DOUBT_MAX: Duration = Duration::from_secs(60);
/// A persistent change is in the journal at most this much later.
pub const PERSIST_WITHIN: Duration = Duration::from_secs(1);

/// What all shards of a scene have in common.
pub struct ShardConfig {
    /// This scene.
    pub node: NodeId,
    /// Its incarnation.
    pub nonce: Nonce,
    /// The game.
    pub game: BuiltGame,
    /// The cluster's tick rate.
    pub rate: TickRate,
    /// Where agents are born.
    pub spawn_cell: pangaea_schemas::geometry::CellId,
    /// Of the whole scene; each shard draws its own from it.
    pub seed: u64,
    /// Of its scripts.
    pub script_turns: Turns,
}

/// What a shard wants to be sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// To a node or service.
    To(Envelope),
    /// To wherever a shard is owned now.
    ToShard(ShardId, Message),
}

/// What may happen once something is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The OWNER entry is in.
    Owned,
    /// Agents' epochs are raised.
    FencesRaised,
    /// OUT is in.
    LetGo(Xid),
    /// IN is in, under this name.
    Taken(ShardId, Xid),
    /// REFUSED is in, under this name.
    TurnedDown(ShardId, Xid, Refusal),
    /// A born or woken agent's record is in: tell its gateway.
    Joined(EntityId),
    /// An agent's epoch is in: raise its fence at the ledger.
    Look(EntityId, AgentEpoch),
    /// The record of the agent in whose name it is asked is in: ask the ledger.
    Written(OpId),
    /// SETTLED from a name of this shard to a target is in.
    Settled(ShardId, ShardId, Mark),
    /// STABLE at a name of this shard of a source is in.
    Stable(ShardId, ShardId, Mark),
    /// Effects of a sender to a name of this shard are in, up to here.
    Applied(ShardId, ShardId, EffectSeq),
    /// Effects to a shard are in, up to here.
    Sent(ShardId, EffectSeq),
    /// The OWNER entry that a migration asked for is in.
    GiftWritten,
    /// The first tick after a migration is in.
    Arrived,
    /// The record of an agent on trial is in.
    OnTrial(EntityId),
    /// An entry that was first sent after the lease had lapsed is in.
    Proven,
}

/// Whether the journal has said since the last lapse of the lease that this owner is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Proof {
    #[default]
    Given,
    Wanted,
    Asked,
}

/// Everything that a stop drops.
#[derive(Default)]
struct Life {
    residents: Residents,
    sessions: Sessions,
    trials: Trials,
    asleep: BTreeMap<EntityId, Record>,
    leaves: Leaves,
    /// Agreed under the shard's own name.
    own: Dealings,
    /// Agreed under the names of shards that are no more.
    estates: BTreeMap<ShardId, Dealings>,
    /// Where those are with whom its entities were in one shard a moment ago, as long as ghosts may not show them yet.
    kin: BTreeMap<EntityId, ShardId>,
    /// Until then ghosts may not show yet who is around: effects on nobody wait.
    young_until: Timestamp,
    desk: LedgerDesk,
    followers: Followers,
    neighbours: Neighbours,
    directory: outside::DirectoryNews,
    inbox: TickInput,
    /// Changed persistent entities that are journaled within a second.
    dirty: Unsaved,
    /// To be journaled in this tick.
    urgent: BTreeSet<EntityId>,
    /// The shard has never had an entity.
    is_empty_world: bool,
    doubted_since: Option<Timestamp>,
    proof: Proof,
    /// An admin has stopped it.
    pause: Option<Pause>,
}

/// One shard at one scene.
pub struct Shard {
    id: ShardId,
    config: Arc<ShardConfig>,
    space: SpaceSpec,
    incarnation: Incarnation,
    order: ClaimOrder,
    writer: JournalWriter<Then>,
    recovery: Option<Recovery>,
    world: ShardWorld,
    life: Life,
    /// Survives a stop.
    lanes: Lanes,
    /// On its way to another scene.
    gift: Option<Box<Gift>>,
    /// On its way here.
    draft: Option<Draft>,
    arrived: Option<Arrived>,
    /// Stands still, to become four or one of four.
    still: Option<Still>,
    routes: Arc<Routes>,
    rules: Arc<Rules>,
    /// Number of its scripts' last turn.
    script_turn: u64,
    lease_until: Timestamp,
    /// The process ends: entities stand still, see [`Shard::close`].
    closing: bool,
    meter: Meter,
    requests: u64,
    now: Timestamp,
    tick: Tick,
    out: VecDeque<Outgoing>,
}

impl Shard {
    /// A shard that nobody has asked this scene to own. `opened` counts the shards that the scene has opened: where one was cut
    /// or merged another may be opened under the same name, and neither its appends nor its questions are those of before.
    pub fn new(id: ShardId, space: SpaceSpec, (config, routes): (Arc<ShardConfig>, Arc<Routes>), opened: u64) -> Self {
        let world = new_world(id, &space, &config);
        let named = opened << OPENED_SHIFT;
        let writer = JournalWriter::new(id, config.nonce, named);
        let life = Life { dirty: unsaved(config.rate), ..Life::default() };
        Self {
            id,
            config,
            space,
            incarnation: Incarnation::Off,
            order: ClaimOrder::default(),
            writer,
            recovery: None,
            world,
            life,
            lanes: Lanes::default(),
            gift: None,
            draft: None,
            arrived: None,
            still: None,
            routes,
            rules: Arc::default(),
            script_turn: 0,
            lease_until: Timestamp(0),
            closing: false,
            meter: Meter::default(),
            requests: named,
            now: Timestamp(0),
            tick: Tick(0),
            out: VecDeque::new(),
        }
    }

    /// Its name.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Where it is in its life.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Its entities.
    pub fn world(&self) -> &ShardWorld {
        &self.world
    }

    /// Who is live here, in order of id, with epochs; nobody in a copy that is not the owner's yet.
    pub fn residents(&self) -> impl Iterator<Item = (EntityId, AgentEpoch)> {
        let residents = self.draft.is_none().then_some(&self.life.residents);
        residents.into_iter().flatten().map(|(entity, resident)| (*entity, resident.epoch))
    }

    /// Everybody with a record whom this shard has to keep: live, asleep, or on the way to a shard that has not confirmed them.
    pub fn kept(&self) -> impl Iterator<Item = EntityId> {
        let is_owner = self.draft.is_none();
        let live = self.life.residents.keys().copied().filter(|entity| self.world.record(*entity).is_some());
        let coming = self.life.inbox.arrivals.iter().map(|record| record.entity);
        let all = live.chain(coming).chain(self.life.asleep.keys().copied()).chain(self.life.leaves.away());
        all.filter(move |_| is_owner)
    }

    /// A message for this shard came from a node.
    pub fn handle(&mut self, now: Timestamp, from: NodeId, message: Message) {
        self.now = now;
        if self.is_frozen() && !giving::is_heard_frozen(&message) {
            return self.keep_while_frozen(from, message);
        }
        self.dispatch(from, message);
        self.go_on_freezing();
        self.flush();
    }

    fn dispatch(&mut self, from: NodeId, message: Message) {
        match message {
            Message::Control(Control::Assign { above, .. }) => {
                self.drop_draft();
                self.order.given = self.now;
                self.happens(Happening::Assigned { above, tail: self.order.tail });
            }
            Message::Control(Control::Migrate { id, to, .. }) => self.migrate(id, to),
            Message::Control(Control::CancelMigration { id, .. }) => self.cancel_migration(id),
            Message::Migration(
                message @ (Migration::Standby { .. }
                | Migration::Declined { .. }
                | Migration::Taken { .. }
                | Migration::Ready { .. }
                | Migration::Running { .. }),
            ) => self.target_says(from, message),
            Message::Migration(message) => self.source_says(from, message),
            Message::JournalReply(reply) => self.journal_replied(reply),
            Message::Handover(message) => self.handover(message),
            Message::Effect(message) => self.effects(message),
            Message::Session(message) => self.session(from, message),
            Message::Feed(message) => self.feed(from, message),
            Message::LedgerReply(reply) => self.ledger_replied(reply),
            Message::BusEvent(event) => self.news(event),
            Message::Desk(message) => self.admin_asks(from, message),
            // Nobody speaks to a shard about these.
            Message::BeaconRequest(_)
            | Message::BeaconReply(_)
            | Message::BusRequest(_)
            | Message::JournalRequest(_)
            | Message::BlobRequest(_)
            | Message::BlobReply(_)
            | Message::LedgerRequest(_)
            | Message::TableRequest(_)
            | Message::TableReply(_)
            | Message::AuthRequest(_)
            | Message::AuthReply(_)
            | Message::Control(_)
            | Message::Directory(_) => {}
        }
    }

    /// A message from the bus.
    pub fn news(&mut self, event: BusEvent) {
        if self.incarnation.ticks() && self.life.inbox.news.len() < NEWS_MAX {
            self.life.inbox.news.push(event);
        }
    }

    /// The node's lease runs until then, measured from when its renewal was sent.
    pub fn lease(&mut self, until: Timestamp) {
        self.lease_until = self.lease_until.max(until);
    }

    /// The lease was over before it was renewed: somebody else may own the shard meanwhile, and only the journal knows.
    pub fn lease_lapsed(&mut self) {
        if !Mutant::LapsedLeaseTrusted.lives() {
            self.life.proof = Proof::Wanted;
        }
    }

    /// Owners are believed to be these. Whatever waits for a shard with a new owner is sent again at once.
    pub fn routes_changed(&mut self, now: Timestamp, routes: Arc<Routes>) {
        for route in routes.iter().filter(|route| route.epoch > self.routes.epoch(route.shard)) {
            self.life.leaves.hurry(now, route.shard);
            self.life.own.effects.hurry(now, route.shard);
            self.life.estates.values_mut().for_each(|estate| estate.effects.hurry(now, route.shard));
        }
        let is_other = |route: &&ShardRoute| (route.owner, route.nonce) != (self.config.node, self.config.nonce);
        let successor = routes.of(self.id).filter(is_other).map(|route| route.epoch);
        self.routes = routes;
        // A source hears of its own target by itself, and has more to do then.
        if let Some(epoch) = successor.filter(|_| self.gift.is_none()) {
            self.happens(Happening::Superseded { epoch });
        }
    }

    /// Number of its scripts' last turn among those of the scene.
    pub(crate) fn script_turn(&self) -> u64 {
        self.script_turn
    }

    /// These hold from the next tick on.
    pub fn rules_are(&mut self, rules: Arc<Rules>) {
        self.rules = rules;
    }

    /// Neighbours were cut anew: what stands in the place of the closed ones goes on with what was agreed with those.
    pub fn neighbours_recut(&mut self, closed: &[ShardId], routes: &[ShardRoute]) {
        self.life.neighbours.recut(self.id, closed, routes);
        self.life.followers.forget(closed);
        routes.iter().for_each(|route| _ = self.lanes.learn(route.shard, route.epoch));
    }

    /// A neighbour, with everything that was agreed with it, is at another scene now.
    pub fn neighbour_moved(&mut self, route: &ShardRoute) {
        self.life.neighbours.moved(route.shard, route.epoch);
        self.lanes.learn(route.shard, route.epoch);
    }

    /// A node is gone: it follows nothing, and its clients linger.
    pub fn node_lost(&mut self, now: Timestamp, node: NodeId) {
        self.now = now;
        self.target_lost(node);
        self.source_lost(node);
        self.life.followers.node_lost(node);
        for agent in self.life.sessions.gateway_lost(now, node) {
            self.life.inbox.connected.push((agent, false));
        }
    }

    /// Ids for entities that systems and spawners make.
    pub fn refill_ids(&mut self, first: EntityId, count: u64) {
        self.world.refill_ids(first, count);
    }

    /// Whether more ids are wanted.
    pub fn wants_ids(&self) -> bool {
        self.incarnation.epoch().is_some() && self.world.ids_left() < SHARD_IDS / 2
    }

    /// The last tick took this long, as the driver measured.
    pub fn note_tick_time(&mut self, us: u32) {
        self.meter.note(us);
    }

    /// Effects that were dropped because they found their entity in no shard, or too many waited.
    pub fn effects_lost(&self) -> u64 {
        self.meter.effects_lost
    }

    /// Journal entries not durable yet.
    pub fn journal_queued(&self) -> usize {
        self.writer.queued()
    }

    /// The shard's numbers; `None` when this scene has nothing to do with it.
    pub fn report(&mut self) -> Option<ShardReport> {
        let phase = self.incarnation.phase()?;
        let counts = self.world.counts();
        let (tick_p50_us, tick_p99_us) = self.meter.percentiles();
        let (paused_ms, paused_steps) = self.paused();
        Some(ShardReport {
            shard: self.id,
            epoch: self.incarnation.epoch().unwrap_or_default(),
            phase,
            entities: counts.entities,
            players: self.life.sessions.len() as u32,
            ghosts: counts.ghosts,
            tick_p50_us,
            tick_p99_us,
            load_permille: self.meter.load_permille(self.config.rate.interval().as_micros() as u64),
            handovers_out: self.meter.out,
            handovers_in: self.meter.taken,
            recent: std::mem::take(&mut self.meter.recent),
            parked: self.parked(),
            paused_ms,
            paused_steps,
            passages: std::mem::take(&mut self.meter.passages),
        })
    }

    /// What to send next.
    pub fn poll_output(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }

    fn epoch(&self) -> ShardEpoch {
        self.incarnation.epoch().unwrap_or_default()
    }

    fn send(&mut self, to: Address, message: Message) {
        self.out.push_back(Outgoing::To(Envelope { to, message }));
    }

    fn send_to_shard(&mut self, to: ShardId, message: Message) {
        self.out.push_back(Outgoing::ToShard(to, message));
    }

    fn request_id(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    /// An entity's persistent record as it is now, with its epoch and session.
    fn record(&self, entity: EntityId) -> Option<Record> {
        let epoch = self.life.residents.get(&entity)?.epoch;
        let session = self.life.sessions.state(entity).unwrap_or_default();
        Some(Record { epoch, session, ..self.world.record(entity)? })
    }

    /// The same into the journal. Whether it has one.
    fn save(&mut self, entity: EntityId, encoded: &mut Encoded) -> bool {
        let Some(resident) = self.life.residents.get(&entity) else { return false };
        let Some(head) = self.world.lasting(entity, encoded) else { return false };
        let session = self.life.sessions.state(entity).unwrap_or_default();
        self.writer.put(RecordHead { epoch: resident.epoch, ..head }, &session, encoded.parts());
        true
    }

    fn flush(&mut self) {
        let out = &mut self.out;
        self.writer.flush(self.now, self.tick, &mut |request| {
            out.push_back(Outgoing::To(Envelope { to: Address::Data, message: Message::JournalRequest(request) }));
        });
    }
}

fn new_world(id: ShardId, space: &SpaceSpec, config: &ShardConfig) -> ShardWorld {
    ShardWorld::new(&config.game, id, space, config.rate, config.seed ^ id.to_bits().rotate_left(17))
}

fn unsaved(rate: TickRate) -> Unsaved {
    Unsaved::within(rate.ticks_in(PERSIST_WITHIN))
}
