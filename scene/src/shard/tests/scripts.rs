//! Scripts of all shards of a scene share its tick: what fails or is dear everywhere has its turn in one shard after the other,
//! everything else goes on, and a recording knows who rested.

use std::sync::Arc;

use bytes::Bytes;
use pangaea_schemas::Tick;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Control, Message};
use pangaea_schemas::rules::{Rules, ScriptRule, Source};

use super::cluster::{Cluster, STEP_US, Steps, WORLD, scene_id, shard, walking};
use crate::game::{Game, Phase};
use crate::harness::replay;
use crate::prelude::*;
use crate::scripts::{Batch, Engine, Fault, SCENE_STEPS_MAX, STEPS_MAX, Script, Sent, Wants, Words};
use crate::shard::Shard;

const ALL: [(u16, u16); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

/// A language with three words: `count` counts, `toil` does so and takes nearly all that a shard has, `endless` fails.
struct Three;

struct Word {
    wants: Wants,
    word: String,
    spent: u64,
}

impl Engine for Three {
    fn load(&self, _: &str, source: &str, _: &Words) -> Result<Box<dyn Script>, Fault> {
        let none = Vec::new;
        let (reads, with, without, hears) = (none(), none(), none(), none());
        let wants = Wants { phase: Phase::React, reads, writes: vec!["steps".to_owned()], with, without, hears };
        Ok(Box::new(Word { wants, word: source.to_owned(), spent: 0 }))
    }

    fn definitions(&self, _: &Words) -> String {
        String::new()
    }
}

impl Script for Word {
    fn wants(&self) -> &Wants {
        &self.wants
    }

    fn spent(&self) -> u64 {
        self.spent
    }

    fn run(&mut self, batch: &mut Batch<'_>) -> Result<Sent, Fault> {
        self.spent = match self.word.as_str() {
            "endless" => STEPS_MAX,
            "toil" => STEPS_MAX - 100,
            _ => 10,
        };
        if self.word == "endless" {
            return Err(Fault { script: self.word.clone(), ..Fault::default() });
        }
        let counts = batch.columns[0].bytes.chunks_exact_mut(size_of::<Steps>());
        counts.for_each(|steps| steps[0] = steps[0].wrapping_add(1));
        Ok(Sent { steps: self.spent, ..Sent::default() })
    }
}

/// Scripts count in `count`, a system in `pokes`.
fn scripted(game: &mut Game) {
    game.plugin(walking).script_engine(Three);
    game.system(Phase::Decide, |mut all: Query<&mut Steps>| all.iter_mut().for_each(|mut steps| steps.pokes += 1));
}

/// One scene with four shards, which run.
fn one_scene() -> Cluster {
    let mut cluster = Cluster::new(1);
    cluster.builds.insert(scene_id(1), scripted);
    cluster.start_scene(1);
    ALL.iter().for_each(|(x, z)| cluster.assign(1, shard(*x, *z)));
    cluster.steps(200);
    assert!(ALL.iter().all(|(x, z)| cluster.owners(shard(*x, *z)).len() == 1), "they run");
    cluster
}

/// A designer saves these: they hold from the next tick on.
fn save(cluster: &mut Cluster, words: &[&str]) {
    let rule = |word: &&str| ScriptRule { name: (*word).to_owned(), source: Source::from(*word), is_on: true, attempt: 0 };
    let scripts = words.iter().map(rule).collect();
    let rules = Rules { version: 1, from: Tick(cluster.now().0 / STEP_US / 10 + 2), scripts, ..Rules::default() };
    cluster.post(WORLD, scene_id(1), Message::Control(Control::Rules(Arc::new(rules))));
    cluster.steps(10);
}

fn here(cluster: &Cluster, (x, z): (u16, u16)) -> &Shard {
    cluster.scenes[&scene_id(1)].shard(shard(x, z)).expect("it is here")
}

/// What a shard's creature has been through.
fn creature(cluster: &Cluster, at: (u16, u16)) -> Steps {
    let shard = here(cluster, at);
    let (entity, _) = shard.residents().next().expect("a creature");
    shard.world().read::<Steps>(entity).expect("it has some")
}

fn faults(cluster: &Cluster) -> usize {
    ALL.iter().map(|at| here(cluster, *at).world().script_faults().count()).sum()
}

/// One tick; steps that scripts took in it, and the shards whose scripts did.
fn tick(cluster: &mut Cluster) -> (u64, Vec<(u16, u16)>) {
    let before = ALL.map(|at| creature(cluster, at).pokes);
    cluster.steps(10);
    assert_eq!(ALL.map(|at| creature(cluster, at).pokes), before.map(|pokes| pokes + 1), "systems run in every tick");
    let spent = |at: &(u16, u16)| here(cluster, *at).world().script_steps_spent();
    (ALL.iter().map(spent).sum(), ALL.into_iter().filter(|at| spent(at) > 0).collect())
}

#[test]
fn an_endless_script_fails_in_one_shard_after_the_other() {
    let mut cluster = one_scene();
    save(&mut cluster, &["count", "endless"]);
    let mut failed = Vec::new();
    while faults(&cluster) < ALL.len() {
        let before = faults(&cluster);
        let (spent, _) = tick(&mut cluster);
        assert!(spent < SCENE_STEPS_MAX + STEPS_MAX, "{spent} steps in one tick");
        failed.push(faults(&cluster) - before);
        assert!(failed.len() < 6, "it is off everywhere at last: {failed:?}");
    }
    assert_eq!(failed.iter().filter(|count| **count > 0).collect::<Vec<_>>(), [&2, &2]);
    let counted = ALL.map(|at| creature(&cluster, at).count);
    assert!(counted.iter().all(|count| (1..=2).contains(count)), "the other runs everywhere by then: {counted:?}");
    for _ in 0..5 {
        assert_eq!(tick(&mut cluster).1.len(), ALL.len(), "nobody rests any more");
    }
    assert_eq!(ALL.map(|at| creature(&cluster, at).count), counted.map(|count| count + 5));
}

#[test]
fn shards_whose_scripts_are_dear_take_turns() {
    let mut cluster = one_scene();
    save(&mut cluster, &["toil"]);
    while tick(&mut cluster).0 == 0 {}
    let before = ALL.map(|at| creature(&cluster, at).count);
    for _ in 0..40 {
        let (spent, who) = tick(&mut cluster);
        assert!(spent < SCENE_STEPS_MAX + STEPS_MAX && who.len() == 3, "{spent} steps by {who:?}");
    }
    let ran = std::array::from_fn::<u32, 4, _>(|n| creature(&cluster, ALL[n]).count - before[n]);
    assert_eq!(ran, [30; 4], "three of four in each tick");
}

fn with_shard<T>(cluster: &mut Cluster, id: ShardId, what: impl FnOnce(&mut Shard) -> T) -> T {
    let scene = cluster.scenes.get_mut(&scene_id(1)).expect("it runs");
    let mut shards = scene.lend_shards();
    let result = what(shards.iter_mut().find(|shard| shard.id() == id).expect("it is here"));
    scene.return_shards(shards);
    result
}

#[test]
fn a_recording_tells_when_scripts_rested() {
    let mut cluster = one_scene();
    let recorded = shard(1, 1);
    with_shard(&mut cluster, recorded, |shard| shard.begin_recording(1, 60)).expect("it is recorded");
    save(&mut cluster, &["count", "endless", "toil"]);
    (0..20).for_each(|_| _ = tick(&mut cluster));
    with_shard(&mut cluster, recorded, Shard::end_recording).expect("it ends");
    tick(&mut cluster);
    let mut bytes = Vec::new();
    while let Some(more) = with_shard(&mut cluster, recorded, |shard| shard.fetch_recording(1, bytes.len() as u64).ok())
        .filter(|more: &Bytes| !more.is_empty())
    {
        bytes.extend_from_slice(&more);
    }
    let bytes = Bytes::from(bytes);
    let recording = pangaea_schemas::recording::Recording::read(&bytes).expect("whole");
    let rests = (0..recording.ticks()).filter(|n| recording.tick(*n).expect("readable").expect("there").scripts_rest).count();
    assert!((3..recording.ticks() - 5).contains(&rests), "{rests} rests in {} ticks", recording.ticks());
    assert_eq!(replay(&Game::build(scripted).expect("a game"), &bytes), Ok(recording.ticks() as u64));
}
