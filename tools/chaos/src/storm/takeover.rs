//! How long the others need until they have taken over all that was on a host that is away.

use std::time::Instant;

use tokio::time::timeout;

use super::{STATUS_EVERY, STATUS_TIME_MAX, Storm};
use crate::fault::Fault;

impl Storm {
    /// Look after the processes until then. As soon as all shards run on the other hosts and every bot is answered what it asked
    /// after `since`, the others have taken over. A host that is away for less than a lease is not replaced.
    pub(super) async fn watch_takeover(&mut self, since: Instant, fault: &Fault, until: Instant) {
        while Instant::now() < until {
            if self.waiting_bots(since).is_empty() && self.is_taken_over(fault).await {
                let took = since.elapsed();
                self.say(&format!("  taken over after {} ms", took.as_millis()));
                self.takeovers.entry(fault.kind.name()).or_default().push(took);
                break;
            }
            self.look_until(until.min(Instant::now() + STATUS_EVERY)).await;
        }
        self.look_until(until).await;
    }

    async fn is_taken_over(&self, fault: &Fault) -> bool {
        let Ok(Ok(status)) = timeout(STATUS_TIME_MAX, self.cluster.status()).await else { return false };
        let is_elsewhere = |owner: &Option<String>| owner.as_ref().is_some_and(|owner| !fault.victim.touches(owner));
        let all_run = status.shards.iter().all(|shard| shard.phase == "running" && is_elsewhere(&shard.owner));
        all_run && !status.shards.is_empty()
    }
}
