//! Samples of an admin's desk.

use super::Dice;
use crate::message::{Cost, Desk, PauseOrder, SessionRow, Sight, SightState};
use crate::{AccountId, Tick};

impl Dice {
    pub(in crate::wire::tests) fn desks(&mut self) -> Vec<Desk> {
        let (request, shard, agent, after) = (self.request(), self.shard(), self.entity(), self.entity());
        let limit = self.small();
        vec![
            Desk::Look { request, shard, after, limit, full: self.flag() },
            Desk::Seen { request, shard, epoch: self.epoch(), agents: self.some(Self::record), more: self.flag() },
            Desk::Place { request, shard, agent, position: self.position() },
            Desk::Placed { request, here: self.flag() },
            Desk::ListSessions { request, after, limit },
            Desk::Sessions { request, sessions: self.some(Self::session_row), more: self.flag() },
            Desk::Kick { request, agent, words: self.text() },
            Desk::Kicked { request, here: self.flag() },
            Desk::Record { request, shard, key: self.n(), seconds: limit },
            Desk::TakeRecorded { request, shard, key: self.n(), from: self.n() },
            Desk::EndRecording { request, shard },
            Desk::Recorded { request, bytes: self.bytes(), refusal: self.text() },
            Desk::Profile { request, shard },
            Desk::Profiled { request, shard, ticks: limit, phases: self.some(Self::cost), systems: self.some(Self::cost) },
            Desk::Pause { request, shard, order: self.pick(&[PauseOrder::Pause, PauseOrder::Step]), ticks: limit },
            Desk::Paused { request, left_ms: limit, steps: self.small(), tick: Tick(self.n()), refusal: self.text() },
            Desk::Inspect { request, entity: agent },
            Desk::Inspected { request, sight: self.maybe(Self::sight) },
        ]
    }

    fn sight(&mut self) -> Sight {
        let state = self.pick(&[SightState::Leaving, SightState::AtRest, SightState::Awake]);
        Sight { shard: self.shard(), epoch: self.epoch(), state, toward: self.maybe(Self::shard), record: self.record() }
    }

    fn cost(&mut self) -> Cost {
        Cost { name: self.text(), mean_ns: self.small(), max_ns: self.small() }
    }

    fn session_row(&mut self) -> SessionRow {
        SessionRow {
            agent: self.entity(),
            account: AccountId(self.n()),
            name: self.text(),
            session: self.se(),
            connected: self.flag(),
            shard: self.maybe(Self::shard),
            owner: self.maybe(Self::node),
            state: self.text(),
        }
    }
}
