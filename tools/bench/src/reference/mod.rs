//! The bare things that figures are compared with: no game, no gateway, nothing durable that the row itself does not need.

pub(crate) mod bare;
pub(crate) mod ecs;
pub(crate) mod lmdb;
pub(crate) mod pairs;
