//! What should be done, as data, and in words.

use std::fmt;

use pangaea_schemas::NodeId;
use pangaea_schemas::geometry::ShardId;

use super::Share;

/// What should be done next, and what is expected of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Shards without an owner, and who should claim them.
    pub placements: Vec<Placement>,
    /// Shards that should go elsewhere.
    pub moves: Vec<Move>,
    /// Shards that should become four.
    pub splits: Vec<Split>,
    /// Shards whose four children should become one.
    pub merges: Vec<Merge>,
    /// How it is, moves in flight counted as done.
    pub before: Outlook,
    /// How it will be when all is done.
    pub after: Outlook,
}

/// The scenes' levels: load as a part of capacity, of those that take shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The lowest.
    pub min: Share,
    /// All load that they have by all capacity.
    pub mean: Share,
    /// The highest.
    pub max: Share,
}

/// A shard and the scene that should claim it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Which shard.
    pub shard: ShardId,
    /// Who.
    pub scene: NodeId,
}

/// A shard that should go from one scene to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which shard.
    pub shard: ShardId,
    /// Who has it.
    pub from: NodeId,
    /// Who should.
    pub to: NodeId,
    /// Why.
    pub reason: Reason,
}

/// Why a shard should go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its scene takes no shards any more.
    Drained,
    /// Its scene does more than the others.
    Busy {
        /// Its level.
        level: Share,
        /// The mean of all.
        mean: Share,
    },
    /// The other scene does less than the others.
    Idle {
        /// Its level.
        level: Share,
        /// The mean of all.
        mean: Share,
    },
}

/// A shard that should become four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Which.
    pub shard: ShardId,
    /// Its load.
    pub load: Share,
    /// Why.
    pub reason: SplitReason,
}

/// Why a shard should become four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitReason {
    /// One thread should not do so much in one piece.
    Hot,
    /// Its scene cannot be levelled while it is one piece.
    Coarse,
}

/// A shard whose four children should become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The one they become.
    pub parent: ShardId,
    /// Who has all four, or is to have them first.
    pub scene: NodeId,
    /// Their load together.
    pub load: Share,
    /// How many of them are elsewhere and are brought first.
    pub away: usize,
}

impl Plan {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.placements.is_empty() && self.moves.is_empty() && self.splits.is_empty() && self.merges.is_empty()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.placements.iter().try_for_each(|placement| writeln!(f, "{placement}"))?;
        self.moves.iter().try_for_each(|shift| writeln!(f, "{shift}"))?;
        self.splits.iter().try_for_each(|split| writeln!(f, "{split}"))?;
        self.merges.iter().try_for_each(|merge| writeln!(f, "{merge}"))?;
        if self.is_empty() {
            return writeln!(f, "nothing to do: levels {}", self.before);
        }
        writeln!(f, "levels {} become {}", self.before, self.after)
    }
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}, mean {}", self.min, self.max, self.mean)
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "place {} at {}", self.shard, self.scene)
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "move {} from {} to {}: ", self.shard, self.from, self.to)?;
        match self.reason {
            Reason::Drained => write!(f, "{} is drained", self.from),
            Reason::Busy { level, mean } => write!(f, "{} is at {level}, the mean is {mean}", self.from),
            Reason::Idle { level, mean } => write!(f, "{} is at {level}, the mean is {mean}", self.to),
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.reason {
            SplitReason::Hot => "much for one thread",
            SplitReason::Coarse => "too coarse to level",
        };
        write!(f, "split {}: {} of a tick, {why}", self.shard, self.load)
    }
}

impl fmt::Display for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "merge into {} at {}: {} of a tick together", self.parent, self.scene, self.load)?;
        match self.away {
            0 => Ok(()),
            away => write!(f, ", {away} of the four brought first"),
        }
    }
}
