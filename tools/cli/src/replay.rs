//! `pangaea replay`: a recorded shard is run again, without a cluster, and compared tick by tick.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use pangaea_node::admin::components_by_name;
use pangaea_scene::game::{BuiltGame, Game};
use pangaea_scene::recording::{Difference, Replay};
use pangaea_schemas::EntityId;
use pangaea_schemas::record::Record;
use pangaea_schemas::recording::Recording;
use serde::Serialize;
use serde_json::{Value, json};

use crate::progress::Progress;
use crate::{exit, say};

const EXAMPLES: &str = "Examples:
  pangaea replay busy.rec
  pangaea replay busy.rec --trace e4711       each change of one entity, a line of JSON each
  pangaea replay busy.rec --json || echo \"not the same\"
Exit codes: 0 when the same came of it, 1 when something else did or the file is no whole recording of this game.";

/// What to run again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReplayArgs {
    /// What `pangaea record` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print what becomes of this entity, after each tick that changed it
    #[arg(long, value_name = "ENTITY", value_parser = crate::agent::agent_id)]
    trace: Option<u64>,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Outcome {
    /// `same`, or `differs`.
    result: &'static str,
    shard: String,
    first_tick: u64,
    /// Recorded.
    ticks: usize,
    /// Run again: all, or up to the first that differs.
    replayed: u64,
    entities: u32,
    inputs: usize,
    /// All that came from outside, inputs included.
    heard: usize,
    tick_ms: f64,
    slowest_tick_ms: f64,
    /// So many times as fast as the world.
    speed: f64,
    hash: Hashes,
    difference: Option<Differs>,
    /// Why the recording ended.
    ended: String,
}

#[derive(Debug, Serialize)]
struct Hashes {
    /// Nothing when the recording broke off, or one tick differed before its end.
    recorded: Option<String>,
    replayed: String,
}

#[derive(Debug, Serialize)]
struct Differs {
    tick: u64,
    said: bool,
    columns: Vec<String>,
    entities: Vec<u64>,
    words: String,
}

/// Run it, and tell whether the same came of it.
pub(crate) fn run(args: &ReplayArgs, game: fn(&mut Game)) -> anyhow::Result<ExitCode> {
    let name = args.file.display();
    let bytes = Bytes::from(fs::read(&args.file).with_context(|| format!("cannot read {name}"))?);
    let recording = Recording::read(&bytes).with_context(|| format!("{name} cannot be replayed"))?;
    let game = Game::build(game)?;
    let replay = Replay::new(&game, recording).with_context(|| format!("{name} cannot be replayed"))?;
    let outcome = play(replay, &game, args)?;
    let is_same = outcome.difference.is_none() && outcome.result == "same";
    say(&if args.json { serde_json::to_string_pretty(&outcome)? } else { in_words(&outcome) });
    Ok(ExitCode::from(if is_same { exit::DONE } else { exit::WRONG }))
}

fn play(mut replay: Replay, game: &BuiltGame, args: &ReplayArgs) -> anyhow::Result<Outcome> {
    let head = replay.recording().head();
    let (shard, first_tick, hz) = (head.shard, head.after.0 + 1, head.hz);
    let (ticks, ended) = (replay.recording().ticks(), replay.recording().end().why.clone());
    let progress = Progress::begin(&shard.to_string(), "ticks", args.json || args.trace.is_some());
    let (mut replayed, mut entities, mut inputs, mut heard, mut difference) = (0_u64, head.entities, 0, 0, None);
    let (mut took, mut slowest) = (Duration::ZERO, Duration::ZERO);
    let mut trace = args.trace.map(|entity| Trace { entity: EntityId(entity), last: None });
    while difference.is_none() {
        let began = Instant::now();
        let Some(tick) = replay.step()? else { break };
        let this = began.elapsed();
        (took, slowest) = (took + this, slowest.max(this));
        (replayed, entities) = (replayed + 1, tick.entities);
        (inputs, heard) = (inputs + tick.inputs, heard + tick.heard);
        difference = tick.difference;
        if let Some(trace) = &mut trace {
            trace.follow(&replay, game, tick.tick.0);
        }
        progress.show(replayed, ticks as u64, String::new());
    }
    let (recorded, here) = replay.hashes();
    let recorded = recorded.filter(|_| difference.is_none());
    let is_same = difference.is_none() && recorded.is_none_or(|hash| hash == here);
    let hex = |hash: u64| format!("{hash:016x}");
    let world = Duration::from_secs(replayed) / u32::from(hz);
    Ok(Outcome {
        result: if is_same { "same" } else { "differs" },
        shard: shard.to_string(),
        first_tick,
        ticks,
        replayed,
        entities,
        inputs,
        heard,
        tick_ms: took.as_secs_f64() * 1e3 / replayed.max(1) as f64,
        slowest_tick_ms: slowest.as_secs_f64() * 1e3,
        speed: world.as_secs_f64() / took.as_secs_f64().max(1e-9),
        hash: Hashes { recorded: recorded.map(hex), replayed: hex(here) },
        difference: difference.map(differs),
        ended,
    })
}

