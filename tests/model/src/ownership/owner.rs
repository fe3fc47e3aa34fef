//! One scene's process as far as one shard is concerned: what `scene::shard::ownership` does with the orders of its machines.

use std::rc::Rc;

use bytes::Bytes;
use pangaea_scene::incarnation::{Happening, Incarnation, Order};
use pangaea_scene::journal_writer::{ConflictVerdict, JournalWriter};
use pangaea_scene::lanes::Lanes;
use pangaea_schemas::geometry::Position;
use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::{JournalReply, JournalRequest, ShardImage};
use pangaea_schemas::record::{ComponentBytes, Presence, Record, SessionState};
use pangaea_schemas::wire::flat::RecordView;
use pangaea_schemas::{
    AgentEpoch, EntityId, InSeq, JournalIndex, NodeId, Nonce, RequestId, SessionEpoch, ShardEpoch, Tick, Timestamp, TypeId,
};

use super::moving::{Arrived, Draft, Gift};
use super::{Ownership, SHARD, Said, State, node};

/// The entity in whose record the shard's last tick is.
const AGENT: EntityId = EntityId(1);
/// Time stands still: what waits for time is an action of its own.
pub(super) const NOW: Timestamp = Timestamp(0);
/// Readings that are behind come to an end: a load that was repeated so often is answered with the present state.
const LOADS_BEHIND_MAX: u64 = 2;

/// One process.
#[derive(Clone, Debug, Hash)]
pub(super) struct Process {
    pub(super) at: u8,
    /// Which start of it this is.
    start: u8,
    pub(super) up: bool,
    pub(super) life: Incarnation,
    /// Outlives a stop.
    pub(super) lanes: Lanes,
    pub(super) writer: JournalWriter<Then>,
    pub(super) loading: Option<RequestId>,
    loads: u64,
    /// The shard's state here.
    pub(super) tick: u8,
    /// The last tick that is durable.
    durable: u8,
    pub(super) agent: AgentEpoch,
    pub(super) is_over: bool,
    pub(super) gift: Option<Gift>,
    pub(super) draft: Option<Draft>,
    pub(super) arrived: Option<Arrived>,
}

/// What waits for the journal.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Then {
    Owned,
    FencesRaised,
    Ticked(u8),
    GiftWritten,
    Arrived,
}

impl Process {
    pub(super) fn new(at: u8) -> Self {
        Self::started(at, 1)
    }

    fn started(at: u8, start: u8) -> Self {
        Self {
            at,
            start,
            up: true,
            life: Incarnation::Off,
            lanes: Lanes::default(),
            writer: JournalWriter::new(SHARD, nonce(at, start), 0),
            loading: None,
            loads: 0,
            tick: 0,
            durable: 0,
            agent: AgentEpoch::ZERO,
            is_over: false,
            gift: None,
            draft: None,
            arrived: None,
        }
    }

    /// Node and nonce.
    pub(super) fn name(&self) -> (NodeId, Nonce) {
        (node(self.at), nonce(self.at, self.start))
    }

    /// Whether the shard ticks here.
    pub(super) fn ticks(&self) -> bool {
        self.up && self.life.ticks() && self.gift.as_ref().is_none_or(Gift::ticks)
    }

    fn record(&self) -> Record {
        let session = SessionState {
            epoch: SessionEpoch { login: 1, resume: 0 },
            in_seq: InSeq(u32::from(self.tick)),
            ..SessionState::default()
        };
        let author = Bytes::copy_from_slice(&self.name().1.0.to_le_bytes());
        Record {
            entity: AGENT,
            epoch: self.agent,
            presence: Presence::Awake,
            cell: SHARD.first_cell(),
            position: Position::default(),
            session,
            components: vec![ComponentBytes { id: TypeId(1), bytes: author }],
            fleeting: Vec::new(),
        }
    }

    /// An owner of an epoch that must stop has to do it at once, which clears this.
    fn hear_of_end(&mut self, is_end: impl FnOnce(Option<ShardEpoch>) -> bool) {
        self.is_over |= is_end(self.life.epoch());
    }

    /// Everything volatile goes.
    fn clear(&mut self) {
        self.loading = None;
        (self.tick, self.durable, self.agent) = (0, 0, AgentEpoch::ZERO);
        self.is_over = false;
        self.arrived = None;
    }
}

/// Of each start another one.
fn nonce(at: u8, start: u8) -> Nonce {
    Nonce(u128::from(at + 1) << 8 | u128::from(start))
}

