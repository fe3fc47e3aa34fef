//! The data plane core: shards, tick phases, change feed, hand-over, ghosts and the designers' API.
//!
//! Designers start at [`prelude`]; a game is described by [`game::Game`] and tried in [`harness`]. A shard's entities and
//! systems live in [`ecs::ShardWorld`]; who owns a shard, who leaves it and who speaks for an agent is decided in [`shard`] and
//! its neighbours.

// The attributes of `pangaea-scene-macros` name this crate by its path, also when they are used inside it.
extern crate self as pangaea_scene;

pub mod prelude;

pub mod game;

pub mod layouts;

pub mod ecs;

pub mod scripts;

pub mod profile;

pub mod harness;

pub mod incarnation;

pub mod journal_writer;

pub mod lanes;

pub mod handover;

pub mod migration;

pub mod recut;

pub mod recording;

pub mod sessions;

pub mod trials;

pub mod effects;

pub mod rules;

pub mod peers;

pub mod shard;

pub mod scene;
