//! The trace: one line per event, and a hash of all of them.

use std::fmt;

use pangaea_schemas::Timestamp;

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
