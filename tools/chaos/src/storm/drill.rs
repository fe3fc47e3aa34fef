//! The drill: at every step of a shard's migration, whoever takes part in it is killed, each once.
//!
//! The source stands still at the step (see [`pangaea_node::halt`]) until the victim is dead, so no run misses its moment.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context;
use pangaea_node::admin::{MoveOrderView, StatusView, client};
use pangaea_node::halt::{HaltDrill, Point};
use pangaea_node::keys::ClusterKeys;
use pangaea_schemas::message::MigrationStep;
use pangaea_schemas::{NodeId, Role};
use rustix::process::Signal;
use tokio::time::sleep;

use super::{BACK_TIME_MAX, LOOK_EVERY, Storm};
use crate::fault::{Fault, FaultKind, Victim};

/// Between two looks whether the source stands still: play stands still with it.
const LOOK_STILL_EVERY: Duration = Duration::from_millis(2);
/// Play goes on undisturbed between two kills.
const REST: Duration = Duration::from_millis(1_500);

/// For about so long a target's answers are held back until its source takes the shard back: its patience.
const HOLD: Duration = Duration::from_millis(500);
/// Where the target has not been asked for its last word yet.
const UNASKED: Point = Point { step: MigrationStep::Freezing, said: false };

/// Who takes part in a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Party {
    Source,
    Target,
    World,
    Data,
}

impl Party {
    const ALL: [Self; 4] = [Self::Source, Self::Target, Self::World, Self::Data];

    fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
            Self::World => "world",
            Self::Data => "data",
        }
    }

    fn node(self, shift: &Shift) -> NodeId {
        match self {
            Self::Source => shift.from,
            Self::Target => shift.to,
            Self::World => NodeId::new(Role::World, 1),
            Self::Data => NodeId::new(Role::Data, 1),
        }
    }
}

/// Who is killed when.
#[derive(Clone, Copy, Debug)]
struct Kill {
    party: Party,
    at: Point,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.party.name(), self.at)
    }
}

impl Kill {
    /// All at these points, the victims in turn; at all points when none is named.
    fn all_at(points: &[Point]) -> Vec<Self> {
        let is_wanted = |at: &Point| points.is_empty() || points.contains(at);
        let at_point = |at| Party::ALL.map(|party| Self { party, at });
        Point::ALL.into_iter().filter(is_wanted).flat_map(at_point).collect()
    }

    /// What it may do to those who look on: a shard that stands still in its move waits for whoever is dead, or for a target that
    /// does not answer, and may be either scene's.
    fn fault(self, shift: &Shift) -> Fault {
        let killed = self.party.node(shift);
        let waits_for_it = matches!(self.party, Party::Target | Party::Data) || self.at.step == MigrationStep::Returning;
        let stands_still = self.at.step >= MigrationStep::Freezing && waits_for_it;
        let victim = match stands_still {
            true => Victim::Move { killed, from: shift.from, to: shift.to },
            false => Victim::Node(killed),
        };
        Fault { kind: FaultKind::Kill(killed.role), victim, lasts: Duration::ZERO, delay: Duration::ZERO }
    }
}

/// A shard that is to move.
struct Shift {
    shard: String,
    from: NodeId,
    to: NodeId,
}

impl Storm {
    /// Kills everybody at every wanted step, each once.
    pub(super) async fn drill(&mut self, halt: &HaltDrill) -> anyhow::Result<()> {
        for kill in Kill::all_at(&self.options.drill_at) {
            self.kill_in_move(kill, halt).await?;
            halt.release();
            self.look_until(Instant::now() + REST).await;
        }
        Ok(())
    }

    async fn kill_in_move(&mut self, kill: Kill, halt: &HaltDrill) -> anyhow::Result<()> {
        let Some(shift) = self.movable().await else {
            self.anomaly("no_move", format!("{kill}: no shard can be moved"));
            return Ok(());
        };
        let Some(mut begun) = self.bring(kill, &shift, halt).await? else {
            self.anomaly("no_move", format!("{kill}: {} did not come there with {}", shift.from, shift.shard));
            return Ok(());
        };
        let still = Instant::now();
        let (fault, killed) = (kill.fault(&shift), kill.party.node(&shift));
        self.end_process(killed, Signal::KILL);
        let hurt = Instant::now();
        halt.release();
        begun.iter().for_each(|(_, held)| self.set_weather(held, shift.to, shift.from, false));
        let Shift { shard, from, to } = &shift;
        let still_ms = still.elapsed().as_millis();
        self.say(&format!("{kill}: kill {killed} while {shard} moves from {from} to {to}, which stands still for {still_ms} ms"));
        *self.report.faults.entry(fault.kind.name()).or_default() += 1;
        // The shard stands still since what was done first.
        begun.push((begun.first().map_or(still, |(since, _)| *since), fault));
        let took = self.recover(begun, hurt).await;
        self.report.at_steps.insert(kill.to_string(), (took.as_secs_f64() * 1e4).round() / 10.0);
        Ok(())
    }

