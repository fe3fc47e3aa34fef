//! A shard on its way to another scene: the fields of [`crate::message::Migration`] and of all that it carries, spelled out once.

use super::codec::{wire_enum, wire_row, wire_struct, wire_table};
use crate::ShardEpoch;
use crate::generated::node::migration;
use crate::geometry::ShardId;
use crate::message::{Migration, RestAnswer, RestFollower, RestHeld, RestOperation, RestResident, RestSeat, ShardRest};

wire_row! { migration::IdBlock { first: u64, end: u64 } }
wire_row! { migration::PeerEpoch { shard: ShardId, epoch: ShardEpoch } }
wire_struct! { RestResident = migration::RestResident { entity, epoch, dwell_us, open } }
wire_table! {
    RestSeat = migration::{RestSeat, RestSeatArgs} { agent, state, linger_us, window, fresh_after, resync }
}
wire_table! { RestHeld = migration::{RestHeld, RestHeldArgs} { leader, inputs } }
wire_table! { RestOperation = migration::{RestOperation, RestOperationArgs} { op, by, gate, transaction } }
wire_table! { RestAnswer = migration::{RestAnswer, RestAnswerArgs} { op, by, asked, result } }
wire_table! { RestFollower = migration::{RestFollower, RestFollowerArgs} { node, shard, filter, cells, fresh, seq } }
wire_table! {
    ShardRest = migration::{ShardRest, ShardRestArgs} {
        tick, seed, pending, arrived, ids, hash, durable, residents, seats, held, operations, answers, peers,
        followers, dirty, estates,
    }
}
wire_enum! {
    Migration = migration::{Migration, MigrationArgs, MigrationBody}
    variants {
        Prepare(PrepareArgs, body_as_prepare) { id, shard, epoch, entities },
        Standby(StandbyArgs, body_as_standby) { id, shard, nonce },
        Declined(DeclinedArgs, body_as_declined) { id, shard, reason },
        Copied(CopiedArgs, body_as_copied) { id, shard, round, records, gone, last },
        Taken(TakenArgs, body_as_taken) { id, shard, round },
        Final(FinalArgs, body_as_final) { id, shard, rest },
        Ready(ReadyArgs, body_as_ready) { id, shard },
        Cancelled(CancelledArgs, body_as_cancelled) { id, shard },
        Owned(OwnedArgs, body_as_owned) { id, shard, epoch, index, nonce },
        Running(RunningArgs, body_as_running) { id, shard, first, started_us },
        Moved(MovedArgs, body_as_moved) { route },
        Recut(RecutArgs, body_as_recut) { closed, routes },
    }
    carriers {}
}
