//! A recording of a shard: what its world was, then what each tick began with and what came of it.
//!
//! ```text
//! "PANGREC" version     8 bytes
//! frame*                u32 length, u32 CRC-32 of this and all earlier frames' bodies, body: one stored value
//! ```
//!
//! The bodies are one [`RecordingHead`], some [`RecordingPart`]s, a [`RecordedTick`] for each tick, one [`RecordingEnd`]. Each
//! checksum covers what stands before it, so a frame that is damaged, left out, doubled or put elsewhere is found; what ends
//! without its end is no whole recording. `scene::recording` writes and plays them.

use bytes::{Bytes, BytesMut};

use crate::geometry::{CellId, Position, SHARD_LEVEL_MAX, SPACE_LEVEL_MAX, ShardId, SpaceSpec};
use crate::message::{Birth, BusEvent, ClientInput, Effect, FeedFrame, RestAnswer};
use crate::record::Record;
use crate::rules::Rules;
use crate::wire::WireError;
use crate::wire::stored::Stored;
use crate::{EntityId, RegistryHash, Tick};

/// Longest recording in seconds.
pub const RECORDING_SECONDS_MAX: u32 = 600;
/// Largest recording in bytes; one that grows beyond ends there.
pub const RECORDING_BYTES_MAX: u64 = 256 * 1_024 * 1_024;
/// Largest body of a frame in bytes.
pub const FRAME_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// Version of the file's form.
pub const RECORDING_VERSION: u8 = 1;

const MAGIC: [u8; 7] = *b"PANGREC";
/// Bytes before the first frame.
const START_BYTES: usize = MAGIC.len() + 1;
/// Bytes of a frame before its body.
const FRAME_HEAD_BYTES: usize = 8;

/// Where a recording begins: all of the world that is not an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingHead {
    /// Which shard.
    pub shard: ShardId,
    /// The map that it is cut from.
    pub space: SpaceSpec,
    /// Ticks per second.
    pub hz: u16,
    /// Of the game.
    pub registry: RegistryHash,
    /// The last tick that is not recorded.
    pub after: Tick,
    /// Of all chance in the shard.
    pub seed: u64,
    /// Effects for the first tick, in order.
    pub pending: Vec<Effect>,
    /// Blocks of ids for entities to come: first, and the one behind the last.
    pub ids: Vec<(u64, u64)>,
    /// Of the whole world, entities included.
    pub hash: u64,
    /// How many entities the parts hold.
    pub entities: u32,
}

/// Some of the entities that were there, in order of id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordingPart {
    /// With all registered components.
    pub records: Vec<Record>,
}

/// Everything that reached a shard's world from outside for one tick, and what came of it. The lists mean what they mean in the
/// scene's `TickInput`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordedTick {
    /// Which.
    pub tick: Tick,
    /// Tunables and scripts that hold from here on, in order; empty: as before.
    pub rules: Vec<Rules>,
    /// More ids for entities to come: first, and the one behind the last.
    pub ids: Vec<(u64, u64)>,
    /// Who came in.
    pub arrivals: Vec<Record>,
    /// Who was born.
    pub births: Vec<RecordedBirth>,
    /// Whose client came or went.
    pub links: Vec<RecordedLink>,
    /// Who was put elsewhere.
    pub placements: Vec<RecordedPlacement>,
    /// What clients sent, in the order in which it was applied.
    pub inputs: Vec<ClientInput>,
    /// Effects from other shards.
    pub effects: Vec<Effect>,
    /// The ledger's answers.
    pub answers: Vec<RestAnswer>,
    /// From the bus.
    pub news: Vec<BusEvent>,
    /// What neighbours showed.
    pub ghosts: Vec<FeedFrame>,
    /// Neighbours that showed nothing any more.
    pub silent: Vec<ShardId>,
    /// Who left after the systems had run, in order.
    pub exits: Vec<RecordedExit>,
    /// What came of it.
    pub check: TickCheck,
    /// Scripts took no turn.
    pub scripts_rest: bool,
}

/// A player's agent that was born.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedBirth {
    /// Who.
    pub agent: EntityId,
    /// With what.
    pub birth: Birth,
}

/// A client came to an agent, or went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordedLink {
    /// Whose.
    pub agent: EntityId,
    /// It is there.
    pub is_connected: bool,
}

/// An entity that an admin put elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecordedPlacement {
    /// Who.
    pub entity: EntityId,
    /// Where to.
    pub position: Position,
}

/// An entity that left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordedExit {
    /// Who.
    pub entity: EntityId,
    /// Into which cell of a neighbour; `None`: it fell asleep.
    pub to: Option<CellId>,
}

