//! What a gateway is told at its start.

use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::registry::Registry;
use pangaea_schemas::{NodeId, RegistryHash};

use crate::limits::CONNECTIONS_MAX;
use crate::ticket::{ResumeKey, TicketKey};

/// How far players see by default, in cells around their own: 7 × 7 cells, at least 96 m.
pub const VIEW_RADIUS_CELLS: u8 = 3;

/// Who may watch without an agent.
#[derive(Clone, PartialEq, Eq)]
pub enum Spectators {
    /// Anybody: development clusters.
    Everybody,
    /// Who knows the token.
    WithToken(String),
}

/// Tokens never reach a log.
impl std::fmt::Debug for Spectators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Everybody => "Everybody",
            Self::WithToken(_) => "WithToken",
        })
    }
}

/// One gateway's settings.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// This node.
    pub node: NodeId,
    /// The cluster's shape and rate.
    pub spec: ClusterSpec,
    /// The game's types, for clients that ask.
    pub registry: Registry,
    /// Verifies tickets.
    pub ticket_key: TicketKey,
    /// Seals and opens resume tokens.
    pub resume_key: ResumeKey,
    /// Who may watch.
    pub spectators: Spectators,
    /// How far players see, in cells.
    pub view_radius_cells: u8,
    /// Most client connections.
    pub connections_max: usize,
}

impl GatewayConfig {
    /// Settings with the usual limits, for everybody to watch.
    pub fn new(node: NodeId, spec: ClusterSpec, registry: Registry, ticket_key: TicketKey, resume_key: ResumeKey) -> Self {
        let (spectators, view_radius_cells) = (Spectators::Everybody, VIEW_RADIUS_CELLS);
        Self { node, spec, registry, ticket_key, resume_key, spectators, view_radius_cells, connections_max: CONNECTIONS_MAX }
    }

    /// The hash clients must know, or 0.
    pub(crate) fn registry_hash(&self) -> RegistryHash {
        self.registry.hash()
    }
}
