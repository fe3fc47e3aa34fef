//! Who may run a shard: claims, zombies, doubt, and migrations between two scenes.
//!
//! The machines are `scene::{incarnation, journal_writer}`, `scene::migration::{source, target}` and the journal, its fold and
//! its readings of a data node. What `scene::shard` does with their orders is repeated here without world, sessions and
//! followers: [`owner`] stands for `shard::ownership`, [`moving`] for `shard::{giving, taking}`. A shard's state is the number
//! of its last tick, kept in the record of one entity, so a copy is the same when the number is.
//!
//! | fault | how |
//! |---|---|
//! | crash, restart | a process loses everything but the disk and starts again under a new nonce, up to a bound |
//! | zombie | a process need not do anything for as long as others do |
//! | false suspicion | anybody may be told to claim at any time, and hears it at any later time, up to a bound |
//! | loss, doubling, reordering | the network keeps all that was said; an append or its answer may come late, again or never |
//! | a reading that is behind | a load may be answered with what the journal was two entries ago |
//! | the journal or the lease is away | an owner may begin to doubt, go on, or stop, whenever it likes |
//! | a target that is thought lost, a time-out, an admin's change of mind | at every point of a migration |
//!
//! | rule | |
//! |---|---|
//! | I1, P1 | whoever ticks under an epoch that is not below the journal's is alone, and named by the journal with its nonce |
//! | P1 | nobody but the start that the journal names holds the epoch in force, recovering or running |
//! | P1 | who doubted for too long, or heard of a newer owner, does not tick |
//! | I3, J4 | what was acknowledged is in the journal, and in whatever owner is in force |
//! | I5, J1 | epochs rise by one per OWNER entry; each other entry was written by the owner in force |
//! | J2, P2 | an owner in force has every journaled tick |
//! | P4, P5 | without crash and suspicion no tick is run twice or left out, whether a migration succeeds or not |
//!
//! Settled: the owner that the journal names runs, all of it is durable and acknowledged, and nothing is on the move. A state in
//! which all claims are used up counts as settled, too.

mod moving;
mod owner;

use std::cell::RefCell;
use std::rc::Rc;

use pangaea_scene::incarnation::{Happening, Incarnation};
use pangaea_scene::migration::source::Heard as SourceHeard;
use pangaea_scene::migration::target::Heard as TargetHeard;
use pangaea_schemas::geometry::{ShardId, SpaceId};
use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::{JournalReply, JournalRequest};
use pangaea_schemas::wire::flat::Records;
use pangaea_schemas::{JournalIndex, NodeId, Nonce, RequestId, Role, ShardEpoch};
use rustc_hash::FxHashMap;

use crate::disk::{Archive, Disk};
use crate::explore::Model;
use crate::net::Net;

pub use moving::{Copy, Step};
use owner::Process;

/// The shard that everybody wants.
const SHARD: ShardId = ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 };

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Scenes.
    pub scenes: u8,
    /// Ticks of the shard.
    pub ticks: u8,
    /// Orders to claim it, beside the first.
    pub claims: u8,
    /// Crashes.
    pub crashes: u8,
    /// Migrations.
    pub migrations: u8,
    /// Whether owners doubt.
    pub doubts: bool,
}

/// See the module.
pub struct Ownership {
    bounds: Bounds,
    archive: Archive,
    facts: RefCell<FxHashMap<Disk, Rc<Facts>>>,
}

/// What the journal says.
#[derive(Debug)]
struct Facts {
    owner: (NodeId, Nonce),
    epoch: ShardEpoch,
    tail: JournalIndex,
    tick: u8,
    /// Gapless, epochs rise, and each entry is its owner's.
    is_in_order: bool,
}

/// Everything there is.
#[derive(Clone, Debug, Hash)]
pub struct State {
    disk: Disk,
    /// The content one and two entries ago.
    behind: [Disk; 2],
    scenes: Vec<Process>,
    net: Net<Said>,
    /// Orders to claim that were not heard yet: who, above which epoch.
    orders: Vec<(u8, ShardEpoch)>,
    claims: u8,
    crashes: u8,
    migrations: u8,
    /// Last tick that was acknowledged.
    told: u8,
    /// Last tick that anybody saw.
    shown: u8,
    is_shown_wrong: bool,
}

