//! What reaches systems from outside the tick, and what they send: inputs, effects, events, bus messages, ledger operations.
//!
//! Incoming messages lie in one mailbox per type for one tick. Outgoing ones wait in a buffer of the system and reach the
//! outbox in the order of systems, so that sending makes no two systems ambiguous.

use bevy_ecs::entity::Entity;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Deferred, Res, SystemBuffer, SystemMeta, SystemParam};
use bevy_ecs::world::DeferredWorld;
use bytes::Bytes;
use pangaea_schemas::message::{BUS_BYTES_MAX, BusEvent, Effect};
use pangaea_schemas::{EntityId, TypeId};

use super::ledger::Transfer;
use super::plain::Plain;
use crate::scripts::Heard;

/// One message in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Letter<T> {
    /// Whom it concerns, for queries of this tick.
    pub entity: Entity,
    /// Whom it concerns.
    pub to: EntityId,
    /// Who caused it; the agent itself for inputs.
    pub from: EntityId,
    /// What.
    pub value: T,
}

impl<T> Letter<T> {
    pub(crate) fn with<U>(&self, value: U) -> Letter<U> {
        Letter { entity: self.entity, to: self.to, from: self.from, value }
    }
}

/// The messages of one type that arrived for this tick.
#[derive(Resource)]
pub struct Mailbox<T: Plain>(Vec<Letter<T>>);

impl<T: Plain> Default for Mailbox<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Plain> Mailbox<T> {
    pub(crate) fn push(&mut self, letter: Letter<T>) {
        self.0.push(letter);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        let memory = |letter: &Letter<T>| Bytes::copy_from_slice(bytemuck::bytes_of(&letter.value));
        self.0.iter().map(|letter| Heard { to: letter.to, from: letter.from, bytes: memory(letter) }).collect()
    }
}

/// Inputs of one type that clients sent for their agents, in order of arrival. `letter.entity` is the agent.
#[derive(SystemParam)]
pub struct Inputs<'w, T: Plain> {
    mailbox: Res<'w, Mailbox<T>>,
}

impl<T: Plain> Inputs<'_, T> {
    /// All of this tick, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Letter<T>> {
        self.mailbox.0.iter()
    }
}

/// Effects of one type that arrived for entities of this shard, in order.
#[derive(SystemParam)]
pub struct Received<'w, T: Plain> {
    mailbox: Res<'w, Mailbox<T>>,
}

impl<T: Plain> Received<'_, T> {
    /// All of this tick, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Letter<T>> {
        self.mailbox.0.iter()
    }
}

/// Bus messages that arrived for this tick.
#[derive(Resource, Default)]
pub struct Newspaper(pub(crate) Vec<BusEvent>);

/// Messages of the world-wide bus, heard by every shard that runs now.
#[derive(SystemParam)]
pub struct News<'w> {
    newspaper: Res<'w, Newspaper>,
}

impl News<'_> {
    /// All of this tick whose subject starts with `prefix`, in order.
    pub fn about(&self, prefix: &str) -> impl Iterator<Item = &BusEvent> {
        self.newspaper.0.iter().filter(move |news| news.subject.starts_with(prefix))
    }
}

/// What systems sent in this tick.
#[derive(Resource, Default)]
pub struct Outbox {
    pub(crate) effects: Vec<Effect>,
    pub(crate) events: Vec<Told>,
    pub(crate) news: Vec<BusEvent>,
    pub(crate) ledger: Vec<Transfer>,
}

/// A reliable event on its way.
#[derive(Clone, Debug)]
pub struct Told {
    pub(crate) agent: EntityId,
    pub(crate) id: TypeId,
    pub(crate) bytes: Bytes,
}

/// A message that knows its place in the outbox.
pub trait Outgoing: Sized + Send + 'static {
    /// Its place.
    fn place(outbox: &mut Outbox) -> &mut Vec<Self>;
}

impl Outgoing for Effect {
    fn place(outbox: &mut Outbox) -> &mut Vec<Self> {
        &mut outbox.effects
    }
}

impl Outgoing for Told {
    fn place(outbox: &mut Outbox) -> &mut Vec<Self> {
        &mut outbox.events
    }
}

impl Outgoing for BusEvent {
    fn place(outbox: &mut Outbox) -> &mut Vec<Self> {
        &mut outbox.news
    }
}

impl Outgoing for Transfer {
    fn place(outbox: &mut Outbox) -> &mut Vec<Self> {
        &mut outbox.ledger
    }
}

/// What one system sent in one run.
pub struct Draft<T>(pub(crate) Vec<T>);

impl<T> Default for Draft<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Outgoing> SystemBuffer for Draft<T> {
    fn queue(&mut self, _: &SystemMeta, mut world: DeferredWorld) {
        T::place(&mut world.resource_mut::<Outbox>()).append(&mut self.0);
    }
}

/// Sends effects to entities by id, wherever they live. They arrive at the next tick, later across shards, never twice.
#[derive(SystemParam)]
pub struct Effects<'s> {
    draft: Deferred<'s, Draft<Effect>>,
}

impl Effects<'_> {
    /// `from` does `effect` to `to`.
    pub fn send<T: Plain>(&mut self, from: EntityId, to: EntityId, effect: &T) {
        let bytes = Bytes::copy_from_slice(bytemuck::bytes_of(effect));
        self.draft.0.push(Effect { to, from, id: TypeId::of(T::NAME), bytes, hops: 0, within: None });
    }
}

/// Tells players something that must not be lost.
#[derive(SystemParam)]
pub struct Events<'s> {
    draft: Deferred<'s, Draft<Told>>,
}

impl Events<'_> {
    /// Tell the player of `agent`, an agent of this shard. Whoever is not here as a player is not told.
    pub fn tell<T: Plain>(&mut self, agent: EntityId, event: &T) {
        let bytes = Bytes::copy_from_slice(bytemuck::bytes_of(event));
        self.draft.0.push(Told { agent, id: TypeId::of(T::NAME), bytes });
    }
}

/// Publishes on the world-wide bus: at most once to whoever listens now, this shard included.
#[derive(SystemParam)]
pub struct Bus<'s> {
    draft: Deferred<'s, Draft<BusEvent>>,
}

impl Bus<'_> {
    /// Publish under dotted words such as `chat.world`. Shards hear `chat.` and `world.`. More than [`BUS_BYTES_MAX`] is cut off.
    pub fn publish(&mut self, subject: &str, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(&bytes[..bytes.len().min(BUS_BYTES_MAX)]);
        self.draft.0.push(BusEvent { subject: subject.to_owned(), bytes });
    }
}
