//! The command line of the `pangaea` binary.
