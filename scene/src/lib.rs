//! The data plane core: shards, tick phases, change feed, ghosts, hand-over and the designers' API.
