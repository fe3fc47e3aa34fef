//! Creatures: who lives in a new shard. How they behave is in [`crate::wander`] and [`crate::flock`].

use pangaea_scene::prelude::*;

use crate::flock::Flocks;
use crate::health::Health;
use crate::items::Bush;
use crate::looks::{Look, Name};
use crate::wander::Wanders;

/// Sheep of a herd.
const SHEEP: usize = 14;
/// Wolves per herd.
const WOLVES: usize = 4;
/// Bushes per new shard.
const BUSHES: usize = 3;

/// Fills new shards.
pub fn plugin(game: &mut Game) {
    game.spawner(settle);
}

fn settle(shard: &mut Seeding) {
    for _ in 0..shard.abundance() {
        settle_herd(shard);
    }
    for _ in 0..BUSHES {
        let place = shard.anywhere();
        shard.at(place, (name("Berry bush"), Look { kind: Look::BUSH, hue: 90 }, Bush::ripe()));
    }
}

fn settle_herd(shard: &mut Seeding) {
    let pasture = shard.anywhere();
    for _ in 0..SHEEP {
        let (x, z) = (shard.rng().f32() * 30.0 - 15.0, shard.rng().f32() * 30.0 - 15.0);
        let hue = shard.rng().u8(..);
        let space = shard.space().clone();
        let place = space.clamp(Position::new(pasture.x + x, pasture.z + z).into()).into();
        shard.at(
            place,
            (name("Sheep"), Look { kind: Look::SHEEP, hue }, Health::full(30), Flocks { flock: u32::from(hue) % 3, pad: 0 }),
        );
    }
    for _ in 0..WOLVES {
        let (place, hue) = (shard.anywhere(), shard.rng().u8(..));
        shard.at(place, (name("Wolf"), Look { kind: Look::WOLF, hue }, Health::full(60), Wanders::now()));
    }
}

fn name(text: &str) -> Name {
    Name { text: Text::new(text) }
}
