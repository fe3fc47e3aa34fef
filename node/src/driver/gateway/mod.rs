//! The driver of a gateway process: the core on one thread, the clients' TCP sockets on another one, two tasks for each
//! WebSocket.
//!
//! Outputs for clients go into each connection's [`Outgoing`]; after the core is drained, the driver writes everything of every
//! touched connection in one go, [`WRITES_MAX`] connections at a time, and listens in between. Inputs are gathered for
//! [`GATHER_TIME`], so that a thousand clients do not wake the driver, and with it a scene, a thousand times.

mod listen;
mod outgoing;
mod read;
mod sockets;
#[cfg(test)]
mod tests;
mod write;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use bytes::BytesMut;
use pangaea_gateway::ticket::{ResumeKey, TicketKey};
use pangaea_gateway::{ConnId, Gateway, GatewayConfig, Input, Output, Transport};
use pangaea_schemas::message::{ClientAddresses, Control, DRAIN_TARGETS_MAX, Message, NodeInfo};
use pangaea_schemas::{NodeId, Role, TickRate, Timestamp};

use super::process::{self, Context, Driver, Shell};
use crate::keys::ClusterKeys;
use crate::membership::{Heard, WORLD};

use listen::Listeners;
use outgoing::Outgoing;

/// Clients get this long to go elsewhere when the gateway ends: their turn comes within two seconds, then they take their
/// goodbyes. The supervisor grants more.
const GOODBYE_TIME: Duration = Duration::from_secs(4);

/// After something was heard, the driver lets so much more come together.
const GATHER_TIME: Duration = Duration::from_millis(2);

/// Connections that are written to before the driver listens again: about a millisecond. Writing to thousands takes most of a
/// tick, and inputs that waited for that missed the scenes' next one.
const WRITES_MAX: usize = 128;

/// Clients wake a gateway process too.
pub(super) enum FromClient {
    /// It is there; what is pushed into `outgoing` is sent to it.
    Opened { conn: ConnId, transport: Transport, outgoing: Arc<Outgoing> },
    /// What readers say, in order.
    Said(Vec<Input>),
    /// Clients over TCP are not heard any more.
    Deaf,
}

type Event = process::Event<FromClient>;

pub(super) struct GatewayDriver {
    gateway: Gateway,
    rate: TickRate,
    connections: BTreeMap<ConnId, Arc<Outgoing>>,
    /// Closed by the core; their last words are on the way.
    closing: BTreeSet<ConnId>,
    /// To be written to.
    touched: VecDeque<Arc<Outgoing>>,
    /// One write's bytes.
    batch: BytesMut,
}

impl Driver for GatewayDriver {
    type Own = FromClient;

    async fn open(context: &Context<Event>) -> anyhow::Result<(Self, Router)> {
        let options = &context.options;
        let clients = options.clients.context("a gateway needs --client-tcp and --client-ws")?;
        let keys = ClusterKeys::below(&options.data_dir);
        let ticket_key = TicketKey::new(&keys.ticket_public()?).context("the key that checks tickets")?;
        let resume_key = ResumeKey::new(&keys.resume()?).context("the key of resume tokens")?;
        let registry = context.game.registry().clone();
        let mut config = GatewayConfig::new(options.node, options.cluster.clone(), registry, ticket_key, resume_key);
        config.connections_max = clients.connections_max;
        config.view_radius_cells = clients.view_radius_cells;
        let listeners = Listeners::bind(clients, options.node)?;
        listeners.accept(clients.connections_max, context.inbox.clone())?;
        let rate = options.cluster.tick_rate;
        let (connections, closing) = (BTreeMap::new(), BTreeSet::new());
        let (touched, batch) = (VecDeque::new(), BytesMut::new());
        let driver = Self { gateway: Gateway::new(config), rate, connections, closing, touched, batch };
        Ok((driver, Router::new()))
    }

    fn drive(mut self, mut shell: Shell<Event>) -> anyhow::Result<()> {
        let mut batch = VecDeque::new();
        let mut ends_at = None;
        loop {
            let next = self.gateway.poll_timeout().filter(|_| self.touched.is_empty());
            shell.wait(next.map_or_else(|| shell.clock.now(), |(at, _)| at), &mut batch);
            let is_woken = !batch.is_empty();
            for event in batch.drain(..) {
                match event {
                    Event::Mesh(event) => {
                        if let Some(heard) = shell.hear(event)? {
                            self.hear(shell.clock.now(), heard);
                        }
                    }
                    Event::Own(FromClient::Opened { conn, transport, outgoing }) => {
                        self.connections.insert(conn, outgoing);
                        self.gateway.handle(shell.clock.now(), Input::Opened { conn, transport });
                    }
                    Event::Own(FromClient::Said(inputs)) => {
                        let now = shell.clock.now();
                        inputs.into_iter().for_each(|input| self.client(now, input));
                    }
                    Event::Own(FromClient::Deaf) => bail!("clients' sockets are not read any more: the log says why"),
                    Event::Stop => {
                        ends_at.get_or_insert(shell.clock.now() + GOODBYE_TIME);
                        shell.port.membership().set_draining();
                        let to = other_gateways(shell.port.node(), shell.port.membership().peers());
                        let drain = Message::Control(Control::DrainGateway { to });
                        self.gateway.handle(shell.clock.now(), Input::Node { from: WORLD, message: drain });
                    }
                }
            }
            let now = shell.clock.now();
            shell.port.maintain(now);
            self.tick_if_due(now);
            self.drain(&mut shell);
            self.write(WRITES_MAX);
            if is_woken && self.touched.is_empty() {
                let next = self.gateway.poll_timeout().map_or(now, |(at, _)| at);
                std::thread::sleep(next.since(shell.clock.now()).min(GATHER_TIME));
            }
            let is_empty = self.connections.is_empty() && self.closing.is_empty();
            if ends_at.is_some_and(|at| at <= now || is_empty) {
                shell.port.leave();
                return Ok(());
            }
        }
    }
}

