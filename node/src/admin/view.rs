//! What the admin API answers, as JSON. Field names are a promise to scripts: they are added to, never renamed.

use std::collections::BTreeMap;

use pangaea_schemas::message::ScriptFault;
use serde::{Deserialize, Serialize};

use super::balance::BalanceView;
use super::tune::RulesShown;

/// `/api/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// The cluster's name.
    pub cluster: String,
    /// The world's last tick.
    pub tick: u64,
    /// Registered nodes, in order of role and number.
    pub nodes: Vec<NodeView>,
    /// All shards of the map, in order.
    pub shards: Vec<ShardView>,
    /// Sessions of all gateways, those without a connection included.
    pub sessions: u32,
    /// Registered gateways, in order.
    #[serde(default)]
    pub gateways: Vec<GatewayView>,
    /// Registered scenes, in order.
    #[serde(default)]
    pub scenes: Vec<SceneView>,
    /// Shards on their way from scene to scene, and the last that were, the oldest first.
    #[serde(default)]
    pub moves: Vec<MoveView>,
}

/// One shard's way from scene to scene, or into another cut of the map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MoveView {
    /// Rises.
    pub id: u64,
    /// `move`, `split` or `merge`.
    #[serde(default)]
    pub kind: String,
    /// Such as `0/3/1,0`; of a split the one that becomes four, of a merge the one that four become.
    pub shard: String,
    /// Where from.
    pub from: String,
    /// Where to.
    pub to: String,
    /// `gathering` while the parts of a merge are brought to one scene; `preparing`,
    /// `copying`, `freezing`, `frozen`, `committing`, `returning`, `given`, `done` or `kept`.
    pub step: String,
    /// It has come to its end, good (`done`) or bad (`kept`).
    pub over: bool,
    /// Rounds copied so far, the last part included.
    pub rounds: u32,
    /// Entities in the shard.
    pub entities: u32,
    /// Bytes of records copied so far.
    pub bytes: u64,
    /// Once over: milliseconds in which nobody ticked the shard, beyond the interval of a tick.
    pub blackout_ms: f64,
    /// Once over: ticks that nobody ran in time.
    pub missed_ticks: u32,
    /// Why it was kept; empty otherwise.
    pub reason: String,
    /// When it was ordered, in microseconds since the Unix epoch.
    pub ordered_us: u64,
}

/// How much one scene has to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SceneView {
    /// Such as `scene-1`.
    pub id: String,
    /// `up`, `draining`, or `drained`: it has no shard left and may be stopped.
    pub state: String,
    /// Shards that it runs or is to run.
    pub shards: u32,
    /// Entities in them.
    pub entities: u32,
    /// Smoothed load of its shards together as a part of a tick, 1 is all of it.
    pub load: f64,
    /// Version of the rules that it knows, in force or about to be.
    #[serde(default)]
    pub rules: u64,
}

/// One gateway's clients.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GatewayView {
    /// Such as `gateway-1`.
    pub id: String,
    /// `up`, `draining`, or `drained`: it has no client left and may be stopped.
    pub state: String,
    /// Connections of clients.
    pub connections: u32,
    /// Sessions, those without a connection included.
    pub sessions: u32,
    /// Where clients connect over TCP.
    pub client_tcp: String,
    /// Where clients connect over WebSocket.
    pub client_ws: String,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// Such as `scene-1`.
    pub id: String,
    /// Such as `scene`.
    pub role: String,
    /// Operating system process.
    pub pid: u32,
    /// Host and port of its node listener.
    pub address: String,
    /// Host and port of metrics and health.
    pub http: String,
    /// `up`, `draining`, or `drained`: nothing is left on it.
    pub state: String,
    /// Where clients connect over TCP; empty but for gateways.
    pub client_tcp: String,
    /// Where clients connect over WebSocket; empty but for gateways.
    pub client_ws: String,
}

/// One shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardView {
    /// Such as `0/3/1,0`.
    pub id: String,
    /// The owning scene; `null` while there is none.
    pub owner: Option<String>,
    /// The owner's epoch.
    pub epoch: u64,
    /// Such as `running`.
    pub phase: String,
    /// Entities in its world.
    pub entities: u32,
    /// Of them, agents with a session.
    pub players: u32,
    /// Ghosts of neighbours' entities.
    pub ghosts: u32,
    /// Tick time in milliseconds.
    pub tick_ms: Quantiles,
    /// Share of the tick interval it uses, 1 is all of it.
    pub load: f64,
    /// Hand-overs taken since it runs.
    pub handovers_in: u64,
    /// Hand-overs begun since it runs.
    pub handovers_out: u64,
    /// Agents that rest until they are released: their inputs ended the shard's owners.
    pub parked: Vec<u64>,
    /// An admin has stopped it; `null`: it ticks.
    #[serde(default)]
    pub paused: Option<PausedView>,
}

/// A shard that an admin has stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PausedView {
    /// Seconds until it goes on by itself.
    pub left_s: f64,
    /// Ticks that are still to be run one by one.
    pub steps: u32,
}

/// A distribution in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// One thing that happened, on `/api/events`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventView {
    /// Rises by one.
    pub seq: u64,
    /// Microseconds since the Unix epoch.
    pub at_us: u64,
    /// `balance`, `handover`, `move`, `node`, `script`, `shard` or `tune`.
    pub kind: String,
    /// In words.
    pub text: String,
    /// The entity concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<u64>,
    /// The shard it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The shard it goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// `/api/ledger`: the audit of all value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerView {
    /// Everything adds up.
    pub ok: bool,
    /// Totals by name of the currency.
    pub currencies: BTreeMap<String, CurrencyView>,
    /// Items, those in the sink included.
    pub items: u64,
    /// What does not add up, in words.
    pub faults: Vec<String>,
}

/// One currency's totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyView {
    /// Ever minted.
    pub issued: u128,
    /// Ever burnt.
    pub sunk: u128,
    /// In the hands of agents.
    pub held: u128,
}

/// `/api/data`: the data node's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataView {
    /// The data folder on the data node's machine.
    pub data_dir: String,
    /// Bytes left on the disk under it.
    pub disk_room: u64,
    /// Folders of the snapshots, oldest first.
    pub snapshots: Vec<String>,
}

/// `/api/config`: what a page needs before it connects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigView {
    /// The cluster's name.
    pub cluster: String,
    /// Hosts and ports of the gateways' WebSocket listeners, those that drain excepted; the least used one first.
    pub gateway_ws: Vec<String>,
    /// Hosts and ports of the gateways' TCP listeners, those that drain excepted; the least used one first.
    pub gateway_tcp: Vec<String>,
    /// The maps.
    pub spaces: Vec<SpaceView>,
    /// Edge of a cell in metres.
    pub cell_edge_m: f32,
    /// Ticks per second.
    pub tick_hz: u16,
    /// It is a development cluster: shards may be stopped.
    #[serde(default)]
    pub development: bool,
}

/// One map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceView {
    /// Its number.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Its edge is 2 to the power of this, in cells.
    pub level: u8,
    /// The level of its first shards.
    pub shard_level: u8,
    /// Its edge in cells.
    pub edge_cells: u16,
}

/// Everything the world shows at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// For `/api/status`.
    pub status: StatusView,
    /// For `/api/config`.
    pub config: ConfigView,
    /// The last events, oldest first.
    pub events: Vec<EventView>,
    /// `/api/balance`.
    pub balance: BalanceView,
    /// `/api/tune`.
    pub rules: RulesShown,
    /// Scripts that are off in a shard because they failed.
    pub faults: Vec<ScriptFault>,
}
