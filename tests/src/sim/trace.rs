//! The trace: one line per event, and a hash of all of them.
//!
//! Writing lines takes longer than simulating what they tell, so most are only written when they are printed; the hash is of what
//! happened: the moment, who it happened to, and each message's kind, and its bytes where it has any.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;

use pangaea_schemas::journal::Xid;
use pangaea_schemas::message::{Feed, Handover, HandoverMessage, Message, Session};
use pangaea_schemas::{NodeId, Timestamp};

use super::schedule::BEGINNING;

/// Writes or only hashes what happens.
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

    /// One rare event, in words.
    pub fn line(&mut self, now: Timestamp, who: impl fmt::Display, what: fmt::Arguments<'_>) {
        self.mix(now.0);
        self.mix_bytes(what.to_string().as_bytes());
        self.write(now, who, what);
    }

    /// A message arrives.
    pub fn message(&mut self, now: Timestamp, (from, to): (NodeId, NodeId), bytes: &[u8], message: &Message) {
        self.mix(now.0);
        self.mix(u64::from(from.to_bits()) << 32 | u64::from(to.to_bits()));
        if bytes.is_empty() {
            self.mix(kind_number(message));
        } else {
            self.mix_bytes(bytes);
        }
        if self.print {
            let kind = kind_of(message);
            let digest = self.hash as u32;
            self.write(now, to, format_args!("hears {from}: {kind} ({} B, so far {digest:08x})", bytes.len()));
        } else {
            self.lines += 1;
        }
    }

    /// A player is told something and sees so many. What it is told may hold a token, whose sealing is random by design.
    pub fn sight(&mut self, now: Timestamp, player: usize, bytes: usize, sees: usize) {
        [now.0, player as u64, bytes as u64, sees as u64].into_iter().for_each(|word| self.mix(word));
        if self.print {
            self.write(now, format_args!("player {player}"), format_args!("sees {sees}"));
        } else {
            self.lines += 1;
        }
    }

    /// Of everything that happened.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    #[allow(clippy::print_stdout, reason = "printing is what a printed trace is for")]
    fn write(&mut self, now: Timestamp, who: impl fmt::Display, what: fmt::Arguments<'_>) {
        self.lines += 1;
        if self.print {
            let at = now.since(BEGINNING);
            println!("{:>4}.{:06} {who:<10} {what}", at.as_secs(), at.subsec_micros());
        }
    }

    /// FNV-1a over words.
    fn mix(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(23) ^ word).wrapping_mul(0x0100_0000_01b3);
    }

    fn mix_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        self.mix(rest.iter().fold(bytes.len() as u64, |word, byte| word << 8 | u64::from(*byte)));
    }
}

/// What a message is, in a few words: the conversation, the step, and who it is about.
pub fn kind_of(message: &Message) -> String {
    match message {
        Message::Handover(HandoverMessage { step, lane }) => {
            let about = xid_of(step).map_or_else(String::new, |xid| format!("{} {} ", xid.entity, xid.epoch));
            format!("Handover {} {about}{} > {}", name_of(step), lane.from, lane.to)
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

/// A number for each kind of message.
fn kind_number(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    discriminant(message).hash(&mut hasher);
    hasher.finish()
}

/// Which hand-over a step is about.
fn xid_of(step: &Handover) -> Option<Xid> {
    match step {
        Handover::Offer { xid, .. }
        | Handover::Reserved { xid }
        | Handover::No { xid, .. }
        | Handover::Commit { xid, .. }
        | Handover::Ack { xid }
        | Handover::Refuse { xid, .. }
        | Handover::Stale { xid, .. } => Some(*xid),
        Handover::Settled { .. } | Handover::Stable { .. } => None,
    }
}

/// The variant's name in a debug form.
fn name_of(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}