/// What came of a tick, in numbers that are the same whenever it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TickCheck {
    /// Entities after it.
    pub entities: u32,
    /// Hash of all that the world said: effects, events, transfers, news, comings and goings, the change feed.
    pub said: u64,
    /// Some of the entities; others in other ticks.
    pub looked: Vec<LookedAt>,
    /// Of those: a sum of hashes per column, positions first, then each component in the registry's order.
    pub columns: Vec<u64>,
}

/// One entity that was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookedAt {
    /// Who.
    pub entity: EntityId,
    /// Of its place and all its components.
    pub hash: u32,
}

/// How a recording ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingEnd {
    /// In words.
    pub why: String,
    /// How many ticks were recorded.
    pub ticks: u64,
    /// The world's state hash after the last of them; nothing when it was not asked.
    pub hash: u64,
    /// The shard itself ended it, so `hash` counts.
    pub is_whole: bool,
}

/// Why bytes are not a recording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// Something else.
    #[error("this is no recording of a shard; `pangaea record` makes them")]
    NotARecording,
    /// Of another build.
    #[error("a recording of version {found}; this build reads version {RECORDING_VERSION}: use the build that made it")]
    Version {
        /// As found.
        found: u8,
    },
    /// The end is missing.
    #[error("the recording breaks off after {ticks} ticks, at byte {at}: it was not copied whole, or its writing was cut off")]
    BrokenOff {
        /// Whole ticks before.
        ticks: u64,
        /// Where the last whole frame ends.
        at: u64,
    },
    /// A checksum does not fit.
    #[error("the recording is damaged in the frame at byte {at}, after {ticks} ticks: its checksum does not fit")]
    Damaged {
        /// Whole ticks before.
        ticks: u64,
        /// Where the frame begins.
        at: u64,
    },
    /// A frame that does not belong there.
    #[error("the frame at byte {at} is not what stands there in a recording")]
    Misplaced {
        /// Where it begins.
        at: u64,
    },
    /// A frame whose checksum fits and which cannot be read.
    #[error("the frame at byte {at} cannot be read")]
    Unreadable {
        /// Where it begins.
        at: u64,
        /// Why.
        #[source]
        source: WireError,
    },
    /// Numbers that no shard has.
    #[error("the recording's {what} is impossible")]
    Impossible {
        /// Which.
        what: &'static str,
    },
}

/// Makes frames, one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameWriter {
    /// Checksum of all frames so far.
    chain: u32,
}

impl FrameWriter {
    /// What a recording begins with, and the writer of what follows.
    pub fn start() -> (Self, Bytes) {
        (Self::default(), [MAGIC.as_slice(), &[RECORDING_VERSION]].concat().into())
    }

    /// The next frame.
    pub fn frame(&mut self, value: &impl Stored) -> Bytes {
        let body = value.to_stored();
        self.chain = chained(self.chain, &body);
        let mut frame = BytesMut::with_capacity(FRAME_HEAD_BYTES + body.len());
        frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
        frame.extend_from_slice(&self.chain.to_le_bytes());
        frame.extend_from_slice(&body);
        frame.freeze()
    }
}

/// Follows a recording as it comes, in pieces of any size.
#[derive(Debug, Default)]
pub struct FrameScanner {
    waiting: BytesMut,
    chain: u32,
    whole: u64,
    ticks: u64,
    is_over: bool,
}

impl FrameScanner {
    /// More of it.
    ///
    /// # Errors
    /// It is no recording, or it is damaged.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), RecordingError> {
        self.waiting.extend_from_slice(bytes);
        if self.whole == 0 {
            if self.waiting.len() < START_BYTES {
                return Ok(());
            }
            check_start(&self.waiting)?;
            let _ = self.waiting.split_to(START_BYTES);
            self.whole = START_BYTES as u64;
        }
        while let Some(length) = whole_frame(&self.waiting, self.chain, (self.ticks, self.whole))? {
            let frame = self.waiting.split_to(length);
            let body = &frame[FRAME_HEAD_BYTES..];
            self.chain = chained(self.chain, body);
            self.whole += length as u64;
            self.ticks += u64::from(body.starts_with(&RecordedTick::FORM));
            self.is_over |= body.starts_with(&RecordingEnd::FORM);
        }
        Ok(())
    }

    /// Whole ticks so far.
    pub fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Bytes of whole frames so far.
    pub fn whole_bytes(&self) -> u64 {
        self.whole
    }

    /// All bytes so far.
    pub fn bytes(&self) -> u64 {
        self.whole + self.waiting.len() as u64
    }

    /// Its end has come.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The frame that ends it behind the last whole one, for who hears no more.
    pub fn last_frame(&self, why: &str) -> Bytes {
        FrameWriter { chain: self.chain }.frame(&RecordingEnd {
            why: why.to_owned(),
            ticks: self.ticks,
            hash: 0,
            is_whole: false,
        })
    }
}

