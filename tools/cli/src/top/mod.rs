//! `pangaea top`: the cluster in the terminal, as it goes.
//!
//! [`Board`] is what is known and chosen, [`picture`] draws it; here are the terminal, the keys and the clock. The terminal is
//! put back in order whatever ends this: a key, a signal, an error or a panic.

mod board;
mod picture;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use pangaea_node::admin::{EventView, StatusView};
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::clock::span;
use crate::cluster::ClusterAddress;

use board::Board;

const EXAMPLES: &str = "Examples:
  pangaea top
  pangaea --cluster http://127.0.0.1:7100 top --every 2s
Keys: q ends; arrows, j and k choose a shard; s sorts by another column; h hides hand-overs; p pauses.";

/// Keys and events that wait to be shown; more are dropped, the next status shows all the same.
const WAITING_MAX: usize = 1_024;
/// The thread that reads keys looks this often whether anybody still wants them.
const KEY_WAIT: Duration = Duration::from_millis(200);
/// Between two attempts to hear events.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// How to look.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TopArgs {
    /// Time between two looks
    #[arg(long, default_value = "1s", value_parser = span, value_name = "SPAN")]
    every: Duration,
}

/// What wakes the dashboard.
enum News {
    Key(KeyEvent),
    Resized,
    Happened(EventView),
    Status(Box<Result<StatusView, String>>),
}

/// Show it until a key or a signal ends it.
pub(crate) async fn run(cluster: &ClusterAddress, args: &TopArgs) -> anyhow::Result<ExitCode> {
    // A cluster that is not there is told in words, on the ordinary screen.
    let status: StatusView = cluster.ask("/api/status").await?;
    let mut board = Board::new(cluster.to_string(), status);
    let (tell, mut news) = mpsc::channel(WAITING_MAX);
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut terminal = ratatui::try_init().context("this is not a terminal")?;
    let tasks = [
        tokio::spawn(look(cluster.clone(), args.every.max(KEY_WAIT), tell.clone())),
        tokio::spawn(hear(cluster.clone(), tell.clone())),
    ];
    std::thread::spawn(move || read_keys(&tell));
    let ended = loop {
        if let Err(error) = terminal.draw(|frame| picture::draw(frame, &mut board, Instant::now())) {
            break Err(error).context("cannot draw");
        }
        tokio::select! {
            Some(news) = news.recv() => if !take(&mut board, news) { break Ok(()) },
            _ = terminated.recv() => break Ok(()),
        }
        // What came meanwhile is drawn in one go.
        while let Ok(news) = news.try_recv() {
            if !take(&mut board, news) {
                tasks.iter().for_each(tokio::task::JoinHandle::abort);
                ratatui::restore();
                return Ok(ExitCode::SUCCESS);
            }
        }
    };
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    ratatui::restore();
    ended.map(|()| ExitCode::SUCCESS)
}

/// `false`: it is to end.
fn take(board: &mut Board, news: News) -> bool {
    match news {
        News::Key(key) => return board.press(key),
        News::Resized => {}
        News::Happened(event) => board.happened(event),
        News::Status(status) => board.look(*status, Instant::now()),
    }
    true
}

async fn look(cluster: ClusterAddress, every: Duration, tell: mpsc::Sender<News>) {
    let mut due = tokio::time::interval(every);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let status = cluster.ask("/api/status").await.map_err(|error| format!("{error:#}"));
        if tell.send(News::Status(Box::new(status))).await.is_err() {
            return;
        }
    }
}

async fn hear(cluster: ClusterAddress, tell: mpsc::Sender<News>) {
    let mut after = 0;
    loop {
        let from = after;
        let told = |data: &str| {
            let Ok(event) = serde_json::from_str::<EventView>(data) else { return true };
            after = event.seq;
            !matches!(tell.try_send(News::Happened(event)), Err(mpsc::error::TrySendError::Closed(_)))
        };
        if cluster.listen(from, told).await.is_ok() {
            return;
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// On a thread of its own: reading keys waits.
fn read_keys(tell: &mpsc::Sender<News>) {
    while !tell.is_closed() {
        let news = match event::poll(KEY_WAIT) {
            Ok(true) => event::read(),
            Ok(false) => continue,
            Err(_) => return,
        };
        let sent = match news {
            Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => tell.blocking_send(News::Key(key)),
            Ok(Event::Resize(..)) => tell.blocking_send(News::Resized),
            Ok(_) => Ok(()),
            Err(_) => return,
        };
        if sent.is_err() {
            return;
        }
    }
}
