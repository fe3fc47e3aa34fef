//! An agent walks between shards: hand-overs, refusals, new owners of either shard, and the forgetting afterwards.
//!
//! The machines are `scene::handover::{source, target, forwarders}`, `scene::{incarnation, journal_writer, lanes}` and the
//! journals, their fold and their readings of a data node. [`shard`] stands for `scene::shard::{crossing, settling, ownership}`
//! without world, sessions and followers. The agent's inputs are a count in its record.
//!
//! | fault | how |
//! |---|---|
//! | crash, restart | a shard's owner loses all but its journal, at any point, with what it wrote landing or not; up to a bound |
//! | false suspicion, zombie | a shard gets another owner while the former lives on with what it knows, up to a bound |
//! | loss, doubling, reordering | the network keeps all that was said; each owner a shard ever had may hear it |
//! | refusal | a target may have room or not, whenever it is asked |
//! | cancelled and timed-out offers, commits sent again | at any time |
//!
//! A claim is one step here; `ownership` takes it apart.
//!
//! | rule | |
//! |---|---|
//! | I1 | the agent is live at one owner in force at most |
//! | I2 | the journals hold the agent, live or leaving |
//! | I3 | an acknowledged input is in the journals' latest state of the agent, and where it is live |
//! | I5 | nobody hears an owner after a later one of the same shard |
//! | I6 | who left comes back only by a durable refusal of that very hand-over |
//!
//! Settled: the agent is live once, everything is durable and acknowledged, and all hand-overs are forgotten on both sides.

mod shard;

use std::cell::RefCell;
use std::rc::Rc;

use pangaea_scene::handover::source::{Heard, Letting};
use pangaea_schemas::geometry::{ShardId, SpaceId};
use pangaea_schemas::journal::Xid;
use pangaea_schemas::message::{Handover, HandoverMessage, JournalReply, JournalRequest};
use pangaea_schemas::record::Record;
use pangaea_schemas::{AgentEpoch, EntityId, RequestId, ShardEpoch};
use rustc_hash::FxHashMap;

use crate::disk::{Archive, Disk};
use crate::explore::Model;
use crate::net::Net;
use shard::{Owner, Stage};

/// Who walks.
const AGENT: EntityId = EntityId(1);

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Shards in a row; one may hand over to each other.
    pub shards: u16,
    /// Offers to another shard, those that come to nothing included.
    pub offers: u8,
    /// Inputs of the agent.
    pub inputs: u32,
    /// Crashes of owners.
    pub crashes: u8,
    /// New owners while the former lives.
    pub suspicions: u8,
    /// Whether targets refuse.
    pub refusals: bool,
    /// Whether finished hand-overs are forgotten.
    pub forgetting: bool,
}

/// See the module.
pub struct Walk {
    bounds: Bounds,
    archive: Archive,
    facts: RefCell<FxHashMap<Disk, Rc<Facts>>>,
}

/// What the journals say.
#[derive(Debug, Default)]
struct Facts {
    /// Epochs in force.
    epochs: Vec<ShardEpoch>,
    /// The agent, live or leaving: epoch, inputs.
    agents: Vec<(AgentEpoch, u32)>,
}

/// Everything there is.
#[derive(Clone, Debug, Hash)]
pub struct State {
    disk: Disk,
    /// Of each shard those that own it or believe so, the latest last.
    owners: Vec<Vec<Owner>>,
    /// Owners that each shard had.
    starts: Vec<u8>,
    net: Net<HandoverMessage>,
    offers: u8,
    crashes: u8,
    suspicions: u8,
    /// Inputs that were acknowledged.
    told: u32,
    broken: Option<&'static str>,
    refused_once: bool,
}

/// Which owner of which shard.
type Who = (u16, usize);

/// What may happen.
#[derive(Clone, Debug)]
pub enum Action {
    /// An owner hears something, and has room or not.
    Hear(Who, Rc<HandoverMessage>, bool),
    /// An owner's oldest append is done and answered.
    Land(Who),
    /// The agent does something.
    Act(Who),
    /// The agent stands beyond the border of another shard.
    Offer(Who, u16),
    /// It came back, or nobody answered, or nobody does now.
    AtSource(Who, Xid, Heard),
    /// The tick is over: who has a reservation leaves.
    EndTick(Who),
    /// An owner says up to where its hand-overs are settled.
    TellSettled(Who),
    /// An owner in force dies; so many of its appends land all the same.
    Crash(u16, usize),
    /// A former owner hears that there is another one.
    HearOfEpoch(Who),
    /// A shard without an owner gets one.
    Restart(u16),
    /// A shard gets another owner, while the one it has lives on.
    Suspect(u16),
}

