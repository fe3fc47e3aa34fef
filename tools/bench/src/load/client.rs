//! One client of the crowd.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use pangaea_schemas::client::{ClientMessage, Input, PROTOCOL_VERSION, ServerMessage};
use pangaea_schemas::geometry::Position;
use pangaea_schemas::message::Credentials;
use pangaea_schemas::wire::client::{FromServer, decode_server, encode_client};
use pangaea_schemas::wire::update::{Update, is_update};
use pangaea_schemas::{EntityId, InSeq, OutSeq, RegistryHash, Tick, TypeId};

use super::Server;
use super::sight::Witness;
use crate::game::name_of;

/// An input to the bare loop: its number and a direction.
pub(crate) const INPUT_BYTES: usize = 8;
/// Places of its own that a client remembers, so that witnesses can be judged.
const PLACES: usize = 16;
/// Inputs whose sending is remembered.
const SENT: usize = 64;
/// Nobody strays farther from home, in metres, so that density stays what it is.
const HOME_M: f32 = 25.0;
/// So far nobody comes by wandering: a turn takes up to 2.5 s, at 6 m/s.
const ASTRAY_M: f32 = 3.0 * HOME_M;

/// Where a client leaves what it hears.
pub(super) struct Heard<'a> {
    /// From an input to its acknowledgement, in seconds.
    pub(super) latencies: &'a mut Vec<f64>,
    pub(super) witness: &'a mut Witness,
}

/// See the module.
pub(super) struct Client {
    server: Server,
    number: usize,
    socket: TcpStream,
    /// What is left of the last read.
    rest: Vec<u8>,
    plays: bool,
    looks: bool,
    home: Position,
    pub(super) agent: EntityId,
    ticket: String,
    rng: fastrand::Rng,
    heading: (i8, i8),
    turns_at: Duration,
    seq: u32,
    acknowledged: u32,
    sent_at: [Duration; SENT],
    updates: u32,
    bytes: u64,
    /// Own places, the newest last.
    pub(super) places: VecDeque<(Tick, Position)>,
}

impl Client {
    pub(super) fn new(server: Server, number: usize, socket: TcpStream, home: Position, looks: bool) -> anyhow::Result<Self> {
        let mut client = Self {
            server,
            number,
            socket,
            rest: Vec::new(),
            plays: server == Server::Bare,
            looks: looks && server == Server::Gateway,
            home,
            agent: EntityId::NONE,
            ticket: String::new(),
            rng: fastrand::Rng::with_seed(number as u64),
            heading: (0, 0),
            turns_at: Duration::ZERO,
            seq: 0,
            acknowledged: 0,
            sent_at: [Duration::ZERO; SENT],
            updates: 0,
            bytes: 0,
            places: VecDeque::new(),
        };
        if server == Server::Gateway {
            let client_name = "pangaea bench".to_owned();
            client.say(&ClientMessage::Hello { protocol: PROTOCOL_VERSION, registry: RegistryHash(0), client: client_name })?;
        }
        Ok(client)
    }

    pub(super) fn plays(&self) -> bool {
        self.plays
    }

    pub(super) fn updates(&self) -> u32 {
        self.updates
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it was born elsewhere, or was driven away: then everybody's density is not what a row says.
    pub(super) fn is_astray(&self) -> bool {
        self.places.back().is_some_and(|(_, place)| place.distance(self.home) > ASTRAY_M)
    }

    pub(super) fn begin_count(&mut self) {
        (self.updates, self.bytes) = (0, 0);
    }

    /// One input: straight on for a second or two, then elsewhere.
    pub(super) fn act(&mut self, now: Duration) -> anyhow::Result<()> {
        if !self.plays {
            return Ok(());
        }
        if now >= self.turns_at {
            self.turns_at = now + Duration::from_secs_f32(0.5 + self.rng.f32() * 2.0);
            self.heading = self.next_heading();
        }
        self.seq += 1;
        self.sent_at[self.seq as usize % SENT] = now;
        let (dx, dz) = self.heading;
        let body = match self.server {
            Server::Gateway => {
                let input =
                    Input { seq: InSeq(self.seq), id: TypeId::of("move"), bytes: Bytes::copy_from_slice(&[dx as u8, dz as u8]) };
                encode_client(&ClientMessage::Inputs { inputs: vec![input], out_ack: OutSeq(0) })
            }
            Server::Bare => {
                let mut input = [0; INPUT_BYTES];
                input[..4].copy_from_slice(&self.seq.to_le_bytes());
                (input[4], input[5]) = (dx as u8, dz as u8);
                Bytes::copy_from_slice(&input)
            }
        };
        self.write(&body)
    }

    fn next_heading(&mut self) -> (i8, i8) {
        let at = self.places.back().map_or(self.home, |(_, place)| *place);
        let (x, z) = (self.home.x - at.x, self.home.z - at.z);
        let away = x.hypot(z);
        let angle = if away > HOME_M { z.atan2(x) } else { self.rng.f32() * std::f32::consts::TAU };
        ((angle.cos() * 127.0) as i8, (angle.sin() * 127.0) as i8)
    }

    fn say(&mut self, message: &ClientMessage) -> anyhow::Result<()> {
        self.write(&encode_client(message))
    }

    /// A server that does not take a few bytes is overrun: the input is lost, and shows as an update that does not come.
    fn write(&mut self, body: &[u8]) -> anyhow::Result<()> {
        let mut frame = Vec::with_capacity(body.len() + 4);
        frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
        frame.extend_from_slice(body);
        match self.socket.write(&frame) {
            Ok(written) if written == frame.len() => Ok(()),
            Ok(_) => bail!("client {}: half an input was taken", self.number),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error).with_context(|| format!("client {} was cut off", self.number)),
        }
    }

