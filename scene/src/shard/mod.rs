//! One shard: its incarnation, its world and its conversations.
