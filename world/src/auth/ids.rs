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
        let left: u64 = self.blocks.iter().map(|(next, end)| end - next).sum();
        left < STOCK_LOW && self.asked.is_none_or(|(_, again)| again <= now)
    }

    /// The question; every answer to it is used, late ones too.
    pub(crate) fn ask(&mut self, now: Timestamp, request: RequestId) -> Message {
        self.asked = Some((request, now + ASK_AGAIN));
        Message::JournalRequest(JournalRequest::Ids { request })
    }

    /// Takes a block.
    pub(crate) fn add(&mut self, request: RequestId, first: EntityId, count: u64) {
        if self.asked.is_some_and(|(asked, _)| asked == request) {
            self.asked = None;
        }
        let end = first.0.saturating_add(count);
        let known = self.blocks.iter().any(|(next, last)| first.0 < *last && end > *next);
        if first.is_some() && !known {
            self.blocks.push((first.0, end));
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