/// What is said.
#[derive(Clone, Debug, Hash)]
pub enum Said {
    /// To the data node.
    Ask(u8, JournalRequest),
    /// By the data node.
    Answer(u8, JournalReply),
    /// Between the scenes of a migration.
    Moving {
        /// Who says it.
        from: u8,
        /// To whom.
        to: u8,
        /// Of which migration.
        id: u8,
        /// What.
        step: Step,
    },
}

/// What may happen.
#[derive(Clone, Debug)]
pub enum Action {
    /// Somebody hears something; a data node may answer a load from a reading that is behind.
    Hear(Rc<Said>, bool),
    /// The shard ticks.
    Tick(u8),
    /// The world orders somebody to claim the shard.
    Order(u8),
    /// The order is heard.
    Claim(u8),
    /// Lease or journal are away.
    Doubt(u8),
    /// They are back.
    Confirm(u8),
    /// They were away for too long.
    DoubtTooLong(u8),
    /// Somebody speaks of the epoch in force.
    HearOfEpoch(u8),
    /// A process dies.
    Crash(u8),
    /// Another one starts in its place.
    Restart(u8),
    /// The world orders a migration to the other scene.
    Migrate(u8, u8),
    /// A round of copying is over: does it fit between two ticks?
    EndRound(u8, bool),
    /// Something happens to a migration at its source.
    AtSource(u8, SourceHeard),
    /// The same at its target.
    AtTarget(u8, TargetHeard),
}

impl Ownership {
    /// A model within these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, archive: Archive::default(), facts: RefCell::default() }
    }

    fn facts(&self, disk: Disk) -> Rc<Facts> {
        let known = self.facts.borrow().get(&disk).cloned();
        known.unwrap_or_else(|| {
            let facts = Rc::new(self.read(disk));
            self.facts.borrow_mut().insert(disk, facts.clone());
            facts
        })
    }

    fn read(&self, disk: Disk) -> Facts {
        let request = RequestId(0);
        let read = JournalRequest::Read { request, shard: SHARD, from: JournalIndex(1), bytes_max: u32::MAX };
        let (_, replies) = self.archive.journal(disk, &read);
        let [JournalReply::Entries { entries, tail, .. }] = replies.as_slice() else { panic!("the journal is read whole") };
        let mut facts = Facts { owner: (node(0), Nonce(0)), epoch: ShardEpoch::ZERO, tail: *tail, tick: 0, is_in_order: true };
        for entry in entries {
            if let [ShardOp::Owner { node, nonce }] = entry.ops.as_slice() {
                facts.is_in_order &= entry.epoch == facts.epoch.next();
                (facts.owner, facts.epoch) = ((*node, *nonce), entry.epoch);
            }
            let put = entry.ops.iter().filter_map(|op| if let ShardOp::Put(records) = op { Some(records) } else { None });
            let authors = put.flat_map(Records::iter).filter_map(|record| owner::author(&record));
            facts.is_in_order &= entry.epoch == facts.epoch && authors.into_iter().all(|author| author == facts.owner.1);
        }
        facts.is_in_order &= entries.len() as u64 == tail.0;
        let image = self.archive.image(disk, SHARD);
        facts.tick = image.records.first().map_or(0, owner::tick_of);
        facts
    }

    /// The one that the journal names, if it ticks.
    fn owner_in_force<'s>(&self, state: &'s State, facts: &Facts) -> Option<&'s Process> {
        let is_named = |process: &&Process| process.name() == facts.owner && process.life.epoch() == Some(facts.epoch);
        state.scenes.iter().find(|process| process.ticks() && is_named(process))
    }

    fn owner_actions(&self, state: &State, at: u8, actions: &mut Vec<Action>) {
        let process = &state.scenes[usize::from(at)];
        if !process.up {
            actions.push(Action::Restart(at));
            return;
        }
        if process.ticks() && process.tick < self.bounds.ticks {
            actions.push(Action::Tick(at));
        }
        match process.life {
            Incarnation::Running { .. } if self.bounds.doubts => actions.push(Action::Doubt(at)),
            Incarnation::Unconfirmed { .. } => actions.extend([Action::Confirm(at), Action::DoubtTooLong(at)]),
            Incarnation::Off
            | Incarnation::Claiming { .. }
            | Incarnation::Recovering { .. }
            | Incarnation::Fencing { .. }
            | Incarnation::Running { .. }
            | Incarnation::Fenced { .. } => {}
        }
        if process.life.epoch().is_some() {
            actions.push(Action::HearOfEpoch(at));
        }
        if state.crashes < self.bounds.crashes {
            actions.push(Action::Crash(at));
        }
        moving::actions(state, at, state.migrations < self.bounds.migrations, actions);
    }

    /// Drops what can change nothing any more: appends to an index that is taken, unless their writer waits for an answer, and
    /// answers that nobody of this or a later start waits for.
    fn forget_old_words(&self, state: &mut State) {
        let tail = self.facts(state.disk).tail;
        let State { net, scenes, .. } = state;
        net.keep(|said| match said {
            Said::Ask(at, JournalRequest::Append { id, expected, .. }) => {
                *expected >= tail || scenes[usize::from(*at)].writer.awaits(*id)
            }
            Said::Answer(at, JournalReply::Appended { id, .. } | JournalReply::Conflict { id, .. }) => {
                let process = &scenes[usize::from(*at)];
                id.nonce != process.name().1 || process.writer.awaits(*id)
            }
            Said::Ask(at, JournalRequest::Load { request, .. }) | Said::Answer(at, JournalReply::Image { request, .. }) => {
                scenes[usize::from(*at)].loading == Some(*request)
            }
            Said::Ask(..) | Said::Answer(..) | Said::Moving { .. } => true,
        });
    }
}

