//! Every limit of the client edge, with its unit, and the two meters that enforce them.
//!
//! Policy, in order of pain:
//! - a client that sends too much is not read from until its allowance is back ([`Allowance`] may go into debt, nothing is
//!   dropped); one that runs up [`DEBT_SECONDS_MAX`] seconds of debt is sent away;
//! - a client that reads too little misses updates above [`SLOW_QUEUE_BYTES`] of unsent bytes (a skipped update costs nothing,
//!   and the next one is fresh); it is sent away after [`SLOW_TIME_MAX`] without a pause, or when what cannot be skipped fills
//!   [`HOPELESS_QUEUE_BYTES`];
//! - a client whose agent is between owners is read until [`crate::inputs`] holds its bound, then no longer.

use std::time::Duration;

use pangaea_schemas::Timestamp;

/// Most client connections of one gateway, by default.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Messages of one client.
pub const MESSAGES: Rate = Rate { per_second: 60, burst: 120 };
/// Inputs of one client; three times the tick rate, and room for a resent window after a resume.
pub const INPUTS: Rate = Rate { per_second: 60, burst: 256 };
/// Update bytes to one player.
pub const PLAYER_BYTES: Rate = Rate { per_second: 64 * 1_024, burst: 64 * 1_024 };
/// Update bytes to one spectator.
pub const SPECTATOR_BYTES: Rate = Rate { per_second: 512 * 1_024, burst: 1_024 * 1_024 };
/// Debt in seconds of the rate at which a client is sent away.
pub const DEBT_SECONDS_MAX: u32 = 10;
/// Unsent bytes above which a client gets no updates: some seconds of what a player usually gets.
pub const SLOW_QUEUE_BYTES: usize = 16 * 1_024;
/// Unsent bytes above which a client is sent away.
pub const HOPELESS_QUEUE_BYTES: usize = 1_024 * 1_024;
/// How long a client may stay above [`SLOW_QUEUE_BYTES`].
pub const SLOW_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of unacknowledged inputs at which a client is no longer read.
pub const INPUTS_HELD_BYTES_MAX: usize = 64 * 1_024;
/// Age of the oldest unacknowledged input at which a client is no longer read.
pub const INPUTS_HELD_AGE_MAX: Duration = Duration::from_secs(1);
/// Bookkeeping counted for each held input, beside its body.
pub const INPUT_OVERHEAD_BYTES: usize = 32;
/// A connection that has not said Hello by then is closed.
pub const GREETING_TIME_MAX: Duration = Duration::from_secs(5);
/// A connection that has not joined by then is closed: a human may be typing a password.
pub const LOBBY_TIME_MAX: Duration = Duration::from_secs(300);
/// A login that is not answered by then is refused.
pub const LOGIN_TIME_MAX: Duration = Duration::from_secs(10);
/// A client that is not in the world by then is told to try again.
pub const ENTER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a session waits for its client to come back.
pub const LOST_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a resume token is good for.
pub const RESUME_TOKEN_TIME: Duration = Duration::from_secs(12 * 3_600);
/// A gateway is drained within so many ticks, two seconds at 20 Hz: its clients all ask for everything around them elsewhere.
pub const DRAIN_TICKS: usize = 40;
/// So few clients are no rush: at least these are sent elsewhere in each tick.
pub const DRAIN_PER_TICK_MIN: usize = 10;
/// Most cells one spectator may watch.
pub const SPECTATOR_CELLS_MAX: usize = 4_096;

/// How much per second, and how much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Units per second.
    pub per_second: u32,
    /// Most units saved up.
    pub burst: u32,
}

/// A token bucket that may go into debt: what came is taken, and the sender waits afterwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Millionths of a unit; negative is debt.
    level: i64,
    at: Timestamp,
}

impl Allowance {
    pub(crate) fn full(rate: Rate, now: Timestamp) -> Self {
        Self { level: i64::from(rate.burst) * 1_000_000, at: now }
    }

    pub(crate) fn refill(&mut self, rate: Rate, now: Timestamp) {
        let earned = now.since(self.at).as_micros() as i64 * i64::from(rate.per_second);
        self.level = self.level.saturating_add(earned).min(i64::from(rate.burst) * 1_000_000);
        self.at = now.max(self.at);
    }

    pub(crate) fn take(&mut self, units: usize) {
        self.level = self.level.saturating_sub(units as i64 * 1_000_000);
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.level <= 0
    }

    pub(crate) fn is_hopeless(&self, rate: Rate) -> bool {
        self.level < -i64::from(rate.per_second) * i64::from(DEBT_SECONDS_MAX) * 1_000_000
    }
}

/// What a client's unsent bytes mean for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It keeps up.
    Keeps,
    /// It gets no updates for now.
    Slow,
    /// It is sent away.
    Hopeless,
}

/// A client's unsent bytes, as the driver last told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SocketQueue {
    bytes: usize,
    slow_since: Option<Timestamp>,
}

impl SocketQueue {
    pub(crate) fn told(&mut self, bytes: usize) {
        self.bytes = bytes;
    }

    pub(crate) fn flow(&mut self, now: Timestamp) -> Flow {
        if self.bytes <= SLOW_QUEUE_BYTES {
            self.slow_since = None;
            return Flow::Keeps;
        }
        let since = *self.slow_since.get_or_insert(now);
        if self.bytes > HOPELESS_QUEUE_BYTES || now.since(since) >= SLOW_TIME_MAX { Flow::Hopeless } else { Flow::Slow }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_allowance_takes_what_came_and_waits_afterwards() {
        let rate = Rate { per_second: 10, burst: 20 };
        let start = Timestamp(5_000_000);
        let mut allowance = Allowance::full(rate, start);
        allowance.take(30);
        assert!(allowance.is_spent() && !allowance.is_hopeless(rate));
        allowance.refill(rate, start + SECOND);
        assert!(allowance.is_spent(), "ten of debt took the whole second to pay");
        allowance.refill(rate, start + SECOND * 2);
        assert!(!allowance.is_spent());
        allowance.take(200);
        assert!(allowance.is_hopeless(rate));
    }

    #[test]
    fn a_slow_client_is_spared_then_sent_away() {
        let start = Timestamp(1);
        let mut queue = SocketQueue::default();
        queue.told(SLOW_QUEUE_BYTES);
        assert_eq!(queue.flow(start), Flow::Keeps);
        queue.told(SLOW_QUEUE_BYTES + 1);
        assert_eq!(queue.flow(start), Flow::Slow);
        assert_eq!(queue.flow(start + SLOW_TIME_MAX), Flow::Hopeless);
        queue.told(0);
        assert_eq!(queue.flow(start + SLOW_TIME_MAX), Flow::Keeps);
        queue.told(HOPELESS_QUEUE_BYTES + 1);
        assert_eq!(queue.flow(start), Flow::Hopeless);
    }
}
