//! Names of things: entities, nodes, accounts. Each is a newtype with only the operations that are true of it.

use std::fmt;
use std::str::FromStr;

use bytemuck::{Pod, Zeroable};

/// An entity's name, unique for ever in the cluster. Zero is no entity. Allocated in blocks by the data service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(transparent)]
pub struct EntityId(pub u64);

impl EntityId {
    /// No entity.
    pub const NONE: Self = Self(0);

    /// Whether this names an entity at all.
    pub fn is_some(self) -> bool {
        self.0 != 0
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

/// An account: one human, any number of logins. Allocated from the same blocks as entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u64);

/// A process start. Two incarnations of one node never share it; drawn from the operating system's randomness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub u128);

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", (self.0 >> 96) as u32)
    }
}

/// Names one migration of a shard; drawn by the world, rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MigrationId(pub u64);

/// Matches a reply to its request; unique per sending node incarnation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Control plane: beacon, managers, directory.
    World = 0,
    /// Journal, records, ledger.
    Data = 1,
    /// Accounts and tickets.
    Auth = 2,
    /// Shards.
    Scene = 3,
    /// Clients.
    Gateway = 4,
}

impl Role {
    /// Every role, in start order.
    pub const ALL: [Self; 5] = [Self::World, Self::Data, Self::Auth, Self::Scene, Self::Gateway];

    /// The role's name as in commands and node ids.
    pub fn name(self) -> &'static str {
        match self {
            Self::World => "world",
            Self::Data => "data",
            Self::Auth => "auth",
            Self::Scene => "scene",
            Self::Gateway => "gateway",
        }
    }
}

/// A place for one process, stable over restarts: `scene-2`. Its incarnations differ by [`Nonce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// What the process does.
    pub role: Role,
    /// Counts from 1 within the role.
    pub ordinal: u16,
}

impl NodeId {
    /// The `ordinal`-th node of `role`, from 1.
    pub const fn new(role: Role, ordinal: u16) -> Self {
        Self { role, ordinal }
    }

    /// Packed for the wire: role in the high half.
    pub fn to_bits(self) -> u32 {
        (self.role as u32) << 16 | u32::from(self.ordinal)
    }

    /// The inverse of [`Self::to_bits`]; `None` when the role is unknown or the ordinal is 0.
    pub fn from_bits(bits: u32) -> Option<Self> {
        let role = *Role::ALL.iter().find(|role| **role as u32 == bits >> 16)?;
        let ordinal = bits as u16;
        (ordinal != 0).then_some(Self { role, ordinal })
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.role.name(), self.ordinal)
    }
}

/// A node name that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a node name; expected a role and a number, such as `scene-2`")]
pub struct ParseNodeIdError(pub String);

impl FromStr for NodeId {
    type Err = ParseNodeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseNodeIdError(text.to_owned());
        let (role, ordinal) = text.rsplit_once('-').ok_or_else(bad)?;
        let role = *Role::ALL.iter().find(|r| r.name() == role).ok_or_else(bad)?;
        let ordinal = ordinal.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?;
        Ok(Self { role, ordinal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_round_trip() {
        for role in Role::ALL {
            let node = NodeId::new(role, 12);
            assert_eq!(node.to_string().parse::<NodeId>(), Ok(node));
            assert_eq!(NodeId::from_bits(node.to_bits()), Some(node));
        }
    }

    #[test]
    fn bad_node_names_are_named() {
        for text in ["scene", "scene-0", "scene-x", "dragon-1", "scene-70000"] {
            assert_eq!(text.parse::<NodeId>(), Err(ParseNodeIdError(text.to_owned())));
        }
        assert_eq!(NodeId::from_bits(9 << 16 | 1), None);
    }
}
