//! A recording's frames: the fields of [`crate::recording`], spelled out once.

use super::codec::{wire_struct, wire_table};
use crate::generated::node::recording;
use crate::geometry::SpaceSpec;
use crate::recording::{
    LookedAt, RecordedBirth, RecordedExit, RecordedLink, RecordedPlacement, RecordedTick, RecordingEnd, RecordingHead,
    RecordingPart, TickCheck,
};

wire_table! { SpaceSpec = recording::{Space, SpaceArgs} { space, name, level, shard_level } }
wire_table! {
    RecordingHead = recording::{Head, HeadArgs} { shard, space, hz, registry, after, seed, pending, ids, hash, entities }
}
wire_table! { RecordingPart = recording::{Part, PartArgs} { records } }
wire_table! { RecordedBirth = recording::{Birth, BirthArgs} { agent, birth } }
wire_struct! { RecordedLink = recording::Link { agent, is_connected } }
wire_table! { RecordedPlacement = recording::{Placement, PlacementArgs} { entity, position } }
wire_struct! { RecordedExit = recording::Exit { entity, to } }
wire_struct! { LookedAt = recording::Look { entity, hash } }
wire_table! { TickCheck = recording::{Check, CheckArgs} { entities, said, looked, columns } }
wire_table! {
    RecordedTick = recording::{Tick, TickArgs} {
        tick, rules, ids, arrivals, births, links, placements, inputs, effects, answers, news, ghosts, silent, exits, check,
        scripts_rest,
    }
}
wire_table! { RecordingEnd = recording::{End, EndArgs} { why, ticks, hash, is_whole } }