fn differs(difference: Difference) -> Differs {
    let words = difference.to_string();
    let Difference { tick, said, who, columns, .. } = difference;
    Differs { tick: tick.0, said, columns, entities: who.into_iter().map(|entity| entity.0).collect(), words }
}

/// One entity, as it changes.
struct Trace {
    entity: EntityId,
    last: Option<Record>,
}

impl Trace {
    fn follow(&mut self, replay: &Replay, game: &BuiltGame, tick: u64) {
        let now = replay.entity(self.entity);
        if now == self.last {
            return;
        }
        let line = match &now {
            Some(record) => json!({
                "tick": tick,
                "x": record.position.x,
                "z": record.position.z,
                "components": Value::from(components_by_name(game.components(), &record.components)),
            }),
            None => json!({ "tick": tick, "gone": true }),
        };
        say(&line.to_string());
        self.last = now;
    }
}

fn in_words(outcome: &Outcome) -> String {
    let Outcome {
        shard, first_tick, ticks, replayed, entities, inputs, heard, tick_ms, slowest_tick_ms, speed, hash, ended, ..
    } = outcome;
    let figures = format!(
        "{shard} from tick {first_tick}: {replayed} of {ticks} ticks, {entities} entities, {inputs} inputs among {heard} things \
         from outside; {tick_ms:.2} ms per tick, the slowest {slowest_tick_ms:.1} ms, {speed:.0} times as fast as the world. The \
         recording ended because {ended}."
    );
    let verdict = match (&outcome.difference, &hash.recorded) {
        (Some(difference), _) => format!("NOT THE SAME: {}.\n{HINT}", difference.words),
        (None, Some(recorded)) if *recorded == hash.replayed => format!("The same, with the state hash {recorded}."),
        (None, Some(recorded)) => {
            format!("NOT THE SAME: after the last tick the state hash is {} instead of {recorded}.\n{HINT}", hash.replayed)
        }
        (None, None) => "The same in each tick; it broke off before its last state was hashed.".to_owned(),
    };
    format!("{figures}\n{verdict}")
}

const HINT: &str = "A system does that which keeps something outside components and resources, walks a hash map of the standard \
                    library or reads a clock; and a build whose systems are not those that were recorded.";

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(recorded: Option<&str>, difference: Option<Difference>) -> Outcome {
        Outcome {
            result: "same",
            shard: "0/3/1,0".to_owned(),
            first_tick: 7,
            ticks: 1_200,
            replayed: 1_200,
            entities: 300,
            inputs: 9_000,
            heard: 9_900,
            tick_ms: 0.5,
            slowest_tick_ms: 2.0,
            speed: 100.0,
            hash: Hashes { recorded: recorded.map(str::to_owned), replayed: "00ff".to_owned() },
            difference: difference.map(differs),
            ended: "its time was up".to_owned(),
        }
    }

    #[test]
    fn the_verdict_stands_in_the_last_words() {
        let text = in_words(&outcome(Some("00ff"), None));
        assert!(text.ends_with("The same, with the state hash 00ff."), "{text}");
        assert!(text.contains("1200 of 1200 ticks, 300 entities, 9000 inputs"), "{text}");
        assert!(in_words(&outcome(Some("00fe"), None)).contains("NOT THE SAME: after the last tick"));
        let difference = Difference {
            tick: pangaea_schemas::Tick(9),
            said: false,
            entities: None,
            who: vec![EntityId(5)],
            how_many: 1,
            columns: vec!["health".to_owned()],
        };
        let text = in_words(&outcome(None, Some(difference)));
        assert!(text.contains("NOT THE SAME: tick 9 differs; of those looked at 1 differ: e5; in health."), "{text}");
    }
}