    /// Takes what has come.
    pub(super) fn read(&mut self, now: Duration, scratch: &mut [u8], heard: &mut Heard<'_>) -> anyhow::Result<()> {
        let count = match self.socket.read(scratch) {
            Ok(0) => bail!("client {} was sent away", self.number),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("client {} was cut off", self.number)),
        };
        self.bytes += count as u64;
        let mut rest = std::mem::take(&mut self.rest);
        let mut bytes: &[u8] = if rest.is_empty() {
            &scratch[..count]
        } else {
            rest.extend_from_slice(&scratch[..count]);
            &rest
        };
        while let Some((body, after)) = frame(bytes) {
            self.hear(now, body, heard)?;
            bytes = after;
        }
        self.rest = bytes.to_vec();
        Ok(())
    }

    fn hear(&mut self, now: Duration, body: &[u8], heard: &mut Heard<'_>) -> anyhow::Result<()> {
        if !is_update(body) {
            return self.hear_words(body);
        }
        self.updates += 1;
        let (tick, in_seq, place) = head(body).context("an update is cut short")?;
        for seq in self.acknowledged + 1..=in_seq.min(self.seq) {
            heard.latencies.push((now - self.sent_at[seq as usize % SENT]).as_secs_f64());
        }
        self.acknowledged = self.acknowledged.max(in_seq);
        self.places.push_back((tick, place));
        if self.places.len() > PLACES {
            self.places.pop_front();
        }
        if self.looks
            && let FromServer::Update(update) = decode_server(&Bytes::copy_from_slice(body))?
        {
            self.look(&update, heard.witness);
        }
        Ok(())
    }

    fn look(&mut self, update: &Update, witness: &mut Witness) {
        witness.see(self.number, self.agent, update);
    }

    fn hear_words(&mut self, body: &[u8]) -> anyhow::Result<()> {
        let FromServer::Message(message) = decode_server(&Bytes::copy_from_slice(body))? else { return Ok(()) };
        match message {
            ServerMessage::Welcome { .. } => {
                let name = name_of(self.number, self.home.into());
                self.say(&ClientMessage::Login(Credentials::Guest { name }))
            }
            ServerMessage::Ticket { ticket, agent, .. } => {
                self.agent = agent;
                self.ticket.clone_from(&ticket);
                self.say(&ClientMessage::Join { ticket })
            }
            ServerMessage::Joined { in_seq, .. } => {
                self.plays = true;
                (self.seq, self.acknowledged) = (in_seq.0, in_seq.0);
                Ok(())
            }
            // A busy world lets people wait; the crowd as a whole has a deadline.
            ServerMessage::Refused { retry_after_ms: 1.., .. } if !self.ticket.is_empty() && !self.plays => {
                self.say(&ClientMessage::Join { ticket: self.ticket.clone() })
            }
            ServerMessage::Refused { text, .. } | ServerMessage::Goodbye { text, .. } => {
                bail!("client {} is refused: {text}", self.number)
            }
            _ => Ok(()),
        }
    }
}

/// The first frame and what comes after it.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// Tick, last input applied and own place.
fn head(body: &[u8]) -> Option<(Tick, u32, Position)> {
    let tick = body.get(1..6)?.iter().rev().fold(0, |tick, byte| tick << 8 | u64::from(*byte));
    let rest = skip_varint(body.get(6..)?)?.1;
    let (in_seq, rest) = skip_varint(rest)?;
    let rest = skip_varint(rest)?.1;
    let float = |at: usize| Some(f32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    Some((Tick(tick), in_seq as u32, Position { x: float(0)?, z: float(4)? }))
}

fn skip_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let value = bytes[..length].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    Some((value, &bytes[length..]))
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::AgentEpoch;
    use pangaea_schemas::wire::update::{UpdateHead, UpdateWriter};

    use super::*;

    #[test]
    fn the_quick_reading_of_a_head_agrees_with_the_proper_one() {
        let position = Position { x: 511.7, z: 3.25 };
        let written = UpdateHead {
            tick: Tick(38_000_000_123),
            agent_epoch: AgentEpoch(300),
            in_seq: InSeq(70_000),
            applied: InSeq(70_003),
            position,
            dilation_percent: 100,
        };
        let body = UpdateWriter::default().finish(&written);
        assert_eq!(head(&body), Some((written.tick, 70_000, position)));
    }
}