impl Model for Ownership {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        let disk = self.archive.empty();
        let scenes = (0..self.bounds.scenes).map(Process::new).collect();
        let state = State {
            disk,
            behind: [disk; 2],
            scenes,
            net: Net::default(),
            orders: Vec::new(),
            claims: 0,
            crashes: 0,
            migrations: 0,
            told: 0,
            shown: 0,
            is_shown_wrong: false,
        };
        let mut stage = owner::Stage { model: self, state };
        stage.first_owner(0);
        stage.state
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for said in state.net.heard() {
            actions.push(Action::Hear(said.clone(), false));
            if matches!(**said, Said::Ask(_, JournalRequest::Load { .. })) && owner::may_be_behind(state, said) {
                actions.push(Action::Hear(said.clone(), true));
            }
        }
        actions.extend(state.orders.iter().map(|(at, _)| Action::Claim(*at)));
        for at in 0..self.bounds.scenes {
            self.owner_actions(state, at, actions);
            let is_ordered = state.orders.iter().any(|(ordered, _)| *ordered == at);
            if state.claims < self.bounds.claims && !is_ordered {
                actions.push(Action::Order(at));
            }
        }
    }

    fn step(&self, state: &State, action: &Action) -> State {
        let mut stage = owner::Stage { model: self, state: state.clone() };
        match action {
            Action::Hear(said, behind) => stage.hear(said, *behind),
            Action::Tick(at) => stage.tick(*at),
            Action::Order(at) => {
                let above = self.facts(state.disk).epoch;
                stage.state.claims += 1;
                stage.state.orders.push((*at, above));
                stage.state.orders.sort_unstable();
            }
            Action::Claim(at) => stage.claim(*at),
            Action::Doubt(at) => stage.happens(*at, Happening::Doubted),
            Action::Confirm(at) => stage.happens(*at, Happening::Confirmed),
            Action::DoubtTooLong(at) => stage.doubt_too_long(*at),
            Action::HearOfEpoch(at) => {
                stage.hear_of_epoch(*at, self.facts(state.disk).epoch);
            }
            Action::Crash(at) => stage.crash(*at),
            Action::Restart(at) => stage.restart(*at),
            Action::Migrate(from, to) => stage.migrate(*from, *to),
            Action::EndRound(at, is_small) => stage.end_round(*at, *is_small),
            Action::AtSource(at, heard) => stage.gift_hears(*at, *heard),
            Action::AtTarget(at, heard) => stage.draft_hears(*at, *heard, 0),
        }
        stage.settle();
        self.forget_old_words(&mut stage.state);
        stage.state
    }

    fn is_fault(&self, state: &State, action: &Action) -> bool {
        match action {
            Action::Crash(_) | Action::Doubt(_) | Action::DoubtTooLong(_) | Action::Migrate(..) | Action::Hear(_, true) => true,
            // Where nobody runs, the world is right to order somebody.
            Action::Order(_) => self.owner_in_force(state, &self.facts(state.disk)).is_some(),
            Action::Hear(_, false)
            | Action::Tick(_)
            | Action::Claim(_)
            | Action::Confirm(_)
            | Action::HearOfEpoch(_)
            | Action::Restart(_)
            | Action::EndRound(..)
            | Action::AtSource(..)
            | Action::AtTarget(..) => false,
        }
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        let facts = self.facts(state.disk);
        let not_fenced = |process: &&Process| process.ticks() && process.life.epoch() >= Some(facts.epoch);
        let owner = self.owner_in_force(state, &facts);
        let runners = state.scenes.iter().filter(not_fenced).count();
        if runners > 1 {
            return Some("I1 P1 one runner");
        }
        if runners == 1 && owner.is_none() {
            return Some("P1 a runner is named by the journal");
        }
        let is_other = |process: &Process| process.life.epoch() == Some(facts.epoch) && process.name() != facts.owner;
        if state.scenes.iter().any(is_other) {
            return Some("P1 the epoch in force is its owner's");
        }
        if state.scenes.iter().any(|process| process.is_over && process.ticks()) {
            return Some("P1 who heard of its end stops");
        }
        if !facts.is_in_order {
            return Some("J1 I5 the journal is its owners'");
        }
        if state.told > facts.tick || owner.is_some_and(|owner| owner.tick < state.told) {
            return Some("I3 J4 acknowledged is durable");
        }
        if owner.is_some_and(|owner| owner.tick < facts.tick) {
            return Some("J2 P2 an owner has every journaled tick");
        }
        if state.is_shown_wrong {
            return Some("P4 P5 no tick twice, none left out");
        }
        None
    }

    fn is_settled(&self, state: &State) -> bool {
        if state.claims == self.bounds.claims {
            return true;
        }
        let facts = self.facts(state.disk);
        let moves = state.scenes.iter().any(|process| process.gift.is_some() || process.draft.is_some());
        self.owner_in_force(state, &facts).is_some_and(|owner| {
            owner.life.is_confirmed() && owner.writer.is_idle() && owner.tick == state.told && !moves && state.orders.is_empty()
        })
    }

    fn sights(&self, state: &State) -> Vec<(&'static str, bool)> {
        let facts = self.facts(state.disk);
        let owner = self.owner_in_force(state, &facts);
        let node = owner.map(|owner| owner.at);
        let fenced = |process: &Process| matches!(process.life, Incarnation::Fenced { .. });
        let ticked = owner.is_some_and(|owner| owner.tick == self.bounds.ticks && state.told == owner.tick);
        let calm = state.crashes == 0 && state.claims == 0;
        let mut sights = vec![("everything is run and acknowledged", ticked)];
        if self.bounds.claims > 0 {
            let suspected = state.crashes == 0 && state.migrations == 0 && node == Some(1);
            sights.extend([
                ("another owner runs after a false suspicion", suspected),
                ("a former owner is fenced", state.scenes.iter().any(fenced)),
            ]);
        }
        if self.bounds.migrations > 0 {
            sights.extend([
                ("a migration succeeds", calm && node == Some(1) && ticked && facts.epoch == ShardEpoch(2)),
                ("a migration is taken back by an entry", calm && node == Some(0) && facts.epoch == ShardEpoch(2)),
            ]);
        }
        sights
    }
}

/// A scene's name.
fn node(at: u8) -> NodeId {
    NodeId::new(Role::Scene, u16::from(at) + 1)
}
