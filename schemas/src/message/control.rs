//! Orders of the world server, and the reports it decides by.

use std::sync::Arc;

use crate::geometry::ShardId;
use crate::rules::Rules;
use crate::{EntityId, MigrationId, NodeId, ShardEpoch, Tick, Timestamp};

/// A shard's life at its scene, see `scene::incarnation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ShardPhase {
    /// Appending its OWNER entry.
    Claiming = 0,
    /// Reading its journal.
    Recovering = 1,
    /// Raising its fence at the ledger and at peers.
    Fencing = 2,
    /// Ticking.
    Running = 3,
    /// Ticking, but its lease or journal is away: nothing is acknowledged.
    Unconfirmed = 4,
    /// Stopped: somebody else owns it.
    Fenced = 5,
}

/// Most parked agents that one shard tells of.
pub const PARKED_TOLD_MAX: usize = 64;

/// Most hand-overs that a shard tells of in one report.
pub const PASSAGES_TOLD_MAX: usize = 256;

/// A hand-over that its target has confirmed: who, where to, when it left the live set, and microseconds until the answer came.
pub type Passage = (EntityId, ShardId, Timestamp, u32);

/// A shard's numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardReport {
    /// Which shard.
    pub shard: ShardId,
    /// Its epoch.
    pub epoch: ShardEpoch,
    /// Where it is in its life.
    pub phase: ShardPhase,
    /// Entities in its world, asleep ones and ghosts excluded.
    pub entities: u32,
    /// Of them, agents with a session.
    pub players: u32,
    /// Ghosts of neighbours' entities.
    pub ghosts: u32,
    /// Tick time in microseconds over the last reports' span.
    pub tick_p50_us: u32,
    /// Tick time in microseconds over the last reports' span.
    pub tick_p99_us: u32,
    /// Smoothed share of the tick interval it uses, in 1/1000.
    pub load_permille: u32,
    /// Hand-overs begun since it runs.
    pub handovers_out: u64,
    /// Hand-overs taken since it runs.
    pub handovers_in: u64,
    /// Last hand-overs since the previous report: who, where to.
    pub recent: Vec<(EntityId, ShardId)>,
    /// Agents that rest here until an admin releases them, at most [`PARKED_TOLD_MAX`].
    pub parked: Vec<EntityId>,
    /// Milliseconds until it goes on by itself, because an admin has stopped it; 0: nobody has.
    pub paused_ms: u32,
    /// Ticks of a stopped shard that are still to be run one by one.
    pub paused_steps: u32,
    /// Hand-overs that were confirmed since the previous report; at most [`PASSAGES_TOLD_MAX`].
    pub passages: Vec<Passage>,
}

/// A scene's numbers, every half second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SceneReport {
    /// The last tick.
    pub tick: Tick,
    /// Ticks that started late by more than half an interval since start.
    pub late_ticks: u64,
    /// Its shards.
    pub shards: Vec<ShardReport>,
    /// Version of the latest rules that it has, in force or to come.
    pub rules: u64,
    /// Scripts that are off in a shard because they failed there; at most [`FAULTS_MAX`].
    pub faults: Vec<ScriptFault>,
}

/// Most faults of scripts that a scene reports.
pub const FAULTS_MAX: usize = 64;
/// Longest explanation of a fault, and longest list of values, in bytes.
pub const FAULT_TEXT_BYTES_MAX: usize = 1_024;

/// A script that failed in a shard, and is off there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFault {
    /// Which script.
    pub script: String,
    /// Where in its source; 0: nowhere in particular.
    pub line: u32,
    /// Why.
    pub text: String,
    /// The entity that it had in hand, in words.
    pub values: String,
    /// Where.
    pub shard: ShardId,
    /// When.
    pub tick: Tick,
}

/// A gateway's numbers, every half second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatewayReport {
    /// Connections of clients.
    pub connections: u32,
    /// Sessions, lost connections included.
    pub sessions: u32,
    /// Bytes sent to clients since start.
    pub bytes_out: u64,
    /// Inputs received since start.
    pub inputs: u64,
    /// Takes no new sessions.
    pub draining: bool,
}

