//! What a game registered, with the types erased: per component how to insert, encode and find changes; per message how to
//! deliver.

use bevy_ecs::component::{Component, ComponentId, Mutable};
use bevy_ecs::entity::Entity;
use bevy_ecs::query::{Changed, QueryState};
use bevy_ecs::world::{EntityRef, EntityWorldMut, World};
use pangaea_schemas::TypeId;
use pangaea_schemas::registry::TypeInfo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::mail::{Letter, Mailbox};
use super::plain::{DecodeError, Plain, describe, read};
use super::population::{Filed, Ghosted, Identity};
use super::tunables::TunableKind;
use super::versions::Former;
use crate::scripts::{Column, Heard, PlainColumn};

/// Opens a column of one component in a world.
pub(crate) type ColumnOf = fn(&mut World) -> Box<dyn Column>;

/// A registered component.
#[derive(Clone)]
pub(crate) struct ComponentKind {
    pub(crate) id: TypeId,
    pub(crate) name: &'static str,
    /// Which layout of it this build has; the first is 1.
    pub(crate) version: u16,
    /// The layouts that it had before, the latest first: it is written in all of them.
    pub(crate) formers: Vec<Former>,
    /// The Rust type's path, for messages to designers.
    pub(crate) rust: &'static str,
    /// Of plain types.
    pub(crate) info: Option<TypeInfo>,
    pub(crate) replicated: bool,
    pub(crate) persistent: bool,
    pub(crate) ghosted: bool,
    pub(crate) insert: fn(&mut EntityWorldMut, &[u8]) -> Result<(), DecodeError>,
    pub(crate) insert_ghost: fn(&mut EntityWorldMut, &[u8]) -> Result<(), DecodeError>,
    /// Append the component's bytes; `false` when the entity has none.
    pub(crate) encode: fn(&EntityRef, &mut Vec<u8>) -> bool,
    /// The same of a ghost.
    pub(crate) encode_ghost: fn(&EntityRef, &mut Vec<u8>) -> bool,
    pub(crate) walker: fn(&mut World) -> Box<dyn Walker>,
    /// Its id in a world.
    pub(crate) register: fn(&mut World) -> ComponentId,
    /// For scripts, which read and write plain memory.
    pub(crate) column: Option<ColumnOf>,
}

/// Finds the changes of one component type in one world.
pub(crate) trait Walker: Send + Sync {
    /// Visit the real entities whose component changed in the world's present change scope, with its bytes.
    fn changed(&mut self, world: &mut World, visit: &mut dyn FnMut(&Identity, &Filed, &[u8]));

    /// Visit who lost the component since trackers were cleared, ceased entities included.
    fn removed(&self, world: &World, visit: &mut dyn FnMut(Entity));
}

impl ComponentKind {
    /// A plain component: its memory is its encoding.
    pub(crate) fn plain<T: Plain + Component<Mutability = Mutable>>() -> Self {
        Self {
            id: TypeId::of_version(T::NAME, T::VERSION),
            name: T::NAME,
            version: T::VERSION,
            formers: T::formers(),
            rust: std::any::type_name::<T>(),
            info: Some(describe::<T>()),
            replicated: false,
            persistent: false,
            ghosted: false,
            insert: |entity, bytes| {
                entity.insert(read::<T>(bytes)?);
                Ok(())
            },
            insert_ghost: |entity, bytes| {
                entity.insert(Ghosted::new(read::<T>(bytes)?));
                Ok(())
            },
            encode: |entity, out| entity.get::<T>().map(|value| out.extend_from_slice(bytemuck::bytes_of(value))).is_some(),
            encode_ghost: |entity, out| {
                entity.get::<Ghosted<T>>().map(|value| out.extend_from_slice(bytemuck::bytes_of::<T>(value))).is_some()
            },
            walker: |world| Box::new(PlainWalker::<T>::new(world)),
            register: World::register_component::<T>,
            column: Some(|world| Box::new(PlainColumn::<T>::new(world))),
        }
    }

