//! A fleet of bots: bring them in one after the other, let them play, sum up.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::BotOptions;
use crate::bot::{Phase, Role, live};
use crate::report::{Report, Tally};
use crate::vitals::{Stage, Vitals};

/// Between two bots' coming in.
const RAMP: Duration = Duration::from_millis(10);
/// Between two looks at how far they are.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Let bots play as the options say; what they saw. Bots that do not get in are anomalies, not errors.
pub async fn run(options: BotOptions) -> Report {
    let bar = progress(&options);
    bar.set_message("bots come in");
    let mut fleet = Fleet::start(&options);
    while fleet.vitals().any(|vitals| vitals.stage == Stage::Entering) {
        bar.set_position(fleet.vitals().filter(|vitals| vitals.stage != Stage::Entering).count() as u64);
        sleep(LOOK_EVERY).await;
    }
    bar.set_length(options.play.as_secs().max(1));
    bar.set_message("bots play, seconds");
    fleet.measure();
    let began = Instant::now();
    while began.elapsed() < options.play {
        bar.set_position(began.elapsed().as_secs());
        sleep(LOOK_EVERY.min(options.play.saturating_sub(began.elapsed()))).await;
    }
    bar.finish_and_clear();
    fleet.end().await
}

/// Bots that play until they are told to end. Dropping it ends them at once.
pub struct Fleet {
    phase: watch::Sender<Phase>,
    vitals: Vec<watch::Receiver<Vitals>>,
    bots: JoinSet<Tally>,
    measured_since: Instant,
}

impl Fleet {
    /// Send them in, one after the other.
    pub fn start(options: &BotOptions) -> Self {
        let (phase, _) = watch::channel(Phase::Gathering);
        let (mut bots, mut vitals) = (JoinSet::new(), Vec::new());
        for number in 0..options.count {
            let (tell, told) = watch::channel(Vitals::default());
            let (role, phase) = (role(options, number), phase.subscribe());
            bots.spawn(async move {
                sleep(RAMP * number).await;
                live(role, phase, tell).await
            });
            vitals.push(told);
        }
        Self { phase, vitals, bots, measured_since: Instant::now() }
    }

    /// How each bot is now, in order of their numbers.
    pub fn vitals(&self) -> impl Iterator<Item = Vitals> {
        self.vitals.iter().map(|vitals| vitals.borrow().clone())
    }

    /// From now on rates and spreads are measured; anomalies always are.
    pub fn measure(&mut self) {
        self.measured_since = Instant::now();
        self.phase.send_replace(Phase::Measuring);
    }

    /// Let all stand still: they begin nothing new, but stay and listen.
    pub fn rest(&self) {
        self.phase.send_replace(Phase::Resting);
    }

    /// Let all leave; what they saw.
    pub async fn end(mut self) -> Report {
        let measured = self.measured_since.elapsed();
        self.phase.send_replace(Phase::Over);
        let mut tally = Tally::default();
        while let Some(done) = self.bots.join_next().await {
            match done {
                Ok(bot) => tally.merge(bot),
                Err(error) => tracing::error!("a bot ended badly: {error}"),
            }
        }
        tally.report(measured)
    }
}

fn role(options: &BotOptions, number: u32) -> Role {
    let mut endpoints = options.endpoints.clone();
    let own = number as usize % endpoints.len().max(1);
    endpoints.rotate_left(own);
    Role {
        number,
        endpoints,
        scenario: options.scenario,
        seed: options.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(number)),
    }
}

fn progress(options: &BotOptions) -> ProgressBar {
    let target = if options.progress { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(u64::from(options.count)), target);
    if let Ok(style) = ProgressStyle::with_template("{msg:>20} {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    bar
}
