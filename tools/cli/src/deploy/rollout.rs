//! The steps of a deploy, forward and back. Each leaves the cluster whole: whoever ends in between leaves scenes of both builds
//! at work, which `pangaea scene drain` can empty.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pangaea_node::admin::{BalanceView, LedgerView, MoveOrderView, MoveView, SceneOrderView, StatusView};
use pangaea_node::up::{KeptBy, UpOrder, ring};

use super::build::layouts_of;
use super::health::{Baseline, canary_fault, died};
use super::trace::{Begun, Trace};
use super::{Outcome, health};
use crate::cluster::ClusterAddress;
use crate::drain::Moved;
use crate::moves;
use crate::operator::OrderArgs;
use crate::say_aside;

/// Pause between two looks at the cluster.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A scene that was started is registered within this.
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// A shard's figures are of too few ticks to be judged before this.
const WARM_UP: Duration = Duration::from_secs(2);
/// What is worse than before for so long is no accident.
const SUSTAINED: Duration = Duration::from_secs(3);
/// A scene that was stopped has left the cluster within this: its lease is over.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(10);
/// All shards have moved within this; a second or so for each, some at a time.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(600);

/// A deploy under way.
pub(super) struct Rollout<'a> {
    cluster: &'a ClusterAddress,
    order: &'a OrderArgs,
    watch: Duration,
    before: Baseline,
    /// The last move before the deploy.
    last_move: u64,
    /// What left the old scenes since, by number: a status tells the latest moves only.
    moves: BTreeMap<u64, MoveView>,
    /// What is to be known if this ends in between.
    begun: Begun,
    trace: Trace,
    /// Scenes of the new build with their processes.
    started: Vec<(String, u32)>,
    outcome: Outcome,
}

impl<'a> Rollout<'a> {
    pub(super) fn new(
        cluster: &'a ClusterAddress,
        order: &'a OrderArgs,
        program: PathBuf,
        watch: Duration,
        status: &StatusView,
        outcome: Outcome,
        trace: Trace,
    ) -> Self {
        let drained = status.scenes.iter().filter(|scene| scene.state != "up").map(|scene| scene.id.clone()).collect();
        let begun = Begun { program, old: outcome.old.clone(), drained, ..Begun::default() };
        Self { watch, ..Self::of_cut_off(cluster, order, status, outcome, begun, trace) }
    }

    /// One that another process has begun.
    pub(super) fn of_cut_off(
        cluster: &'a ClusterAddress,
        order: &'a OrderArgs,
        status: &StatusView,
        outcome: Outcome,
        begun: Begun,
        trace: Trace,
    ) -> Self {
        Self {
            cluster,
            order,
            watch: Duration::ZERO,
            before: Baseline::of(status),
            last_move: status.moves.last().map_or(0, |shift| shift.id),
            moves: BTreeMap::new(),
            // Whose processes they are now is nobody's matter any more.
            started: begun.new.iter().map(|name| (name.clone(), 0)).collect(),
            begun,
            trace,
            outcome,
        }
    }

    /// Everything back, of a deploy that was cut off; or to its end, if all is at the new build.
    ///
    /// # Errors
    /// Something stays where it is; the text says what. It can be tried again.
    pub(super) async fn mend(self) -> anyhow::Result<Outcome> {
        let began = Instant::now();
        let mended = if self.begun.is_final { self.end().await } else { self.take_back().await };
        mended.context("scenes of both builds still run, see `pangaea scene list`")?;
        if self.begun.balances {
            self.balance(true).await?;
        }
        self.trace.erase();
        Ok(Outcome { seconds: began.elapsed().as_secs_f64(), ..self.outcome })
    }

    /// All of it.
    ///
    /// # Errors
    /// It failed and could not be taken back either; the text says what is where.
    pub(super) async fn run(mut self) -> anyhow::Result<Outcome> {
        let began = Instant::now();
        // A balancer would not wait for the canary.
        self.begun.balances = self.cluster.ask::<BalanceView>("/api/balance").await?.on;
        self.trace.note(&self.begun)?;
        self.balance(false).await?;
        let fault = tokio::select! {
            forward = self.forward() => forward.map_err(|error| ("taken back", format!("{error:#}"))),
            _ = tokio::signal::ctrl_c() => Err(("aborted", "Ctrl-C was pressed".to_owned())),
        };
        let (result, reason) = match fault {
            Ok(()) => {
                // There is no way back from here.
                self.begun.is_final = true;
                self.trace.note(&self.begun)?;
                self.tell(&format!("all is at the new build: stopping {}", self.outcome.old.join(", ")));
                self.end().await?;
                ("deployed", String::new())
            }
            Err((result, reason)) => {
                self.tell(&format!("{reason}: taking it back"));
                let back = self.take_back().await;
                back.with_context(|| {
                    format!("{reason}; it could not be taken back: scenes of both builds run, see `pangaea scene list`")
                })?;
                (result, reason)
            }
        };
        if self.begun.balances {
            self.balance(true).await?;
        }
        self.trace.erase();
        let new = self.started.iter().map(|(name, _)| name.clone()).collect();
        Ok(Outcome { result: result.to_owned(), reason, seconds: began.elapsed().as_secs_f64(), new, ..self.outcome })
    }