/// Who wrote a record.
pub(super) fn author(record: &RecordView<'_>) -> Option<Nonce> {
    let bytes = record.components().next()?.1.try_into().ok()?;
    Some(Nonce(u128::from_le_bytes(bytes)))
}

/// The shard's last tick by a record.
pub(super) fn tick_of(record: &Record) -> u8 {
    record.session.in_seq.0 as u8
}

/// Whether a load may still be answered with an old reading.
pub(super) fn may_be_behind(state: &State, said: &Rc<Said>) -> bool {
    let Said::Ask(at, _) = **said else { return false };
    state.scenes[usize::from(at)].loads < LOADS_BEHIND_MAX
}

/// A state in which something happens.
pub(super) struct Stage<'m> {
    pub(super) model: &'m Ownership,
    pub(super) state: State,
}

impl Stage<'_> {
    pub(super) fn process(&mut self, at: u8) -> &mut Process {
        &mut self.state.scenes[usize::from(at)]
    }

    /// The shard's first owner, running, with the entity in the journal.
    pub(super) fn first_owner(&mut self, at: u8) {
        self.happens(at, Happening::Assigned { above: ShardEpoch::ZERO, tail: JournalIndex::ZERO });
        self.hear_everything();
        let process = self.process(at);
        process.agent = AgentEpoch(1);
        let record = process.record();
        process.writer.push(ShardOp::put(&record));
        self.hear_everything();
        assert!(self.process(at).life.is_confirmed() && self.process(at).writer.is_idle(), "the first owner runs");
        self.model.forget_old_words(&mut self.state);
    }

    fn hear_everything(&mut self) {
        for _ in 0..8 {
            self.settle();
            let said: Vec<Rc<Said>> = self.state.net.heard().cloned().collect();
            said.iter().for_each(|said| self.hear(said, false));
        }
    }

    /// After anything that happened: what is written goes out, what is frozen is noticed, what is durable is acknowledged.
    pub(super) fn settle(&mut self) {
        for at in 0..self.state.scenes.len() as u8 {
            self.go_on_freezing(at);
            let State { net, scenes, told, .. } = &mut self.state;
            let process = &mut scenes[usize::from(at)];
            process.writer.flush(NOW, Tick(0), &mut |request| net.say(Said::Ask(at, request)));
            if process.life.is_confirmed() {
                *told = (*told).max(process.durable);
            }
        }
    }

    pub(super) fn hear(&mut self, said: &Said, behind: bool) {
        match said {
            Said::Ask(at, request) => {
                let from = if behind { self.state.behind[1] } else { self.state.disk };
                let (disk, replies) = self.model.archive.journal(from, request);
                if !behind && disk != self.state.disk {
                    self.state.behind = [self.state.disk, self.state.behind[0]];
                    self.state.disk = disk;
                }
                replies.into_iter().for_each(|reply| self.state.net.say(Said::Answer(*at, reply)));
            }
            Said::Answer(at, reply) if self.process(*at).up => self.journal_replied(*at, reply.clone()),
            Said::Moving { from, to, id, step } if self.process(*to).up => self.moving(*from, *to, *id, *step),
            Said::Answer(..) | Said::Moving { .. } => {}
        }
    }

    fn journal_replied(&mut self, at: u8, reply: JournalReply) {
        match reply {
            JournalReply::Appended { id, index, .. } => {
                let thens = self.process(at).writer.appended(id, index);
                thens.into_iter().for_each(|then| self.is_durable(at, then));
            }
            JournalReply::Conflict { id, tail, epoch, .. } => match self.process(at).writer.conflict(id, tail, epoch, NOW) {
                ConflictVerdict::Old | ConflictVerdict::Gap => {}
                ConflictVerdict::Durable(thens) => thens.into_iter().for_each(|then| self.is_durable(at, then)),
                ConflictVerdict::Lost { tail, epoch } => {
                    self.process(at).hear_of_end(|own| own.is_some());
                    self.happens(at, Happening::Conflict { tail, epoch });
                }
            },
            JournalReply::Image { request, part, .. } if self.process(at).loading == Some(request) => {
                let (index, epoch) = (part.index, part.epoch);
                self.happens_with(at, Happening::Replayed { index, epoch }, Some(&part));
            }
            JournalReply::OwnerList { owners, .. } => {
                for (_, node, nonce, epoch, tail) in owners {
                    self.owner_is(at, (node, nonce), epoch, tail);
                }
            }
            JournalReply::Image { .. }
            | JournalReply::Unavailable { .. }
            | JournalReply::Entries { .. }
            | JournalReply::Trimmed { .. }
            | JournalReply::Found { .. }
            | JournalReply::IdBlock { .. }
            | JournalReply::Failed { .. } => {}
        }
    }

    pub(super) fn happens(&mut self, at: u8, happening: Happening) {
        self.happens_with(at, happening, None);
    }

    fn happens_with(&mut self, at: u8, happening: Happening, image: Option<&ShardImage>) {
        let process = self.process(at);
        let order = process.life.step(happening);
        process.lanes.learn(SHARD, process.life.epoch().unwrap_or_default());
        let Some(order) = order else { return };
        match order {
            Order::Claim { epoch, expected } => {
                process.writer.restart(epoch, expected);
                let (node, nonce) = process.name();
                process.writer.push(ShardOp::Owner { node, nonce });
                self.when_durable(at, Then::Owned);
            }
            Order::Load => self.load(at),
            Order::RaiseFences => self.raise_fences(at, image),
            Order::Run => {}
            Order::Stop => {
                process.gift = None;
                self.retire(at);
            }
            Order::Retire => self.retire(at),
        }
    }

    fn load(&mut self, at: u8) {
        let process = self.process(at);
        process.loads += 1;
        let request = RequestId(u64::from(process.start) << 8 | process.loads);
        process.loading = Some(request);
        self.state.net.say(Said::Ask(at, JournalRequest::Load { request, shard: SHARD }));
    }

    fn raise_fences(&mut self, at: u8, image: Option<&ShardImage>) {
        let process = self.process(at);
        process.loading = None;
        if let Some(record) = image.and_then(|image| image.records.first()) {
            (process.tick, process.durable, process.agent) = (tick_of(record), tick_of(record), record.epoch.next());
            let record = process.record();
            process.writer.push(ShardOp::put(&record));
        }
        self.when_durable(at, Then::FencesRaised);
    }

    fn retire(&mut self, at: u8) {
        let process = self.process(at);
        process.writer.restart(Default::default(), Default::default());
        process.clear();
    }

    pub(super) fn when_durable(&mut self, at: u8, then: Then) {
        if let Some(then) = self.process(at).writer.after(then) {
            self.is_durable(at, then);
        }
    }

    fn is_durable(&mut self, at: u8, then: Then) {
        match then {
            Then::Owned => {
                let index = self.process(at).writer.tail();
                self.happens(at, Happening::OwnerAppended { index });
            }
            Then::FencesRaised => self.happens(at, Happening::FencesRaised),
            Then::Ticked(tick) => self.process(at).durable = tick,
            Then::GiftWritten => self.gift_hears(at, pangaea_scene::migration::source::Heard::OwnerAppended),
            Then::Arrived => self.arrival_is_durable(at),
        }
    }

    pub(super) fn tick(&mut self, at: u8) {
        let in_force = self.model.facts(self.state.disk).epoch;
        let is_calm = self.state.crashes == 0 && self.state.claims == 0;
        let shown = self.state.shown;
        let process = self.process(at);
        let is_next = process.tick == shown;
        process.tick += 1;
        let tick = process.tick;
        let record = process.record();
        process.writer.push(ShardOp::put(&record));
        let counts = is_calm && process.life.epoch() >= Some(in_force);
        self.state.is_shown_wrong |= counts && !is_next;
        self.state.shown = shown.max(tick);
        self.when_durable(at, Then::Ticked(tick));
        self.note_first_tick(at);
    }

    pub(super) fn claim(&mut self, at: u8) {
        let Some(order) = self.state.orders.iter().position(|(ordered, _)| *ordered == at) else { return };
        let (_, above) = self.state.orders.remove(order);
        if self.process(at).up {
            self.drop_draft(at);
            self.happens(at, Happening::Assigned { above, tail: JournalIndex::ZERO });
        }
    }

    pub(super) fn doubt_too_long(&mut self, at: u8) {
        self.process(at).hear_of_end(|_| true);
        self.happens(at, Happening::DoubtedTooLong);
    }

    pub(super) fn hear_of_epoch(&mut self, at: u8, epoch: ShardEpoch) {
        self.process(at).hear_of_end(|own| own < Some(epoch));
        self.happens(at, Happening::Superseded { epoch });
    }

    pub(super) fn crash(&mut self, at: u8) {
        self.state.crashes += 1;
        let process = self.process(at);
        *process = Process { up: false, ..Process::started(at, process.start) };
    }

    pub(super) fn restart(&mut self, at: u8) {
        let process = self.process(at);
        *process = Process::started(at, process.start + 1);
    }

    pub(super) fn clear(&mut self, at: u8) {
        self.process(at).clear();
    }
}
