//! Names for new accounts and their agents: a small stock of ids from the data service's blocks.

use std::time::Duration;

use pangaea_schemas::message::{JournalRequest, Message};
use pangaea_schemas::{AccountId, EntityId, RequestId, Timestamp};

/// A new block is asked for when fewer ids than this are left.
pub(crate) const STOCK_LOW: u64 = 64;
/// A block is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Ids that nobody else will ever get. What is left at a crash is lost, which costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    /// First and past the last of each block.
    blocks: Vec<(u64, u64)>,
    asked: Option<(RequestId, Timestamp)>,
}

impl Ids {
    /// Whether to ask for a block (again) now.
    pub(crate) fn ask_due(&self, now: Timestamp) -> bool {
        self.is_low() && self.asked.is_none_or(|(_, again)| again <= now)
    }

    fn is_low(&self) -> bool {
        self.blocks.iter().map(|(next, end)| end - next).sum::<u64>() < STOCK_LOW
    }

    /// The question; every answer to it is used, late ones too.
    pub(crate) fn ask(&mut self, now: Timestamp, request: RequestId) -> Message {
        self.asked = Some((request, now + ASK_AGAIN));
        Message::JournalRequest(JournalRequest::Ids { request })
    }

    /// Takes a block.
    pub(crate) fn add(&mut self, request: RequestId, first: EntityId, count: u64) {
        let end = first.0.saturating_add(count);
        let known = self.blocks.iter().any(|(next, last)| first.0 < *last && end > *next);
        if first.is_some() && !known {
            self.blocks.push((first.0, end));
        }
        // A late answer to a former question may be enough, and then nobody asks again: nothing is to be waited for.
        if self.asked.is_some_and(|(asked, _)| asked == request) || !self.is_low() {
            self.asked = None;
        }
    }

    /// An account and its agent.
    pub(crate) fn pair(&mut self) -> Option<(AccountId, EntityId)> {
        self.blocks.retain(|(next, end)| end - next >= 2);
        let (next, _) = self.blocks.first_mut()?;
        *next += 2;
        Some((AccountId(*next - 2), EntityId(*next - 1)))
    }

    pub(crate) fn poll_timeout(&self) -> Option<(Timestamp, &'static str)> {
        self.asked.map(|(_, again)| (again, "ask for ids"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_that_is_enough_leaves_nothing_to_wait_for() {
        let (mut ids, began) = (Ids::default(), Timestamp(1_000_000));
        ids.ask(began, RequestId(1));
        let late = began + ASK_AGAIN;
        assert!(ids.ask_due(late), "nobody answered");
        ids.ask(late, RequestId(2));
        ids.add(RequestId(1), EntityId(100), STOCK_LOW);
        assert_eq!((ids.ask_due(late + ASK_AGAIN), ids.poll_timeout()), (false, None), "or its shell would wake for ever");
        ids.add(RequestId(2), EntityId(500), STOCK_LOW);
        assert_eq!(ids.pair(), Some((AccountId(100), EntityId(101))), "both are used");
    }

    #[test]
    fn an_answer_that_is_not_enough_leaves_the_question_open() {
        let (mut ids, began) = (Ids::default(), Timestamp(1_000_000));
        ids.ask(began, RequestId(1));
        ids.ask(began + ASK_AGAIN, RequestId(2));
        ids.add(RequestId(1), EntityId(100), 2);
        let again = began + ASK_AGAIN + ASK_AGAIN;
        assert_eq!(ids.poll_timeout().map(|(at, _)| at), Some(again));
        assert!(ids.ask_due(again));
    }
}