/// A whole recording, checked; ticks are read when they are wanted.
#[derive(Clone, Debug)]
pub struct Recording {
    head: RecordingHead,
    records: Vec<Record>,
    /// Where each tick's body begins, and the bodies themselves.
    ticks: Vec<(u64, Bytes)>,
    end: RecordingEnd,
}

impl Recording {
    /// Checks all of it.
    ///
    /// # Errors
    /// It is something else, of another version, damaged, or not whole; in words.
    pub fn read(bytes: &Bytes) -> Result<Self, RecordingError> {
        if bytes.len() < START_BYTES && MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) && !bytes.is_empty() {
            return Err(RecordingError::BrokenOff { ticks: 0, at: 0 });
        }
        check_start(bytes)?;
        let (mut at, mut chain) = (START_BYTES, 0);
        let (mut head, mut records, mut ticks, mut end) = (None::<RecordingHead>, Vec::new(), Vec::new(), None);
        while at < bytes.len() {
            let place = at as u64;
            let so_far = ticks.len() as u64;
            let whole = whole_frame(&bytes[at..], chain, (so_far, place))?;
            let length = whole.ok_or(RecordingError::BrokenOff { ticks: so_far, at: place })?;
            let body = bytes.slice(at + FRAME_HEAD_BYTES..at + length);
            chain = chained(chain, &body);
            let unreadable = |source| RecordingError::Unreadable { at: place, source };
            match body.first_chunk() {
                _ if end.is_some() => return Err(RecordingError::Misplaced { at: place }),
                Some(&RecordingHead::FORM) if head.is_none() => {
                    head = Some(RecordingHead::from_stored(&body).map_err(unreadable)?);
                }
                Some(&RecordingPart::FORM) if head.is_some() && ticks.is_empty() => {
                    records.append(&mut RecordingPart::from_stored(&body).map_err(unreadable)?.records);
                }
                Some(&RecordedTick::FORM) if head.is_some() => ticks.push((place, body)),
                Some(&RecordingEnd::FORM) if head.is_some() => {
                    end = Some(RecordingEnd::from_stored(&body).map_err(unreadable)?);
                }
                _ => return Err(RecordingError::Misplaced { at: place }),
            }
            at += length;
        }
        let broken = RecordingError::BrokenOff { ticks: ticks.len() as u64, at: at as u64 };
        let (head, end) = head.zip(end).ok_or(broken)?;
        possible(&head, &records)?;
        if end.ticks != ticks.len() as u64 {
            return Err(RecordingError::Impossible { what: "number of ticks" });
        }
        Ok(Self { head, records, ticks, end })
    }

    /// Where it begins.
    pub fn head(&self) -> &RecordingHead {
        &self.head
    }

    /// The entities that were there, in order of id.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How many ticks it has.
    pub fn ticks(&self) -> usize {
        self.ticks.len()
    }

    /// One of its ticks, from 0; `None` behind the last.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn tick(&self, number: usize) -> Result<Option<RecordedTick>, RecordingError> {
        let Some((at, body)) = self.ticks.get(number) else { return Ok(None) };
        RecordedTick::from_stored(body).map(Some).map_err(|source| RecordingError::Unreadable { at: *at, source })
    }

    /// How it ended.
    pub fn end(&self) -> &RecordingEnd {
        &self.end
    }
}

fn check_start(bytes: &[u8]) -> Result<(), RecordingError> {
    match bytes.strip_prefix(&MAGIC).and_then(<[u8]>::first) {
        Some(&RECORDING_VERSION) => Ok(()),
        Some(&found) => Err(RecordingError::Version { found }),
        None => Err(RecordingError::NotARecording),
    }
}

