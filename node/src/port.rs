//! A driver's way to the cluster: resolves addresses, keeps the lease, and turns what a node says to itself around in place.

use std::collections::VecDeque;

use pangaea_schemas::message::{Envelope, Message};
use pangaea_schemas::{NodeId, Nonce, Timestamp};

use crate::engine::Engine;
use crate::membership::{Heard, Membership, Step};
use crate::mesh::{Mesh, MeshEvent};

/// Most messages to itself that wait in a node.
const LOOPBACK_MAX: usize = 65_536;

/// The mesh and the membership of one driver.
pub struct Port {
    mesh: Mesh,
    membership: Membership,
    /// `None`: what it would serve is embedded in processes.
    engine: Option<Engine>,
    loopback: VecDeque<Message>,
}

impl Port {
    /// Speak for the node of `membership` over `mesh`, and with the cluster's engine if it has one.
    pub fn new(mesh: Mesh, membership: Membership, engine: Option<Engine>) -> Self {
        Self { mesh, membership, engine, loopback: VecDeque::new() }
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.membership.info().node
    }

    /// Who is registered and what must be asked again.
    pub fn membership(&mut self) -> &mut Membership {
        &mut self.membership
    }

    /// Bytes that wait for peers.
    pub fn queued_bytes(&self) -> usize {
        self.mesh.queued_bytes()
    }

    /// Send what a core returned. A service that is not there yet drops it: its sender asks again.
    pub fn send(&mut self, envelope: Envelope) {
        self.membership.note_sent(&envelope);
        let envelope = match &mut self.engine {
            Some(engine) => match engine.send(envelope) {
                Some(envelope) => envelope,
                None => return,
            },
            None => envelope,
        };
        match self.membership.resolve(envelope.to) {
            Some(node) => self.send_to(node, envelope.message),
            None => tracing::debug!(to = ?envelope.to, "nobody offers this service now"),
        }
    }

    /// Send to a node, itself included.
    pub fn send_to(&mut self, node: NodeId, message: Message) {
        if node != self.node() {
            self.mesh.send(node, &message);
        } else if self.loopback.len() < LOOPBACK_MAX {
            self.loopback.push_back(message);
        } else {
            tracing::error!("more than {LOOPBACK_MAX} messages to this node itself");
        }
    }

    /// What a mesh event means for the driver.
    pub fn hear(&mut self, now: Timestamp, event: MeshEvent) -> Heard {
        self.membership.hear(now, event)
    }

    /// The next message of this node to itself, seen as if it came over a link.
    pub fn loopback(&mut self, now: Timestamp) -> Option<Heard> {
        let message = self.loopback.pop_front()?;
        let from = self.node();
        Some(self.membership.hear(now, MeshEvent::Message { from, message }))
    }

    /// Renew the lease when it is time, and keep the mesh up to date.
    pub fn maintain(&mut self, now: Timestamp) {
        while let Some(step) = self.membership.poll_step(now) {
            match step {
                Step::Send(envelope) => self.send(envelope),
                Step::Learn { node, address } if node != self.node() => self.mesh.learn(node, &address),
                Step::Forget { node } if node != self.node() => self.mesh.forget(node),
                Step::Learn { .. } | Step::Forget { .. } => {}
            }
        }
    }

    /// An incarnation is known to be dead: the engine, if there is one, ends its lease.
    pub fn reaped(&self, node: NodeId, nonce: Nonce) {
        if let Some(engine) = &self.engine {
            engine.reaped(node, nonce);
        }
    }

    /// Give the registration back.
    pub fn leave(&mut self) {
        let envelope = self.membership.leave();
        self.send(envelope);
    }

    /// When [`Self::maintain`] is due; now, if messages to itself wait.
    pub fn deadline(&self, now: Timestamp) -> Timestamp {
        if self.loopback.is_empty() { self.membership.poll_timeout() } else { now }
    }
}
