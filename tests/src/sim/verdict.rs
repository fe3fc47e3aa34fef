//! The looks at the whole cluster while it runs, and the last one when it is at rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pangaea_persistence::OwnerInForce;
use pangaea_persistence::store::StoreError;
use pangaea_schemas::geometry::Position;
use pangaea_schemas::{EntityId, Nonce};

use super::checks::{self, Owners};
use super::cluster::{Cluster, DATA, Event, LOOK_EVERY, REST};
use super::faults;
use super::outcome::Outcome;
use super::player::Player;
use super::process::Process;
use super::schedule::BEGINNING;

/// So long after the last fault everybody must play again.
const RECOVERY_MAX: Duration = Duration::from_secs(5);
/// Then nobody waits longer than this for an input to be applied.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// The ledger is audited once in so many looks.
const AUDIT_EVERY: u64 = 20;
/// Whoever is that near to a player for [`VIEW_SETTLES`] is in its sight, in metres.
const NEAR_M: f32 = 24.0;
/// Views must be true after this long without faults and wishes.
const VIEW_SETTLES: Duration = Duration::from_secs(1);
/// An agent at rest is told to be where it is, in metres.
const NOWHERE_ELSE_M: f32 = 0.01;

impl Cluster {
    pub(super) fn look(&mut self) {
        self.looks += 1;
        self.look_at_data();
        match checks::one_owner(&self.processes, &self.owners, false) {
            Ok(entities) => self.entities = entities,
            Err(fault) => self.faults.push(fault),
        }
        self.look_for_the_undoubting();
        let now = self.schedule.now();
        let since = now.since(BEGINNING);
        if since < faults::CALM_BEFORE {
            self.born = checks::present(&self.processes);
        }
        let calm = self.calm_after + RECOVERY_MAX < since;
        let (silence, cursed) = (self.journals.silence(now), self.options.cursed);
        for (number, player) in self.players.iter_mut().enumerate() {
            player.sight.unwritten = silence;
            let is_parked = is_rightly_parked(cursed, number, player);
            let idle = player.idle(now);
            self.longest_pause = self.longest_pause.max(idle);
            if calm && idle > IDLE_MAX && !is_parked {
                self.faults.push(format!("{} plays no more: no input is applied for {} ms", player.name, idle.as_millis()));
            }
        }
        if since + VIEW_SETTLES > self.options.span {
            self.note_who_is_near();
        }
        self.schedule.after(LOOK_EVERY, Event::Look);
    }

    /// Somebody may run a shard that the journal has given away only as long as the news of it takes, unless its clock is wrong.
    fn look_for_the_undoubting(&mut self) {
        if !self.clocks_are_true {
            return;
        }
        let awake = checks::undoubting(&self.processes, &self.owners).filter(|(node, _)| !self.asleep.contains_key(node));
        let before = std::mem::replace(&mut self.undoubting, awake.collect());
        let both = self.undoubting.intersection(&before);
        let both =
            both.map(|(node, shard)| format!("{node} runs {shard} on a lease that is over: the journal has another owner"));
        self.faults.extend(both);
    }

    fn look_at_data(&mut self) {
        let Some(data) = self.processes.get(&DATA).and_then(Process::data) else { return };
        self.owners_are(data.owners());
        let Some(data) = self.processes.get(&DATA).and_then(Process::data) else { return };
        if self.looks.is_multiple_of(AUDIT_EVERY) {
            self.faults.extend(self.promises.ledger_is(data));
        }
    }

    /// The journals' owners in force, by the process that keeps them or by what it leaves behind when it dies.
    pub(super) fn owners_are(&mut self, owners: Result<Vec<OwnerInForce>, StoreError>) {
        let Ok(owners) = owners else { return };
        for (shard, _, _, epoch, tail) in &owners {
            self.faults.extend(self.promises.journal_is(*shard, *epoch, *tail).err());
        }
        let in_force: Owners = owners.into_iter().map(|(shard, _, nonce, epoch, _)| (shard, (nonce, epoch))).collect();
        // Who ran a shard that was cut or merged away may not have heard of it yet: nobody has replaced it.
        let retired = self.owners.iter().filter(|(shard, _)| !in_force.contains_key(shard));
        let retired = retired.map(|(shard, (nonce, epoch))| match *nonce != Nonce::default() {
            true => (*shard, (Nonce::default(), epoch.next())),
            false => (*shard, (*nonce, *epoch)),
        });
        self.owners = retired.chain(in_force.iter().map(|(shard, owner)| (*shard, *owner))).collect();
    }

    /// Who is near each player, and was at the last looks.
    fn note_who_is_near(&mut self) {
        let truth = checks::positions(&self.processes, &self.owners);
        for (player, near) in self.players.iter().zip(&mut self.near) {
            let now: BTreeSet<EntityId> = who_is_near(player, &truth).filter(|entity| self.born.contains(entity)).collect();
            *near = Some(near.take().map_or_else(|| now.clone(), |before| &before & &now));
        }
    }

