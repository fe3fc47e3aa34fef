//! A client's session: one connection from Hello to the world, and one presence in the world that outlives connections.
//!
//! | state | event | next |
//! |---|---|---|
//! | Greeting | Greeted | Welcomed |
//! | Welcomed | LoginSent | LoggingIn |
//! | LoggingIn | LoginAnswered | Welcomed |
//! | Welcomed, Locating, Attaching, Playing, BetweenOwners | Search | Locating |
//! | Welcomed, Locating, Attaching, Playing, BetweenOwners | Found | Attaching |
//! | Locating, Attaching, Playing, BetweenOwners | Owned (attached, or a route with a newer epoch) | Playing |
//! | Playing, BetweenOwners | Departed (hint) | BetweenOwners |
//! | Locating, Attaching | GivenUp (never was in the world) | Welcomed |
//! | Welcomed, Watching | Watch | Watching |
//! | Locating, Attaching, Playing, BetweenOwners | Disconnected | Lost |
//! | Greeting, Welcomed, LoggingIn, Watching | Disconnected | Closed |
//! | Lost | Expired | Closed |
//! | any but Closed | Ended (logged out, replaced, sent away) | Closed |
//!
//! Everything else is not allowed: a client is told so, a node's message is late and dropped. A client that comes back gets a
//! new session that takes over what the lost one holds (`Search` or `Found` from Welcomed).

use pangaea_schemas::geometry::{Position, ShardId};
use pangaea_schemas::ticket::TicketClaims;
use pangaea_schemas::{AgentEpoch, InSeq, NodeId, RequestId, SessionEpoch, Tick, Timestamp};

use crate::events::EventStream;
use crate::gateway::{ConnId, Transport};
use crate::inputs::InputQueue;
use crate::interest::View;
use crate::limits::{Allowance, INPUTS, MESSAGES, PLAYER_BYTES, SocketQueue};

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Connected; has not said Hello.
    Greeting,
    /// May log in, join, resume or watch.
    Welcomed,
    /// Waits for an authentication server.
    LoggingIn { request: RequestId },
    /// Waits for the directory.
    Locating { request: RequestId },
    /// Waits for the shard that should run the agent.
    Attaching { place: Place, tries: u8 },
    /// In the world.
    Playing,
    /// In the world, but the agent is on its way to another owner: inputs are held.
    BetweenOwners { epoch: AgentEpoch },
    /// A spectator.
    Watching,
    /// The connection is lost; the session waits for its client.
    Lost,
    /// Over.
    Closed,
}

/// What happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The client said Hello and fits.
    Greeted,
    /// Its credentials are on their way.
    LoginSent { request: RequestId },
    /// There is a ticket or a refusal.
    LoginAnswered,
    /// The directory is asked where the agent is.
    Search { request: RequestId },
    /// The agent should be there.
    Found { place: Place, tries: u8 },
    /// An owner answered for the agent.
    Owned,
    /// The owner let the agent go.
    Departed { epoch: AgentEpoch },
    /// The world does not take the client now.
    GivenUp,
    /// The client wants to watch.
    Watch,
    /// The connection is gone.
    Disconnected,
    /// The client did not come back.
    Expired,
    /// Logged out, replaced or sent away.
    Ended,
}

/// A shard and the node that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) shard: ShardId,
    pub(crate) node: NodeId,
    /// The agent has never been in the world.
    pub(crate) unborn: bool,
}

impl State {
    /// The state after an event; `None`: not allowed.
    pub(crate) fn after(self, event: Event) -> Option<Self> {
        use State::{Attaching, BetweenOwners, Closed, Greeting, Locating, LoggingIn, Lost, Playing, Watching, Welcomed};
        match event {
            Event::Greeted => (self == Greeting).then_some(Welcomed),
            Event::LoginSent { request } => (self == Welcomed).then_some(LoggingIn { request }),
            Event::LoginAnswered => matches!(self, LoggingIn { .. }).then_some(Welcomed),
            Event::Search { request } => (self == Welcomed || self.is_in_world()).then_some(Locating { request }),
            Event::Found { place, tries } => (self == Welcomed || self.is_in_world()).then_some(Attaching { place, tries }),
            Event::Owned => self.is_in_world().then_some(Playing),
            Event::Departed { epoch } => match self {
                Playing | BetweenOwners { .. } => Some(BetweenOwners { epoch }),
                Greeting | Welcomed | LoggingIn { .. } | Locating { .. } | Attaching { .. } | Watching | Lost | Closed => None,
            },
            Event::GivenUp => matches!(self, Locating { .. } | Attaching { .. }).then_some(Welcomed),
            Event::Watch => matches!(self, Welcomed | Watching).then_some(Watching),
            Event::Disconnected => match self {
                Locating { .. } | Attaching { .. } | Playing | BetweenOwners { .. } => Some(Lost),
                Greeting | Welcomed | LoggingIn { .. } | Watching => Some(Closed),
                Lost | Closed => None,
            },
            Event::Expired => (self == Lost).then_some(Closed),
            Event::Ended => (self != Closed).then_some(Closed),
        }
    }

