//! `pangaea agent show`: one entity, as it is or as it goes.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use pangaea_node::admin::{AgentView, PassageView};

use super::ShowArgs;
use crate::clock::time_of_day;
use crate::cluster::ClusterAddress;
use crate::exit;
use crate::say;

/// Puts the cursor into the corner and empties the screen.
const NEW_PAGE: &str = "\x1b[H\x1b[2J";

/// Once, or until told to stop.
pub(super) async fn run(cluster: &ClusterAddress, args: &ShowArgs) -> anyhow::Result<()> {
    if !args.follow {
        let view = look(cluster, args).await?;
        say(&if args.json { serde_json::to_string_pretty(&view)? } else { describe(&view) });
        return Ok(());
    }
    tokio::select! {
        ended = follow(cluster, args) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn look(cluster: &ClusterAddress, args: &ShowArgs) -> anyhow::Result<AgentView> {
    cluster.ask(&format!("/api/agents/{}", args.agent)).await
}

/// Whoever is nowhere just now may be somewhere a moment later: that is told, and looked at again.
async fn follow(cluster: &ClusterAddress, args: &ShowArgs) -> anyhow::Result<()> {
    let is_page = !args.json && std::io::stdout().is_terminal();
    for look_at in 1.. {
        let text = match look(cluster, args).await {
            Ok(view) if args.json => serde_json::to_string(&view)?,
            Ok(view) => describe(&view),
            Err(error) if exit::code_of(&error) == exit::UNREACHABLE || args.json => return Err(error),
            Err(error) => format!("{error:#}"),
        };
        let start = if is_page { NEW_PAGE } else { "" };
        let end = if is_page || args.json { "\n" } else { "\n\n" };
        let mut out = std::io::stdout();
        // A closed pipe, such as of `head`, is the end.
        if write!(out, "{start}{text}{end}").and_then(|()| out.flush()).is_err() || args.count == Some(look_at) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(args.every_ms)).await;
    }
    Ok(())
}

fn describe(view: &AgentView) -> String {
    let AgentView { id, shard, scene, shard_epoch, epoch, position, session, player, .. } = view;
    let what = match (&view.name, player) {
        (Some(name), _) => format!(", {name}"),
        (None, true) => ", a player's".to_owned(),
        (None, false) => String::new(),
    };
    let way = view.toward.as_ref().map(|shard| format!(", toward {shard}")).unwrap_or_default();
    let mut rows = vec![
        ("entity", format!("e{id}{what}, epoch {epoch}")),
        ("state", format!("{}{way}", view.state)),
        ("shard", format!("{shard} at {scene}, epoch {shard_epoch}")),
        ("place", format!("{:.2}, {:.2} m", position.x, position.z)),
    ];
    if *player {
        rows.push(("session", format!("{session} at {}", view.gateway.as_deref().unwrap_or("no gateway"))));
    }
    let mut text = String::new();
    for (what, value) in rows {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{what:<10} {value}");
    }
    for (name, value) in &view.components {
        let _ = writeln!(text, "{name:<10} {value}");
    }
    for PassageView { from, from_scene, to, to_scene, at_us, took_ms } in &view.history {
        let to_scene = to_scene.as_deref().unwrap_or("nobody known");
        let time = time_of_day(*at_us);
        let _ = writeln!(text, "{:<10} {time}  {from} at {from_scene} to {to} at {to_scene}, {took_ms:.1} ms", "came");
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::agent::AgentCommand;
    use crate::args::{Cli, Command};

    fn parsed(words: &[&str]) -> Result<ShowArgs, clap::Error> {
        match Cli::try_parse_from([&["pangaea", "agent", "show"], words].concat())?.command {
            Some(Command::Agent(AgentCommand::Show(args))) => Ok(args),
            other => panic!("something else: {other:?}"),
        }
    }

    #[test]
    fn an_entity_is_looked_at_once_or_followed() {
        let once = parsed(&["e4711"]).expect("fine");
        assert_eq!((once.agent, once.follow, once.count), (4_711, false, None));
        let followed = parsed(&["4711", "--follow", "--every-ms", "2000", "--count", "3", "--json"]).expect("fine");
        assert_eq!((followed.every_ms, followed.count, followed.json), (2_000, Some(3), true));
        assert!(parsed(&["4711", "--count", "3"]).is_err(), "without --follow there is one look");
        assert!(parsed(&["Ana"]).is_err());
    }

    #[test]
    fn an_agent_is_described_with_its_components_and_its_way() {
        let components = [("health".to_owned(), json!({ "points": 90 }))].into_iter().collect();
        let passage = PassageView {
            from: "0/3/0,0".to_owned(),
            from_scene: "scene-2".to_owned(),
            to: "0/3/1,0".to_owned(),
            to_scene: None,
            at_us: 1_764_378_245_067_000,
            took_ms: 31.25,
        };
        let view = AgentView {
            id: 4_711,
            name: Some("Ana".to_owned()),
            shard: "0/3/1,0".to_owned(),
            scene: "scene-1".to_owned(),
            state: "leaving".to_owned(),
            toward: Some("0/3/2,0".to_owned()),
            components,
            history: vec![passage],
            ..AgentView::default()
        };
        let text = describe(&view);
        for words in [
            "e4711, Ana, epoch 0",
            "state      leaving, toward 0/3/2,0",
            "0/3/1,0 at scene-1",
            "health     {\"points\":90}",
            "came       01:04:05.067  0/3/0,0 at scene-2 to 0/3/1,0 at nobody known, 31.2 ms",
        ] {
            assert!(text.contains(words), "{words} in {text}");
        }
        assert!(!text.contains("session"), "it has none");
    }
}
