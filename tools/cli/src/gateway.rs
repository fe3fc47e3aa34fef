//! `pangaea gateway`: which gateways there are, emptying one, taking it into use again.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use crate::args::JsonArgs;
use clap::{Args, Subcommand};
use pangaea_node::admin::{GatewayOrderView, GatewayView, StatusView};

use crate::cluster::ClusterAddress;
use crate::drain::{Kind, Outcome};
use crate::operator::OrderArgs;
use crate::roles::RoleArgs;
use crate::{exit, say};

const EXAMPLES: &str = "Examples:
  pangaea gateway list
  pangaea gateway drain gateway-1 --dry-run
  pangaea gateway drain gateway-1     its clients go on at the others; then it may be stopped
  pangaea gateway undrain gateway-1
Ctrl-C while a gateway is drained undrains it. Exit codes: 1 when it was refused or did not end well, 4 when it was aborted.";

/// A gateway process, or what to do with those that run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct GatewayArgs {
    #[command(subcommand)]
    pub(crate) command: Option<GatewayCommand>,
    #[command(flatten)]
    pub(crate) role: RoleArgs,
}

/// What to do with gateways.
#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Show gateways, their clients and sessions
    #[command(after_help = EXAMPLES)]
    List(JsonArgs),
    /// Send a gateway's clients to the others and give it no new ones
    #[command(after_help = EXAMPLES)]
    Drain(GatewayOrderArgs),
    /// Let a drained gateway take clients again
    #[command(after_help = EXAMPLES)]
    Undrain(GatewayOrderArgs),
}

/// An order to a gateway.
#[derive(Debug, Args)]
pub(crate) struct GatewayOrderArgs {
    /// Which one, such as gateway-1
    #[arg(value_name = "GATEWAY")]
    pub(crate) gateway: String,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
}

const GATEWAY: Kind<GatewayOrderView> = Kind {
    route: "gateways",
    unit: "clients",
    was: |order| &order.was,
    look: |status, name| {
        let gateway = status.gateways.iter().find(|known| known.id == name)?;
        Some((gateway.state.clone(), gateway.connections))
    },
    gone: "its clients come back by themselves",
    // It empties itself within seconds.
    obey_time_max: Duration::from_secs(30),
};

/// Do what was typed.
pub(crate) async fn run(cluster: &ClusterAddress, command: GatewayCommand) -> anyhow::Result<ExitCode> {
    match command {
        GatewayCommand::List(args) => {
            let gateways = cluster.ask::<StatusView>("/api/status").await?.gateways;
            say(&if args.json { serde_json::to_string_pretty(&gateways)? } else { table(&gateways) });
        }
        GatewayCommand::Drain(GatewayOrderArgs { gateway, order: args }) => {
            let outcome = GATEWAY.drain(cluster, &gateway, &args).await?;
            say(&if args.json { serde_json::to_string_pretty(&outcome)? } else { in_words(&outcome) });
            if outcome.result == "aborted" {
                return Ok(ExitCode::from(exit::ABORTED));
            }
        }
        GatewayCommand::Undrain(GatewayOrderArgs { gateway, order: args }) => {
            let outcome = GATEWAY.undrain(cluster, &gateway, &args).await?;
            let what = if args.dry_run { "would take clients again. Nothing was ordered." } else { "takes clients again." };
            let text = format!("{gateway} {what}");
            say(&if args.json { serde_json::to_string_pretty(&outcome)? } else { text });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(outcome: &Outcome<GatewayOrderView>) -> String {
    let GatewayOrderView { gateway, connections, to, dry_run, .. } = &outcome.order;
    let (result, seconds, to) = (&outcome.result, outcome.seconds, to.join(", "));
    match result.as_str() {
        was if *dry_run => format!("{gateway} is {was}; its {connections} clients would go to {to}. Nothing was ordered."),
        "aborted" => format!("aborted: {gateway} takes clients again; those that were sent on stay where they are."),
        _ => format!("{gateway} is drained after {seconds:.1} s: {connections} clients went to {to}. It may be stopped."),
    }
}

fn table(gateways: &[GatewayView]) -> String {
    let mut text = format!("{:<12} {:<9} {:>8} {:>9}  {:<22} websocket", "gateway", "state", "clients", "sessions", "tcp");
    for gateway in gateways {
        let GatewayView { id, state, connections, sessions, client_tcp, client_ws } = gateway;
        // Writing to a string does not fail.
        let _ = write!(text, "\n{id:<12} {state:<9} {connections:>8} {sessions:>9}  {client_tcp:<22} {client_ws}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::Moved;

    #[test]
    fn the_table_has_every_gateway_with_its_clients() {
        let gateway = GatewayView {
            id: "gateway-2".to_owned(),
            state: "draining".to_owned(),
            connections: 31,
            sessions: 33,
            ..GatewayView::default()
        };
        let text = table(&[gateway]);
        let row = text.lines().nth(1).expect("a row");
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["gateway-2", "draining", "31", "33"]);
    }

    #[test]
    fn an_outcome_is_one_flat_object() {
        let order = GatewayOrderView { gateway: "gateway-1".to_owned(), connections: 4, ..GatewayOrderView::default() };
        let json = serde_json::to_value(Outcome { result: "drained".to_owned(), seconds: 1.5, moved: Moved::default(), order })
            .expect("plain data");
        assert_eq!(
            (&json["result"], &json["gateway"], &json["connections"]),
            (&"drained".into(), &"gateway-1".into(), &4.into())
        );
    }
}
