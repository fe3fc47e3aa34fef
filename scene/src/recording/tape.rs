//! The tape: what a world hears while it is recorded, as a file would have it, until it is fetched.
//!
//! It is filled by the thread that ticks the shard and never waits: it grows in memory up to [`WAITING_BYTES_MAX`]. Whoever
//! fetches says how far it came, and what stands before is dropped.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use pangaea_schemas::geometry::CellId;
use pangaea_schemas::message::{RECORDED_BYTES_MAX, RestAnswer};
use pangaea_schemas::record::{Record, SessionState};
use pangaea_schemas::recording::{
    FrameWriter, RECORDING_BYTES_MAX, RecordedBirth, RecordedExit, RecordedLink, RecordedPlacement, RecordedTick, RecordingEnd,
    RecordingHead, RecordingPart,
};
use pangaea_schemas::rules::Rules;
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{EntityId, RegistryHash};

use super::check::hash_simulated;
use super::{PART_BYTES_MAX, SILENCE_TICKS_MAX, WAITING_BYTES_MAX};
use crate::ecs::{Copied, Published, ShardWorld, Simulated, TickInput};

/// What is to be recorded.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Names the recording.
    pub key: u64,
    /// For how long.
    pub seconds: u32,
    /// Of the game that runs.
    pub registry: RegistryHash,
}

/// See the module.
#[derive(Debug)]
pub struct Tape {
    key: u64,
    writer: FrameWriter,
    /// What was heard for the tick that runs or comes next.
    tick: RecordedTick,
    /// Hash of what its systems said.
    said: u64,
    ticks: u64,
    ticks_left: u64,
    /// Since somebody fetched.
    silence: u64,
    /// What waits to be fetched.
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// Where in the recording that begins.
    first: u64,
    /// Why it ends with the tick that runs or comes next.
    ending: Option<&'static str>,
    is_over: bool,
}

impl Tape {
    fn begin(order: Order, head: &RecordingHead, records: Vec<Record>, ticks: u64) -> Self {
        let (writer, start) = FrameWriter::start();
        let mut tape = Self {
            key: order.key,
            writer,
            tick: RecordedTick::default(),
            said: 0,
            ticks: 0,
            ticks_left: ticks.max(1),
            silence: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            first: 0,
            ending: None,
            is_over: false,
        };
        tape.put(start);
        tape.write(head);
        let mut part = RecordingPart::default();
        let mut bytes = 0;
        for record in records {
            bytes += record.components.iter().map(|component| component.bytes.len()).sum::<usize>();
            part.records.push(record);
            if bytes >= PART_BYTES_MAX {
                tape.write(&std::mem::take(&mut part));
                bytes = 0;
            }
        }
        if !part.records.is_empty() {
            tape.write(&part);
        }
        tape
    }

    /// Which recording it is.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// It takes up nothing more.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// It ends with the next tick.
    pub fn end(&mut self, why: &'static str) {
        self.ending.get_or_insert(why);
    }

    /// The next bytes from there on; what stands before is dropped. `None`: that was dropped already.
    pub fn fetch(&mut self, from: u64) -> Option<Bytes> {
        self.silence = 0;
        let mut behind = from.checked_sub(self.first)?;
        while behind > 0 {
            let front = self.waiting.front_mut()?;
            let length = (front.len() as u64).min(behind);
            front.advance(length as usize);
            if front.is_empty() {
                self.waiting.pop_front();
            }
            behind -= length;
            self.first += length;
            self.waiting_bytes -= length as usize;
        }
        let mut bytes = BytesMut::with_capacity(self.waiting_bytes.min(RECORDED_BYTES_MAX));
        for piece in &self.waiting {
            let room = RECORDED_BYTES_MAX - bytes.len();
            bytes.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() >= room {
                break;
            }
        }
        Some(bytes.freeze())
    }

    /// Nobody wants it any more: all of it was fetched, or nobody did for long.
    pub fn is_forgotten(&self) -> bool {
        self.silence > SILENCE_TICKS_MAX || self.is_over && self.waiting.is_empty()
    }

    pub(crate) fn hear_rules(&mut self, rules: &Rules) {
        self.tick.rules.push(rules.clone());
    }

    pub(crate) fn hear_ids(&mut self, first: EntityId, count: u64) {
        self.tick.ids.push((first.0, first.0 + count));
    }

