//! A game: what its types are and which systems run, as a plugin function says.

use pangaea_schemas::RegistryHash;
use pangaea_schemas::registry::Registry;

/// A checked description of a game. Cheap to clone; each shard builds its own world and schedule from it.
#[derive(Clone)]
pub struct Game {
    registry: Registry,
}

impl Game {
    /// What clients and peers are told of the game's types.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Hash of [`Self::registry`].
    pub fn registry_hash(&self) -> RegistryHash {
        self.registry.hash()
    }
}
