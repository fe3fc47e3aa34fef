//! The rows, one file per part of the cluster.

mod arena;
mod cluster;
mod crossing;
pub(crate) mod moving;
pub(crate) mod replication;
mod scaling;
mod script;
mod store;
pub(crate) mod tick;

use crate::Setup;
use crate::measure::Log;
use crate::row::Row;

/// Rows that are measured together.
pub(crate) struct Part {
    pub(crate) ids: &'static [&'static str],
    pub(crate) what: &'static str,
    pub(crate) run: fn(&Setup, &mut Log) -> anyhow::Result<Vec<Row>>,
}

/// All of them, the quickest first.
pub(crate) const ALL: &[Part] = &[
    Part { ids: &["S15"], what: "replication in the gateway, without sockets", run: replication::pairs },
    Part { ids: &["S4"], what: "one shard, everybody moves", run: tick::crowd },
    Part { ids: &["S17"], what: "a system as a script", run: script::against_native },
    Part { ids: &["S14"], what: "one scene, everybody moves", run: tick::scene },
    Part { ids: &["S5"], what: "one scene, hardly anybody moves", run: tick::idle },
    Part { ids: &["S16"], what: "ledger", run: store::ledger },
    Part { ids: &["S8"], what: "what changed goes to disk", run: store::snapshot },
    Part { ids: &["S9"], what: "cold start", run: store::cold_start },
    Part { ids: &["S6"], what: "a border between two scenes", run: crossing::rows },
    Part { ids: &["S7"], what: "a shard goes to another scene", run: moving::rows },
    Part { ids: &["S10"], what: "a crowd on real processes", run: arena::crowd_rows },
    Part { ids: &["S1", "S2", "S3", "S11", "S13"], what: "a growing crowd on real processes", run: arena::capacity_rows },
    Part { ids: &["S12"], what: "two of everything on two cores", run: scaling::rows },
];