    /// The request it waits for.
    pub(crate) fn request(self) -> Option<RequestId> {
        match self {
            Self::LoggingIn { request } | Self::Locating { request } => Some(request),
            Self::Greeting | Self::Welcomed | Self::Attaching { .. } | Self::Playing => None,
            Self::BetweenOwners { .. } | Self::Watching | Self::Lost | Self::Closed => None,
        }
    }

    /// Whether the session speaks for an agent and has its client.
    pub(crate) fn is_in_world(self) -> bool {
        match self {
            Self::Locating { .. } | Self::Attaching { .. } | Self::Playing | Self::BetweenOwners { .. } => true,
            Self::Greeting | Self::Welcomed | Self::LoggingIn { .. } | Self::Watching | Self::Lost | Self::Closed => false,
        }
    }
}

/// Who runs the agent, as last proven by an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) shard: ShardId,
    pub(crate) node: NodeId,
    /// The agent's epoch.
    pub(crate) epoch: AgentEpoch,
}

/// The agent as last told by its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Agent {
    pub(crate) position: Position,
    pub(crate) tick: Tick,
    /// Last input that led to the position.
    pub(crate) applied: InSeq,
    /// The position has been told at all.
    pub(crate) seen: bool,
    /// When the owner spoke of it last.
    pub(crate) heard: Timestamp,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) conn: Option<ConnId>,
    pub(crate) transport: Transport,
    pub(crate) state: State,
    /// When the state acts by itself.
    pub(crate) deadline: Timestamp,
    /// When the client asked to enter; `None` once it has been told that it is in the world.
    pub(crate) entering: Option<Timestamp>,
    /// Whom it speaks for; `None` before a ticket and for spectators.
    pub(crate) claims: Option<TicketClaims>,
    pub(crate) epoch: SessionEpoch,
    /// The client came back with a token.
    pub(crate) resumed: bool,
    pub(crate) owner: Option<Owner>,
    pub(crate) agent: Agent,
    pub(crate) inputs: InputQueue,
    pub(crate) events: EventStream,
    pub(crate) view: View,
    pub(crate) message_allowance: Allowance,
    pub(crate) input_allowance: Allowance,
    pub(crate) byte_allowance: Allowance,
    pub(crate) queue: SocketQueue,
    /// The driver was told not to read.
    pub(crate) paused: bool,
}

impl Session {
    /// A fresh connection.
    pub(crate) fn opened(now: Timestamp, conn: ConnId, transport: Transport, deadline: Timestamp) -> Self {
        Self {
            conn: Some(conn),
            transport,
            state: State::Greeting,
            deadline,
            entering: None,
            claims: None,
            epoch: SessionEpoch::default(),
            resumed: false,
            owner: None,
            agent: Agent::default(),
            inputs: InputQueue::default(),
            events: EventStream::default(),
            view: View::default(),
            message_allowance: Allowance::full(MESSAGES, now),
            input_allowance: Allowance::full(INPUTS, now),
            byte_allowance: Allowance::full(PLAYER_BYTES, now),
            queue: SocketQueue::default(),
            paused: false,
        }
    }

    /// Move on; false when the event is not allowed in this state.
    pub(crate) fn step(&mut self, event: Event) -> bool {
        match self.state.after(event) {
            Some(next) => {
                self.state = next;
                true
            }
            None => false,
        }
    }

    /// Whether the client is to be sent updates: a spectator, or a player whose agent's place is known.
    pub(crate) fn is_shown(&self) -> bool {
        let plays = self.state.is_in_world() && self.entering.is_none() && self.agent.seen;
        self.conn.is_some() && (self.state == State::Watching || plays)
    }
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::Role;
    use pangaea_schemas::geometry::SpaceId;

    use super::*;

    fn states() -> Vec<State> {
        let shard = ShardId { space: SpaceId(0), level: 1, x: 0, z: 0 };
        let place = Place { shard, node: NodeId::new(Role::Scene, 1), unborn: false };
        let request = RequestId(1);
        let epoch = AgentEpoch(3);
        vec![
            State::Greeting,
            State::Welcomed,
            State::LoggingIn { request },
            State::Locating { request },
            State::Attaching { place, tries: 0 },
            State::Playing,
            State::BetweenOwners { epoch },
            State::Watching,
            State::Lost,
            State::Closed,
        ]
    }

    #[test]
    fn nothing_leaves_the_end() {
        for event in [Event::Greeted, Event::Owned, Event::Disconnected, Event::Expired, Event::Ended, Event::Watch] {
            assert_eq!(State::Closed.after(event), None);
        }
    }

    #[test]
    fn only_a_session_in_the_world_waits_for_its_client() {
        for state in states() {
            let kept = state.after(Event::Disconnected) == Some(State::Lost);
            assert_eq!(kept, state.is_in_world(), "{state:?}");
        }
    }

    #[test]
    fn only_an_agent_that_is_owned_departs() {
        let departed = Event::Departed { epoch: AgentEpoch(4) };
        let may: Vec<_> = states().into_iter().filter(|state| state.after(departed).is_some()).collect();
        assert_eq!(may, [State::Playing, State::BetweenOwners { epoch: AgentEpoch(3) }]);
    }

    #[test]
    fn nobody_enters_without_a_greeting() {
        let request = RequestId(1);
        for event in [Event::LoginSent { request }, Event::Search { request }, Event::Watch, Event::Owned] {
            assert_eq!(State::Greeting.after(event), None);
        }
    }
}