    /// The new build has everything, and keeps the world from now on.
    async fn end(&self) -> anyhow::Result<()> {
        self.stop(&self.outcome.old).await.context("the new build has all shards")?;
        KeptBy::note(self.order.operator.folder(), &layouts_of(&self.begun.program).await?)
    }

    /// # Errors
    /// Why it must be taken back.
    async fn forward(&mut self) -> anyhow::Result<()> {
        let first = self.start(1).await?;
        self.move_canary(&first).await?;
        self.watch_canary(&first).await?;
        let others = self.outcome.old.len().saturating_sub(1);
        if others > 0 {
            self.start(u16::try_from(others).unwrap_or(u16::MAX)).await?;
        }
        self.empty_old().await?;
        self.check_ledger().await
    }

    /// Starts scenes of the new build, and waits until they are there. The first one's name.
    async fn start(&mut self, scenes: u16) -> anyhow::Result<String> {
        let names = ring(self.order.operator.folder(), &UpOrder::Start { program: self.begun.program.clone(), scenes }).await?;
        // Whatever comes, they are known from here on; 0 is nobody's process.
        let from = self.started.len();
        self.begun.new.extend(names.iter().cloned());
        self.started.extend(names.into_iter().map(|name| (name, 0)));
        self.trace.note(&self.begun)?;
        let names = self.started[from..].iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let process_of = |status: &StatusView, name: &str| {
            status.nodes.iter().find(|node| node.id == name && node.state == "up").map(|node| node.pid)
        };
        let all_up = |status: &StatusView| self.started[from..].iter().all(|(name, _)| process_of(status, name).is_some());
        let late = format!("{names} of the new build: not up; see the log");
        let status = self.until(START_TIME_MAX, &late, all_up).await?;
        self.tell(&format!("{names} of the new build: up"));
        for (name, pid) in &mut self.started[from..] {
            *pid = process_of(&status, name).unwrap_or_default();
        }
        self.started.get(from).map(|(name, _)| name.clone()).context("`pangaea up` started none")
    }

    async fn move_canary(&self, to: &str) -> anyhow::Result<()> {
        let (canary, operator) = (&self.outcome.canary, &self.order.operator);
        let order: MoveOrderView = self.cluster.order(&format!("/api/migrate?shard={canary}&to={to}"), operator).await?;
        let shift = moves::follow(self.cluster, operator, moves::number_of(&order)?, self.order.json).await?.shift;
        if shift.step != "done" {
            bail!("{canary} stayed where it was: {}", shift.reason);
        }
        self.tell(&format!(
            "{canary}, the canary, moved to {to}: {:.1} ms, {} ticks missed",
            shift.blackout_ms, shift.missed_ticks
        ));
        Ok(())
    }

    async fn watch_canary(&mut self, scene: &str) -> anyhow::Result<()> {
        let (began, mut patience) = (Instant::now(), Patience::default());
        while began.elapsed() < self.watch.max(WARM_UP + SUSTAINED) || patience.is_tried() {
            tokio::time::sleep(LOOK_EVERY).await;
            let status = self.look().await?;
            self.must_live(&status)?;
            if began.elapsed() > WARM_UP {
                let fault = canary_fault(&status, &self.outcome.canary, scene, self.outcome.before_ms);
                patience.judge(fault)?;
            }
            let canary = status.shards.iter().find(|shard| shard.id == self.outcome.canary);
            self.outcome.after_ms = canary.map_or(0.0, health::tick_ms);
        }
        self.check_ledger().await?;
        let (canary, before, after) = (&self.outcome.canary, self.outcome.before_ms, self.outcome.after_ms);
        self.tell(&format!("{canary}'s median tick: {before:.2} ms before, {after:.2} ms now"));
        Ok(())
    }

