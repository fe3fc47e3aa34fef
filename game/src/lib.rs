//! The demo game, and the `pangaea` binary.
