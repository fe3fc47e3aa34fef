//! The bus: world-wide messages by subject. Delivered at most once to whoever listens now.

use bytes::Bytes;

use crate::{EntityId, Tick};

/// Largest message in bytes.
pub const BUS_BYTES_MAX: usize = 16 * 1_024;

/// To the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusRequest {
    /// Tell all subscribers of a prefix of `subject`.
    Publish {
        /// Dotted words, such as `chat.world`.
        subject: String,
        /// At most [`BUS_BYTES_MAX`].
        bytes: Bytes,
    },
    /// Listen to subjects that start with `prefix`, until the link ends.
    Subscribe {
        /// Start of the subjects.
        prefix: String,
    },
}

/// From the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusEvent {
    /// As published.
    pub subject: String,
    /// As published.
    pub bytes: Bytes,
}

/// Scenes ask for world-wide chat here: a [`ChatLine`].
pub const SUBJECT_CHAT_SAY: &str = "chat.say";
/// The world repeats what may be said here: a [`ChatLine`].
pub const SUBJECT_CHAT_WORLD: &str = "chat.world";
/// The world tells the time and the weather here: a [`WorldTime`].
pub const SUBJECT_WORLD_CLOCK: &str = "world.clock";

/// Somebody says something to the whole world. Bytes: the entity as little-endian `u64`, then UTF-8 text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatLine {
    /// Who speaks.
    pub entity: EntityId,
    /// What.
    pub text: String,
}

impl ChatLine {
    /// As published.
    pub fn to_bytes(&self) -> Bytes {
        [&self.entity.0.to_le_bytes(), self.text.as_bytes()].concat().into()
    }

    /// The inverse of [`Self::to_bytes`]; `None` when too short, not UTF-8 or from no entity.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (entity, text) = bytes.split_first_chunk()?;
        let line = Self { entity: EntityId(u64::from_le_bytes(*entity)), text: String::from_utf8(text.to_vec()).ok()? };
        line.entity.is_some().then_some(line)
    }
}

/// What falls from the sky.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Weather {
    /// Nothing.
    Clear = 0,
    /// Nothing yet.
    Cloudy = 1,
    /// Water.
    Rain = 2,
    /// Water and lightning.
    Storm = 3,
    /// Sight is short.
    Fog = 4,
}

impl Weather {
    /// Every weather, in order of its number.
    pub const ALL: [Self; 5] = [Self::Clear, Self::Cloudy, Self::Rain, Self::Storm, Self::Fog];
}

/// The world's clock. Bytes: tick `u64`, day `u32`, second `u32`, day length `u32`, weather `u8`, all little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldTime {
    /// When this was so.
    pub tick: Tick,
    /// Days since the world began.
    pub day: u32,
    /// Game second of the day, below `day_seconds`.
    pub second: u32,
    /// Length of a day in game seconds.
    pub day_seconds: u32,
    /// The same everywhere.
    pub weather: Weather,
}

impl WorldTime {
    /// As published.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(21);
        bytes.extend(self.tick.0.to_le_bytes());
        bytes.extend([self.day, self.second, self.day_seconds].iter().flat_map(|n| n.to_le_bytes()));
        bytes.push(self.weather as u8);
        bytes.into()
    }

    /// The inverse of [`Self::to_bytes`]; `None` when the length or the weather is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tick, rest) = bytes.split_first_chunk()?;
        let (day, rest) = rest.split_first_chunk()?;
        let (second, rest) = rest.split_first_chunk()?;
        let (day_seconds, rest) = rest.split_first_chunk()?;
        let [weather] = *rest else { return None };
        Some(Self {
            tick: Tick(u64::from_le_bytes(*tick)),
            day: u32::from_le_bytes(*day),
            second: u32::from_le_bytes(*second),
            day_seconds: u32::from_le_bytes(*day_seconds),
            weather: *Weather::ALL.get(usize::from(weather))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_and_time_round_trip() {
        let line = ChatLine { entity: EntityId(7), text: "Grüße".to_owned() };
        assert_eq!(ChatLine::from_bytes(&line.to_bytes()), Some(line));
        let time = WorldTime { tick: Tick(9), day: 3, second: 100, day_seconds: 2_400, weather: Weather::Fog };
        assert_eq!(WorldTime::from_bytes(&time.to_bytes()), Some(time));
    }

    #[test]
    fn junk_is_nobodys_words() {
        assert_eq!(ChatLine::from_bytes(b"short"), None);
        assert_eq!(ChatLine::from_bytes(&[0; 12]), None);
        assert_eq!(ChatLine::from_bytes(&[1, 0, 0, 0, 0, 0, 0, 0, 0xff]), None);
        assert_eq!(WorldTime::from_bytes(&[0; 20]), None);
        assert_eq!(WorldTime::from_bytes(&[9; 21]), None);
    }
}
