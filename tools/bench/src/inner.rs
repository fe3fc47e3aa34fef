//! The inner loops, one round at a time: for Criterion (`cargo bench -p pangaea-bench`), and for those who count instructions
//! (`cargo xtask instructions`), since their number does not drift with the machine.

use crate::suite::{moving, replication, tick};
use crate::wires;

/// One round of a loop.
pub type Round = Box<dyn FnMut()>;

/// An inner loop.
#[derive(Clone, Copy, Debug)]
pub struct Inner {
    /// As it is asked for.
    pub name: &'static str,
    /// What one of its elements is.
    pub of: &'static str,
    /// Elements in a round.
    pub elements: u64,
    make: fn() -> anyhow::Result<Round>,
}

impl Inner {
    /// The loop, warmed up.
    ///
    /// # Errors
    /// It could not be set up.
    pub fn start(&self) -> anyhow::Result<Round> {
        (self.make)()
    }
}

const fn inner(name: &'static str, (elements, of): (u64, &'static str), make: fn() -> anyhow::Result<Round>) -> Inner {
    Inner { name, of, elements, make }
}

/// All of them: whole ticks of a gateway and of shards first, then what they are made of.
pub const LOOPS: [Inner; 12] = [
    inner(
        "gateway-round",
        (replication::ROUND_CLIENTS, "clients who each see about 30, frames in, updates out"),
        replication::round,
    ),
    inner("shard-tick", (tick::ROUND_WALKERS, "walkers of a shard, its frames encoded"), tick::round),
    inner("movement-tick", (tick::CROWD, "walkers of a shard, its frames encoded"), tick::crowd_round),
    inner(
        "copy-round",
        (moving::ROUND_WALKERS, "walkers of a shard that goes to another scene: compared, sent, written over the copy"),
        moving::round,
    ),
    inner("frame-encode", (wires::MOVERS, "movers in a frame of a shard's feed"), wires::frame_encode),
    inner("frame-decode", (wires::MOVERS, "movers in a frame of a shard's feed"), wires::frame_decode),
    inner("update-write", (wires::UPDATES * wires::SEEN, "visible movers, quantised and packed"), wires::update_write),
    inner("update-read", (wires::UPDATES * wires::SEEN, "visible movers of an update"), wires::update_read),
    inner("journal-encode", (wires::RECORDS, "records in a journal entry"), wires::journal_encode),
    inner("journal-decode", (wires::RECORDS, "records in a journal entry"), wires::journal_decode),
    inner("handover-encode", (wires::HANDOVERS, "hand-overs past their commit point"), wires::handover_encode),
    inner("handover-decode", (wires::HANDOVERS, "hand-overs past their commit point"), wires::handover_decode),
];

/// A loop by its name.
///
/// # Errors
/// There is no such loop.
pub fn inner_loop(name: &str) -> anyhow::Result<Inner> {
    let names = || LOOPS.map(|inner| inner.name).join(", ");
    LOOPS
        .into_iter()
        .find(|inner| inner.name == name)
        .ok_or_else(|| anyhow::anyhow!("there is no loop {name:?}; there are {}", names()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loop_runs_its_rounds_under_its_own_name() {
        for inner in LOOPS.into_iter().filter(|inner| inner.name.ends_with("code") || inner.name.starts_with("update")) {
            let mut round = inner_loop(inner.name).and_then(|found| found.start()).expect("it starts");
            (0..2).for_each(|_| round());
        }
        inner_loop("none").expect_err("there is no such loop");
    }
}