impl Walk {
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
        let (_, replies) = self.archive.journal(disk, &JournalRequest::Owners { request: RequestId(0) });
        let [JournalReply::OwnerList { owners, .. }] = replies.as_slice() else { panic!("owners are told") };
        let mut facts = Facts { epochs: vec![ShardEpoch::ZERO; usize::from(self.bounds.shards)], agents: Vec::new() };
        for (shard, _, _, epoch, _) in owners {
            facts.epochs[usize::from(shard.x)] = *epoch;
        }
        let inputs = |record: &Record| record.session.in_seq.0;
        for at in 0..self.bounds.shards {
            let image = self.archive.image(disk, shard_id(at));
            facts.agents.extend(image.records.iter().map(|record| (record.epoch, inputs(record))));
            let leaving = image.departures.iter().flat_map(|d| d.members.iter().map(|record| (d.xid.epoch, inputs(record))));
            facts.agents.extend(leaving);
        }
        facts
    }

    /// The owners that the journals name.
    fn in_force<'s>(&self, state: &'s State) -> impl Iterator<Item = &'s Owner> {
        let facts = self.facts(state.disk);
        let latest = state.owners.iter().enumerate();
        latest.filter_map(move |(at, owners)| owners.last().filter(|owner| owner.epoch() == facts.epochs[at]))
    }

    fn owner_actions(&self, state: &State, who: Who, owner: &Owner, actions: &mut Vec<Action>) {
        let (at, _) = who;
        for said in state.net.heard().filter(|said| said.lane.to == shard_id(at)) {
            actions.push(Action::Hear(who, said.clone(), true));
            let asks = matches!(said.step, Handover::Offer { .. } | Handover::Commit { .. });
            if asks && self.bounds.refusals {
                actions.push(Action::Hear(who, said.clone(), false));
            }
        }
        if owner.has_appends() {
            actions.push(Action::Land(who));
        }
        if let Some(resident) = owner.resident {
            if resident.inputs < self.bounds.inputs {
                actions.push(Action::Act(who));
            }
            let others = (0..self.bounds.shards).filter(|other| *other != at);
            if owner.leaves.of(AGENT).is_none() && state.offers < self.bounds.offers {
                actions.extend(others.map(|to| Action::Offer(who, to)));
            }
        }
        for letting in [Letting::Offered, Letting::Reserved] {
            actions.extend(owner.leaves.in_state(letting).into_iter().map(|xid| Action::AtSource(who, xid, Heard::CameBack)));
        }
        actions.extend(owner.overdue(&state.net).into_iter().map(|xid| Action::AtSource(who, xid, Heard::TimedOut)));
        if !owner.leaves.in_state(Letting::Reserved).is_empty() {
            actions.push(Action::EndTick(who));
        }
        if self.bounds.forgetting && owner.may_tell_settled() {
            actions.push(Action::TellSettled(who));
        }
    }
}

