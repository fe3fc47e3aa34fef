//! One session's inputs from the client's socket to the owner's acknowledgement: none lost, doubled or reordered.
//!
//! An input is kept until an owner says it is applied. A new owner is told again everything it has not applied; the shard drops
//! what it has seen. The queue is bounded by bytes and by age: at the bound the client's socket is no longer read.
//!
//! A client that comes back tells again all that nobody acknowledged to it, so its first input says how far it is. When the owner
//! and the former gateway died together, only the client knows that: the inputs between the recovered owner's last one and this
//! first one were acknowledged and are lost, and nobody can tell them again. Numbering goes on after them.

use std::collections::VecDeque;
use std::time::Duration;

use pangaea_schemas::client::Input;
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::{InSeq, Timestamp};

use crate::limits::{INPUT_OVERHEAD_BYTES, INPUTS_HELD_AGE_MAX, INPUTS_HELD_BYTES_MAX};

/// An owner that has not acknowledged by then is told again.
const RESEND_AFTER: Duration = Duration::from_millis(500);
/// Most inputs that are acknowledged and not yet journaled: what an owner without a journal applies before it must stop.
const INPUTS_LOST_MAX: u32 = 4_096;

/// An input that does not follow the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input {} came where {} was expected", .got.0, .expected.0)]
pub(crate) struct InputGap {
    pub(crate) expected: InSeq,
    pub(crate) got: InSeq,
}

/// Inputs that no owner has acknowledged.
#[derive(Debug, Default)]
pub(crate) struct InputQueue {
    /// Consecutive; the last has sequence `received`.
    held: VecDeque<(Timestamp, Input)>,
    bytes: usize,
    received: InSeq,
    acknowledged: InSeq,
    /// As the owner in force says; ahead of what is acknowledged while something of value is not durable.
    applied: InSeq,
    sent: InSeq,
    sent_at: Timestamp,
    /// The next input comes from a client that came back, and may be ahead.
    may_be_ahead: bool,
}

impl InputQueue {
    /// The queue of a client that comes back to a gateway that knows nothing of its inputs.
    pub(crate) fn of_returning_client() -> Self {
        Self { may_be_ahead: true, ..Self::default() }
    }

    /// The same queue, of a client that comes back to it. It may be ahead all the same: while it was elsewhere the owner's frames
    /// said here what was applied, but for the last that it had acknowledged there.
    pub(crate) fn of_client_that_was_elsewhere(self) -> Self {
        Self { may_be_ahead: true, ..self }
    }

    /// Last input that no owner needs to be told again.
    pub(crate) fn acknowledged(&self) -> InSeq {
        self.acknowledged
    }

    /// Take an input from the client; false when it is held or applied already.
    pub(crate) fn accept(&mut self, now: Timestamp, input: Input) -> Result<bool, InputGap> {
        let lost = input.seq.0.saturating_sub(self.received.next().0);
        if std::mem::take(&mut self.may_be_ahead) && (1..=INPUTS_LOST_MAX).contains(&lost) {
            self.acknowledge(InSeq(input.seq.0 - 1));
        }
        let expected = self.received.next();
        if input.seq > expected {
            return Err(InputGap { expected, got: input.seq });
        }
        if input.seq < expected {
            return Ok(false);
        }
        self.received = expected;
        self.bytes += input.bytes.len() + INPUT_OVERHEAD_BYTES;
        self.held.push_back((now, input));
        Ok(true)
    }

    /// The owner in force has applied everything up to here, for now.
    pub(crate) fn note_applied(&mut self, applied: InSeq) {
        self.applied = applied;
    }

    /// Everything up to here is applied for good.
    pub(crate) fn acknowledge(&mut self, upto: InSeq) {
        self.acknowledged = self.acknowledged.max(upto);
        self.applied = self.applied.max(upto);
        while let Some((_, input)) = self.held.front().filter(|(_, input)| input.seq <= upto) {
            self.bytes -= input.bytes.len() + INPUT_OVERHEAD_BYTES;
            self.held.pop_front();
        }
        self.received = self.received.max(upto);
        self.sent = self.sent.max(upto);
    }

    /// Tell everything again: there is a new owner, or the way to the old one broke.
    pub(crate) fn rewind(&mut self) {
        if !Mutant::InputsNotResent.lives() {
            (self.sent, self.applied) = (self.acknowledged, self.acknowledged);
        }
    }

    /// Tell again what was told too long ago.
    pub(crate) fn rewind_if_overdue(&mut self, now: Timestamp) {
        if self.sent > self.applied && now.since(self.sent_at) >= RESEND_AFTER {
            self.sent = self.applied;
        }
    }

    /// What the owner has not been told yet; it counts as told from now on.
    pub(crate) fn unsent(&mut self, now: Timestamp) -> impl Iterator<Item = &Input> {
        let after = self.sent;
        if after < self.received {
            self.sent = self.received;
            self.sent_at = now;
        }
        self.held.iter().map(|(_, input)| input).filter(move |input| input.seq > after)
    }

    /// Whether there is something to tell.
    pub(crate) fn has_unsent(&self) -> bool {
        self.sent < self.received
    }

