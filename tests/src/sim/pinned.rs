//! Stories that once ended badly, as short as they could be made: each is run again in the tests, for ever.

use std::time::Duration;

use pangaea_schemas::{NodeId, Role};

use super::faults::{Fault, Planned};
use super::outcome::{Options, Trouble};

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Pinned {
    /// The rest of the story follows from it.
    pub seed: u64,
    /// What goes wrong.
    pub faults: &'static [Planned],
    /// What went wrong in the cores.
    pub found: &'static str,
}

const WORLD: NodeId = NodeId::new(Role::World, 1);
const DATA: NodeId = NodeId::new(Role::Data, 1);
const SCENE: NodeId = NodeId::new(Role::Scene, 1);
const GATEWAYS: [NodeId; 2] = [NodeId::new(Role::Gateway, 1), NodeId::new(Role::Gateway, 2)];

/// All of them, in the order in which they were found.
pub const ALL: &[Pinned] = &[
    Pinned {
        seed: 43,
        faults: &[
            (ms(11_311), cut(DATA, SCENE, 4_334)),
            (ms(17_599), kill(WORLD, 3_618)),
            (ms(19_076), kill(GATEWAYS[1], 1_861)),
        ],
        found: "an owner that recovered was told the agent's inputs from where the former one had been, and waited for those between",
    },
    Pinned {
        seed: 56,
        faults: &[(ms(18_300), kill(SCENE, 500)), (ms(18_400), kill(GATEWAYS[0], 700)), (ms(18_410), kill(GATEWAYS[1], 1_300))],
        found: "a client that came back after the loss of gateway and scene was sent away for being ahead of its agent",
    },
    Pinned {
        seed: 77,
        faults: &[(ms(6_407), kill(GATEWAYS[0], 311))],
        found: "scenes forgot what a restarted gateway followed when it registered, long after it had begun to follow",
    },
    Pinned {
        seed: 176,
        faults: &[(ms(10_264), kill(WORLD, 463)), (ms(20_609), kill(GATEWAYS[0], 235))],
        found: "owners did not publish their routes again at a beacon that had restarted, so a new gateway found nobody",
    },
    Pinned { seed: 12, faults: &[], found: "who was paid from beyond a border was not told" },
];

impl Pinned {
    /// The simulation that tells it again.
    pub fn options(&self) -> Options {
        Options { trouble: Trouble::These(self.faults.to_vec()), ..Options::faulty(self.seed) }
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn kill(node: NodeId, span: u64) -> Fault {
    Fault::Kill { node, span: ms(span) }
}

/// One way; both ends notice after half a second.
const fn cut(from: NodeId, to: NodeId, span: u64) -> Fault {
    Fault::Cut { from, to, both: false, span: ms(span), notice: ms(500) }
}
