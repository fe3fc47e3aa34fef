//! Ingest: how entities come into a shard's world, and how what was sent to them reaches their systems.

use std::collections::BTreeSet;

use bevy_ecs::bundle::Bundle;
use bevy_ecs::entity::Entity;
use bevy_ecs::world::{EntityWorldMut, World};
use fastrand::Rng;
use pangaea_scene_macros::component;
use pangaea_schemas::geometry::{ShardId, SpaceSpec};
use pangaea_schemas::message::{Birth, ClientInput, Effect};
use pangaea_schemas::record::Record;
use pangaea_schemas::registry::TYPES_MAX;
use pangaea_schemas::{AccountId, EntityId, TypeId};

use super::kinds::MessageKind;
use super::ledger::Answers;
use super::mail::{Letter, Newspaper};
use super::motion::{Position, Velocity};
use super::plain::DecodeError;
use super::population::{Filed, Identity, Population};
use super::senses::{IdPool, Now, mix};
use super::shard_world::{ShardWorld, Simulated, TickInput};
use super::versions::{Carried, CarriedPart};

/// A player's agent. Given at birth, stays for ever.
#[component]
pub struct Player {
    pub(crate) connected: u8,
}

impl Player {
    /// Whether a client is there now; without one the agent stays awake for a while.
    pub fn is_connected(&self) -> bool {
        self.connected != 0
    }
}

/// Goes wherever another entity goes: a mount with its rider. Insert it to bind, remove it to set free. Both must live in one
/// shard when tied; from then on they cross cuts together, all of a group or none. Ties may form chains, and circles, which the
/// lowest id leads. At most [`GROUP_MAX`](crate::handover::GROUP_MAX) entities: a larger group stays where it is.
#[component]
pub struct Tied {
    /// Who leads.
    pub to: EntityId,
}

/// A new player's agent, being given what it starts with.
pub struct Birthing<'w> {
    id: EntityId,
    birth: &'w Birth,
    rng: Rng,
    agent: EntityWorldMut<'w>,
}

impl Birthing<'_> {
    /// The agent.
    pub fn id(&self) -> EntityId {
        self.id
    }

    /// What others call it.
    pub fn name(&self) -> &str {
        &self.birth.name
    }

    /// Whose it is.
    pub fn account(&self) -> AccountId {
        self.birth.account
    }

    /// Where it stands so far: near the middle of the space.
    pub fn position(&self) -> Position {
        self.agent.get().copied().unwrap_or_default()
    }

    /// Put it there.
    pub fn stand_at(&mut self, position: Position) {
        self.agent.insert(position);
    }

    /// Give it components.
    pub fn insert(&mut self, components: impl Bundle) -> &mut Self {
        self.agent.insert(components);
        self
    }

    /// The same numbers for the same agent.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }
}

/// A new shard, being filled by the game's spawners.
pub struct Seeding<'w> {
    shard: ShardId,
    space: &'w SpaceSpec,
    abundance: u16,
    rng: Rng,
    world: &'w mut World,
}

impl Seeding<'_> {
    /// Which shard.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The map it is cut from.
    pub fn space(&self) -> &SpaceSpec {
        self.space
    }

    /// How many times the usual life this cluster wants: 1, or more to see how it fares in a crowd.
    pub fn abundance(&self) -> u16 {
        self.abundance
    }

    /// The same numbers for the same shard.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Somewhere in the shard.
    pub fn anywhere(&mut self) -> Position {
        let edge = f32::from(self.shard.edge_cells()) * pangaea_schemas::geometry::CELL_EDGE_M;
        let corner = self.shard.first_cell().corner();
        Position::new(corner.x + self.rng.f32() * edge, corner.z + self.rng.f32() * edge)
    }

    /// Make an entity. `None` when the ids have run out.
    pub fn at(&mut self, position: Position, components: impl Bundle) -> Option<EntityId> {
        let id = self.world.resource::<IdPool>().draw()?;
        self.world.spawn((Identity::new(id), Filed::NEW, position, Velocity::default())).insert(components);
        Some(id)
    }
}

/// How an entity came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// In this build's own layouts.
    AsTold,
    /// Some of it in others, which may be told otherwise from here on.
    Translated,
}

impl ShardWorld {
    /// Apply all that came, in a fixed order: ghosts, entities, connections, then messages.
    pub(crate) fn ingest(&mut self, input: TickInput) -> Simulated {
        let mut out = Simulated::default();
        self.on_tape(|tape| tape.hear_input(&input));
        self.world.resource_mut::<Now>().tick = input.tick;
        self.ingest_ghosts(&input.ghosts, &input.ghost_sources_lost);
        for record in &input.arrivals {
            self.arrive(record);
        }
        for (id, birth) in &input.births {
            self.give_birth(*id, birth);
        }
        self.file_newborns();
        for (id, connected) in input.connected {
            self.connect(id, connected);
        }
        for (id, position) in input.placements {
            // Whoever left meanwhile is not here any more.
            self.write(id, Position::from(position));
        }
        for effect in std::mem::take(&mut self.pending).into_iter().chain(input.effects) {
            self.receive(effect, &mut out);
        }
        for client_input in &input.inputs {
            self.apply(client_input);
        }
        self.world.resource_mut::<Answers>().0 = input.ledger;
        self.world.resource_mut::<Newspaper>().0 = input.news;
        self.begin_scripts(input.scripts_rest);
        out
    }

