//! Talk: near to whoever is in earshot, on either side of a border, or to the whole world through the world server.

use pangaea_scene::prelude::*;

use crate::looks::Name;

/// Earshot in metres; not beyond the ghosts' reach.
const EARSHOT_M: f32 = 30.0;

/// Channel of words to whoever is near.
pub const NEAR: u64 = 0;
/// Channel of words to everybody.
pub const WORLD: u64 = 1;

/// Say something.
#[input]
pub struct Chat {
    /// [`NEAR`] or [`WORLD`].
    pub channel: u8,
    /// At most this long.
    pub text: Text<160>,
}

/// Words reach someone's ears.
#[effect]
pub struct Heard {
    /// Whose.
    pub name: Text<24>,
    /// What.
    pub text: Text<160>,
}

/// Told to who hears.
#[event]
pub struct Said {
    /// Who speaks.
    pub from: EntityId,
    /// [`NEAR`] or [`WORLD`].
    pub channel: u64,
    /// Who that is; for the world's words filled in by whoever draws it, if in sight.
    pub name: Text<24>,
    /// What.
    pub text: Text<160>,
}

/// Speak in Act, hear in React.
pub fn plugin(game: &mut Game) {
    game.input::<Chat>();
    game.effect::<Heard>();
    game.event::<Said>();
    game.system(Phase::Act, speak.after(crate::trade::lose_patience));
    game.system(Phase::React, (hear, hear_world).chain());
}

fn speak(
    inputs: Inputs<Chat>,
    nearby: Nearby,
    people: Sight<Player>,
    speakers: Query<(&Position, &Name)>,
    mut effects: Effects,
    mut bus: Bus,
) {
    for words in inputs.iter() {
        let Ok((position, name)) = speakers.get(words.entity) else { continue };
        let text = words.value.text;
        if text.as_str().trim().is_empty() {
            continue;
        }
        if u64::from(words.value.channel) == WORLD {
            let line = format!("{}: {}", name.text.as_str(), text.as_str());
            bus.publish(SUBJECT_CHAT_SAY, &ChatLine { entity: words.from, text: line }.to_bytes());
            continue;
        }
        for near in nearby.within(*position, EARSHOT_M).filter(|near| people.get(near.id).is_some()) {
            effects.send(words.from, near.id, &Heard { name: name.text, text });
        }
    }
}

fn hear(words: Received<Heard>, mut events: Events) {
    for heard in words.iter() {
        let Heard { name, text } = heard.value;
        events.tell(heard.to, &Said { from: heard.from, channel: NEAR, name, text });
    }
}

fn hear_world(news: News, players: Query<(&Identity, &Player)>, mut events: Events) {
    for line in news.about(SUBJECT_CHAT_WORLD).filter_map(|news| ChatLine::from_bytes(&news.bytes)) {
        let (name, text) = line.text.split_once(": ").unwrap_or(("", &line.text));
        let said = Said { from: line.entity, channel: WORLD, name: Text::new(name), text: Text::new(text) };
        for (identity, _) in players.iter().filter(|(_, player)| player.is_connected()) {
            events.tell(identity.id(), &said);
        }
    }
}
