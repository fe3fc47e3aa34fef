//! The vocabulary of the cluster: ids, time, fences, geometry, records, journal entries, frames and typed messages.
//!
//! Roles talk only through the types of this crate. Bytes are parsed here, once, at the edge; cores never see FlatBuffers.
//!
//! Read in this order: [`id`], [`time`], [`fence`], [`geometry`], [`registry`], [`record`], [`journal`], [`message`], [`client`],
//! then [`frame`] and [`wire`] for how they travel.

pub mod client;
pub mod cluster;
pub mod fence;
pub mod frame;
mod generated;
pub mod geometry;
pub mod id;
pub mod journal;
pub mod message;
pub mod mutant;
pub mod record;
pub mod recording;
pub mod registry;
pub mod rules;
pub mod ticket;
pub mod time;
pub mod wire;

pub use fence::{AgentEpoch, EffectSeq, InSeq, JournalIndex, OutSeq, Revision, SessionEpoch, ShardEpoch};
pub use id::{AccountId, EntityId, MigrationId, NodeId, Nonce, ParseNodeIdError, RequestId, Role};
pub use registry::{RegistryHash, TypeId};
pub use time::{Tick, TickRate, Timestamp};
