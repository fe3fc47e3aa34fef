//! The `pangaea` binary: the demo game behind Pangaea's command line.

fn main() -> std::process::ExitCode {
    pangaea_cli::main(pangaea_game::game)
}
