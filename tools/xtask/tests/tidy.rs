//! The workspace keeps its own rules: `cargo test` runs what `cargo xtask tidy` runs.

#[test]
fn the_tree_is_tidy() {
    if let Err(findings) = xtask::tidy::check(&xtask::root()) {
        panic!("{findings}");
    }
}
