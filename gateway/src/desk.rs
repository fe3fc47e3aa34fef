//! What an admin asks of a gateway: whose sessions are here, and to end one.

use pangaea_schemas::client::{RefusalCode, ServerMessage};
use pangaea_schemas::message::{Address, DESK_ROWS_MAX, Desk, Message, SessionRow};
use pangaea_schemas::{EntityId, NodeId};

use crate::gateway::Gateway;
use crate::session::{Session, State};

impl Gateway {
    pub(crate) fn admin_asks(&mut self, from: NodeId, message: Desk) {
        let answer = match message {
            Desk::ListSessions { request, after, limit } => {
                let (sessions, more) = self.sessions_after(after, limit.min(DESK_ROWS_MAX) as usize);
                Desk::Sessions { request, sessions, more }
            }
            Desk::Kick { request, agent, words } => Desk::Kicked { request, here: self.kick(agent, words) },
            Desk::Look { .. }
            | Desk::Seen { .. }
            | Desk::Place { .. }
            | Desk::Placed { .. }
            | Desk::Sessions { .. }
            | Desk::Kicked { .. }
            | Desk::Record { .. }
            | Desk::TakeRecorded { .. }
            | Desk::EndRecording { .. }
            | Desk::Recorded { .. }
            | Desk::Profile { .. }
            | Desk::Profiled { .. }
            | Desk::Pause { .. }
            | Desk::Paused { .. }
            | Desk::Inspect { .. }
            | Desk::Inspected { .. } => return tracing::debug!(%from, "a word of an admin's that is not for a gateway"),
        };
        self.send(Address::Node(from), Message::Desk(answer));
    }

    fn sessions_after(&self, after: EntityId, limit: usize) -> (Vec<SessionRow>, bool) {
        let mut listed: Vec<_> = self.agents.iter().filter(|(agent, _)| **agent > after).collect();
        listed.sort_unstable();
        let mut rest = listed.into_iter().filter_map(|(_, key)| self.sessions.get(*key));
        let rows = rest.by_ref().take(limit).filter_map(row).collect();
        (rows, rest.next().is_some())
    }

    /// The last words to the client, if there is one, then the end of the session: the agent leaves the world, and nothing is
    /// kept to resume. `false`: there is no such session here.
    fn kick(&mut self, agent: EntityId, text: String) -> bool {
        let Some(key) = self.agents.get(&agent).copied() else { return false };
        tracing::info!(%agent, text, "a player is sent away by an admin");
        let code = RefusalCode::NotAllowed;
        self.tell(key, &ServerMessage::Goodbye { code, text, reconnect_to: String::new(), retry_after_ms: 0 });
        self.hang_up(key, Some(code));
        self.detach(key, true);
        self.forget(key);
        true
    }
}

fn row(session: &Session) -> Option<SessionRow> {
    let claims = session.claims.as_ref()?;
    Some(SessionRow {
        agent: claims.agent,
        account: claims.account,
        name: claims.name.clone(),
        session: session.epoch,
        connected: session.conn.is_some(),
        shard: session.owner.map(|owner| owner.shard),
        owner: session.owner.map(|owner| owner.node),
        state: in_a_word(session.state).to_owned(),
    })
}

fn in_a_word(state: State) -> &'static str {
    match state {
        State::Greeting | State::Welcomed | State::LoggingIn { .. } => "entering",
        State::Locating { .. } => "locating",
        State::Attaching { .. } => "attaching",
        State::Playing => "playing",
        State::BetweenOwners { .. } => "crossing",
        State::Watching => "watching",
        State::Lost => "lost",
        State::Closed => "closed",
    }
}
