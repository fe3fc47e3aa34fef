//! The `pangaea` binary.
fn main() {}
