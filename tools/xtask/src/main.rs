//! Chores: generated code, tidy rules and continuous integration.
fn main() {}
