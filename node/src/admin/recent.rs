//! The last events, for whoever comes late. The many hand-overs do not push out the few events of all other kinds.

use std::collections::VecDeque;

use super::view::EventView;

/// Hand-overs kept, and events of all other kinds together.
const EVENTS_KEPT_MAX: usize = 512;

/// The last hand-overs, and the last of everything else, each in order.
#[derive(Debug, Default)]
pub struct RecentEvents {
    handovers: VecDeque<EventView>,
    others: VecDeque<EventView>,
}

impl RecentEvents {
    /// Keeps one more; numbers rise.
    pub fn push(&mut self, event: EventView) {
        let kept = if event.kind == "handover" { &mut self.handovers } else { &mut self.others };
        if kept.len() == EVENTS_KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(event);
    }

    /// All that are kept, in order.
    pub fn to_vec(&self) -> Vec<EventView> {
        let mut events: Vec<_> = self.handovers.iter().chain(&self.others).cloned().collect();
        events.sort_by_key(|event| event.seq);
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_told_after_thousands_of_hand_overs() {
        let mut recent = RecentEvents::default();
        let mut tell = |seq, kind: &str| recent.push(EventView { seq, kind: kind.to_owned(), ..EventView::default() });
        tell(1, "move");
        (2..5_000).for_each(|seq| tell(seq, "handover"));
        tell(5_000, "node");
        let kept = recent.to_vec();
        assert_eq!(kept.len(), EVENTS_KEPT_MAX + 2);
        assert_eq!((kept[0].seq, kept[1].seq, kept[513].seq), (1, 5_000 - 512, 5_000));
        assert!(kept.is_sorted_by_key(|event| event.seq));
    }
}
