//! The suite without the command line, for whoever changes it: `cargo run --release -p pangaea-bench --example suite -- S4 S15`.

use pangaea_bench::{BenchOptions, run};

fn main() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join("pangaea-bench");
    let report =
        run(&BenchOptions { only: std::env::args().skip(1).collect(), quick: true, folder, port_base: 7_900, profile: false })?;
    std::io::Write::write_all(&mut std::io::stdout(), report.markdown().as_bytes())?;
    Ok(())
}