    /// Orders the move and waits until its source stands still at the point; with what had to be done for that, and when. `None`:
    /// it did not come there.
    async fn bring(&mut self, kill: Kill, shift: &Shift, halt: &HaltDrill) -> anyhow::Result<Option<Vec<(Instant, Fault)>>> {
        let returns = kill.at.step == MigrationStep::Returning;
        halt.arm(if returns { UNASKED } else { kill.at }).context("cannot arm the drill")?;
        self.migrate(shift).await.with_context(|| format!("{kill}: the order is refused"))?;
        if !self.until_still(halt).await {
            return Ok(None);
        }
        if !returns {
            return Ok(Some(Vec::new()));
        }
        // A source whose target does not answer takes the shard back.
        let victim = Victim::Link(shift.to, shift.from);
        let held = Fault { kind: FaultKind::HoldLink, victim, lasts: HOLD, delay: Duration::ZERO };
        let since = Instant::now();
        self.set_weather(&held, shift.to, shift.from, true);
        halt.release();
        halt.arm(kill.at).context("cannot arm the drill")?;
        let is_there = self.until_still(halt).await;
        if !is_there {
            self.set_weather(&held, shift.to, shift.from, false);
        }
        Ok(is_there.then(|| vec![(since, held)]))
    }

    /// The shard with the most players, once nothing is under way.
    async fn movable(&mut self) -> Option<Shift> {
        let began = Instant::now();
        while began.elapsed() < self.patient(BACK_TIME_MAX) {
            if let Ok(status) = self.cluster.status().await
                && let Some(shift) = choose(&status)
            {
                return Some(shift);
            }
            self.look_until(Instant::now() + LOOK_EVERY).await;
        }
        None
    }

    async fn migrate(&self, shift: &Shift) -> anyhow::Result<MoveOrderView> {
        let token = ClusterKeys::below(&self.folder).operator_token()?;
        let path = format!("/api/migrate?shard={}&to={}", shift.shard, shift.to);
        let answer = client::post(&self.cluster.ports().web().to_string(), &path, &token, b"{}").await?;
        serde_json::from_slice(&answer).context("no answer to an order")
    }

    async fn until_still(&mut self, halt: &HaltDrill) -> bool {
        let began = Instant::now();
        while !halt.is_reached() {
            if began.elapsed() > self.patient(BACK_TIME_MAX) {
                return false;
            }
            self.look();
            sleep(LOOK_STILL_EVERY).await;
        }
        true
    }
}

fn choose(status: &StatusView) -> Option<Shift> {
    if status.moves.iter().any(|shift| !shift.over) {
        return None;
    }
    let running = status.shards.iter().filter(|shard| shard.phase == "running" && shard.players > 0);
    let shard = running.max_by_key(|shard| shard.players)?;
    let from = shard.owner.as_ref()?.parse().ok()?;
    let scenes = status.scenes.iter().filter(|scene| scene.state == "up").filter_map(|scene| scene.id.parse().ok());
    let to = scenes.into_iter().find(|scene| *scene != from)?;
    Some(Shift { shard: shard.id.clone(), from, to })
}

#[cfg(test)]
mod tests {
    use pangaea_node::admin::{MoveView, SceneView, ShardView};

    use super::*;

    #[test]
    fn everybody_dies_once_at_every_step() {
        let told: Vec<_> = Kill::all_at(&[]).into_iter().map(|kill| kill.to_string()).collect();
        assert_eq!((told.len(), Kill::all_at(&Point::ALL[..2]).len()), (32, 8));
        assert!(
            told.contains(&"source at freezing".to_owned()) && told.contains(&"data at committing said".to_owned()),
            "{told:?}"
        );
    }

    #[test]
    fn the_fullest_shard_moves_when_nothing_else_does() {
        let shard = |id: &str, owner: &str, players| ShardView {
            id: id.to_owned(),
            owner: Some(owner.to_owned()),
            phase: "running".to_owned(),
            players,
            ..ShardView::default()
        };
        let scene = |id: &str| SceneView { id: id.to_owned(), state: "up".to_owned(), ..SceneView::default() };
        let mut status = StatusView {
            shards: vec![shard("0/3/0,0", "scene-1", 2), shard("0/3/1,0", "scene-2", 5)],
            scenes: vec![scene("scene-1"), scene("scene-2")],
            ..StatusView::default()
        };
        let shift = choose(&status).expect("one");
        assert_eq!((shift.shard.as_str(), shift.to), ("0/3/1,0", NodeId::new(Role::Scene, 1)));
        status.shards.iter_mut().for_each(|shard| shard.players = 0);
        assert!(choose(&status).is_none(), "nobody would notice");
        status.shards[0].players = 1;
        assert!(choose(&status).is_some());
        status.moves.push(MoveView::default());
        assert!(choose(&status).is_none(), "one is under way");
    }
}
