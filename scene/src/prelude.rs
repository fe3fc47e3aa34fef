//! What a feature file imports: `use pangaea_scene::prelude::*;`. A whole feature, with its test:
//!
//! ```
//! use pangaea_scene::prelude::*;
//!
//! /// How much an agent can take.
//! #[component]
//! pub struct Health {
//!     pub now: f32,
//!     pub max: f32,
//! }
//!
//! /// A client wants to hit someone.
//! #[input]
//! pub struct Strike {
//!     pub target: EntityId,
//! }
//!
//! /// Someone is hit.
//! #[effect]
//! pub struct Hit {
//!     pub damage: f32,
//! }
//!
//! /// The player has died.
//! #[event]
//! pub struct Died {
//!     pub by: EntityId,
//! }
//!
//! /// Fighting, also across shard borders.
//! pub fn plugin(game: &mut Game) {
//!     game.component::<Health>().replicated().persistent().ghosted();
//!     game.input::<Strike>().effect::<Hit>().event::<Died>();
//!     game.birth(|agent| {
//!         agent.insert(Health { now: 100.0, max: 100.0 });
//!     });
//!     game.system(Phase::Act, strike);
//!     game.system(Phase::React, suffer);
//! }
//!
//! const REACH_M: f32 = 3.0;
//!
//! fn strike(strikes: Inputs<Strike>, at: Query<&Position>, nearby: Nearby, mut effects: Effects) {
//!     for strike in strikes.iter() {
//!         let Ok(position) = at.get(strike.entity) else { continue };
//!         // The target may be a ghost: an effect finds it wherever it lives.
//!         if nearby.within(*position, REACH_M).any(|near| near.id == strike.value.target) {
//!             effects.send(strike.to, strike.value.target, &Hit { damage: 60.0 });
//!         }
//!     }
//! }
//!
//! fn suffer(hits: Received<Hit>, mut victims: Query<&mut Health>, mut events: Events) {
//!     for hit in hits.iter() {
//!         let Ok(mut health) = victims.get_mut(hit.entity) else { continue };
//!         health.now = (health.now - hit.value.damage).max(0.0);
//!         if health.now == 0.0 {
//!             events.tell(hit.to, &Died { by: hit.from });
//!         }
//!     }
//! }
//!
//! let mut world = Harness::new(plugin);
//! let (anna, bert) = (world.player("Anna"), world.player("Bert"));
//! world.input(anna, Strike { target: bert });
//! world.ticks(2);
//! assert_eq!(world.get::<Health>(bert).unwrap().now, 40.0);
//! world.input(anna, Strike { target: bert });
//! world.ticks(2);
//! assert_eq!(world.events::<Died>(bert), [Died { by: anna }]);
//! ```
//!
//! Rules that keep a world moving between processes: state lives in registered components, never in statics, `Local` or
//! resources; timers are fields of components ([`Timer`]); random numbers come from [`Chance`]; other entities are
//! named by [`EntityId`]. Value (gold, items) changes only through [`Ledger`]. A position that is no number is put back, one
//! outside the space to its edge.

pub use bevy_ecs::change_detection::DetectChangesMut;
pub use bevy_ecs::prelude::{Added, Changed, Commands, Entity, Has, Query, Ref, With, Without};
pub use bevy_ecs::schedule::IntoScheduleConfigs;
pub use pangaea_scene_macros::{component, effect, event, input, tunable};
pub use pangaea_schemas::geometry::SpaceId;
pub use pangaea_schemas::message::{ChatLine, SUBJECT_CHAT_SAY, SUBJECT_CHAT_WORLD, SUBJECT_WORLD_CLOCK, Weather, WorldTime};
pub use pangaea_schemas::message::{Currency, ItemKind, LedgerRefusal, LedgerResult, Owner};
pub use pangaea_schemas::message::{Trade, TradeSide, TradeState, TradeStep, Transaction};
pub use pangaea_schemas::rules::TuneValue;
pub use pangaea_schemas::{EntityId, Tick};

pub use crate::ecs::{
    Birthing, Bus, Chance, Clock, Effects, Events, Ghosted, Identity, Inputs, Ledger, Letter, Locate, Near, Nearby, News, Player,
    Position, Received, Seeding, Settled, Settlement, Sight, Spawn, Text, Tied, Timer, Tunable, Velocity,
};
pub use crate::game::{Game, Phase};
pub use crate::harness::Harness;
