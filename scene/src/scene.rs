//! A process that owns shards.
