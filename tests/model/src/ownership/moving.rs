//! A migration between two of the scenes: what `scene::shard::{giving, taking}` do with the orders of their machines.

use pangaea_scene::incarnation::{Happening, Incarnation};
use pangaea_scene::migration::source::{Giving, Heard, SourceOrder};
use pangaea_scene::migration::target::{Heard as TargetHeard, Taking, TargetOrder};
use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::JournalRequest;
use pangaea_schemas::{AgentEpoch, JournalIndex, NodeId, Nonce, RequestId, ShardEpoch};

use super::owner::{Stage, Then};
use super::{Action, SHARD, Said, State};

/// Rounds of copying in which too much may change.
const ROUNDS_TOO_LARGE_MAX: u32 = 1;

/// The shard's state as it is copied.
pub type Copy = (u8, AgentEpoch);

/// What the scenes of a migration say to each other; see `schemas::message::Migration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Source: stand by.
    Prepare {
        /// Its epoch.
        epoch: ShardEpoch,
    },
    /// Target: it does.
    Standby {
        /// Its incarnation.
        nonce: Nonce,
    },
    /// Target: it does not, or its copy differs.
    Declined,
    /// Source: a round.
    Copied {
        /// From 1.
        round: u32,
        /// What changed since the last one.
        changed: Option<Copy>,
    },
    /// Target: it has the round.
    Taken {
        /// Which.
        round: u32,
    },
    /// Source: what is left.
    Final {
        /// What changed since the last round.
        changed: Option<Copy>,
        /// Of everything.
        hash: Copy,
    },
    /// Target: its copy has the same hash.
    Ready,
    /// Source: it goes on itself.
    Cancelled,
    /// Source: the journal names the target.
    Owned {
        /// Its epoch.
        epoch: ShardEpoch,
        /// Where.
        index: JournalIndex,
        /// The incarnation that it names.
        nonce: Nonce,
    },
    /// Target: a tick of its own is durable.
    Running,
}

/// A migration at its source.
#[derive(Clone, Debug, Hash)]
pub(super) struct Gift {
    id: u8,
    to: u8,
    /// Which start of the target stands by.
    nonce: Option<Nonce>,
    state: Giving,
    round: u32,
    copied: Option<Copy>,
    /// The target has the round.
    taken: bool,
}

impl Gift {
    pub(super) fn ticks(&self) -> bool {
        self.state.ticks()
    }
}

/// A migration at its target.
#[derive(Clone, Debug, Hash)]
pub(super) struct Draft {
    id: u8,
    from: u8,
    state: Taking,
    epoch: ShardEpoch,
}

/// A migration that came here.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Arrived {
    id: u8,
    from: u8,
    ticked: bool,
    is_durable: bool,
}

/// What may happen to migrations at one scene.
pub(super) fn actions(state: &State, at: u8, may_begin: bool, actions: &mut Vec<Action>) {
    let process = &state.scenes[usize::from(at)];
    if let Some(gift) = &process.gift {
        for heard in [Heard::TimedOut, Heard::Cancelled, Heard::TargetLost] {
            actions.push(Action::AtSource(at, heard));
        }
        if gift.taken {
            actions.push(Action::EndRound(at, true));
            if gift.round <= ROUNDS_TOO_LARGE_MAX {
                actions.push(Action::EndRound(at, false));
            }
        }
    } else if may_begin && process.life.is_confirmed() {
        let others = (0..state.scenes.len() as u8).filter(|other| *other != at);
        actions.extend(others.map(|to| Action::Migrate(at, to)));
    }
    if process.draft.is_some() {
        actions.extend([TargetHeard::TimedOut, TargetHeard::SourceLost].map(|heard| Action::AtTarget(at, heard)));
    }
}

