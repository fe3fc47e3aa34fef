//! World chat: what scenes pass on in `chat.say` is checked and repeated to everybody in `chat.world`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bevy_ecs::prelude::{IntoScheduleConfigs, Res, ResMut, Resource};
use pangaea_schemas::message::{ChatLine, SUBJECT_CHAT_SAY, SUBJECT_CHAT_WORLD};
use pangaea_schemas::{EntityId, Timestamp};

use crate::clock;
use crate::inbox::{Heard, Inbox};
use crate::world::{Now, Outbox, Phase, World};

/// Longest text in characters; the rest is cut off.
pub const TEXT_CHARS_MAX: usize = 200;
/// One speaker may say this many lines at once …
pub const LINES_BURST: usize = 3;
/// … and as many again in each such span.
pub const LINES_SPAN: Duration = Duration::from_secs(6);
/// Most lines of all speakers in one tick; the rest is not said.
pub const LINES_PER_TICK_MAX: usize = 64;
/// Most speakers remembered; beyond it new ones wait until others have been silent for [`LINES_SPAN`].
pub const SPEAKERS_MAX: usize = 10_000;

/// When each speaker last spoke; only lines younger than [`LINES_SPAN`] are kept.
#[derive(Resource, Debug, Default)]
pub struct Speakers {
    lines: BTreeMap<EntityId, VecDeque<Timestamp>>,
}

impl Speakers {
    /// Whether the speaker may say one more line now; if so it counts.
    fn may_speak(&mut self, now: Timestamp, speaker: EntityId) -> bool {
        if self.lines.len() >= SPEAKERS_MAX && !self.lines.contains_key(&speaker) {
            return false;
        }
        let lines = self.lines.entry(speaker).or_default();
        let free = lines.len() < LINES_BURST;
        if free {
            lines.push_back(now);
        }
        free
    }

    fn forget_before(&mut self, limit: Timestamp) {
        self.lines.retain(|_, lines| {
            while lines.front().is_some_and(|line| *line <= limit) {
                lines.pop_front();
            }
            !lines.is_empty()
        });
    }
}

pub(crate) fn plugin(world: &mut World) {
    world.insert_resource(Speakers::default());
    world.insert_resource(Heard::default());
    world.subscribe(SUBJECT_CHAT_SAY);
    world.add_systems(Phase::Listen, listen);
    world.add_systems(Phase::Simulate, repeat.after(clock::run));
}

/// Makes the tick's bus messages readable for all later systems.
fn listen(mut inbox: ResMut<Inbox>, mut heard: ResMut<Heard>) {
    heard.0 = std::mem::take(&mut inbox.bus);
}

/// Repeats what may be said.
pub fn repeat(now: Res<Now>, heard: Res<Heard>, mut speakers: ResMut<Speakers>, mut outbox: ResMut<Outbox>) {
    speakers.forget_before(now.at - LINES_SPAN);
    let mut said = 0;
    for event in heard.0.iter().filter(|event| event.subject == SUBJECT_CHAT_SAY) {
        let Some(line) = ChatLine::from_bytes(&event.bytes) else { continue };
        let text = cleaned(&line.text);
        if text.is_empty() || said >= LINES_PER_TICK_MAX || !speakers.may_speak(now.at, line.entity) {
            continue;
        }
        said += 1;
        outbox.publish(SUBJECT_CHAT_WORLD, ChatLine { entity: line.entity, text }.to_bytes());
    }
}

/// Without control characters and invisible direction marks, without white space at the ends, cut to its bound.
fn cleaned(text: &str) -> String {
    let invisible =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let shown: String = text.chars().filter(|c| !c.is_control() && !invisible(*c)).collect();
    shown.trim().chars().take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cleaned_and_cut() {
        assert_eq!(cleaned("  hi\u{7}\n there\u{202e} "), "hi there");
        assert_eq!(cleaned("\u{1b}[31m\t"), "[31m");
        assert_eq!(cleaned("\r\n\u{200b}"), "");
        assert_eq!(cleaned(&"ä".repeat(500)).chars().count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn a_speaker_has_a_burst_and_then_waits() {
        let mut speakers = Speakers::default();
        let start = Timestamp(100_000_000);
        let allowed = |speakers: &mut Speakers, now| (0..5).filter(|_| speakers.may_speak(now, EntityId(1))).count();
        assert_eq!(allowed(&mut speakers, start), LINES_BURST);
        assert!(speakers.may_speak(start, EntityId(2)), "others are not held back");
        speakers.forget_before(start);
        assert_eq!(allowed(&mut speakers, start + LINES_SPAN), LINES_BURST);
    }

    #[test]
    fn memory_is_bounded() {
        let mut speakers = Speakers::default();
        for n in 1..=SPEAKERS_MAX as u64 + 5 {
            speakers.may_speak(Timestamp(1), EntityId(n));
        }
        assert_eq!(speakers.lines.len(), SPEAKERS_MAX);
        speakers.forget_before(Timestamp(1));
        assert!(speakers.lines.is_empty(), "silence is forgotten");
    }
}
