//! Runs one inner loop under callgrind: `cargo xtask instructions` does that for all of them.

use pangaea_bench::inner::inner_loop;

/// Rounds that are counted.
const ROUNDS: u32 = 8;

fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let mut round = inner_loop(&name)?;
    (0..ROUNDS).for_each(|_| counted_round(&mut round));
    Ok(())
}

/// Callgrind counts what happens in here, and finds it by its name.
#[inline(never)]
fn counted_round(round: &mut dyn FnMut()) {
    round();
}