/// Where clients may go when this gateway ends. The world knows better which is used least, but may not be there.
fn other_gateways(own: NodeId, peers: &BTreeMap<NodeId, NodeInfo>) -> Vec<ClientAddresses> {
    let others = peers.values().filter(|peer| peer.node.role == Role::Gateway && peer.node != own && !peer.draining);
    let open = others.map(|peer| ClientAddresses { tcp: peer.client_tcp.clone(), ws: peer.client_ws.clone() });
    open.take(DRAIN_TARGETS_MAX).collect()
}

impl GatewayDriver {
    fn hear(&mut self, now: Timestamp, heard: Heard) {
        match heard {
            Heard::Core { from, message } => self.gateway.handle(now, Input::Node { from, message }),
            Heard::Up { node, .. } => self.gateway.handle(now, Input::LinkUp { node }),
            Heard::Renewed { .. } | Heard::Down { .. } | Heard::NameTaken { .. } | Heard::Nothing => {}
        }
    }

    /// What a connection's reader says. After a close by the core its last words count no more.
    fn client(&mut self, now: Timestamp, input: Input) {
        let conn = match &input {
            Input::Closed { conn } | Input::Client { conn, .. } | Input::Malformed { conn, .. } => *conn,
            Input::Node { .. } | Input::LinkUp { .. } | Input::Opened { .. } | Input::Queued { .. } => return,
        };
        let known = match &input {
            Input::Closed { .. } => {
                self.closing.remove(&conn);
                self.connections.remove(&conn).is_some()
            }
            _ => self.connections.contains_key(&conn),
        };
        if known {
            self.gateway.handle(now, input);
        }
    }

    fn tick_if_due(&mut self, now: Timestamp) {
        if self.gateway.poll_timeout().is_none_or(|(at, _)| at > now) {
            return;
        }
        // A gateway that has too much to do would tell of more and more ticks and write ever less.
        self.write(self.touched.len());
        self.tell_unsent(now);
        let began = std::time::Instant::now();
        self.gateway.tick(now, self.rate.tick_at(now));
        metrics::histogram!("pangaea_tick_seconds", "phase" => "compose").record(began.elapsed());
        let report = self.gateway.report();
        metrics::gauge!("pangaea_client_connections").set(f64::from(report.connections));
        metrics::gauge!("pangaea_gateway_sessions").set(f64::from(report.sessions));
        metrics::counter!("pangaea_client_bytes_out").absolute(report.bytes_out);
        metrics::counter!("pangaea_client_inputs").absolute(report.inputs);
    }

    /// Tell the core how much each connection's socket has not taken: between ticks it counts what it sent as unsent.
    fn tell_unsent(&mut self, now: Timestamp) {
        let mut most = 0;
        for (&conn, outgoing) in &self.connections {
            let bytes = outgoing.unsent_bytes();
            most = most.max(bytes);
            self.gateway.handle(now, Input::Queued { conn, bytes });
        }
        metrics::gauge!("pangaea_client_unsent_bytes_most").set(most as f64);
    }

    fn drain(&mut self, shell: &mut Shell<Event>) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Send(envelope) => shell.port.send(envelope),
                Output::ToClient { conn, bytes } => {
                    if let Some(outgoing) = self.connections.get(&conn)
                        && outgoing.push(bytes)
                    {
                        self.touched.push_back(outgoing.clone());
                    }
                }
                Output::Close { conn, why } => {
                    if let Some(outgoing) = self.connections.remove(&conn) {
                        outgoing.close();
                        self.closing.insert(conn);
                    }
                    if let Some(code) = why {
                        metrics::counter!("pangaea_clients_sent_away", "code" => code.name()).increment(1);
                    }
                }
                Output::PauseReading { conn } => self.set_paused(conn, true),
                Output::ResumeReading { conn } => self.set_paused(conn, false),
            }
        }
    }

    /// Writes to at most so many of those to whom there is something to say.
    fn write(&mut self, most: usize) {
        for outgoing in self.touched.drain(..self.touched.len().min(most)) {
            outgoing.send(&mut self.batch);
        }
    }

    fn set_paused(&self, conn: ConnId, paused: bool) {
        if let Some(outgoing) = self.connections.get(&conn) {
            outgoing.set_paused(paused);
        }
    }
}
