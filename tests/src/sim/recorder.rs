//! An admin who records the liveliest shard of a simulated cluster, as `pangaea record` does it: begins, fetches part by part,
//! and ends behind the last whole tick what its owner can no longer tell. Afterwards it is run again, and must come to the same.

use std::time::Duration;

use pangaea_node::mesh::MeshEvent;
use pangaea_scene::harness;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Desk, Message};
use pangaea_schemas::recording::{FrameScanner, Recording};
use pangaea_schemas::{NodeId, RequestId, Role};

use super::cluster::{Cluster, LOOK_EVERY, REST};
use super::outcome::Replayed;

/// Where the admin's words come from and go to; no process has this name.
pub(super) const ADMIN: NodeId = NodeId::new(Role::World, 9);
/// Players are in the world by then.
const BEGIN_AFTER: Duration = Duration::from_secs(6);
/// Names the recording.
const KEY: u64 = 7;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// Which shard, at which scene, once it has begun.
    at: Option<(ShardId, NodeId)>,
    bytes: Vec<u8>,
    scanner: FrameScanner,
    /// The owner says that there is no more.
    lost: Option<String>,
}

impl Cluster {
    pub(super) fn go_on_recording(&mut self) {
        let Some(recorder) = self.recorder.as_ref().filter(|r| r.lost.is_none() && !r.scanner.is_over()) else { return };
        if (LOOK_EVERY * self.looks as u32) < BEGIN_AFTER {
            return;
        }
        let (request, from) = (RequestId(self.looks), recorder.scanner.bytes());
        let (scene, order) = match recorder.at {
            Some((shard, scene)) => (scene, Desk::TakeRecorded { request, shard, key: KEY, from }),
            None => {
                let Some((shard, scene)) = self.liveliest() else { return };
                let seconds = self.options.span.saturating_sub(BEGIN_AFTER + REST).as_secs().max(1) as u32;
                (scene, Desk::Record { request, shard, key: KEY, seconds })
            }
        };
        if let (Desk::Record { shard, .. }, Some(recorder)) = (&order, &mut self.recorder) {
            recorder.at = Some((*shard, scene));
        }
        let now = self.schedule.now();
        // A process that stands still or is gone answers nothing, and is asked again.
        if !self.asleep.contains_key(&scene) {
            self.with(scene, |process| process.hear(now, MeshEvent::Message { from: ADMIN, message: Message::Desk(order) }));
        }
    }

    pub(super) fn admin_hears(&mut self, message: Message) {
        let Some(recorder) = &mut self.recorder else { return };
        let Message::Desk(Desk::Recorded { bytes, refusal, .. }) = message else { return };
        if refusal.is_empty() {
            if let Err(error) = recorder.scanner.take(&bytes) {
                self.faults.push(format!("what the admin records is damaged: {error}"));
            }
            recorder.bytes.extend_from_slice(&bytes);
        } else if recorder.scanner.bytes() == 0 {
            // It does not run just now; another may.
            recorder.at = None;
        } else {
            recorder.lost = Some(refusal);
        }
    }

    /// Run again what was recorded.
    pub(super) fn replay_recorded(&mut self) -> Replayed {
        let Some(bytes) = self.recorder.take().and_then(Recorder::file) else { return Replayed::default() };
        let bytes = bytes.into();
        let told = harness::replay(&self.shared.game, &bytes).and_then(|ticks| tell(ticks, &bytes));
        told.unwrap_or_else(|words| {
            self.faults.push(format!("a recorded shard is run again: {words}"));
            Replayed::default()
        })
    }

    /// The shard that runs with the most players, and who runs it.
    fn liveliest(&self) -> Option<(ShardId, NodeId)> {
        let scenes = self.processes.iter().filter_map(|(node, process)| Some((*node, process.scene()?)));
        let shards = scenes.flat_map(|(node, scene)| scene.shards().map(move |shard| (node, shard)));
        let running = shards.filter(|(_, shard)| shard.incarnation().ticks() && shard.world().counts().players > 0);
        running.max_by_key(|(_, shard)| shard.world().counts().players).map(|(node, shard)| (shard.id(), node))
    }
}

impl Recorder {
    fn file(mut self) -> Option<Vec<u8>> {
        if self.scanner.ticks() == 0 {
            return None;
        }
        if !self.scanner.is_over() {
            self.bytes.truncate(self.scanner.whole_bytes() as usize);
            let why = self.lost.unwrap_or_else(|| "the simulation was over".to_owned());
            self.bytes.extend_from_slice(&self.scanner.last_frame(&why));
        }
        Some(self.bytes)
    }
}

fn tell(ticks: u64, bytes: &bytes::Bytes) -> Result<Replayed, String> {
    let recording = Recording::read(bytes).map_err(|error| error.to_string())?;
    let mut told = Replayed { ticks, is_whole: recording.end().is_whole, ..Replayed::default() };
    for number in 0..recording.ticks() {
        let Some(tick) = recording.tick(number).map_err(|error| error.to_string())? else { break };
        told.inputs += tick.inputs.len();
        told.arrivals += tick.arrivals.len() + tick.births.len();
        told.exits += tick.exits.len();
        told.effects += tick.effects.len();
        told.answers += tick.answers.len();
    }
    Ok(told)
}
