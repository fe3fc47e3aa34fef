//! What an entity is called and how clients draw it.

use pangaea_scene::prelude::*;

/// What others call it.
#[component]
pub struct Name {
    /// As chosen at registration.
    pub text: Text<24>,
}

/// How clients draw it.
#[component]
pub struct Look {
    /// One of the constants below.
    pub kind: u8,
    /// Colour, 0 to 255 around the wheel.
    pub hue: u8,
}

impl Look {
    /// A player's agent.
    pub const PERSON: u8 = 0;
    /// A grazer that keeps together.
    pub const SHEEP: u8 = 1;
    /// A loner that wanders.
    pub const WOLF: u8 = 2;
    /// Something to pick up.
    pub const ITEM: u8 = 3;
    /// Where things grow.
    pub const BUSH: u8 = 4;
    /// Something to ride.
    pub const HORSE: u8 = 5;
}

/// Names and looks: seen by everybody, on both sides of a border.
pub fn plugin(game: &mut Game) {
    game.component::<Name>().replicated().persistent().ghosted();
    game.component::<Look>().replicated().persistent().ghosted();
    game.birth(introduce);
}

fn introduce(agent: &mut Birthing) {
    let name = Text::new(agent.name());
    let hue = agent.rng().u8(..);
    agent.insert((Name { text: name }, Look { kind: Look::PERSON, hue }));
}