    /// Moves all shards from the old scenes to the new ones.
    async fn empty_old(&mut self) -> anyhow::Result<()> {
        for scene in &self.outcome.old {
            self.scene(scene, "drain").await?;
        }
        let (began, mut patience) = (Instant::now(), Patience::default());
        while began.elapsed() < DRAIN_TIME_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
            let status = self.look().await?;
            self.must_live(&status)?;
            patience.judge(self.before.regress(&status))?;
            self.note_moves(&status);
            let is_old = |name: &String| self.outcome.old.contains(name);
            let left: u32 = status.scenes.iter().filter(|scene| is_old(&scene.id)).map(|scene| scene.shards).sum();
            if left == 0 && !patience.is_tried() {
                self.outcome.moved = Moved::of(self.moves.values());
                return Ok(());
            }
        }
        bail!("the old scenes still have shards after {} s", DRAIN_TIME_MAX.as_secs())
    }

    fn note_moves(&mut self, status: &StatusView) {
        let is_ours =
            |shift: &&MoveView| shift.id > self.last_move && shift.step == "done" && self.outcome.old.contains(&shift.from);
        self.moves.extend(status.moves.iter().filter(is_ours).map(|shift| (shift.id, shift.clone())));
    }

    /// Everything back to the old scenes; the new ones stop.
    async fn take_back(&self) -> anyhow::Result<()> {
        let status = self.look().await?;
        let is_there = |name: &&String| status.scenes.iter().any(|scene| scene.id == **name);
        for scene in self.outcome.old.iter().filter(is_there).filter(|scene| !self.begun.drained.contains(scene)) {
            self.scene(scene, "undrain").await?;
        }
        let ours = |status: &StatusView| {
            let is_ours = |id: &str| self.started.iter().any(|(name, _)| name == id);
            status.scenes.iter().filter(|scene| is_ours(&scene.id)).cloned().collect::<Vec<_>>()
        };
        for scene in ours(&status) {
            self.scene(&scene.id, "drain").await?;
        }
        let are_empty = |status: &StatusView| ours(status).iter().all(|scene| scene.shards == 0);
        self.until(DRAIN_TIME_MAX, "the new scenes still have shards", are_empty).await?;
        let scenes: Vec<_> = self.started.iter().map(|(name, _)| name.clone()).collect();
        self.stop(&scenes).await
    }

    /// Stops empty scenes for good. Whoever comes with their names later is to take shards.
    async fn stop(&self, scenes: &[String]) -> anyhow::Result<()> {
        for scene in self.look().await?.scenes.iter().filter(|scene| scenes.contains(&scene.id)) {
            self.scene(&scene.id, "undrain").await?;
        }
        ring(self.order.operator.folder(), &UpOrder::Stop { scenes: scenes.to_vec() }).await?;
        // Whoever deploys next must not take them for scenes of the cluster.
        let have_left = |status: &StatusView| !status.scenes.iter().any(|scene| scenes.contains(&scene.id));
        let late = format!("{} are stopped, but the world still knows them; see its log", scenes.join(", "));
        self.until(LEAVE_TIME_MAX, &late, have_left).await.map(drop)
    }

    /// Looks until it is so. `late`: what is said when it takes too long.
    async fn until(&self, at_most: Duration, late: &str, is_so: impl Fn(&StatusView) -> bool) -> anyhow::Result<StatusView> {
        let began = Instant::now();
        loop {
            let status = self.look().await?;
            if is_so(&status) {
                return Ok(status);
            }
            if began.elapsed() > at_most {
                bail!("{late} (after {} s)", at_most.as_secs());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn must_live(&self, status: &StatusView) -> anyhow::Result<()> {
        died(status, &self.started).map_or(Ok(()), |fault| bail!("{fault}"))
    }

    async fn check_ledger(&self) -> anyhow::Result<()> {
        let ledger: LedgerView = self.cluster.ask("/api/ledger").await?;
        if !ledger.ok {
            bail!("the ledger does not add up: {}", ledger.faults.join("; "));
        }
        Ok(())
    }

    async fn look(&self) -> anyhow::Result<StatusView> {
        self.cluster.ask("/api/status").await
    }

    async fn scene(&self, scene: &str, verb: &str) -> anyhow::Result<SceneOrderView> {
        self.cluster.order(&format!("/api/scenes/{scene}/{verb}"), &self.order.operator).await
    }

    async fn balance(&self, on: bool) -> anyhow::Result<()> {
        let word = if on { "on" } else { "off" };
        self.cluster.order::<BalanceView>(&format!("/api/balance/{word}"), &self.order.operator).await.map(drop)
    }

    fn tell(&self, text: &str) {
        if !self.order.json {
            say_aside(text);
        }
    }
}

/// How long something has been worse than before, look by look.
#[derive(Default)]
struct Patience {
    since: Option<Instant>,
}

impl Patience {
    /// # Errors
    /// It has been worse for too long.
    fn judge(&mut self, fault: Option<String>) -> anyhow::Result<()> {
        let Some(fault) = fault else {
            self.since = None;
            return Ok(());
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > SUSTAINED {
            bail!("{fault}");
        }
        Ok(())
    }

    /// The last look was a bad one.
    fn is_tried(&self) -> bool {
        self.since.is_some()
    }
}
