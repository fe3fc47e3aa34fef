//! `pangaea token`: who may read the cluster, and who may change it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use pangaea_node::admin::{NewToken, Rank, TokenMade, TokenView};

use crate::args::JsonArgs;
use crate::clock::at;
use crate::cluster::ClusterAddress;
use crate::operator::OrderArgs;
use crate::say;

const EXAMPLES: &str = "Examples:
  pangaea token list
  pangaea token new ann                          may read
  pangaea token new olaf --rank operator         may change; the audit log says olaf then
  pangaea token revoke olaf
  PANGAEA_TOKEN=... pangaea --cluster http://10.0.0.5:7000 status
Whoever is on the world's machine may read without a token. The data folder's own token, keys/operator.token, is an operator's.";

/// What to do about tokens.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum TokenCommand {
    /// Show whose tokens there are
    #[command(after_help = EXAMPLES)]
    List(JsonArgs),
    /// Make one; it is told once and kept nowhere
    #[command(after_help = EXAMPLES)]
    New(NewArgs),
    /// Let one be good for nothing from now on
    #[command(after_help = EXAMPLES)]
    Revoke(RevokeArgs),
}

/// A new token.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Whose: lower-case letters, digits and -
    #[arg(value_name = "NAME")]
    name: String,
    /// viewer: may read; operator: may change, too
    #[arg(long, default_value_t = Rank::Viewer, value_name = "RANK")]
    rank: Rank,
    #[command(flatten)]
    how: OrderArgs,
}

/// A token to revoke.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Whose
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    how: OrderArgs,
}

/// Do what was typed.
pub(crate) async fn run(cluster: &ClusterAddress, command: TokenCommand) -> anyhow::Result<ExitCode> {
    match command {
        TokenCommand::List(args) => {
            let tokens: Vec<TokenView> = cluster.ask("/api/tokens").await?;
            say(&if args.json { serde_json::to_string_pretty(&tokens)? } else { table(&tokens) });
        }
        TokenCommand::New(NewArgs { name, rank, how }) => {
            let path = format!("/api/tokens?dry_run={}", how.dry_run);
            let made: TokenMade = cluster.send(&path, &how.operator, &NewToken { name, rank }).await?;
            let words = match how.dry_run {
                true => format!("{} would be {}. Nothing was made.", made.name, a(made.rank)),
                false => format!("{} is {} with this token, which is told only now:\n{}", made.name, a(made.rank), made.token),
            };
            say(&if how.json { serde_json::to_string_pretty(&made)? } else { words });
        }
        TokenCommand::Revoke(RevokeArgs { name, how }) => {
            let path = format!("/api/tokens/{name}/revoke?dry_run={}", how.dry_run);
            let revoked: TokenView = cluster.order(&path, &how.operator).await?;
            let (name, rank) = (&revoked.name, revoked.rank);
            let words = match how.dry_run {
                true => format!("{name}, who is {}, would have no token any more. Nothing was revoked.", a(rank)),
                false => format!("{name}, who was {}, has no token any more", a(rank)),
            };
            say(&if how.json { serde_json::to_string_pretty(&revoked)? } else { words });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn a(rank: Rank) -> &'static str {
    match rank {
        Rank::Viewer => "a viewer",
        Rank::Operator => "an operator",
    }
}

fn table(tokens: &[TokenView]) -> String {
    let mut text = format!("{:<32} {:<9} made", "name", "rank");
    for TokenView { name, rank, made_us } in tokens {
        let made = if *made_us == 0 { "with the cluster".to_owned() } else { at(*made_us) };
        // Writing to a string does not fail.
        let _ = write!(text, "\n{name:<32} {rank:<9} {made}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_rank_and_age() {
        let view = |name: &str, rank, made_us| TokenView { name: name.to_owned(), rank, made_us };
        let text = table(&[view("local", Rank::Operator, 0), view("ann", Rank::Viewer, 1_764_374_400_000_000)]);
        let rows: Vec<_> = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(rows, ["local operator with the cluster", "ann viewer 2025-11-29 00:00:00"]);
    }
}
