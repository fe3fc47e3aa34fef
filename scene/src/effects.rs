//! Lanes of effects between shards.