impl Model for Walk {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        let count = usize::from(self.bounds.shards);
        let state = State {
            disk: self.archive.empty(),
            owners: vec![Vec::new(); count],
            starts: vec![0; count],
            net: Net::default(),
            offers: 0,
            crashes: 0,
            suspicions: 0,
            told: 0,
            broken: None,
            refused_once: false,
        };
        let mut stage = Stage { model: self, state };
        (0..self.bounds.shards).for_each(|at| stage.start_owner(at));
        stage.hear_of_each_other();
        stage.be_born(0);
        stage.state
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let facts = self.facts(state.disk);
        for (at, owners) in (0..).zip(&state.owners) {
            for (number, owner) in owners.iter().enumerate() {
                if owner.epoch() < facts.epochs[usize::from(at)] {
                    actions.push(Action::HearOfEpoch((at, number)));
                }
                self.owner_actions(state, (at, number), owner, actions);
            }
            match owners.last().filter(|owner| owner.epoch() == facts.epochs[usize::from(at)]) {
                None => actions.push(Action::Restart(at)),
                Some(owner) => {
                    if state.crashes < self.bounds.crashes {
                        actions.extend((0..=owner.appends()).map(|landing| Action::Crash(at, landing)));
                    }
                    if state.suspicions < self.bounds.suspicions {
                        actions.push(Action::Suspect(at));
                    }
                }
            }
        }
    }

    fn step(&self, state: &State, action: &Action) -> State {
        let mut stage = Stage { model: self, state: state.clone() };
        match action {
            Action::Hear(who, said, room) => stage.hear(*who, said, u32::from(*room)),
            Action::Land(who) => stage.land(*who),
            Action::Act(who) => stage.act(*who),
            Action::Offer(who, to) => stage.offer(*who, *to),
            Action::AtSource(who, xid, heard) => stage.step_leave(*who, *xid, *heard),
            Action::EndTick(who) => stage.end_tick(*who),
            Action::TellSettled(who) => stage.tell_settled(*who),
            Action::HearOfEpoch(who) => stage.hear_of_epoch(*who),
            Action::Crash(at, landing) => stage.crash(*at, *landing),
            Action::Restart(at) => stage.start_owner(*at),
            Action::Suspect(at) => {
                stage.state.suspicions += 1;
                stage.start_owner(*at);
            }
        }
        stage.bury();
        stage.state
    }

    fn is_fault(&self, _state: &State, action: &Action) -> bool {
        match action {
            Action::Crash(..) | Action::Suspect(_) | Action::Hear(_, _, false) => true,
            Action::Hear(_, _, true)
            | Action::Land(_)
            | Action::Act(_)
            | Action::Offer(..)
            | Action::AtSource(..)
            | Action::EndTick(_)
            | Action::TellSettled(_)
            | Action::HearOfEpoch(_)
            | Action::Restart(_) => false,
        }
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        if state.broken.is_some() {
            return state.broken;
        }
        let live: Vec<_> = self.in_force(state).filter_map(|owner| owner.resident).collect();
        if live.len() > 1 {
            return Some("I1 one owner in force has the agent");
        }
        let facts = self.facts(state.disk);
        let Some((_, inputs)) = facts.agents.iter().max() else { return Some("I2 the journals hold the agent") };
        if *inputs < state.told || live.iter().any(|resident| resident.inputs < state.told) {
            return Some("I3 an acknowledged input stays");
        }
        None
    }

    fn is_settled(&self, state: &State) -> bool {
        let live = self.in_force(state).filter_map(|owner| owner.resident);
        let done = |owner: &Owner| {
            let forgotten = !self.bounds.forgetting || owner.forwarders.is_empty() || owner.is_told_out();
            owner.leaves.is_empty() && !owner.has_appends() && forgotten
        };
        live.count() == 1 && state.owners.iter().all(|owners| owners.len() == 1 && done(&owners[0]))
    }

    fn sights(&self, state: &State) -> Vec<(&'static str, bool)> {
        let live =
            |at: u16, epoch: u64| move |owner: &Owner| owner.at == at && owner.resident.is_some_and(|r| r.epoch.0 >= epoch);
        let (at_home, away) = (self.in_force(state).any(live(0, 3)), self.in_force(state).any(live(1, 2)));
        let calm = state.crashes == 0 && state.suspicions == 0;
        let all_told = state.told == self.bounds.inputs;
        let mut sights = vec![("a hand-over, all acknowledged", calm && away && all_told)];
        if self.bounds.offers > 1 {
            sights.push(("there and back again", calm && at_home && !state.refused_once));
        }
        if self.bounds.crashes + self.bounds.suspicions > 0 {
            sights.push(("a hand-over after a new owner", away && !calm));
        }
        if self.bounds.refusals {
            sights.push(("somebody is refused and taken back", state.refused_once && at_home));
        }
        if self.bounds.forgetting {
            let forgotten = |owner: &Owner| owner.at == 0 && owner.has_forgotten();
            sights.push(("a hand-over is forgotten at its source", away && self.in_force(state).any(forgotten)));
        }
        sights
    }
}

/// A shard's name.
fn shard_id(at: u16) -> ShardId {
    ShardId { space: SpaceId(0), level: 3, x: at, z: 0 }
}