    /// The verdict.
    pub(super) fn finish(mut self) -> Outcome {
        for player in &self.players {
            self.faults.extend(player.anomalies.iter().map(|anomaly| format!("{}: {anomaly}", player.name)));
        }
        if let Some(data) = self.processes.get(&DATA).and_then(Process::data) {
            self.faults.extend(self.promises.ledger_is(data));
        }
        if self.faults.is_empty() && self.options.span > self.calm_after + RECOVERY_MAX {
            self.faults = self.what_is_not_live();
        }
        if self.faults.is_empty() && self.options.span > self.calm_after + RECOVERY_MAX + REST {
            self.faults = self.what_is_not_believed();
        }
        let replayed = self.replay_recorded();
        Outcome {
            replayed,
            hash: self.trace.hash(),
            lines: self.trace.lines(),
            playing: self.players.iter().filter(|player| player.is_playing()).count(),
            inputs: self.players.iter().map(Player::inputs_applied).sum(),
            updates: self.players.iter().map(|player| player.updates).sum(),
            entities: self.entities,
            handovers: self.handovers,
            trades: self.players.iter().map(|player| player.trades.len() as u64).sum(),
            border_trades: checks::border_trades(&self.players),
            transactions: self.promises.done(),
            parked: (0..self.players.len()).filter(|number| self.players[*number].is_parked()).collect(),
            crashes: self.crashes,
            longest_pause: self.longest_pause,
            planned: self.planned,
            faults: self.faults,
        }
    }

    /// Long after the last fault: all shards run, nobody is lost, everybody plays.
    fn what_is_not_live(&self) -> Vec<String> {
        let mut wrong = checks::all_run(&self.processes, &self.owners, &self.shared.spec);
        wrong.extend(checks::one_owner(&self.processes, &self.owners, true).err());
        wrong.extend(checks::outlived(&self.processes, &self.owners));
        wrong.extend(checks::lost(&self.processes, &self.born));
        let away = self
            .players
            .iter()
            .enumerate()
            .filter(|(number, player)| !player.is_playing() && !is_rightly_parked(self.options.cursed, *number, player));
        wrong.extend(away.map(|(_, player)| format!("{} does not play at the end", player.name)));
        wrong
    }

    /// At rest: what players see and believe to have is what is.
    fn what_is_not_believed(&mut self) -> Vec<String> {
        let truth = checks::positions(&self.processes, &self.owners);
        let everywhere: BTreeSet<EntityId> = checks::everywhere(&self.processes);
        let mut wrong = Vec::new();
        let awake = self
            .players
            .iter()
            .zip(&self.near)
            .enumerate()
            .filter(|(number, (player, _))| !is_rightly_parked(self.options.cursed, *number, player));
        for (_, (player, near)) in awake {
            let name = &player.name;
            let drawn: BTreeSet<EntityId> = player.sight.drawn().map(|drawn| drawn.entity).collect();
            wrong.extend(drawn.difference(&everywhere).map(|ghost| format!("{name} sees {ghost}, which is nowhere")));
            let missed = near.iter().flatten().filter(|entity| !drawn.contains(entity));
            wrong.extend(missed.map(|entity| format!("{name} does not see {entity}, which is near")));
            let (told, is) = (player.sight.position(), truth.get(&player.agent).copied());
            let apart = told.zip(is).map(|(told, is)| distance(told, is));
            if apart.is_none_or(|apart| apart > NOWHERE_ELSE_M) {
                wrong.push(format!("{name} is told to be at {told:?}, but is at {is:?}"));
            }
        }
        wrong.extend(self.what_is_not_had());
        wrong
    }

    fn what_is_not_had(&mut self) -> Vec<String> {
        let Some(data) = self.processes.get_mut(&DATA).and_then(Process::data_mut) else { return Vec::new() };
        let accounts = match self.promises.accounts(data.store_mut()) {
            Ok(accounts) => accounts,
            Err(fault) => return vec![fault],
        };
        let mut wrong = Vec::new();
        for player in &self.players {
            let believes = player.belongings.as_ref().map(|has| (has.gold, has.count));
            let has = accounts.get(&player.agent);
            let has = has.map(|has| (has.balances.first().map_or(0, |gold| gold.amount), has.items.len() as u64));
            if believes != has {
                wrong.push(format!("{} was told to have {believes:?} (gold, items), but has {has:?}", player.name));
            }
        }
        wrong
    }
}

/// Whether the player is parked, and had it coming.
fn is_rightly_parked(cursed: bool, number: usize, player: &Player) -> bool {
    cursed && number == 0 && player.is_parked()
}

fn who_is_near<'t>(player: &Player, truth: &'t BTreeMap<EntityId, Position>) -> impl Iterator<Item = EntityId> + use<'t> {
    let own = truth.get(&player.agent).copied();
    truth.iter().filter(move |(_, at)| own.is_some_and(|own| distance(own, **at) < NEAR_M)).map(|(entity, _)| *entity)
}

fn distance(a: Position, b: Position) -> f32 {
    (a.x - b.x).hypot(a.z - b.z)
}
