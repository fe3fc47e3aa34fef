//! What can be done to a cluster.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use pangaea_node::up::host_of;
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
    /// `SIGKILL` of everything on one host at once.
    KillHost,
    /// `SIGSTOP` of everything on one host at once, then `SIGCONT`.
    PauseHost,
    /// One host is cut off from all others and from clients, both ways. Its processes go on and do not know it.
    CutHost,
    /// Nothing that one host sends arrives anywhere; it hears the others.
    MuteHost,
    /// Nothing arrives at one host; the others hear it.
    DeafenHost,
    /// Whatever one host sends or is sent takes long, now more, now less.
    LagHost,
    /// Of what one host sends or is sent some frames are lost.
    LoseHost,
}

/// What a cluster is made of, as far as it decides what can be done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// It relies on servers of its own.
    pub engine: bool,
    /// Where its processes run.
    pub ground: Ground,
}

/// Where a cluster's processes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// All on this machine, every link between two nodes through a relay.
    OneMachine,
    /// On several hosts that are only addresses of this machine.
    Addresses,
    /// On several hosts with a network between them that can be hurt.
    Network,
}

impl FaultKind {
    /// All of them. Auth is left alone: nobody in the world needs it.
    pub const ALL: [Self; 25] = [
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
        Self::KillHost,
        Self::PauseHost,
        Self::CutHost,
        Self::MuteHost,
        Self::DeafenHost,
        Self::LagHost,
        Self::LoseHost,
    ];

    /// Why this cannot be done to such a cluster, in words.
    pub fn is_impossible(self, setting: Setting) -> Option<&'static str> {
        match self {
            Self::KillEngine | Self::PauseEngine if !setting.engine => {
                Some("the engine is in the cluster's own processes: see --engine nats")
            }
            Self::FullDisk if setting.engine => Some("which disk would matter is the engine's business"),
            Self::CutLink | Self::HoldLink | Self::SlowLink if setting.ground != Ground::OneMachine => {
                Some("on several hosts it is whole hosts that are cut off: see cut_host")
            }
            Self::KillHost | Self::PauseHost if setting.ground == Ground::OneMachine => {
                Some("there is only one host: see --hosts")
            }
            kind if kind.needs_network() && setting.ground != Ground::Network => Some("no network is between hosts: see --hosts"),
            _ => None,
        }
    }

    /// Whether it is done to the network between hosts, which has to be one that can be hurt.
    pub fn needs_network(self) -> bool {
        matches!(self, Self::CutHost | Self::MuteHost | Self::DeafenHost | Self::LagHost | Self::LoseHost)
    }

    /// Whether a host has nothing from the others, or they nothing from it, or it does nothing itself: if it lasts, others must
    /// take over all that was there.
    pub fn takes_a_host_away(self) -> bool {
        matches!(self, Self::KillHost | Self::PauseHost | Self::CutHost | Self::MuteHost | Self::DeafenHost)
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
            Self::KillHost => "kill_host".to_owned(),
            Self::PauseHost => "pause_host".to_owned(),
            Self::CutHost => "cut_host".to_owned(),
            Self::MuteHost => "mute_host".to_owned(),
            Self::DeafenHost => "deafen_host".to_owned(),
            Self::LagHost => "lag_host".to_owned(),
            Self::LoseHost => "lose_host".to_owned(),
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
    /// Everything on one host.
    Host {
        /// Which, from 1.
        host: u16,
        /// Of how many.
        of: u16,
    },
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
            Self::Host { host, of } => name.parse().is_ok_and(|node: NodeId| host_of(node.ordinal, of) == host),
            Self::Move { killed, from, to } => [killed, from, to].iter().any(|node| node.to_string() == name),
        }
    }

    /// Whether the two have a node in common, or are both of the engine, of which one part at a time may be away.
    pub fn meets(self, other: Self) -> bool {
        let ends = |victim| match victim {
            Self::Node(node) => vec![node],
            Self::Link(a, b) => vec![a, b],
            Self::Disk => vec![NodeId::new(Role::Data, 1)],
            Self::Server(_) | Self::Engine | Self::Host { .. } => vec![],
            Self::Move { killed, from, to } => vec![killed, from, to],
        };
        // On each host there is a server.
        let of_engine = |victim| matches!(victim, Self::Server(_) | Self::Engine | Self::Host { .. });
        let has = |victim: Self, other: Self| ends(other).into_iter().any(|node| victim.touches(&node.to_string()));
        of_engine(self) && of_engine(other) || has(self, other) || has(other, self)
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
    /// How much slower a slow link or a host's network is, each way.
    pub delay: Duration,
}

impl Fault {
    /// The role of the process that is hurt, if it is one.
    pub(crate) fn victim_role(&self) -> Option<Role> {
        match self.victim {
            Victim::Node(node) => Some(node.role),
            Victim::Move { killed, .. } => Some(killed.role),
            Victim::Link(..) | Victim::Disk | Victim::Server(_) | Victim::Engine | Victim::Host { .. } => None,
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
            Victim::Host { host, .. } => write!(f, " {host}")?,
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

    #[test]
    fn what_can_be_done_depends_on_engine_and_ground() {
        let able = |engine, ground| -> Vec<String> {
            let setting = Setting { engine, ground };
            FaultKind::ALL.into_iter().filter(|kind| kind.is_impossible(setting).is_none()).map(FaultKind::name).collect()
        };
        let has = |kinds: &[String], kind: &str| kinds.iter().any(|other| other == kind);
        let (one, named, network) = (able(false, Ground::OneMachine), able(true, Ground::Addresses), able(true, Ground::Network));
        assert!(has(&one, "cut_link") && has(&one, "full_disk") && !has(&one, "kill_engine") && !has(&one, "kill_host"));
        assert!(has(&named, "kill_host") && has(&named, "pause_host") && !has(&named, "cut_host") && !has(&named, "cut_link"));
        assert!(has(&network, "cut_host") && has(&network, "lose_host") && has(&network, "kill_world"));
        assert_eq!(FaultKind::ALL.len() - network.len(), 4, "three of links and the disk: {network:?}");
    }

    #[test]
    fn a_host_has_its_own_nodes_and_meets_all_others_of_the_engine() {
        let host = Victim::Host { host: 2, of: 3 };
        assert!(host.touches("scene-2") && host.touches("gateway-5") && !host.touches("scene-3") && !host.touches(""));
        let node = |role, n| Victim::Node(NodeId::new(role, n));
        assert!(host.meets(node(Role::World, 2)) && node(Role::Data, 2).meets(host) && !host.meets(node(Role::Data, 1)));
        assert!(
            host.meets(Victim::Server(1)) && host.meets(Victim::Host { host: 1, of: 3 }),
            "two of three servers are no majority"
        );
        let (lasts, delay) = (Duration::from_secs(3), Duration::from_millis(40));
        let lag = Fault { kind: FaultKind::LagHost, victim: host, lasts, delay };
        assert_eq!(lag.to_string(), "lag_host 2 by 40 ms for 3.0 s");
    }
}
