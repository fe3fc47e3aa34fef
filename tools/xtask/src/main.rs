//! `cargo xtask <chore>`: generated code, tidy rules and continuous integration.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks on its streams")]

use std::process::ExitCode;

use xtask::{ci, instructions, nats, schemas, tidy};

const USAGE: &str = "\
usage: cargo xtask <chore>
  schemas          write the code generated from schemas/fbs
  schemas --check  fail when the committed code is not what would be written
  nats             install the pinned nats-server, for tests and for `pangaea up --engine nats`
  tidy             the rules that no compiler checks
  instructions     count the inner loops' instructions, and fail when one has grown; --write commits to the new counts
  ci               everything that must hold before a change is shared";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = xtask::root();
    let result = match words[..] {
        ["schemas"] => schemas::write(&root),
        ["schemas", "--check"] => schemas::check(&root),
        ["nats"] => nats::install(&root).map(|program| println!("{}", program.display())),
        ["tidy"] => tidy::check(&root),
        ["instructions"] => instructions::count(&root, false).map(|told| println!("{told}")),
        ["instructions", "--write"] => instructions::count(&root, true).map(|told| println!("{told}")),
        ["ci"] => ci::run(&root),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
