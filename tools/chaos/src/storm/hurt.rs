//! What is done for each kind of fault, and undone.

use pangaea_node::up::host_of;
use pangaea_schemas::NodeId;
use rustix::process::{Pid, Signal, kill_process};

use super::Storm;
use crate::disk::Disk;
use crate::fault::{Fault, FaultKind, Victim};
use crate::hosts::{self, Way};
use crate::relay::Weather;

/// So many frames are lost in each direction by a host that loses some.
const LOSS: f64 = 0.05;

impl Storm {
    pub(super) fn begin(&mut self, fault: &Fault) -> anyhow::Result<()> {
        match (fault.kind, fault.victim) {
            (FaultKind::Kill(_), Victim::Node(node)) => self.end_process(node, Signal::KILL),
            (FaultKind::Restart(_), Victim::Node(node)) => self.end_process(node, Signal::TERM),
            (FaultKind::Pause(_), Victim::Node(node)) => self.signal(node, Signal::STOP),
            (_, Victim::Link(a, b)) => self.set_weather(fault, a, b, true),
            (FaultKind::FullDisk, _) => self.disk.as_ref().map_or(Ok(()), Disk::fill)?,
            (FaultKind::KillEngine, Victim::Server(server)) => self.kill_server(usize::from(server) - 1),
            (FaultKind::PauseEngine, _) => self.signal_servers(Signal::STOP),
            (FaultKind::KillHost, Victim::Host { host, of }) => self.kill_host(host, of),
            (FaultKind::PauseHost, Victim::Host { host, of }) => self.signal_host(host, of, Signal::STOP),
            (_, Victim::Host { host, .. }) => self.land.set(host, network(fault)),
            (_, Victim::Node(_) | Victim::Disk | Victim::Server(_) | Victim::Engine | Victim::Move { .. }) => {}
        }
        Ok(())
    }

    pub(super) fn heal(&mut self, fault: &Fault) -> anyhow::Result<()> {
        match (fault.kind, fault.victim) {
            (FaultKind::Pause(_), Victim::Node(node)) => self.signal(node, Signal::CONT),
            (_, Victim::Link(a, b)) => self.set_weather(fault, a, b, false),
            (FaultKind::FullDisk, _) => self.disk.as_ref().map_or(Ok(()), Disk::clear)?,
            (FaultKind::PauseEngine, _) => self.signal_servers(Signal::CONT),
            (FaultKind::PauseHost, Victim::Host { host, of }) => self.signal_host(host, of, Signal::CONT),
            (_, Victim::Host { host, .. }) => self.land.set(host, hosts::Weather::default()),
            (_, Victim::Node(_) | Victim::Disk | Victim::Server(_) | Victim::Engine | Victim::Move { .. }) => {}
        }
        Ok(())
    }

    pub(super) fn set_weather(&self, fault: &Fault, a: NodeId, b: NodeId, bad: bool) {
        let weather = match fault.kind {
            FaultKind::CutLink if bad => Weather::Cut,
            FaultKind::HoldLink if bad => Weather::Held,
            FaultKind::SlowLink if bad => Weather::Slow(fault.delay),
            _ => Weather::Fair,
        };
        let Some(relays) = &self.relays else { return };
        relays.set(a, b, weather);
        if fault.kind != FaultKind::HoldLink {
            relays.set(b, a, weather);
        }
    }

    pub(super) fn end_process(&mut self, node: NodeId, how: Signal) {
        if let Some(pid) = self.cluster.pid(node) {
            self.ending.insert(node, pid);
            *self.deaths_due.entry(node.to_string()).or_default() += 1;
            self.signal(node, how);
        }
    }

    fn kill_server(&mut self, at: usize) {
        let Some((name, pid)) = self.cluster.servers().get(at).map(|(name, pid)| ((*name).to_owned(), *pid)) else { return };
        if pid.is_some() {
            *self.deaths_due.entry(name).or_default() += 1;
            send(pid, Signal::KILL);
        }
    }

    fn signal_servers(&self, signal: Signal) {
        self.cluster.servers().into_iter().for_each(|(_, pid)| send(pid, signal));
    }

    /// All at once.
    fn kill_host(&mut self, host: u16, of: u16) {
        for (name, pid) in self.on_host(host, of) {
            send(Some(pid), Signal::KILL);
            *self.deaths_due.entry(name).or_default() += 1;
        }
    }

    fn signal_host(&self, host: u16, of: u16, signal: Signal) {
        self.on_host(host, of).into_iter().for_each(|(_, pid)| send(Some(pid), signal));
    }

    /// What runs there, the server of the engine first: names and processes.
    fn on_host(&self, host: u16, of: u16) -> Vec<(String, u32)> {
        let nodes = self.cluster.nodes().iter().filter(|node| host_of(node.ordinal, of) == host);
        let nodes = nodes.filter_map(|node| Some((node.to_string(), self.cluster.pid(*node)?)));
        let servers = (1..).zip(self.cluster.servers()).filter(|(ordinal, _)| host_of(*ordinal, of) == host);
        let servers = servers.filter_map(|(_, (name, pid))| Some((name.to_owned(), pid?)));
        servers.chain(nodes).collect()
    }

    pub(super) fn signal(&self, node: NodeId, signal: Signal) {
        send(self.cluster.pid(node), signal);
    }
}

/// How a host's network is while this fault lasts.
fn network(fault: &Fault) -> hosts::Weather {
    let cut = Way { cut: true, ..Way::default() };
    let lagging = Way { delay: fault.delay, jitter: fault.delay / 2, ..Way::default() };
    let losing = Way { loss: LOSS, ..Way::default() };
    let (sent, heard) = match fault.kind {
        FaultKind::CutHost => (cut, cut),
        FaultKind::MuteHost => (cut, Way::default()),
        FaultKind::DeafenHost => (Way::default(), cut),
        FaultKind::LagHost => (lagging, lagging),
        FaultKind::LoseHost => (losing, losing),
        _ => (Way::default(), Way::default()),
    };
    hosts::Weather { sent, heard }
}

/// A process that is being started again is hurt already.
fn send(pid: Option<u32>, signal: Signal) {
    if let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid as i32)) {
        let _ = kill_process(pid, signal);
    }
}