    pub(crate) fn hear_input(&mut self, input: &TickInput) {
        let TickInput {
            tick,
            arrivals,
            births,
            connected,
            placements,
            inputs,
            effects,
            ledger,
            news,
            ghosts,
            ghost_sources_lost,
            scripts_rest,
        } = input;
        self.tick.tick = *tick;
        // Sessions do not reach the world.
        let stripped = |record: &Record| Record { session: SessionState::default(), ..record.clone() };
        self.tick.arrivals = arrivals.iter().map(stripped).collect();
        self.tick.births = births.iter().map(|(agent, birth)| RecordedBirth { agent: *agent, birth: birth.clone() }).collect();
        self.tick.links = connected.iter().map(|(agent, on)| RecordedLink { agent: *agent, is_connected: *on }).collect();
        let placement = |(entity, position): &(EntityId, _)| RecordedPlacement { entity: *entity, position: *position };
        self.tick.placements = placements.iter().map(placement).collect();
        self.tick.inputs.clone_from(inputs);
        self.tick.effects.clone_from(effects);
        self.tick.answers = ledger.iter().map(RestAnswer::from).collect();
        self.tick.news.clone_from(news);
        self.tick.ghosts.clone_from(ghosts);
        self.tick.silent.clone_from(ghost_sources_lost);
        self.tick.scripts_rest = *scripts_rest;
    }

    pub(crate) fn hear_said(&mut self, said: &Simulated) {
        self.said = hash_simulated(said);
    }

    pub(crate) fn hear_exit(&mut self, entity: EntityId, to: Option<CellId>) {
        self.tick.exits.push(RecordedExit { entity, to });
    }

    fn write(&mut self, value: &impl Stored) {
        let frame = self.writer.frame(value);
        self.put(frame);
    }

    fn put(&mut self, bytes: Bytes) {
        self.waiting_bytes += bytes.len();
        self.waiting.push_back(bytes);
    }

    /// Why this is its last tick, if it is.
    fn ends(&self) -> Option<&'static str> {
        let bytes = self.first + self.waiting_bytes as u64;
        match self.ending {
            Some(why) => Some(why),
            None if self.ticks_left == 0 => Some("its time was up"),
            None if self.waiting_bytes > WAITING_BYTES_MAX => Some("it was not fetched as fast as it grew"),
            None if bytes > RECORDING_BYTES_MAX => Some("it had grown as large as a recording may be"),
            None => None,
        }
    }
}

impl ShardWorld {
    /// Let the tape hear something, if there is one.
    pub(crate) fn on_tape(&mut self, hear: impl FnOnce(&mut Tape)) {
        if let Some(tape) = self.tape.as_mut().filter(|tape| !tape.is_over) {
            hear(tape);
        }
    }

    /// The tick is over: what was heard for it becomes a frame. The last one is followed by the hash of everything.
    pub(crate) fn end_taped_tick(&mut self, published: &Published) {
        let Some(mut tape) = self.tape.take() else { return };
        tape.silence += 1;
        if !tape.is_over {
            let tick = std::mem::take(&mut tape.tick);
            let check = self.check(tick.tick, tape.said, published);
            tape.write(&RecordedTick { check, ..tick });
            tape.ticks += 1;
            tape.ticks_left -= 1;
            if let Some(why) = tape.ends() {
                let end = RecordingEnd { why: why.to_owned(), ticks: tape.ticks, hash: self.state_hash(), is_whole: true };
                tape.write(&end);
                tape.is_over = true;
            }
        }
        if !tape.is_forgotten() {
            self.tape = Some(tape);
        }
    }

    /// Becomes what it is already, built anew in the empty world `fresh` of the same shard and game, with a tape from here on. It
    /// must stand between two ticks. `false`: the copy differs, and nothing has changed; that would be a bug.
    #[must_use]
    pub fn begin_tape(&mut self, mut fresh: Self, order: Order) -> bool {
        let mut copied = Copied::default();
        let delta = self.delta(&mut copied);
        let rest = self.rest(&copied);
        fresh.overwrite(&delta);
        if !fresh.complete(rest.clone()) {
            return false;
        }
        let (rate, after) = (self.rate(), self.tick());
        let head = RecordingHead {
            shard: self.bounds.shard,
            space: self.bounds.space.clone(),
            hz: rate.hz(),
            registry: order.registry,
            after,
            seed: rest.seed,
            pending: rest.pending,
            ids: rest.ids,
            hash: rest.hash,
            entities: delta.records.len() as u32,
        };
        let ticks = rate.ticks_in(Duration::from_secs(u64::from(order.seconds)));
        fresh.tape = Some(Box::new(Tape::begin(order, &head, delta.records, ticks)));
        *self = fresh;
        true
    }

    /// The tape, while the shard is recorded and until it is fetched.
    pub fn tape_mut(&mut self) -> Option<&mut Tape> {
        self.tape.as_deref_mut()
    }
}
