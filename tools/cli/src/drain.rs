//! Emptying a process and using it again: the same for all roles, but for what it has to lose.

use std::time::{Duration, Instant};

use anyhow::bail;
use pangaea_node::admin::{MoveView, StatusView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster::ClusterAddress;
use crate::operator::OrderArgs;
use crate::progress::Progress;

/// Pause between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What became of an order. `V`: what the cluster said that it means.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome<V> {
    /// `drained`, `up`, `aborted`, or with a dry run what the state is now.
    pub(crate) result: String,
    /// How long it took.
    pub(crate) seconds: f64,
    /// What the moves of shards took that it began; nothing for a gateway.
    #[serde(flatten)]
    pub(crate) moved: Moved,
    #[serde(flatten)]
    pub(crate) order: V,
}

/// What moves took together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Moved {
    /// Shards that were moved.
    pub(crate) moved_shards: u32,
    /// Of the worst one: milliseconds in which nobody ticked it, beyond the interval of a tick.
    pub(crate) blackout_ms_max: f64,
    /// Ticks that nobody ran in time.
    pub(crate) missed_ticks: u32,
    /// Entities in them.
    pub(crate) moved_entities: u32,
    /// Bytes copied.
    pub(crate) bytes: u64,
}

impl Moved {
    /// Of all moves away from a scene after the one with this number.
    fn away_from(status: &StatusView, scene: &str, after: u64) -> Self {
        Self::of(status.moves.iter().filter(|shift| shift.from == scene && shift.id > after && shift.step == "done"))
    }

    /// Of moves that are done.
    pub(crate) fn of<'m>(moves: impl Iterator<Item = &'m MoveView>) -> Self {
        moves.fold(Self::default(), |sum, shift| Self {
            moved_shards: sum.moved_shards + 1,
            blackout_ms_max: sum.blackout_ms_max.max(shift.blackout_ms),
            missed_ticks: sum.missed_ticks + shift.missed_ticks,
            moved_entities: sum.moved_entities + shift.entities,
            bytes: sum.bytes + shift.bytes,
        })
    }
}

/// A kind of process that can be emptied.
pub(crate) struct Kind<V> {
    /// In the admin API's routes.
    pub(crate) route: &'static str,
    /// What it has to lose.
    pub(crate) unit: &'static str,
    /// Its state as an order told it.
    pub(crate) was: fn(&V) -> &str,
    /// State, and how much is left, of the one with this name.
    pub(crate) look: fn(&StatusView, &str) -> Option<(String, u32)>,
    /// What becomes of what it had when it leaves meanwhile.
    pub(crate) gone: &'static str,
    /// One that has not done as ordered by then will not.
    pub(crate) obey_time_max: Duration,
}

impl<V: DeserializeOwned> Kind<V> {
    /// Empty one, and wait until it is empty or somebody takes it into use again: here Ctrl-C does.
    pub(crate) async fn drain(&self, cluster: &ClusterAddress, name: &str, args: &OrderArgs) -> anyhow::Result<Outcome<V>> {
        tokio::select! {
            outcome = self.order(cluster, name, args, ("drain", "drained")) => outcome,
            _ = tokio::signal::ctrl_c() => {
                let outcome = self.undrain(cluster, name, args).await?;
                Ok(Outcome { result: "aborted".to_owned(), ..outcome })
            }
        }
    }

    /// Let one be used again.
    pub(crate) async fn undrain(&self, cluster: &ClusterAddress, name: &str, args: &OrderArgs) -> anyhow::Result<Outcome<V>> {
        self.order(cluster, name, args, ("undrain", "up")).await
    }

    async fn order(
        &self,
        cluster: &ClusterAddress,
        name: &str,
        args: &OrderArgs,
        (verb, wanted): (&str, &str),
    ) -> anyhow::Result<Outcome<V>> {
        let began = Instant::now();
        let before: StatusView = cluster.ask("/api/status").await?;
        let last = before.moves.last().map_or(0, |shift| shift.id);
        let query = if args.dry_run { "?dry_run=true" } else { "" };
        let order: V = cluster.order(&format!("/api/{}/{name}/{verb}{query}", self.route), &args.operator).await?;
        if args.dry_run {
            return Ok(Outcome { result: (self.was)(&order).to_owned(), seconds: 0.0, moved: Moved::default(), order });
        }
        let progress = Progress::begin(name, self.unit, args.json);
        let (mut most, mut has_begun) = (0, false);
        while began.elapsed() < self.obey_time_max {
            let status: StatusView = cluster.ask("/api/status").await?;
            let Some((state, left)) = (self.look)(&status, name) else {
                bail!("{name} has left the cluster; {}", self.gone);
            };
            most = most.max(left);
            progress.show(u64::from(most - left), u64::from(most), format!("{state}, Ctrl-C undrains"));
            let is_aborted = has_begun && verb == "drain" && state == "up";
            has_begun |= state != "up";
            if state == wanted || is_aborted {
                let result = if is_aborted { "aborted".to_owned() } else { state };
                let moved = Moved::away_from(&status, name, last);
                return Ok(Outcome { result, seconds: began.elapsed().as_secs_f64(), moved, order });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let limit = self.obey_time_max.as_secs();
        bail!("{name} is not {wanted} after {limit} s; see its log and `pangaea status`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finished_moves_away_from_the_scene_since_the_order_count() {
        let shift = |id, from: &str, step: &str, blackout_ms| MoveView {
            id,
            from: from.to_owned(),
            step: step.to_owned(),
            blackout_ms,
            entities: 10,
            bytes: 100,
            missed_ticks: 1,
            ..MoveView::default()
        };
        let moves = vec![
            shift(4, "scene-1", "done", 90.0),
            shift(5, "scene-1", "done", 2.0),
            shift(6, "scene-2", "done", 80.0),
            shift(7, "scene-1", "kept", 70.0),
            shift(8, "scene-1", "done", 3.0),
        ];
        let moved = Moved::away_from(&StatusView { moves, ..StatusView::default() }, "scene-1", 4);
        let wanted = Moved { moved_shards: 2, blackout_ms_max: 3.0, missed_ticks: 2, moved_entities: 20, bytes: 200 };
        assert_eq!(moved, wanted);
    }
}
