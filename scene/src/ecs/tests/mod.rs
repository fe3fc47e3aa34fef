//! Tests of the ECS side, on the game of [`village`]: walkers with health, a name and notes.

mod feed;
mod ghosts;
mod image;
mod messages;
mod nearby;
mod profile;
mod recording;
mod records;
mod tunables;
mod types;
mod versions;

use bevy_ecs::component::Component;
use serde::{Deserialize, Serialize};

use crate::prelude::*;

#[component]
pub(crate) struct Health {
    pub(crate) now: f32,
    pub(crate) max: f32,
}

/// Neither replicated nor ghosted.
#[component]
pub(crate) struct Mood {
    pub(crate) anger: u32,
}

#[component]
pub(crate) struct Label {
    pub(crate) text: Text<16>,
}

#[derive(Component, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notes {
    pub(crate) lines: Vec<String>,
}

#[input]
pub(crate) struct Walk {
    pub(crate) to: Velocity,
}

#[effect]
pub(crate) struct Hit {
    pub(crate) damage: f32,
}

#[event]
pub(crate) struct Ouch {
    pub(crate) by: EntityId,
}

/// Everybody moves; hits hurt and are told.
pub(crate) fn village(game: &mut Game) {
    game.component::<Health>().replicated().persistent().ghosted();
    game.component::<Label>().replicated().persistent();
    game.component::<Mood>();
    game.codec_component::<Notes>("Notes").persistent().ghosted();
    game.input::<Walk>().effect::<Hit>().event::<Ouch>();
    game.system(Phase::Input, steer);
    game.system(Phase::Move, walk);
    game.system(Phase::React, suffer);
    game.birth(|agent| {
        let label = Label { text: agent.name().into() };
        agent.insert((health(100.0), label));
    });
}

pub(crate) fn health(now: f32) -> Health {
    Health { now, max: 100.0 }
}

fn steer(inputs: Inputs<Walk>, mut agents: Query<&mut Velocity>) {
    for input in inputs.iter() {
        if let Ok(mut velocity) = agents.get_mut(input.entity) {
            *velocity = input.value.to.at_most(5.0);
        }
    }
}

fn walk(clock: Clock, mut walkers: Query<(&mut Position, &Velocity)>) {
    for (mut position, velocity) in &mut walkers {
        *position = *position + *velocity * clock.dt();
    }
}

fn suffer(hits: Received<Hit>, mut victims: Query<&mut Health>, mut events: Events) {
    for hit in hits.iter() {
        if let Ok(mut health) = victims.get_mut(hit.entity) {
            health.now -= hit.value.damage;
            events.tell(hit.to, &Ouch { by: hit.from });
        }
    }
}
