//! A gateway that is emptied: nobody new is taken, and the clients are sent to other gateways, some in each tick.
//!
//! A client resumes there by its token: its shard goes on where it is, tells again every reliable event that was not
//! acknowledged, and says which input it applied last, from where the client tells its inputs again. So the session here is
//! over as soon as its client is told.

use pangaea_schemas::Timestamp;
use pangaea_schemas::client::RefusalCode;
use pangaea_schemas::message::ClientAddresses;

use crate::gateway::{Gateway, Transport};
use crate::limits::{DRAIN_PER_TICK_MIN, DRAIN_TICKS};
use crate::session::State;

/// Where clients are sent, and how many at once.
#[derive(Debug)]
pub(crate) struct Drain {
    to: Vec<ClientAddresses>,
    next: usize,
    per_tick: usize,
}

impl Drain {
    /// Where the next client of a transport goes, in the form it connects by; empty when there is no such place.
    fn next_for(&mut self, transport: Transport) -> String {
        let reachable = self.to.iter().map(|to| transport.address(to)).filter(|address| !address.is_empty());
        let mut reachable: Vec<_> = reachable.collect();
        if reachable.is_empty() {
            return String::new();
        }
        let turn = self.next % reachable.len();
        self.next += 1;
        reachable.swap_remove(turn)
    }
}

impl Transport {
    fn address(self, of: &ClientAddresses) -> String {
        match self {
            Self::Tcp => of.tcp.clone(),
            Self::WebSocket if of.ws.is_empty() || of.ws.contains("://") => of.ws.clone(),
            Self::WebSocket => format!("ws://{}", of.ws),
        }
    }
}

impl Gateway {
    /// Empty this gateway; told again, only where clients go changes.
    pub(crate) fn drain(&mut self, to: Vec<ClientAddresses>) {
        if let Some(drain) = &mut self.draining {
            drain.to = to;
            return;
        }
        // With nobody to be spared a rush, all go at once.
        let per_tick = if to.is_empty() { usize::MAX } else { self.conns.len().div_ceil(DRAIN_TICKS).max(DRAIN_PER_TICK_MIN) };
        tracing::info!(clients = self.conns.len(), gateways = to.len(), "clients are sent elsewhere");
        self.draining = Some(Drain { to, next: 0, per_tick });
        for key in self.sessions.keys() {
            if self.sessions.get(key).is_some_and(|session| session.state == State::Lost) {
                self.forget(key);
            }
        }
    }

    /// Take clients again.
    pub(crate) fn undrain(&mut self) {
        if self.draining.take().is_some() {
            tracing::info!("clients are taken again");
        }
    }

    /// One tick's share of the clients is sent elsewhere.
    pub(crate) fn send_on(&mut self, now: Timestamp) {
        let Some(drain) = &self.draining else { return };
        for key in self.sessions.keys().into_iter().take(drain.per_tick) {
            self.send_away(now, key, RefusalCode::Draining, "this gateway is going away; your session goes on elsewhere");
            self.forget(key);
        }
    }

    /// Where a client that is sent away for this reason may go.
    pub(crate) fn place_elsewhere(&mut self, transport: Transport, code: RefusalCode) -> String {
        let drain = self.draining.as_mut().filter(|_| code == RefusalCode::Draining);
        drain.map_or_else(String::new, |drain| drain.next_for(transport))
    }
}