impl Stage<'_> {
    pub(super) fn migrate(&mut self, at: u8, to: u8) {
        self.state.migrations += 1;
        let id = self.state.migrations;
        let process = self.process(at);
        let Some(epoch) = process.life.epoch() else { return };
        let state = Giving::Preparing;
        process.gift = Some(Gift { id, to, nonce: None, state, round: 0, copied: None, taken: false });
        self.say(at, to, id, Step::Prepare { epoch });
    }

    fn say(&mut self, from: u8, to: u8, id: u8, step: Step) {
        self.state.net.say(Said::Moving { from, to, id, step });
    }

    pub(super) fn moving(&mut self, from: u8, to: u8, id: u8, step: Step) {
        match step {
            Step::Standby { .. } | Step::Declined | Step::Taken { .. } | Step::Ready | Step::Running => {
                self.target_says(to, from, id, step);
            }
            Step::Prepare { .. } | Step::Copied { .. } | Step::Final { .. } | Step::Cancelled | Step::Owned { .. } => {
                self.source_says(to, from, id, step);
            }
        }
    }

    fn target_says(&mut self, at: u8, from: u8, id: u8, step: Step) {
        let Some(gift) = self.process(at).gift.as_mut().filter(|gift| (gift.to, gift.id) == (from, id)) else { return };
        match step {
            Step::Standby { nonce } => {
                gift.nonce.get_or_insert(nonce);
                self.gift_hears(at, Heard::Standby);
            }
            Step::Declined => self.gift_hears(at, Heard::Declined),
            Step::Taken { round } => gift.taken |= round == gift.round && matches!(gift.state, Giving::Copying { .. }),
            Step::Ready => self.gift_hears(at, Heard::Ready),
            Step::Running => self.gift_hears(at, Heard::TargetRuns),
            Step::Prepare { .. } | Step::Copied { .. } | Step::Final { .. } | Step::Cancelled | Step::Owned { .. } => {}
        }
    }

    pub(super) fn end_round(&mut self, at: u8, is_small: bool) {
        if let Some(gift) = self.process(at).gift.as_mut() {
            gift.taken = false;
        }
        self.gift_hears(at, Heard::RoundTaken { is_small });
    }

    /// When everything written so far is durable, a shard that freezes is frozen.
    pub(super) fn go_on_freezing(&mut self, at: u8) {
        let process = self.process(at);
        let freezing = process.gift.as_ref().is_some_and(|gift| gift.state == Giving::Freezing);
        if freezing && process.writer.is_idle() {
            self.gift_hears(at, Heard::Flushed);
        }
    }

    pub(super) fn gift_hears(&mut self, at: u8, heard: Heard) {
        let Some(gift) = self.process(at).gift.as_mut() else { return };
        let before = gift.state;
        let (next, order) = before.step(heard);
        if let Some(state) = next {
            gift.state = state;
        }
        match order {
            Some(SourceOrder::Copy { round }) => self.copy(at, round),
            Some(SourceOrder::SendFinal) => self.send_final(at),
            Some(SourceOrder::AppendTarget) => self.append_owner(at, true),
            Some(SourceOrder::AppendSelf) => self.append_owner(at, false),
            Some(SourceOrder::Hand) => self.hand(at),
            Some(SourceOrder::GoOn) => self.go_on(at, before),
            Some(SourceOrder::Forget) => self.process(at).gift = None,
            // The state says it: it ticks no more.
            Some(SourceOrder::Freeze) | None => {}
        }
    }

    /// What changed since the last round, and everything.
    fn delta(&mut self, at: u8) -> (Option<Copy>, Copy) {
        let process = self.process(at);
        let all = (process.tick, process.agent);
        let changed = process.gift.as_mut().and_then(|gift| (gift.copied.replace(all) != Some(all)).then_some(all));
        (changed, all)
    }

    fn copy(&mut self, at: u8, round: u32) {
        let (changed, _) = self.delta(at);
        let Some(gift) = self.process(at).gift.as_mut() else { return };
        (gift.round, gift.taken) = (round, false);
        let (to, id) = (gift.to, gift.id);
        self.say(at, to, id, Step::Copied { round, changed });
    }

    fn send_final(&mut self, at: u8) {
        let (changed, hash) = self.delta(at);
        let Some(gift) = self.process(at).gift.as_ref() else { return };
        let (to, id) = (gift.to, gift.id);
        self.say(at, to, id, Step::Final { changed, hash });
    }

    fn append_owner(&mut self, at: u8, to_target: bool) {
        let process = self.process(at);
        let (Some(gift), Some(epoch)) = (process.gift.as_ref(), process.life.epoch()) else { return };
        let target = (super::node(gift.to), gift.nonce.unwrap_or_default());
        let (node, nonce) = if to_target { target } else { process.name() };
        let (to, id) = (gift.to, gift.id);
        let tail = process.writer.tail();
        process.writer.restart(epoch.next(), tail);
        process.writer.push(ShardOp::Owner { node, nonce });
        if !to_target {
            self.say(at, to, id, Step::Cancelled);
        }
        self.when_durable(at, Then::GiftWritten);
    }

    fn hand(&mut self, at: u8) {
        let process = self.process(at);
        let (Some(gift), Some(epoch)) = (process.gift.as_ref(), process.life.epoch()) else { return };
        let (to, id, index) = (gift.to, gift.id, process.writer.tail());
        let Some(nonce) = gift.nonce else { return };
        self.say(at, to, id, Step::Owned { epoch: epoch.next(), index, nonce });
        self.happens(at, Happening::GivenAway);
    }

    fn go_on(&mut self, at: u8, before: Giving) {
        let process = self.process(at);
        let (Some(gift), Some(epoch)) = (process.gift.take(), process.life.epoch()) else { return };
        if before == Giving::Returning {
            self.happens(at, Happening::Renewed { epoch: epoch.next() });
        } else {
            self.say(at, gift.to, gift.id, Step::Cancelled);
        }
    }

    fn takes(&mut self, at: u8, from: u8, id: u8) -> bool {
        self.process(at).draft.as_ref().is_some_and(|draft| (draft.from, draft.id) == (from, id))
    }

    fn source_says(&mut self, at: u8, from: u8, id: u8, step: Step) {
        match step {
            Step::Prepare { epoch } => self.prepare(at, from, id, epoch),
            Step::Copied { round, changed } if self.takes(at, from, id) => {
                self.take(at, changed);
                self.draft_hears(at, TargetHeard::Round, round);
            }
            Step::Final { changed, hash } if self.takes(at, from, id) => {
                let is_new = self.process(at).draft.as_ref().is_some_and(|draft| draft.state == Taking::Standby);
                self.take(at, changed);
                let process = self.process(at);
                let is_same = !is_new || (process.tick, process.agent) == hash;
                self.draft_hears(at, TargetHeard::Final { is_same }, 0);
            }
            Step::Cancelled if self.takes(at, from, id) => self.draft_hears(at, TargetHeard::Cancelled, 0),
            Step::Owned { epoch, index, nonce } => {
                let is_meant = nonce == self.process(at).name().1;
                if is_meant && self.takes(at, from, id) {
                    self.inherit(at, epoch, index);
                } else {
                    self.tell_runs(at, id);
                }
            }
            Step::Copied { .. }
            | Step::Final { .. }
            | Step::Cancelled
            | Step::Standby { .. }
            | Step::Declined
            | Step::Taken { .. }
            | Step::Ready
            | Step::Running => {}
        }
    }

    fn prepare(&mut self, at: u8, from: u8, id: u8, epoch: ShardEpoch) {
        if !self.takes(at, from, id) {
            let process = self.process(at);
            match process.life {
                Incarnation::Off | Incarnation::Fenced { .. } if epoch < process.lanes.heard(SHARD) => {
                    return self.say(at, from, id, Step::Declined);
                }
                Incarnation::Off | Incarnation::Fenced { .. } => {}
                Incarnation::Claiming { .. }
                | Incarnation::Recovering { .. }
                | Incarnation::Fencing { .. }
                | Incarnation::Running { .. }
                | Incarnation::Unconfirmed { .. } => return self.say(at, from, id, Step::Declined),
            }
            self.clear(at);
            self.process(at).gift = None;
            self.process(at).draft = Some(Draft { id, from, state: Taking::Standby, epoch });
        }
        let (_, nonce) = self.process(at).name();
        self.say(at, from, id, Step::Standby { nonce });
    }

    /// A copy that is not whole yet takes what comes.
    fn take(&mut self, at: u8, changed: Option<Copy>) {
        let process = self.process(at);
        let is_open = process.draft.as_ref().is_some_and(|draft| draft.state == Taking::Standby);
        if let Some(copy) = changed.filter(|_| is_open) {
            (process.tick, process.agent) = copy;
        }
    }

    pub(super) fn draft_hears(&mut self, at: u8, heard: TargetHeard, round: u32) {
        let Some(draft) = self.process(at).draft.take() else { return };
        let (next, order) = draft.state.step(heard);
        let (id, from, epoch) = (draft.id, draft.from, draft.epoch);
        self.process(at).draft = next.map(|state| Draft { state, ..draft });
        match order {
            Some(TargetOrder::Taken) => self.say(at, from, id, Step::Taken { round }),
            Some(TargetOrder::Ready) => self.say(at, from, id, Step::Ready),
            Some(TargetOrder::Bad) => {
                self.say(at, from, id, Step::Declined);
                self.clear(at);
            }
            Some(TargetOrder::Drop) => self.clear(at),
            Some(TargetOrder::AskJournal) => {
                self.state.net.say(Said::Ask(at, JournalRequest::Owners { request: RequestId(0) }));
            }
            // Told to run by anything but the journal: a target that did it would do it under the epoch that should come.
            Some(TargetOrder::Run) if heard != TargetHeard::Owned => self.run(at, id, from, epoch.next(), JournalIndex::ZERO),
            // `inherit` sees to it.
            Some(TargetOrder::Run) | None => {}
        }
    }

    fn inherit(&mut self, at: u8, epoch: ShardEpoch, index: JournalIndex) {
        let Some(draft) = self.process(at).draft.as_ref().filter(|draft| draft.state == Taking::Ready) else { return };
        let (id, from) = (draft.id, draft.from);
        self.draft_hears(at, TargetHeard::Owned, 0);
        self.run(at, id, from, epoch, index);
    }

    fn run(&mut self, at: u8, id: u8, from: u8, epoch: ShardEpoch, index: JournalIndex) {
        let process = self.process(at);
        process.writer.restart(epoch, index);
        process.arrived = Some(Arrived { id, from, ticked: false, is_durable: false });
        self.happens(at, Happening::Inherited { epoch });
    }

    /// What the journal says of the shard's owner, for a copy whose source cannot say it any more.
    pub(super) fn owner_is(&mut self, at: u8, owner: (NodeId, Nonce), epoch: ShardEpoch, tail: JournalIndex) {
        let process = self.process(at);
        let own = process.name();
        let Some(draft) = process.draft.as_ref() else { return };
        if owner == own {
            self.inherit(at, epoch, tail);
        } else if epoch > draft.epoch {
            self.draft_hears(at, TargetHeard::ClaimedByOther, 0);
        }
    }

    /// The world wants this scene to claim the shard: a copy is of no use then.
    pub(super) fn drop_draft(&mut self, at: u8) {
        if self.process(at).draft.take().is_some() {
            self.clear(at);
        }
    }

    pub(super) fn note_first_tick(&mut self, at: u8) {
        if let Some(arrived) = self.process(at).arrived.as_mut().filter(|arrived| !arrived.ticked) {
            arrived.ticked = true;
            self.when_durable(at, Then::Arrived);
        }
    }

    pub(super) fn arrival_is_durable(&mut self, at: u8) {
        if let Some(arrived) = self.process(at).arrived.as_mut() {
            arrived.is_durable = true;
            let id = arrived.id;
            self.tell_runs(at, id);
        }
    }

    fn tell_runs(&mut self, at: u8, id: u8) {
        if let Some(arrived) = self.process(at).arrived.filter(|arrived| arrived.id == id && arrived.is_durable) {
            self.say(at, arrived.from, id, Step::Running);
        }
    }
}
