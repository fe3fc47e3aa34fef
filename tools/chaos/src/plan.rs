//! Which fault comes when: drawn from one seed, every kind as often as the others.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use pangaea_schemas::{NodeId, Role};

use crate::fault::{Fault, FaultKind, Victim};

/// Leases are two seconds: who is paused for so long has lost them.
const PAUSE_MS: Range<u64> = 2_500..4_500;
/// Links count as silent after five seconds: some of these are shorter, some longer.
const LINK_MS: Range<u64> = 1_000..6_500;
/// How much slower a slow link is.
const DELAY_MS: Range<u64> = 30..150;
/// How long the disk is full.
const DISK_MS: Range<u64> = 2_000..4_000;
/// How long a host is cut off: some of these are shorter than a lease, in others the engine chooses another leader.
const HOST_MS: Range<u64> = 1_500..12_000;
/// How long a host loses frames or lags.
const BAD_NETWORK_MS: Range<u64> = 3_000..6_500;
/// How much slower a lagging host's network is, each way.
const LAG_MS: Range<u64> = 20..100;
/// How long the engine stands still.
const ENGINE_MS: Range<u64> = 30_000..30_001;
/// The second of two faults begins so long after the first.
const OVERLAP_MS: Range<u64> = 0..1_500;
/// Rest between two rounds.
const REST_MS: Range<u64> = 500..1_500;

/// One or two faults that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// What is done first.
    pub first: Fault,
    /// What is done meanwhile, and how much later.
    pub second: Option<(Duration, Fault)>,
    /// Rest after all is back.
    pub rest: Duration,
}

/// An endless sequence of rounds.
#[derive(Debug)]
pub struct Plan {
    rng: Rng,
    nodes: Vec<NodeId>,
    servers: u16,
    hosts: u16,
    kinds: Vec<FaultKind>,
    deck: Vec<FaultKind>,
}

impl Plan {
    /// Faults of these kinds on these nodes, on so many servers of the engine, and on so many hosts.
    pub fn new(seed: u64, nodes: &[NodeId], servers: u16, hosts: u16, kinds: &[FaultKind]) -> Self {
        Self { rng: Rng::with_seed(seed), nodes: nodes.to_vec(), servers, hosts, kinds: kinds.to_vec(), deck: Vec::new() }
    }

    /// The next round: one fault, or two that overlap and hurt nobody twice.
    pub fn next_round(&mut self, overlapping: bool) -> Round {
        let first = self.draw();
        let second = overlapping.then(|| (self.span(OVERLAP_MS), self.draw()));
        let second = second.filter(|(_, second)| !second.victim.meets(first.victim));
        Round { first, second, rest: self.span(REST_MS) }
    }

    fn draw(&mut self) -> Fault {
        if self.deck.is_empty() {
            self.deck.clone_from(&self.kinds);
            self.rng.shuffle(&mut self.deck);
        }
        let kind = self.deck.pop().unwrap_or(FaultKind::Kill(Role::Scene));
        let (victim, lasts, delay) = match kind {
            FaultKind::Kill(role) | FaultKind::Restart(role) => (self.one_of(role), Duration::ZERO, Duration::ZERO),
            FaultKind::Pause(role) => (self.one_of(role), self.span(PAUSE_MS), Duration::ZERO),
            FaultKind::CutLink | FaultKind::HoldLink => (self.link(), self.span(LINK_MS), Duration::ZERO),
            FaultKind::SlowLink => (self.link(), self.span(LINK_MS), self.span(DELAY_MS)),
            FaultKind::FullDisk => (Victim::Disk, self.span(DISK_MS), Duration::ZERO),
            FaultKind::KillEngine => (Victim::Server(self.rng.u16(1..=self.servers.max(1))), Duration::ZERO, Duration::ZERO),
            FaultKind::PauseEngine => (Victim::Engine, self.span(ENGINE_MS), Duration::ZERO),
            FaultKind::KillHost => (self.host(), Duration::ZERO, Duration::ZERO),
            FaultKind::PauseHost => (self.host(), self.span(PAUSE_MS), Duration::ZERO),
            FaultKind::CutHost | FaultKind::MuteHost | FaultKind::DeafenHost => (self.host(), self.span(HOST_MS), Duration::ZERO),
            FaultKind::LagHost => (self.host(), self.span(BAD_NETWORK_MS), self.span(LAG_MS)),
            FaultKind::LoseHost => (self.host(), self.span(BAD_NETWORK_MS), Duration::ZERO),
        };
        Fault { kind, victim, lasts, delay }
    }

    fn host(&mut self) -> Victim {
        Victim::Host { host: self.rng.u16(1..=self.hosts.max(1)), of: self.hosts.max(1) }
    }

    fn one_of(&mut self, role: Role) -> Victim {
        let of_role: Vec<_> = self.nodes.iter().filter(|node| node.role == role).copied().collect();
        Victim::Node(self.rng.choice(of_role).unwrap_or(NodeId::new(role, 1)))
    }

    /// Two nodes that talk to each other: everybody with world, scenes with everybody but auth.
    fn link(&mut self) -> Victim {
        let talk = |a: &NodeId, b: &NodeId| {
            let roles = [a.role, b.role];
            a != b && !roles.contains(&Role::Auth) && (roles.contains(&Role::Scene) || roles.contains(&Role::World))
        };
        let all = self.nodes.iter().flat_map(|a| self.nodes.iter().map(move |b| (*a, *b)));
        let pairs: Vec<_> = all.filter(|(a, b)| talk(a, b)).collect();
        let (a, b) = self.rng.choice(pairs).unwrap_or((NodeId::new(Role::Scene, 1), NodeId::new(Role::World, 1)));
        Victim::Link(a, b)
    }

    fn span(&mut self, ms: Range<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(ms))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn plan(seed: u64) -> Plan {
        let nodes = [(Role::World, 1), (Role::Data, 1), (Role::Auth, 1), (Role::Scene, 1), (Role::Scene, 2), (Role::Gateway, 1)];
        Plan::new(seed, &nodes.map(|(role, n)| NodeId::new(role, n)), 3, 3, &FaultKind::ALL)
    }

    #[test]
    fn the_same_seed_draws_the_same_faults() {
        let rounds = |seed| {
            let mut plan = plan(seed);
            (0..40).map(|n| plan.next_round(n % 2 == 1)).collect::<Vec<_>>()
        };
        assert_eq!(rounds(7), rounds(7));
        assert_ne!(rounds(7), rounds(8));
    }

    #[test]
    fn every_kind_comes_as_often_as_the_others() {
        let mut plan = plan(1);
        let mut counts = BTreeMap::new();
        for _ in 0..FaultKind::ALL.len() * 3 {
            *counts.entry(plan.next_round(false).first.kind).or_insert(0) += 1;
        }
        assert_eq!(counts, FaultKind::ALL.iter().map(|kind| (*kind, 3)).collect());
    }

    #[test]
    fn two_faults_at_once_never_hurt_the_same_node() {
        let mut plan = plan(2);
        let rounds: Vec<_> = (0..300).map(|_| plan.next_round(true)).collect();
        assert!(rounds.iter().filter(|round| round.second.is_some()).count() > 100);
        for round in rounds {
            assert!(round.second.is_none_or(|(_, second)| !second.victim.meets(round.first.victim)), "{round:?}");
        }
    }
}