    /// Empty the mailboxes.
    pub(crate) fn clear_mail(&mut self) {
        for kind in self.kinds.inputs.iter().chain(&self.kinds.effects) {
            (kind.clear)(&mut self.world);
        }
    }

    /// The entity lives here from now on. What this build does not know of it is carried on.
    pub(crate) fn arrive(&mut self, record: &Record) -> Arrival {
        let id = record.entity;
        if self.world.resource::<Population>().real(id).is_some() {
            tracing::error!(%id, "an entity arrived that is here already; the newcomer is dropped");
            return Arrival::AsTold;
        }
        let position = Position::from(record.position);
        let mut entity = self.world.spawn((Identity::new(id), Filed::NEW, position, Velocity::default()));
        let (mut carried, mut layered, mut is_sound) = (Vec::new(), BTreeSet::new(), true);
        let mut note = |outcome: Result<(), DecodeError>| {
            if let Err(error) = outcome {
                tracing::error!(%id, %error, "a component of a record is left out");
                is_sound = false;
            }
        };
        for component in &record.components {
            match self.kinds.with_layout(component.id) {
                Some((kind, _)) if kind.formers.is_empty() => note((kind.insert)(&mut entity, &component.bytes)),
                Some((kind, _)) => _ = layered.insert(kind.id),
                None => {
                    carried.push(CarriedPart { component: component.clone(), lasts: !record.fleeting.contains(&component.id) })
                }
            }
        }
        let held = |id: TypeId| record.components.iter().find(|part| part.id == id).map(|part| &part.bytes[..]);
        for kind in layered.iter().filter_map(|id| self.kinds.component(*id)) {
            let bytes = kind.gather(held);
            note(bytes.and_then(|bytes| bytes.map_or(Ok(()), |bytes| (kind.insert)(&mut entity, &bytes))));
        }
        let is_as_told = layered.is_empty() && carried.is_empty();
        if !carried.is_empty() {
            entity.insert(Carried(carried));
        }
        if is_sound && !is_as_told { Arrival::Translated } else { Arrival::AsTold }
    }

    fn give_birth(&mut self, id: EntityId, birth: &Birth) {
        if self.world.resource::<Population>().real(id).is_some() {
            tracing::error!(%id, "an agent was born twice; the second birth is ignored");
            return;
        }
        let now = self.world.resource::<Now>();
        let middle = now.space.edge_m() / 2.0;
        let rng = Rng::with_seed(mix(now.seed ^ mix(id.0)));
        let components =
            (Identity::new(id), Filed::NEW, Position::new(middle, middle), Velocity::default(), Player { connected: 1 });
        let agent = self.world.spawn(components);
        let mut birthing = Birthing { id, birth, rng, agent };
        for endow in &self.births {
            endow(&mut birthing);
        }
    }

    /// Run the game's spawners; returns whom they made.
    pub(crate) fn seed(&mut self) -> Vec<EntityId> {
        let space = self.world.resource::<Now>().space.clone();
        let seed = self.world.resource::<Now>().seed;
        let rng = Rng::with_seed(mix(seed ^ mix(self.bounds.shard.to_bits())));
        let (shard, abundance) = (self.bounds.shard, self.abundance);
        let mut seeding = Seeding { shard, space: &space, abundance, rng, world: &mut self.world };
        for spawn in &self.spawners {
            spawn(&mut seeding);
        }
        self.file_newborns()
    }

    fn connect(&mut self, id: EntityId, connected: bool) {
        let Some(entity) = self.world.resource::<Population>().real(id) else { return };
        if let Some(mut player) = self.world.get_mut::<Player>(entity) {
            player.connected = connected.into();
        }
    }

    fn receive(&mut self, effect: Effect, out: &mut Simulated) {
        let Some(entity) = self.world.resource::<Population>().real(effect.to) else {
            let hint = self.shown_by(effect.to);
            out.effects.push((effect, hint));
            return;
        };
        let Effect { to, from, id, bytes, .. } = effect;
        match self.kinds.effects.iter().find(|kind| kind.id == id) {
            Some(kind) => deliver(&mut self.world, kind, Letter { entity, to, from, value: &bytes }),
            None => self.leave_out(id, to),
        }
    }

    /// An effect of another build: it counts as received, and does nothing. Said once for each sort.
    fn leave_out(&mut self, effect: TypeId, to: EntityId) {
        if self.strange.len() < TYPES_MAX && self.strange.insert(effect) {
            tracing::warn!(shard = %self.bounds.shard, %to, effect = effect.0, "an effect came that only another build knows: left out");
        }
    }

    fn apply(&mut self, input: &ClientInput) {
        let agent = input.agent;
        let Some(entity) = self.world.resource::<Population>().real(agent) else {
            tracing::warn!(%agent, "an input came for an agent that is not here");
            return;
        };
        match self.kinds.inputs.iter().find(|kind| kind.id == input.id) {
            Some(kind) => deliver(&mut self.world, kind, Letter { entity, to: agent, from: agent, value: &input.bytes }),
            None => tracing::debug!(%agent, input = input.id.0, "a client sent an input that this game does not know"),
        }
    }

    /// The entity of a real id.
    pub(crate) fn real(&self, id: EntityId) -> Option<Entity> {
        self.world.resource::<Population>().real(id)
    }
}

fn deliver(world: &mut World, kind: &MessageKind, letter: Letter<&[u8]>) {
    let to = letter.to;
    if let Err(error) = (kind.deliver)(world, letter) {
        tracing::debug!(%to, %error, "a message is left out");
    }
}
