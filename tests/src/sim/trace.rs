//! The trace: one line per event, and a hash of all of them.

use std::fmt;

use pangaea_schemas::Timestamp;
use pangaea_schemas::journal::Xid;
use pangaea_schemas::message::{Feed, Handover, HandoverMessage, Message, Session};

use super::schedule::BEGINNING;

/// Writes or only hashes lines.
#[derive(Debug)]
pub struct Trace {
    print: bool,
    hash: u64,
    lines: u64,
}

impl Trace {
    /// A trace that prints its lines, or not.
    pub fn new(print: bool) -> Self {
        Self { print, hash: 0xcbf2_9ce4_8422_2325, lines: 0 }
    }

    /// One event.
    #[allow(clippy::print_stdout, reason = "printing is what a printed trace is for")]
    pub fn line(&mut self, now: Timestamp, who: impl fmt::Display, what: fmt::Arguments<'_>) {
        let at = now.since(BEGINNING);
        let line = format!("{:>4}.{:06} {who:<10} {what}", at.as_secs(), at.subsec_micros());
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines += 1;
        if self.print {
            println!("{line}");
        }
    }

    /// FNV-1a of all lines.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many.
    pub fn lines(&self) -> u64 {
        self.lines
    }
}

/// What a message is, in a few words: the conversation, the step, and who it is about.
pub fn kind_of(message: &Message) -> String {
    match message {
        Message::Handover(HandoverMessage { step, lane }) => {
            let xid = xid_of(step);
            format!("Handover {} {} {} {} > {}", name_of(step), xid.entity, xid.epoch, lane.from, lane.to)
        }
        Message::Session(session) => match session {
            Session::Events { agent, events, resync, .. } => {
                let seqs = (events.first().map(|e| e.seq.0), events.last().map(|e| e.seq.0));
                format!("Session Events {agent} {seqs:?} resync {resync}")
            }
            Session::Attach { agent, session, out_ack, .. } => format!("Session Attach {agent} {session} ack {}", out_ack.0),
            Session::Attached { agent, session, out_seq, .. } => format!("Session Attached {agent} {session} out {}", out_seq.0),
            Session::Route { agent, shard, epoch, in_seq, .. } => {
                format!("Session Route {agent} {shard} {epoch} in {}", in_seq.0)
            }
            Session::Hint { agent, target, epoch, .. } => format!("Session Hint {agent} {target} {epoch}"),
            other => format!("Session {}", name_of(other)),
        },
        Message::Feed(Feed::Frame(frame)) => format!("Feed Frame {} #{} {} cells", frame.shard, frame.seq, frame.cells.len()),
        other => {
            let text = format!("{other:?}");
            let mut names = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.starts_with(char::is_uppercase));
            format!("{} {}", names.next().unwrap_or_default(), names.next().unwrap_or_default())
        }
    }
}

/// Which hand-over a step is about.
fn xid_of(step: &Handover) -> Xid {
    match step {
        Handover::Offer { xid, .. }
        | Handover::Reserved { xid }
        | Handover::No { xid, .. }
        | Handover::Commit { xid, .. }
        | Handover::Ack { xid }
        | Handover::Refuse { xid, .. }
        | Handover::Stale { xid, .. } => *xid,
    }
}

/// The variant's name in a debug form.
fn name_of(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}
