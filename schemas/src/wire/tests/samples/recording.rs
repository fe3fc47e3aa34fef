//! Samples of a recording's frames.

use super::Dice;
use crate::geometry::SpaceSpec;
use crate::message::{Birth, BusEvent, Feed, FeedFrame};
use crate::recording::{
    LookedAt, RecordedBirth, RecordedExit, RecordedLink, RecordedPlacement, RecordedTick, RecordingEnd, RecordingHead,
    RecordingPart, TickCheck,
};
use crate::{AccountId, RegistryHash, Tick};

impl Dice {
    pub(in crate::wire::tests) fn recording_head(&mut self) -> RecordingHead {
        let shard = self.shard();
        let (level, shard_level) = (self.below(9) as u8, self.below(9) as u8);
        RecordingHead {
            shard,
            space: SpaceSpec { space: shard.space, name: self.text(), level, shard_level },
            hz: self.n() as u16,
            registry: RegistryHash(self.n()),
            after: Tick(self.n()),
            seed: self.n(),
            pending: self.some(Self::effect),
            ids: self.some(|dice| (dice.n(), dice.n())),
            hash: self.n(),
            entities: self.small(),
        }
    }

    pub(in crate::wire::tests) fn recording_part(&mut self) -> RecordingPart {
        RecordingPart { records: self.some(Self::record) }
    }

    pub(in crate::wire::tests) fn recorded_tick(&mut self) -> RecordedTick {
        RecordedTick {
            tick: Tick(self.n()),
            rules: self.some(Self::rules),
            ids: self.some(|dice| (dice.n(), dice.n())),
            arrivals: self.some(Self::record),
            births: self.some(|dice| RecordedBirth { agent: dice.entity(), birth: dice.birth() }),
            links: self.some(|dice| RecordedLink { agent: dice.entity(), is_connected: dice.flag() }),
            placements: self.some(|dice| RecordedPlacement { entity: dice.entity(), position: dice.position() }),
            inputs: self.some(Self::client_input),
            effects: self.some(Self::effect),
            answers: self.answers(),
            news: self.some(|dice| BusEvent { subject: dice.text(), bytes: dice.bytes() }),
            ghosts: self.frames(),
            silent: self.some(Self::shard),
            exits: self.some(|dice| RecordedExit { entity: dice.entity(), to: dice.maybe(Self::cell) }),
            check: TickCheck {
                entities: self.small(),
                said: self.n(),
                looked: self.some(|dice| LookedAt { entity: dice.entity(), hash: dice.small() }),
                columns: self.some(Self::n),
            },
            scripts_rest: self.flag(),
        }
    }

    pub(in crate::wire::tests) fn recording_end(&mut self) -> RecordingEnd {
        RecordingEnd { why: self.text(), ticks: self.n(), hash: self.n(), is_whole: self.flag() }
    }

    fn birth(&mut self) -> Birth {
        Birth { account: AccountId(self.n()), name: self.text() }
    }

    fn frames(&mut self) -> Vec<FeedFrame> {
        let frame = |feed| match feed {
            Feed::Frame(frame) => Some(frame),
            Feed::Follow { .. } | Feed::NotHere { .. } => None,
        };
        self.feeds().into_iter().filter_map(frame).collect()
    }
}
