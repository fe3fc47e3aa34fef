//! The dashboard, drawn. At 80 by 24 everything has its place; on more, shards and events get the room.

use std::time::Instant;

use pangaea_node::admin::{EventView, MoveView, SceneView, ShardView};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table, TableState};

use super::board::Board;
use crate::watch::line;

/// Rows of the upper panel: its title, and a row for each of the first nodes.
const UPPER_ROWS: u16 = 8;
/// Columns of the list of nodes.
const NODES_COLUMNS: u16 = 30;
/// Letters of a full bar.
const BAR_LETTERS: usize = 10;
/// A shard that uses more of its tick than this should be looked at; above the second there is no room.
const LOAD_HIGH: f64 = 0.5;
const LOAD_FULL: f64 = 0.9;

const QUIET: Style = Style::new().fg(Color::DarkGray);

/// Everything, for this moment.
pub(super) fn draw(frame: &mut Frame<'_>, board: &mut Board, now: Instant) {
    let moving = board.status.moves.iter().filter(|shift| !shift.over).count().min(3) as u16;
    let [head, upper, moves, shards, events, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(UPPER_ROWS),
        Constraint::Length(moving),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let [nodes, scenes] = Layout::horizontal([Constraint::Length(NODES_COLUMNS), Constraint::Fill(1)]).areas(upper);
    frame.render_widget(title(board, now), head);
    draw_nodes(frame, board, nodes);
    draw_scenes(frame, board, scenes);
    draw_moves(frame, board, moves);
    draw_shards(frame, board, shards);
    draw_events(frame, board, events);
    let keys = " q quit  ↑↓ choose  s sort  h hand-overs  p pause";
    frame.render_widget(Paragraph::new(keys).style(QUIET), foot);
}

fn title(board: &Board, now: Instant) -> Line<'_> {
    let status = &board.status;
    let entities: u32 = status.shards.iter().map(|shard| shard.entities).sum();
    let running = status.shards.iter().filter(|shard| shard.phase == "running").count();
    let shards = status.shards.len();
    let mut spans = vec![
        Span::styled(format!(" Pangaea {} ", status.cluster), Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED)),
        Span::raw(format!(" {running}/{shards} shards  {entities} entities  {} sessions  ", status.sessions)),
    ];
    match &board.lost {
        Some((since, _)) => {
            let text = format!("no answer for {} s", now.saturating_duration_since(*since).as_secs());
            spans.push(Span::styled(text, Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)));
        }
        None if board.is_paused => spans.push(Span::styled("paused", Style::new().fg(Color::Yellow))),
        None => spans.push(Span::styled(board.address.as_str(), QUIET)),
    }
    Line::from(spans)
}

fn draw_nodes(frame: &mut Frame<'_>, board: &Board, area: Rect) {
    let nodes = &board.status.nodes;
    let rows = nodes.iter().map(|node| {
        let state = if node.state == "up" { Style::new().fg(Color::Green) } else { Style::new().fg(Color::Yellow) };
        Row::new([
            Cell::from(node.id.as_str()),
            Cell::from(Span::styled(node.state.as_str(), state)),
            Cell::from(node.pid.to_string()),
        ])
    });
    let widths = [Constraint::Length(12), Constraint::Length(8), Constraint::Length(8)];
    frame.render_widget(Table::new(rows, widths).block(panel(format!("nodes {}", nodes.len()))), area);
}

fn draw_scenes(frame: &mut Frame<'_>, board: &Board, area: Rect) {
    let row = |SceneView { id, state, shards, entities, load, .. }: &SceneView| {
        let state = if state == "up" { String::new() } else { state.clone() };
        let cells =
            [bar(*load), format!("{:>4.0}%", load * 100.0), format!("{shards:>3} sh"), format!("{entities:>6} en"), state];
        let cells = std::iter::once(Cell::from(id.clone())).chain(cells.into_iter().map(Cell::from));
        Row::new(cells).style(of_load(*load))
    };
    let mut rows: Vec<_> = board.status.scenes.iter().map(row).collect();
    rows.extend(board.status.gateways.iter().map(|gateway| {
        let clients = format!("{} clients", gateway.connections);
        Row::new([Cell::from(gateway.id.clone()), Cell::from(clients)]).style(QUIET)
    }));
    let widths = [11, BAR_LETTERS as u16 + 1, 5, 6, 9, 8].map(Constraint::Length);
    frame.render_widget(Table::new(rows, widths).column_spacing(0).block(panel("scenes and gateways".to_owned())), area);
}

fn draw_moves(frame: &mut Frame<'_>, board: &Board, area: Rect) {
    let flying = board.status.moves.iter().filter(|shift| !shift.over);
    let words = |MoveView { shard, from, to, step, rounds, bytes, .. }: &MoveView| {
        Line::from(format!(" ⇄ {shard} {from} → {to}: {step}, round {rounds}, {} KiB", bytes / 1_024))
    };
    let lines: Vec<_> = flying.take(area.height.into()).map(words).collect();
    frame.render_widget(Paragraph::new(lines).style(Style::new().fg(Color::Cyan)), area);
}

