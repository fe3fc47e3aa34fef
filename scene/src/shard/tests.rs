//! Shards against a small journal and a network that misbehaves.
