//! The shard side of client sessions.
