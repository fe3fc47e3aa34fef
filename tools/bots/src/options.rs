//! How many bots play what, where and for how long.

use std::str::FromStr;
use std::time::Duration;

/// Where a gateway listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Host and port; length-prefixed frames.
    Tcp(String),
    /// A `ws://` address; one binary message each.
    WebSocket(String),
}

/// What the bots do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Stroll around, with pauses.
    Wander,
    /// Back and forth over the shard borders that meet in the middle of the map.
    BorderStorm,
    /// Out of the city, then all to its centre at once.
    CityRush,
}

/// A scenario that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scenario; choose wander, border-storm or city-rush")]
pub struct UnknownScenario(pub String);

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "wander" => Ok(Self::Wander),
            "border-storm" => Ok(Self::BorderStorm),
            "city-rush" => Ok(Self::CityRush),
            other => Err(UnknownScenario(other.to_owned())),
        }
    }
}

/// One run of the fleet.
#[derive(Clone, Debug)]
pub struct BotOptions {
    /// Gateways, used in turn; at least one.
    pub endpoints: Vec<Endpoint>,
    /// How many bots.
    pub count: u32,
    /// How long they are measured, from when all are in the world.
    pub play: Duration,
    /// What they do.
    pub scenario: Scenario,
    /// The same seed: the same decisions.
    pub seed: u64,
    /// Show progress on stderr.
    pub progress: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_named_and_others_refused() {
        assert_eq!("border-storm".parse(), Ok(Scenario::BorderStorm));
        assert_eq!("dance".parse::<Scenario>(), Err(UnknownScenario("dance".to_owned())));
    }
}
