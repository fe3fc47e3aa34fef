//! What goes wrong, carried out.

use std::time::Duration;

use pangaea_persistence::Data;
use pangaea_persistence::store::MemoryFaults;
use pangaea_schemas::{NodeId, Timestamp};
use pangaea_world::world;

use super::cluster::{Cluster, DATA, Event, WORLD};
use super::faults::{Fault, HICCUP};
use super::orders::Order;
use super::process::Process;

/// Of 1,000 commits on a failing disk, so many fail.
const FAILING_PERMILLE: u32 = 400;
/// Of 1,000 commits on a disk that does not say what it wrote, so many are durable and reported as failed.
const UNSURE_PERMILLE: u32 = 200;
/// A full disk has so many bytes left.
const ROOM_LEFT_BYTES: usize = 4_096;

impl Cluster {
    pub(super) fn go_wrong(&mut self, fault: Fault) {
        let now = self.schedule.now();
        self.trace.line(now, "fault", format_args!("{fault}"));
        match fault {
            Fault::Kill { node, span } => self.kill(node, span),
            Fault::Pause { node, span, unaware } => self.pause(node, span, unaware),
            Fault::Jump { node, by } => {
                if let Some(process) = self.processes.get_mut(&node) {
                    process.clock_mut().jump(by);
                    // Its deadlines are nearer now.
                    self.wakes.remove(&node);
                    self.with(node, |_| {});
                    self.plan_tick(node);
                }
            }
            Fault::Cut { from, to, both, span, notice } => self.cut((from, to, both), span, notice),
            Fault::Break { from, to } => self.reconnect(from, to),
            Fault::Lag { from, to, span, by } => self.network.lag(from, to, now + span, by),
            Fault::Disorder { from, to, span } => self.network.disorder(from, to, now + span),
            Fault::Order(order) => self.order(order),
            Fault::SlowDisk { span } => {
                self.disk_is_slow = true;
                self.schedule.after(span, Event::DiskWell);
            }
            Fault::FailingDisk { span } => {
                self.hurt_disk(span, |_| MemoryFaults { fail_permille: FAILING_PERMILLE, ..MemoryFaults::default() });
            }
            Fault::FullDisk { span } => {
                self.hurt_disk(span, |bytes| MemoryFaults { capacity_bytes: bytes + ROOM_LEFT_BYTES, ..MemoryFaults::default() });
            }
            Fault::UnsureDisk { span } => {
                self.hurt_disk(span, |_| MemoryFaults { unsure_permille: UNSURE_PERMILLE, ..MemoryFaults::default() });
            }
        }
    }

    /// An admin says something to the world server, if there is one.
    fn order(&mut self, order: Order) {
        let now = self.schedule.now();
        let Some(world) = self.processes.get_mut(&WORLD).and_then(Process::world_mut) else { return };
        let answer = order.give(world);
        self.trace.line(now, WORLD, format_args!("answers: {answer}"));
        self.with(WORLD, |_| {});
        if let Order::Drain { node, span } = order {
            self.schedule.after(span, Event::Undrain(node));
        }
    }

    /// The process may be used again.
    pub(super) fn undrain(&mut self, node: NodeId) {
        if let Some(world) = self.processes.get_mut(&WORLD).and_then(Process::world_mut) {
            world.order(world::Order::Undrain(node));
        }
    }

    /// The process ends without a word. Of the commit that is under way nobody knows whether the disk has it.
    pub(super) fn kill(&mut self, node: NodeId, span: Duration) {
        let now = self.schedule.now();
        let Some(mut process) = self.processes.remove(&node) else { return };
        if self.rng.bool() {
            process.commit(now);
        }
        if let Some(mut disk) = process.into_disk() {
            disk.crash();
            disk.set_faults(MemoryFaults::default());
            // Whoever hears the last answers acts by them before the next data process is looked at.
            let left = Data::new(disk);
            self.owners_are(left.owners());
            self.disk = Some(left.into_store());
        }
        self.network.end_life(node);
        self.wakes.remove(&node);
        self.asleep.remove(&node);
        for other in self.processes.keys().copied().collect::<Vec<_>>() {
            let at = self.network.arrival(now, node, other);
            self.schedule.at(at, Event::LinkDown(other, node));
        }
        for player in 0..self.lines.len() {
            if self.lines[player].is_some_and(|(gateway, _)| gateway == node) {
                self.hang_up(player);
            }
        }
        self.schedule.after(span, Event::Start(node));
    }

    fn pause(&mut self, node: NodeId, span: Duration, unaware: bool) {
        let now = self.schedule.now();
        let Some(process) = self.processes.get_mut(&node).filter(|_| !self.asleep.contains_key(&node)) else { return };
        if unaware {
            process.clock_mut().stand_still(now, span);
        }
        self.asleep.insert(node, Vec::new());
        self.schedule.after(span, Event::Awake(node));
    }

    pub(super) fn awake(&mut self, node: NodeId) {
        self.trace.line(self.schedule.now(), node, format_args!("wakes"));
        for event in self.asleep.remove(&node).into_iter().flatten() {
            self.act(event);
        }
    }

    fn cut(&mut self, (from, to, both): (NodeId, NodeId, bool), span: Duration, notice: Duration) {
        let now = self.schedule.now();
        let heals = now + span;
        let ways = if both { vec![(from, to), (to, from)] } else { vec![(from, to)] };
        if span <= HICCUP {
            return ways.into_iter().for_each(|(from, to)| self.network.stall(from, to, heals));
        }
        ways.into_iter().for_each(|(from, to)| self.network.block(from, to, heals));
        self.schedule.after(notice.min(span), Event::Torn(from, to, heals));
        self.schedule.at(heals, Event::Healed(from, to));
    }

    pub(super) fn tear(&mut self, a: NodeId, b: NodeId, heals: Timestamp) {
        for (node, peer) in [(a, b), (b, a)] {
            self.network.block(node, peer, heals);
        }
        self.part(a, b);
    }

    /// Both ends notice that their link is gone, and what was under way with it.
    fn part(&mut self, a: NodeId, b: NodeId) {
        self.network.tear(a, b);
        for (node, peer) in [(a, b), (b, a)] {
            self.happen(Event::LinkDown(node, peer));
        }
    }

    pub(super) fn heal(&mut self, a: NodeId, b: NodeId) {
        if self.processes.contains_key(&a) && self.processes.contains_key(&b) {
            self.network.tear(a, b);
            self.link_up(a, b);
        }
    }

    fn reconnect(&mut self, a: NodeId, b: NodeId) {
        if self.processes.contains_key(&a) && self.processes.contains_key(&b) {
            self.part(a, b);
            self.link_up(a, b);
        }
    }

    fn hurt_disk(&mut self, span: Duration, faults: impl FnOnce(usize) -> MemoryFaults) {
        if let Some(data) = self.processes.get_mut(&DATA).and_then(Process::data_mut) {
            let bytes = data.store_mut().bytes();
            data.store_mut().set_faults(faults(bytes));
        }
        self.schedule.after(span, Event::DiskWell);
    }

    pub(super) fn disk_is_well(&mut self) {
        self.disk_is_slow = false;
        if let Some(data) = self.processes.get_mut(&DATA).and_then(Process::data_mut) {
            data.store_mut().set_faults(MemoryFaults::default());
        }
    }
}