/// Length of the frame that `bytes` begin with, head included; `None`: not all of it is there.
fn whole_frame(bytes: &[u8], chain: u32, (ticks, at): (u64, u64)) -> Result<Option<usize>, RecordingError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let Some((sum, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(RecordingError::Damaged { ticks, at });
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    if chained(chain, body) != u32::from_le_bytes(*sum) {
        return Err(RecordingError::Damaged { ticks, at });
    }
    Ok(Some(FRAME_HEAD_BYTES + length))
}

/// The length is part of it, so that an empty frame is not nothing.
fn chained(chain: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(chain);
    hasher.update(&(body.len() as u32).to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn possible(head: &RecordingHead, records: &[Record]) -> Result<(), RecordingError> {
    let space = &head.space;
    let map = space.level <= SPACE_LEVEL_MAX && space.shard_level <= space.level && space.space == head.shard.space;
    let shard = head.shard.level <= SHARD_LEVEL_MAX && head.shard.level <= space.level;
    let checks = [
        (map && shard && space.contains(head.shard.first_cell()), "map"),
        (crate::TickRate::new(head.hz).is_some(), "tick rate"),
        (records.len() == head.entities as usize, "number of entities"),
        (head.ids.iter().all(|(first, end)| first <= end), "block of ids"),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(RecordingError::Impossible { what }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::SpaceId;

    fn recording(ticks: u64) -> Vec<u8> {
        let space = SpaceSpec { space: SpaceId(0), name: "map".to_owned(), level: 5, shard_level: 3 };
        let head = RecordingHead {
            shard: ShardId { space: SpaceId(0), level: 3, x: 2, z: 2 },
            space,
            hz: 20,
            registry: RegistryHash(7),
            after: Tick(9),
            seed: 3,
            pending: Vec::new(),
            ids: vec![(5, 9)],
            hash: 11,
            entities: 0,
        };
        let (mut writer, start) = FrameWriter::start();
        let mut bytes = start.to_vec();
        bytes.extend(writer.frame(&head));
        bytes.extend(writer.frame(&RecordingPart::default()));
        for n in 1..=ticks {
            bytes.extend(writer.frame(&RecordedTick { tick: Tick(9 + n), ..RecordedTick::default() }));
        }
        bytes.extend(writer.frame(&RecordingEnd { why: "time".to_owned(), ticks, hash: 5, is_whole: true }));
        bytes
    }

    fn read(bytes: Vec<u8>) -> Result<Recording, RecordingError> {
        Recording::read(&Bytes::from(bytes))
    }

    #[test]
    fn a_recording_comes_back_whole() {
        let recording = read(recording(3)).expect("whole");
        assert_eq!((recording.ticks(), recording.end().hash, recording.head().seed), (3, 5, 3));
        assert_eq!(recording.tick(2).expect("readable").map(|tick| tick.tick), Some(Tick(12)));
        assert_eq!(recording.tick(3), Ok(None));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let good = recording(3);
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(read(bad).is_err(), "bit {bit} of byte {at}");
            }
            assert!(read(good[..at].to_vec()).is_err(), "cut at {at}");
        }
        let mut longer = good.clone();
        longer.extend_from_within(good.len() - 40..);
        assert!(read(longer).is_err(), "something behind its end");
    }

    #[test]
    fn frames_that_are_left_out_doubled_or_exchanged_are_found() {
        let good = recording(2);
        let ends = {
            let (mut at, mut ends) = (START_BYTES, vec![START_BYTES]);
            while at < good.len() {
                at += FRAME_HEAD_BYTES + u32::from_le_bytes(*good[at..].first_chunk().expect("a frame")) as usize;
                ends.push(at);
            }
            ends
        };
        let frame = |n: usize| &good[ends[n]..ends[n + 1]];
        assert!(read([&good[..ends[2]], frame(3), frame(4)].concat()).is_err(), "left out");
        assert!(read([&good[..ends[3]], frame(2), frame(3), frame(4)].concat()).is_err(), "doubled");
        assert!(read([&good[..ends[2]], frame(3), frame(2), frame(4)].concat()).is_err(), "exchanged");
    }

    #[test]
    fn refusals_say_what_it_is() {
        assert_eq!(read(b"%PDF-1.7 and so on".to_vec()).err(), Some(RecordingError::NotARecording));
        assert_eq!(read(Vec::new()).err(), Some(RecordingError::NotARecording));
        let mut other = recording(1);
        other[7] = 9;
        assert_eq!(
            read(other).err().map(|error| error.to_string()).as_deref(),
            Some("a recording of version 9; this build reads version 1: use the build that made it")
        );
        let cut = recording(3);
        let text = read(cut[..cut.len() - 1].to_vec()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.starts_with("the recording breaks off after 3 ticks"), "{text}");
    }

    #[test]
    fn a_scanner_follows_pieces_of_any_size_and_can_end_what_breaks_off() {
        let good = recording(5);
        for size in [1, 7, 64, good.len()] {
            let mut scanner = FrameScanner::default();
            good.chunks(size).for_each(|piece| scanner.take(piece).expect("sound"));
            assert_eq!((scanner.ticks(), scanner.whole_bytes(), scanner.is_over()), (5, good.len() as u64, true));
        }
        let mut scanner = FrameScanner::default();
        let cut = good.len() - 60;
        scanner.take(&good[..cut]).expect("sound");
        let whole = scanner.whole_bytes() as usize;
        assert!(!scanner.is_over() && whole < cut);
        let ended = read([&good[..whole], &scanner.last_frame("it moved")].concat()).expect("whole again");
        assert_eq!((ended.end().why.as_str(), ended.end().is_whole), ("it moved", false));
        assert_eq!(ended.ticks() as u64, scanner.ticks());
        assert!(FrameScanner::default().take(b"something else").is_err());
    }
}
