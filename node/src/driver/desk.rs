//! Admins' questions that only another node can answer: sent there, and remembered until the answer comes.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Desk, Message};
use pangaea_schemas::{EntityId, NodeId, RequestId, Timestamp};
use pangaea_world::World;
use tokio::sync::oneshot;

use crate::admin::{Asked, Question, Told};
use crate::port::Port;

/// Most questions that wait for an answer.
const WAITING_MAX: usize = 64;
/// One that is not answered by then is not answered any more.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(3);

/// The questions under way.
pub(super) struct QuestionDesk {
    last: u64,
    waiting: BTreeMap<RequestId, (Timestamp, oneshot::Sender<Told>)>,
}

impl QuestionDesk {
    /// Numbers are above those of an earlier world server, so that its answers are nobody's.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { last: now.0, waiting: BTreeMap::new() }
    }

    pub(super) fn ask(&mut self, now: Timestamp, world: &World, port: &mut Port, asked: Asked) {
        self.waiting.retain(|_, (until, _)| *until > now);
        let (question, answer) = asked.into_parts();
        let request = RequestId(self.last + 1);
        let sent = match address(world, question, request) {
            _ if self.waiting.len() >= WAITING_MAX => Err("too many questions wait for answers; try again".to_owned()),
            found => found,
        };
        match sent {
            Ok((node, message)) => {
                self.last = request.0;
                self.waiting.insert(request, (now + ANSWER_TIME_MAX, answer));
                port.send_to(node, Message::Desk(message));
            }
            // Whoever asked may have gone.
            Err(why) => _ = answer.send(Err(why)),
        }
    }

    pub(super) fn hear(&mut self, from: NodeId, message: Desk) {
        let Some((_, answer)) = message.answers().and_then(|request| self.waiting.remove(&request)) else {
            tracing::debug!(%from, "an answer that nobody waits for");
            return;
        };
        // Whoever asked may have gone.
        let _ = answer.send(Ok((from, message)));
    }
}

/// Who knows, and how it is asked.
fn address(world: &World, question: Question, request: RequestId) -> Result<(NodeId, Desk), String> {
    let place_of = |agent: EntityId| {
        let place = world.locate(agent);
        place.ok_or_else(|| format!("{agent} is nowhere known, or its shard has no owner now; see `pangaea agent list`"))
    };
    let owner_of = |shard: ShardId| {
        let place = world.location(shard).map(|location| location.owner);
        place.ok_or_else(|| format!("shard {shard} has no running owner now"))
    };
    Ok(match question {
        Question::Agents { shard, after, limit } => (owner_of(shard)?, Desk::Look { request, shard, after, limit, full: false }),
        Question::Agent(agent) => {
            let place = place_of(agent)?;
            let after = EntityId(agent.0.saturating_sub(1));
            (place.owner, Desk::Look { request, shard: place.shard, after, limit: 1, full: true })
        }
        Question::Inspect { scene, entity } => (scene, Desk::Inspect { request, entity }),
        Question::Place { agent, position } => {
            let place = place_of(agent)?;
            (place.owner, Desk::Place { request, shard: place.shard, agent, position })
        }
        Question::Sessions { gateway, after, limit } => (gateway, Desk::ListSessions { request, after, limit }),
        Question::Kick { gateway, agent, words } => (gateway, Desk::Kick { request, agent, words }),
        Question::Record { shard, key, seconds } => (owner_of(shard)?, Desk::Record { request, shard, key, seconds }),
        Question::TakeRecorded { shard, key, from } => (owner_of(shard)?, Desk::TakeRecorded { request, shard, key, from }),
        Question::EndRecording(shard) => (owner_of(shard)?, Desk::EndRecording { request, shard }),
        Question::Pause { shard, order, ticks } => (owner_of(shard)?, Desk::Pause { request, shard, order, ticks }),
        Question::Profile(shard) => (owner_of(shard)?, Desk::Profile { request, shard }),
    })
}
