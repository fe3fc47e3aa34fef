//! What admins order while things go wrong, given to the world server's core as their command line gives it.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::{NodeId, Role};
use pangaea_world::{World, world};

/// One order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Move a shard to a scene.
    Move {
        /// Which, counted round over all that there are.
        shard: u16,
        /// Where to.
        to: NodeId,
    },
    /// Cut a shard into four, or make one of four.
    Recut {
        /// Which, counted round over all that there are; of four that are to become one, any.
        shard: u16,
        /// Whether it and its three sisters become one.
        merges: bool,
    },
    /// Call off all moves that are under way.
    CallOff,
    /// Empty a scene or a gateway, and use it again after a while.
    Drain {
        /// Which.
        node: NodeId,
        /// For how long.
        span: Duration,
    },
    /// Let everybody who is parked play again.
    Release,
    /// Let the balancer level the scenes, or not any more.
    Level {
        /// Whether it may.
        on: bool,
    },
}

impl Order {
    /// How long it holds.
    pub fn span(&self) -> Duration {
        match self {
            Self::Drain { span, .. } => *span,
            Self::Move { .. } | Self::Recut { .. } | Self::CallOff | Self::Release | Self::Level { .. } => Duration::ZERO,
        }
    }

    /// In a word, for those who count.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Move { .. } => "order-move",
            Self::Recut { merges: false, .. } => "order-split",
            Self::Recut { merges: true, .. } => "order-merge",
            Self::CallOff => "order-call-off",
            Self::Drain { .. } => "order-drain",
            Self::Release => "order-release",
            Self::Level { .. } => "order-level",
        }
    }

    /// The order is given to the world server; what it says to it.
    pub fn give(&self, world: &mut World) -> String {
        let shards: Vec<ShardId> = world.status().shards.iter().map(|shard| shard.id).collect();
        let which = |number: u16| shards.get(usize::from(number) % shards.len().max(1)).copied();
        match *self {
            Self::Move { shard, to } => {
                let Some(shard) = which(shard) else { return "there are no shards".to_owned() };
                match world.move_shard(shard, to, false) {
                    Ok(id) => format!("{shard} moves to {to} as {}", id.0),
                    Err(error) => error.to_string(),
                }
            }
            Self::Recut { shard, merges } => {
                let shard = which(shard).and_then(|shard| if merges { shard.parent() } else { Some(shard) });
                let Some(shard) = shard else { return "there is no such shard".to_owned() };
                match world.recut(shard, merges, false) {
                    Ok(id) => format!("{shard} is {} as {}", if merges { "made of four" } else { "cut into four" }, id.0),
                    Err(error) => error.to_string(),
                }
            }
            Self::CallOff => {
                let under_way = world.status().moves.into_iter().filter(|shift| !shift.is_over()).map(|shift| shift.news.id);
                let called = under_way.filter(|id| world.cancel_move(*id)).count();
                format!("{called} moves are called off")
            }
            Self::Drain { node, .. } => {
                world.order(world::Order::Drain(node));
                format!("{node} is drained")
            }
            Self::Release => {
                let parked: Vec<_> = world.status().shards.into_iter().flat_map(|shard| shard.parked).collect();
                let released = parked.into_iter().filter(|agent| world.release(*agent).is_some()).count();
                format!("{released} agents are released")
            }
            Self::Level { on } => {
                world.switch_balance(on);
                format!("balancing is {}", if on { "on" } else { "off" })
            }
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Move { shard, to } => write!(f, "somebody moves shard #{shard} to {to}"),
            Self::Recut { shard, merges: false } => write!(f, "somebody splits shard #{shard}"),
            Self::Recut { shard, merges: true } => write!(f, "somebody merges shard #{shard} and its sisters"),
            Self::CallOff => write!(f, "somebody calls off all moves"),
            Self::Drain { node, span } => write!(f, "somebody drains {node} for {} ms", span.as_millis()),
            Self::Release => write!(f, "somebody releases all who are parked"),
            Self::Level { on } => write!(f, "somebody switches balancing {}", if *on { "on" } else { "off" }),
        }
    }
}

/// One of them.
pub(super) fn draw(rng: &mut Rng, nodes: &[NodeId]) -> Order {
    let of = |role| nodes.iter().copied().filter(|node| node.role == role).collect::<Vec<_>>();
    let (scenes, gateways) = (of(Role::Scene), of(Role::Gateway));
    let span = Duration::from_millis(rng.u64(500..5_000));
    match rng.u32(..18) {
        0..=7 => Order::Move { shard: rng.u16(..16), to: scenes[rng.usize(..scenes.len())] },
        8..=10 => Order::Recut { shard: rng.u16(..16), merges: false },
        11..=13 => Order::Recut { shard: rng.u16(..16), merges: true },
        14 => Order::CallOff,
        15 => Order::Drain { node: scenes[rng.usize(..scenes.len())], span },
        16 => Order::Drain { node: gateways[rng.usize(..gateways.len())], span },
        _ => Order::Level { on: rng.bool() },
    }
}
