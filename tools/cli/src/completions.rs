//! `pangaea completions`: what a shell needs to complete commands with the tab key.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::say;

const EXAMPLES: &str = "Examples:
  pangaea completions bash > ~/.local/share/bash-completion/completions/pangaea
  pangaea completions zsh > ~/.zfunc/_pangaea
  pangaea completions fish > ~/.config/fish/completions/pangaea.fish";

/// For which shell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Print the script.
pub(crate) fn show(args: &CompletionsArgs) -> ExitCode {
    say(script(args.shell).trim_end());
    ExitCode::SUCCESS
}

fn script(shell: Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pangaea", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
                assert!(script.contains(command.get_name()), "{shell} {}", command.get_name());
            }
            assert!(script.contains("dry-run"), "{shell}");
        }
    }
}