fn draw_shards(frame: &mut Frame<'_>, board: &mut Board, area: Rect) {
    let row = |shard: &ShardView| {
        let load = format!("{:>5.1}%", shard.load * 100.0);
        let owner = shard.owner.clone().unwrap_or_else(|| "-".to_owned());
        let phase = if shard.phase == "running" { String::new() } else { shard.phase.clone() };
        let numbers = [shard.entities, shard.players, shard.ghosts].map(|number| format!("{number:>7}"));
        let times = [shard.tick_ms.p50, shard.tick_ms.p99].map(|ms| format!("{ms:>7.2}"));
        let cells = [shard.id.clone(), owner, load].into_iter().chain(times).chain(numbers).chain([phase]);
        Row::new(cells.map(Cell::from)).style(if phase_is_bad(shard) { Style::new().fg(Color::Red) } else { of_load(shard.load) })
    };
    let head = ["shard", "owner", "  load", "    p50", "    p99", "   ents", " player", " ghosts", ""];
    let widths = [11, 9, 6, 7, 7, 7, 7, 7, 10].map(Constraint::Length);
    let title = format!("shards by {}", board.sorted_by.name());
    let table = Table::new(board.status.shards.iter().map(row), widths)
        .header(Row::new(head).style(QUIET))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(panel(title));
    let mut chosen = TableState::default().with_selected(board.row());
    frame.render_stateful_widget(table, area, &mut chosen);
}

fn phase_is_bad(shard: &ShardView) -> bool {
    !matches!(shard.phase.as_str(), "running" | "unconfirmed")
}

fn draw_events(frame: &mut Frame<'_>, board: &Board, area: Rect) {
    let room = usize::from(area.height.saturating_sub(1));
    let shown = |event: &&EventView| !(board.hides_handovers && event.kind == "handover");
    let lines: Vec<_> = board.events.iter().rev().filter(shown).take(room).map(|event| Line::from(line(event))).collect();
    let title = if board.hides_handovers { "events but hand-overs" } else { "events" };
    frame.render_widget(Paragraph::new(lines).block(panel(title.to_owned())), area);
}

fn panel(title: String) -> Block<'static> {
    Block::new().borders(Borders::TOP).border_style(QUIET).title(Span::styled(format!(" {title} "), Style::new().fg(Color::Gray)))
}

fn bar(part: f64) -> String {
    let full = (part.clamp(0.0, 1.0) * BAR_LETTERS as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "·".repeat(BAR_LETTERS - full))
}

fn of_load(load: f64) -> Style {
    match load {
        load if load > LOAD_FULL => Style::new().fg(Color::Red),
        load if load > LOAD_HIGH => Style::new().fg(Color::Yellow),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use pangaea_node::admin::NodeView;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::board::tests::board;
    use super::*;

    /// What stands on a screen of that size.
    fn screen(board: &mut Board, columns: u16, rows: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("no device");
        terminal.draw(|frame| draw(frame, board, Instant::now())).expect("no device");
        let buffer = terminal.backend().buffer();
        let letter = |x, y| buffer.cell((x, y)).map_or(" ", |cell| cell.symbol());
        (0..rows).map(|y| (0..columns).map(|x| letter(x, y)).collect::<String>().trim_end().to_owned()).collect()
    }

    fn full() -> Board {
        let mut board = board();
        let node = |id: &str| NodeView { id: id.to_owned(), state: "up".to_owned(), pid: 4_242, ..NodeView::default() };
        board.status.nodes = ["world-1", "data-1", "auth-1", "scene-1", "scene-2", "gateway-1"].map(node).to_vec();
        let scene =
            |id: &str, load| SceneView { id: id.to_owned(), state: "up".to_owned(), shards: 8, entities: 70, load, rules: 1 };
        board.status.scenes = vec![scene("scene-1", 0.42), scene("scene-2", 0.95)];
        let shift = |shard: &str| MoveView {
            shard: shard.to_owned(),
            from: "scene-1".to_owned(),
            to: "scene-2".to_owned(),
            step: "copying".to_owned(),
            bytes: 4_096,
            ..MoveView::default()
        };
        board.status.moves = vec![shift("0/3/1,0")];
        for (seq, kind) in [(1, "node"), (2, "handover")] {
            board.happened(EventView { seq, kind: kind.to_owned(), text: format!("{kind} text"), ..EventView::default() });
        }
        board
    }

    #[test]
    fn an_ordinary_terminal_shows_everything() {
        let text = screen(&mut full(), 80, 24).join("\n");
        for word in [
            "Pangaea demo",
            "3/3 shards",
            "60 entities",
            "world-1",
            "gateway-1",
            "scene-2",
            "██████████",
            "95%",
            "⇄ 0/3/1,0 scene-1 → scene-2",
            "shards by tick cost",
            "0/3/2,0",
            "node text",
            "handover text",
            "q quit",
        ] {
            assert!(text.contains(word), "{word} in\n{text}");
        }
        let row = |id: &str| text.lines().position(|line| line.starts_with(id)).expect("a row");
        assert!(row("0/3/1,0") < row("0/3/2,0") && row("0/3/2,0") < row("0/3/0,0"), "the costliest first\n{text}");
    }

    #[test]
    fn a_tiny_terminal_is_no_reason_to_fall_over() {
        for (columns, rows) in [(1, 1), (20, 5), (200, 70)] {
            screen(&mut full(), columns, rows);
        }
    }

    #[test]
    fn hidden_handovers_and_a_lost_cluster_are_seen() {
        let mut board = full();
        board.hides_handovers = true;
        board.lost = Some((Instant::now(), "gone".to_owned()));
        let text = screen(&mut board, 80, 24).join("\n");
        assert!(!text.contains("handover text") && text.contains("node text") && text.contains("no answer for 0 s"), "{text}");
    }
}
