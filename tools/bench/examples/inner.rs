//! Runs one inner loop under callgrind, or names them all: `cargo xtask instructions` does that.

use std::io::Write;

use pangaea_bench::inner::{LOOPS, inner_loop};

/// As in the real processes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds that are counted.
const ROUNDS: u32 = 8;

fn main() -> anyhow::Result<()> {
    let Some(name) = std::env::args().nth(1) else {
        for inner in LOOPS {
            writeln!(std::io::stdout(), "{} {} {}", inner.name, inner.elements, inner.of)?;
        }
        return Ok(());
    };
    let mut round = inner_loop(&name)?.start()?;
    (0..ROUNDS).for_each(|_| counted_round(&mut round));
    Ok(())
}

/// Callgrind counts what happens in here, and finds it by its name.
#[inline(never)]
fn counted_round(round: &mut dyn FnMut()) {
    round();
}