    /// Whether the client should not be read for now.
    pub(crate) fn is_at_bound(&self, now: Timestamp) -> bool {
        // What is applied waits for the ledger, not for an owner.
        let next = self.held.iter().find(|(_, input)| input.seq > self.applied);
        let too_old = next.is_some_and(|(at, _)| now.since(*at) >= INPUTS_HELD_AGE_MAX);
        too_old || self.bytes >= INPUTS_HELD_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pangaea_schemas::TypeId;

    use super::*;

    fn input(seq: u32) -> Input {
        Input { seq: InSeq(seq), id: TypeId(7), bytes: Bytes::from_static(b"north") }
    }

    fn queue_of(inputs: std::ops::RangeInclusive<u32>) -> InputQueue {
        let mut queue = InputQueue::default();
        for seq in inputs {
            assert_eq!(queue.accept(Timestamp(1), input(seq)), Ok(true));
        }
        queue
    }

    fn told(queue: &mut InputQueue) -> Vec<u32> {
        queue.unsent(Timestamp(1)).map(|input| input.seq.0).collect()
    }

    #[test]
    fn inputs_are_told_once_per_owner_and_in_order() {
        let mut queue = queue_of(1..=4);
        assert_eq!(told(&mut queue), [1, 2, 3, 4]);
        assert_eq!(told(&mut queue), [0u32; 0]);
        queue.acknowledge(InSeq(2));
        queue.rewind();
        assert_eq!(told(&mut queue), [3, 4], "a new owner hears what is not applied");
    }

    #[test]
    fn doubles_are_dropped_and_gaps_are_named() {
        let mut queue = queue_of(1..=2);
        assert_eq!(queue.accept(Timestamp(2), input(2)), Ok(false));
        assert_eq!(queue.accept(Timestamp(2), input(4)), Err(InputGap { expected: InSeq(3), got: InSeq(4) }));
        assert_eq!(told(&mut queue), [1, 2]);
    }

    #[test]
    fn a_session_that_resumes_elsewhere_goes_on_where_the_owner_is() {
        let mut queue = InputQueue::default();
        queue.acknowledge(InSeq(40));
        assert_eq!(queue.accept(Timestamp(2), input(40)), Ok(false));
        assert_eq!(queue.accept(Timestamp(2), input(41)), Ok(true));
        assert_eq!(told(&mut queue), [41]);
    }

    #[test]
    fn a_client_that_comes_back_is_ahead_of_an_owner_that_lost_what_it_had_acknowledged() {
        let mut queue = InputQueue::of_returning_client();
        queue.acknowledge(InSeq(40));
        assert_eq!(queue.accept(Timestamp(2), input(46)), Ok(true), "41 to 45 were acknowledged by an owner that died");
        assert_eq!(queue.acknowledged(), InSeq(45));
        assert_eq!(told(&mut queue), [46]);
        let gap = InputGap { expected: InSeq(47), got: InSeq(48) };
        assert_eq!(queue.accept(Timestamp(2), input(48)), Err(gap), "only its first input may be ahead");
    }

    #[test]
    fn a_client_that_comes_back_to_its_former_gateway_may_be_ahead_as_well() {
        let mut queue = InputQueue::default();
        queue.acknowledge(InSeq(40));
        assert!(queue.accept(Timestamp(2), input(42)).is_err(), "not while it is here");
        let mut queue = queue.of_client_that_was_elsewhere();
        assert_eq!(
            queue.accept(Timestamp(2), input(43)),
            Ok(true),
            "41 and 42 were acknowledged elsewhere, by an owner that died"
        );
        assert_eq!(told(&mut queue), [43]);
    }

    #[test]
    fn nobody_lost_as_much_as_that() {
        let mut queue = InputQueue::of_returning_client();
        let far = INPUTS_LOST_MAX + 2;
        assert_eq!(queue.accept(Timestamp(2), input(far)), Err(InputGap { expected: InSeq(1), got: InSeq(far) }));
    }

    #[test]
    fn an_owner_that_does_not_answer_is_told_again() {
        let mut queue = queue_of(1..=1);
        assert_eq!(told(&mut queue), [1]);
        queue.rewind_if_overdue(Timestamp(2));
        assert!(!queue.has_unsent());
        queue.rewind_if_overdue(Timestamp(1) + RESEND_AFTER);
        assert_eq!(told(&mut queue), [1]);
    }

    #[test]
    fn what_waits_for_the_ledger_is_told_again_only_to_a_new_owner_and_stops_no_socket() {
        let mut queue = queue_of(1..=3);
        assert_eq!(told(&mut queue), [1, 2, 3]);
        queue.note_applied(InSeq(3));
        let much_later = Timestamp(1) + INPUTS_HELD_AGE_MAX + RESEND_AFTER;
        queue.rewind_if_overdue(much_later);
        assert!(!queue.has_unsent() && !queue.is_at_bound(much_later));
        queue.rewind();
        assert_eq!(told(&mut queue), [1, 2, 3], "the owner died, and nothing was acknowledged");
        assert!(queue.is_at_bound(much_later), "the new one has not applied it");
    }

    #[test]
    fn the_bound_is_bytes_or_age() {
        let queue = queue_of(1..=1);
        assert!(!queue.is_at_bound(Timestamp(1)));
        assert!(queue.is_at_bound(Timestamp(1) + INPUTS_HELD_AGE_MAX));
        let each = b"north".len() + INPUT_OVERHEAD_BYTES;
        let many = INPUTS_HELD_BYTES_MAX.div_ceil(each) as u32;
        let mut queue = queue_of(1..=many);
        assert!(queue.is_at_bound(Timestamp(1)));
        queue.acknowledge(InSeq(many));
        assert_eq!(queue.bytes, 0);
        assert!(!queue.is_at_bound(Timestamp(1) + INPUTS_HELD_AGE_MAX));
    }
}
