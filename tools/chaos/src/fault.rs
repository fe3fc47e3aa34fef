//! What can be done to a cluster.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use pangaea_schemas::{NodeId, Role};

/// A sort of fault, as reports count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// `SIGKILL`: a process is gone in the middle of whatever it did.
    Kill(Role),
    /// `SIGSTOP` for longer than its lease, then `SIGCONT`: a zombie that does not know it is one.
    Pause(Role),
    /// `SIGTERM`: it ends in good order and is started again.
    Restart(Role),
    /// The link between two nodes breaks, and cannot be opened again for a while.
    CutLink,
    /// What one node sends to another does not arrive for a while; then all of it does, late.
    HoldLink,
    /// What two nodes send each other takes long, but arrives.
    SlowLink,
    /// The data node's disk is full for a while.
    FullDisk,
    /// `SIGKILL` of one server of the engine.
    KillEngine,
    /// `SIGSTOP` of all servers of the engine for half a minute.
    PauseEngine,
}

impl FaultKind {
    /// All of them. Auth is left alone: nobody in the world needs it.
    pub const ALL: [Self; 18] = [
        Self::Kill(Role::Scene),
        Self::Kill(Role::Gateway),
        Self::Kill(Role::Data),
        Self::Kill(Role::World),
        Self::Pause(Role::Scene),
        Self::Pause(Role::Gateway),
        Self::Pause(Role::Data),
        Self::Pause(Role::World),
        Self::Restart(Role::Scene),
        Self::Restart(Role::Gateway),
        Self::Restart(Role::Data),
        Self::Restart(Role::World),
        Self::CutLink,
        Self::HoldLink,
        Self::SlowLink,
        Self::FullDisk,
        Self::KillEngine,
        Self::PauseEngine,
    ];

    /// Why this cannot be done to such a cluster, in words. `engine`: it relies on servers of its own.
    pub fn is_impossible(self, engine: bool) -> Option<&'static str> {
        match (self, engine) {
            (Self::KillEngine | Self::PauseEngine, false) => {
                Some("the engine is in the cluster's own processes: see --engine nats")
            }
            (Self::FullDisk, true) => Some("which disk would matter is the engine's business"),
            _ => None,
        }
    }

    /// The name in reports.
    pub fn name(self) -> String {
        match self {
            Self::Kill(role) => format!("kill_{}", role.name()),
            Self::Pause(role) => format!("pause_{}", role.name()),
            Self::Restart(role) => format!("restart_{}", role.name()),
            Self::CutLink => "cut_link".to_owned(),
            Self::HoldLink => "hold_link".to_owned(),
            Self::SlowLink => "slow_link".to_owned(),
            Self::FullDisk => "full_disk".to_owned(),
            Self::KillEngine => "kill_engine".to_owned(),
            Self::PauseEngine => "pause_engine".to_owned(),
        }
    }
}

/// A kind that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of fault; choose from {all}", all = FaultKind::ALL.map(FaultKind::name).join(", "))]
pub struct UnknownFault(pub String);

impl FromStr for FaultKind {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

/// Who is hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// One process.
    Node(NodeId),
    /// What the first sends to the second and, where the kind of fault says so, back.
    Link(NodeId, NodeId),
    /// The store's disk.
    Disk,
    /// One server of the engine, counted from 1.
    Server(u16),
    /// All servers of the engine.
    Engine,
    /// One process, while a shard that stands still on its way between two scenes waits for it.
    Move {
        /// The process.
        killed: NodeId,
        /// The scene that gives the shard.
        from: NodeId,
        /// The scene that takes it.
        to: NodeId,
    },
}

impl Victim {
    /// Whether this node is hurt, or one end of what is hurt.
    pub fn touches(self, name: &str) -> bool {
        match self {
            Self::Node(node) => node.to_string() == name,
            Self::Link(a, b) => a.to_string() == name || b.to_string() == name,
            Self::Disk => name == NodeId::new(Role::Data, 1).to_string(),
            Self::Server(_) | Self::Engine => false,
            Self::Move { killed, from, to } => [killed, from, to].iter().any(|node| node.to_string() == name),
        }
    }

    /// Whether the two have a node in common.
    pub fn meets(self, other: Self) -> bool {
        let data = NodeId::new(Role::Data, 1);
        let ends = |victim| match victim {
            Self::Node(node) => vec![node],
            Self::Link(a, b) => vec![a, b],
            Self::Disk => vec![data],
            Self::Server(_) | Self::Engine => vec![],
            Self::Move { killed, from, to } => vec![killed, from, to],
        };
        let of_engine = |victim| matches!(victim, Self::Server(_) | Self::Engine);
        of_engine(self) && of_engine(other) || ends(self).iter().any(|end| ends(other).contains(end))
    }
}

/// One fault, drawn and ready to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// To whom.
    pub victim: Victim,
    /// Until it is healed; zero for what heals by itself.
    pub lasts: Duration,
    /// How much slower a slow link is, each way.
    pub delay: Duration,
}

impl Fault {
    /// The role of the process that is hurt, if it is one.
    pub(crate) fn victim_role(&self) -> Option<Role> {
        match self.victim {
            Victim::Node(node) => Some(node.role),
            Victim::Move { killed, .. } => Some(killed.role),
            Victim::Link(..) | Victim::Disk | Victim::Server(_) | Victim::Engine => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.name())?;
        match self.victim {
            Victim::Node(node) => write!(f, " {node}")?,
            Victim::Link(from, to) if self.kind == FaultKind::HoldLink => write!(f, " {from} -> {to}")?,
            Victim::Link(a, b) => write!(f, " {a} - {b}")?,
            Victim::Move { killed, from, to } => write!(f, " {killed} while a shard moves from {from} to {to}")?,
            Victim::Server(server) => write!(f, " server {server}")?,
            Victim::Disk | Victim::Engine => {}
        }
        if !self.delay.is_zero() {
            write!(f, " by {} ms", self.delay.as_millis())?;
        }
        if !self.lasts.is_zero() {
            write!(f, " for {:.1} s", self.lasts.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_once_and_found_by_name() {
        for kind in FaultKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let text = "rm_rf".parse::<FaultKind>().expect_err("no such kind").to_string();
        assert!(text.contains("`rm_rf`") && text.contains("kill_scene") && text.contains("full_disk"), "{text}");
    }

    #[test]
    fn a_fault_is_told_on_one_line() {
        let (scene, data) = (NodeId::new(Role::Scene, 2), NodeId::new(Role::Data, 1));
        let (victim, lasts) = (Victim::Link(scene, data), Duration::from_millis(2_500));
        let hold = Fault { kind: FaultKind::HoldLink, victim, lasts, delay: Duration::ZERO };
        assert_eq!(hold.to_string(), "hold_link scene-2 -> data-1 for 2.5 s");
        let slow = Fault { kind: FaultKind::SlowLink, delay: Duration::from_millis(80), ..hold };
        assert_eq!(slow.to_string(), "slow_link scene-2 - data-1 by 80 ms for 2.5 s");
    }
}
