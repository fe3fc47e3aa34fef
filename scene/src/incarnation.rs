//! Who may run a shard: the incarnation state machine.
