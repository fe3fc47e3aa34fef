//! Seats on their way to a new owner of the shard: it goes on with the same gateways, sequences and unanswered events.

use std::time::Duration;

use pangaea_schemas::Timestamp;
use pangaea_schemas::message::RestSeat;

use super::{EVENT_RESEND, Link, Sessions};

impl Sessions {
    /// All seats, in order. Nobody may be joining: what waits for the journal is waited for first.
    pub(crate) fn rest(&self, now: Timestamp) -> Vec<RestSeat> {
        let seats = self.seats.iter().map(|(agent, seat)| {
            let linger_us = match seat.link {
                Link::Lingering { until } => until.since(now).as_micros() as u64,
                Link::Joining { .. } | Link::Attached { .. } | Link::Leaving => 0,
            };
            RestSeat {
                agent: *agent,
                state: self.state(*agent).unwrap_or_default(),
                linger_us,
                window: seat.window.values().cloned().collect(),
                fresh_after: seat.fresh_after,
                resync: seat.resync,
            }
        });
        seats.collect()
    }

    /// Seats of the former owner. Events that it sent are sent again only when nobody acknowledges them.
    pub(crate) fn take_over(&mut self, now: Timestamp, seats: Vec<RestSeat>) {
        for RestSeat { agent, state, linger_us, window, fresh_after, resync } in seats {
            let link = match state.gateway {
                Some(gateway) => Link::Attached { gateway },
                None => Link::Lingering { until: now + Duration::from_micros(linger_us) },
            };
            self.seat(agent, state, link);
            if let Some(seat) = self.seats.get_mut(&agent) {
                seat.window = window.into_iter().map(|input| (input.seq, input)).collect();
                (seat.fresh_after, seat.resync, seat.unsent) = (fresh_after, resync, 0);
                seat.resend_at = (!seat.outbox.is_empty()).then_some(now + EVENT_RESEND);
            }
        }
    }
}
