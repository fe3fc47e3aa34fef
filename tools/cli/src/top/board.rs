//! What the dashboard knows, and what is chosen on it.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Instant;

use pangaea_node::admin::{EventView, ShardView, StatusView};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Events kept.
const EVENTS_MAX: usize = 256;

/// By what shards are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Load,
    Slowest,
    Entities,
    Players,
    Name,
}

impl Column {
    fn next(self) -> Self {
        match self {
            Self::Load => Self::Slowest,
            Self::Slowest => Self::Entities,
            Self::Entities => Self::Players,
            Self::Players => Self::Name,
            Self::Name => Self::Load,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Load => "tick cost",
            Self::Slowest => "tick p99",
            Self::Entities => "entities",
            Self::Players => "players",
            Self::Name => "name",
        }
    }

    fn compare(self, a: &ShardView, b: &ShardView) -> Ordering {
        match self {
            Self::Load => b.load.total_cmp(&a.load),
            Self::Slowest => b.tick_ms.p99.total_cmp(&a.tick_ms.p99),
            Self::Entities => b.entities.cmp(&a.entities),
            Self::Players => b.players.cmp(&a.players),
            Self::Name => Ordering::Equal,
        }
    }
}

/// Everything that is drawn.
pub(super) struct Board {
    pub(super) address: String,
    pub(super) status: StatusView,
    /// Oldest first.
    pub(super) events: VecDeque<EventView>,
    pub(super) sorted_by: Column,
    /// The chosen shard: it stays chosen wherever it is sorted to.
    pub(super) chosen: Option<String>,
    pub(super) hides_handovers: bool,
    pub(super) is_paused: bool,
    /// Since when the cluster does not answer, and what it is.
    pub(super) lost: Option<(Instant, String)>,
}

impl Board {
    pub(super) fn new(address: String, status: StatusView) -> Self {
        let mut board = Self {
            address,
            status,
            events: VecDeque::new(),
            sorted_by: Column::Load,
            chosen: None,
            hides_handovers: false,
            is_paused: false,
            lost: None,
        };
        board.sort();
        board
    }

    /// The cluster answered, or did not.
    pub(super) fn look(&mut self, status: Result<StatusView, String>, now: Instant) {
        match status {
            Ok(status) => {
                self.lost = None;
                if !self.is_paused {
                    self.status = status;
                    self.sort();
                }
            }
            Err(why) => {
                let since = self.lost.as_ref().map_or(now, |(since, _)| *since);
                self.lost = Some((since, why));
            }
        }
    }

    pub(super) fn happened(&mut self, event: EventView) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// A key; `false`: it is to end.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('s') => {
                self.sorted_by = self.sorted_by.next();
                self.sort();
            }
            KeyCode::Char('h') => self.hides_handovers = !self.hides_handovers,
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Down | KeyCode::Char('j') => self.choose(1),
            KeyCode::Up | KeyCode::Char('k') => self.choose(-1),
            KeyCode::PageDown => self.choose(10),
            KeyCode::PageUp => self.choose(-10),
            KeyCode::Home => self.choose(isize::MIN),
            KeyCode::End => self.choose(isize::MAX),
            _ => {}
        }
        true
    }

    /// Row of the chosen shard.
    pub(super) fn row(&self) -> Option<usize> {
        let chosen = self.chosen.as_ref()?;
        self.status.shards.iter().position(|shard| shard.id == *chosen)
    }

    fn choose(&mut self, by: isize) {
        let last = self.status.shards.len().saturating_sub(1);
        let row = match self.row() {
            Some(row) => row.saturating_add_signed(by).min(last),
            None if by == isize::MAX => last,
            None => 0,
        };
        self.chosen = self.status.shards.get(row).map(|shard| shard.id.clone());
    }

    fn sort(&mut self) {
        let column = self.sorted_by;
        self.status.shards.sort_by(|a, b| column.compare(a, b).then_with(|| a.id.cmp(&b.id)));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use pangaea_node::admin::Quantiles;

    use super::*;

    pub(crate) fn shard(id: &str, load: f64, p99: f64, entities: u32) -> ShardView {
        ShardView {
            id: id.to_owned(),
            owner: Some("scene-1".to_owned()),
            phase: "running".to_owned(),
            load,
            entities,
            players: entities / 2,
            tick_ms: Quantiles { p50: p99 / 2.0, p99 },
            ..ShardView::default()
        }
    }

    pub(crate) fn board() -> Board {
        let shards = vec![shard("0/3/0,0", 0.1, 9.0, 30), shard("0/3/1,0", 0.5, 8.0, 10), shard("0/3/2,0", 0.2, 7.0, 20)];
        Board::new("127.0.0.1:7000".to_owned(), StatusView { cluster: "demo".to_owned(), shards, ..StatusView::default() })
    }

    fn press(board: &mut Board, keys: &str) {
        for key in keys.chars() {
            assert!(board.press(KeyEvent::from(KeyCode::Char(key))), "{key} does not end it");
        }
    }

    fn order(board: &Board) -> Vec<&str> {
        board.status.shards.iter().map(|shard| shard.id.trim_start_matches("0/3/")).collect()
    }

    #[test]
    fn shards_are_sorted_by_cost_first_and_by_others_at_a_key() {
        let mut board = board();
        assert_eq!(order(&board), ["1,0", "2,0", "0,0"]);
        press(&mut board, "s");
        assert_eq!(order(&board), ["0,0", "1,0", "2,0"], "p99");
        press(&mut board, "s");
        assert_eq!(order(&board), ["0,0", "2,0", "1,0"], "entities");
        press(&mut board, "sss");
        assert_eq!(board.sorted_by, Column::Load);
    }

    #[test]
    fn a_chosen_shard_stays_chosen_wherever_it_goes() {
        let mut board = board();
        press(&mut board, "jj");
        assert_eq!((board.chosen.as_deref(), board.row()), (Some("0/3/2,0"), Some(1)));
        press(&mut board, "s");
        assert_eq!(board.row(), Some(2));
        press(&mut board, "jjjk");
        assert_eq!(board.row(), Some(1));
    }

    #[test]
    fn a_pause_shows_what_was_and_a_lost_cluster_is_told() {
        let mut board = board();
        press(&mut board, "p");
        board.look(Ok(StatusView::default()), Instant::now());
        assert_eq!(board.status.shards.len(), 3);
        let since = Instant::now();
        board.look(Err("gone".to_owned()), since);
        board.look(Err("still gone".to_owned()), Instant::now());
        assert_eq!(board.lost, Some((since, "still gone".to_owned())));
        board.look(Ok(StatusView::default()), Instant::now());
        assert_eq!(board.lost, None);
    }

    #[test]
    fn q_escape_and_ctrl_c_end_it() {
        let mut board = board();
        for key in [KeyEvent::from(KeyCode::Char('q')), KeyEvent::from(KeyCode::Esc)] {
            assert!(!board.press(key));
        }
        assert!(!board.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    }

    #[test]
    fn events_are_bounded() {
        let mut board = board();
        (0..EVENTS_MAX as u64 + 5).for_each(|seq| board.happened(EventView { seq, ..EventView::default() }));
        assert_eq!((board.events.len(), board.events[0].seq), (EVENTS_MAX, 5));
    }
}