/// Where the clients of one gateway connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientAddresses {
    /// Over TCP: host and port; empty: they cannot.
    pub tcp: String,
    /// Over WebSocket: host and port; empty: they cannot.
    pub ws: String,
}

/// Most gateways that the clients of a drained one are sent to.
pub const DRAIN_TARGETS_MAX: usize = 64;

/// Where a migration is, see `scene::migration::source`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MigrationStep {
    /// The target was asked.
    #[default]
    Preparing = 0,
    /// Rounds are copied while the shard ticks.
    Copying = 1,
    /// The last tick is over.
    Freezing = 2,
    /// Everything is sent.
    Frozen = 3,
    /// The target's OWNER entry is on its way.
    Committing = 4,
    /// The source's own OWNER entry is on its way.
    Returning = 5,
    /// The target owns the shard.
    Given = 6,
    /// Over: the target ticks it.
    Done = 7,
    /// Over: the source ticks it, or nobody knows of the migration any more.
    Kept = 8,
}

impl MigrationStep {
    /// As admins see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Copying => "copying",
            Self::Freezing => "freezing",
            Self::Frozen => "frozen",
            Self::Committing => "committing",
            Self::Returning => "returning",
            Self::Given => "given",
            Self::Done => "done",
            Self::Kept => "kept",
        }
    }
}

/// The reason of a migration that was kept because an admin asked for it.
pub const NEWS_CANCELLED: &str = "it was cancelled";

/// How a migration goes.
#[derive(Clone, Debug, PartialEq)]
pub struct MigrationNews {
    /// Which migration.
    pub id: MigrationId,
    /// Which shard.
    pub shard: ShardId,
    /// In force, as far as its source knows.
    pub epoch: ShardEpoch,
    /// Where to.
    pub to: Option<NodeId>,
    /// Where it is.
    pub step: MigrationStep,
    /// Rounds copied so far, the last part included.
    pub rounds: u32,
    /// Entities in the shard.
    pub entities: u32,
    /// Bytes of records copied so far.
    pub bytes: u64,
    /// Once over: microseconds in which nobody ticked the shard, beyond the interval of a tick.
    pub blackout_us: u64,
    /// Once over: ticks that no owner ran in time.
    pub missed_ticks: u32,
    /// Why it was kept; empty otherwise.
    pub reason: String,
}

/// Between the world and scenes or gateways.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// World to scene: claim this shard. Idempotent; repeated until reported.
    Assign {
        /// Which shard.
        shard: ShardId,
        /// Do not claim if the journal's epoch is already above this.
        above: ShardEpoch,
    },
    /// Scene to world.
    Scene(SceneReport),
    /// Gateway to world.
    Gateway(GatewayReport),
    /// World to gateway: take no new sessions, send the clients elsewhere. Repeated until reported.
    DrainGateway {
        /// Clients are sent to these in turn; empty: they ask again at the same place.
        to: Vec<ClientAddresses>,
    },
    /// World to gateway: take sessions again. Repeated until reported.
    UndrainGateway,
    /// Supervisor through world to all: this process is known to be dead, its lease need not be waited for.
    Reaped {
        /// The dead node.
        node: crate::NodeId,
        /// The dead incarnation.
        nonce: crate::Nonce,
    },
    /// World to scene: give this shard to another scene. Idempotent by id; one at a time for a shard.
    Migrate {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
        /// The scene that is to own it.
        to: NodeId,
    },
    /// World to scene: keep the shard, if that is still possible.
    CancelMigration {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
    },
    /// World to scene: cut the shard into its four children, or make it of them. Idempotent by id. How it goes is told like
    /// a migration to nowhere.
    Recut {
        /// Which order; numbered with the migrations.
        id: MigrationId,
        /// The parent.
        shard: ShardId,
        /// Whether it is to be made of its children.
        merge: bool,
    },
    /// World to scene: the parked agent may play again.
    Release {
        /// Who.
        agent: EntityId,
    },
    /// Scene to world, at each step.
    Migrating(MigrationNews),
    /// World to scene: what designers have set, from a tick on. Repeated until reported; no shard runs before the first.
    Rules(Arc<Rules>),
}