    /// A component with strings or vectors, encoded by postcard.
    pub(crate) fn codec<T: Component + Serialize + DeserializeOwned>(name: &'static str) -> Self {
        Self {
            id: TypeId::of(name),
            name,
            version: 1,
            formers: Vec::new(),
            rust: std::any::type_name::<T>(),
            info: None,
            replicated: false,
            persistent: false,
            ghosted: false,
            insert: |entity, bytes| {
                entity.insert(decode::<T>(bytes)?);
                Ok(())
            },
            insert_ghost: |entity, bytes| {
                entity.insert(Ghosted::new(decode::<T>(bytes)?));
                Ok(())
            },
            encode: |entity, out| entity.get::<T>().is_some_and(|value| encode(value, out)),
            encode_ghost: |entity, out| entity.get::<Ghosted<T>>().is_some_and(|value| encode::<T>(value, out)),
            walker: |world| Box::new(CodecWalker::<T>::new(world)),
            register: World::register_component::<T>,
            column: None,
        }
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let refused = |error: postcard::Error| DecodeError::Codec { name: std::any::type_name::<T>(), reason: error.to_string() };
    postcard::from_bytes(bytes).map_err(refused)
}

fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> bool {
    match postcard::to_extend(value, Vec::new()) {
        Ok(bytes) => {
            out.extend_from_slice(&bytes);
            true
        }
        Err(error) => {
            tracing::error!(component = std::any::type_name::<T>(), %error, "a component does not encode; it is left out");
            false
        }
    }
}

type ChangedQuery<T> = QueryState<(&'static Identity, &'static Filed, &'static T), Changed<T>>;

struct PlainWalker<T: Plain + Component> {
    query: ChangedQuery<T>,
    component: ComponentId,
}

impl<T: Plain + Component> PlainWalker<T> {
    fn new(world: &mut World) -> Self {
        Self { component: world.register_component::<T>(), query: world.query_filtered() }
    }
}

impl<T: Plain + Component> Walker for PlainWalker<T> {
    fn changed(&mut self, world: &mut World, visit: &mut dyn FnMut(&Identity, &Filed, &[u8])) {
        for (identity, filed, value) in self.query.iter(world) {
            visit(identity, filed, bytemuck::bytes_of(value));
        }
    }

    fn removed(&self, world: &World, visit: &mut dyn FnMut(Entity)) {
        world.removed_with_id(self.component).for_each(visit);
    }
}

struct CodecWalker<T: Component> {
    query: ChangedQuery<T>,
    component: ComponentId,
}

impl<T: Component> CodecWalker<T> {
    fn new(world: &mut World) -> Self {
        Self { component: world.register_component::<T>(), query: world.query_filtered() }
    }
}

impl<T: Component + Serialize> Walker for CodecWalker<T> {
    fn changed(&mut self, world: &mut World, visit: &mut dyn FnMut(&Identity, &Filed, &[u8])) {
        let mut bytes = Vec::new();
        for (identity, filed, value) in self.query.iter(world) {
            bytes.clear();
            if encode(value, &mut bytes) {
                visit(identity, filed, &bytes);
            }
        }
    }

    fn removed(&self, world: &World, visit: &mut dyn FnMut(Entity)) {
        world.removed_with_id(self.component).for_each(visit);
    }
}

/// A registered input, event or effect.
#[derive(Clone)]
pub(crate) struct MessageKind {
    pub(crate) id: TypeId,
    pub(crate) name: &'static str,
    pub(crate) rust: &'static str,
    pub(crate) info: TypeInfo,
    /// Make its mailbox. Events have none: they only go out.
    pub(crate) install: fn(&mut World),
    /// Put into its mailbox.
    pub(crate) deliver: fn(&mut World, Letter<&[u8]>) -> Result<(), DecodeError>,
    /// Empty its mailbox.
    pub(crate) clear: fn(&mut World),
    /// What lies in its mailbox, for scripts.
    pub(crate) letters: fn(&World) -> Vec<Heard>,
}

impl MessageKind {
    /// An input or effect.
    pub(crate) fn incoming<T: Plain>() -> Self {
        Self {
            install: |world| {
                world.init_resource::<Mailbox<T>>();
            },
            deliver: |world, letter| {
                let value = read::<T>(letter.value)?;
                world.resource_mut::<Mailbox<T>>().push(letter.with(value));
                Ok(())
            },
            clear: |world| world.resource_mut::<Mailbox<T>>().clear(),
            letters: |world| world.resource::<Mailbox<T>>().heard(),
            ..Self::outgoing::<T>()
        }
    }

    /// An event.
    pub(crate) fn outgoing<T: Plain>() -> Self {
        Self {
            id: TypeId::of(T::NAME),
            name: T::NAME,
            rust: std::any::type_name::<T>(),
            info: describe::<T>(),
            install: |_| {},
            deliver: |_, _| Ok(()),
            clear: |_| {},
            letters: |_| Vec::new(),
        }
    }
}

/// All that a game registered, each sort in order of registration. Few enough that a linear search is quick.
#[derive(Clone, Default)]
pub(crate) struct Kinds {
    pub(crate) components: Vec<ComponentKind>,
    pub(crate) inputs: Vec<MessageKind>,
    pub(crate) events: Vec<MessageKind>,
    pub(crate) effects: Vec<MessageKind>,
    pub(crate) tunables: Vec<TunableKind>,
    /// Types that the game had once.
    pub(crate) retired: Vec<&'static str>,
}

impl Kinds {
    pub(crate) fn component(&self, id: TypeId) -> Option<&ComponentKind> {
        self.components.iter().find(|kind| kind.id == id)
    }
}
