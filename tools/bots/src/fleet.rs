//! A fleet of bots: bring them in one after the other, let them play, sum up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::bot::{Phase, Role, live};
use crate::report::{Report, Tally};
use crate::{BotOptions, Endpoint};

/// Between two bots' coming in.
const RAMP: Duration = Duration::from_millis(10);
/// Between two looks at how far they are.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Let bots play as the options say; what they saw. Bots that do not get in are anomalies, not errors.
pub async fn run(options: BotOptions) -> Report {
    let (phase, _) = watch::channel(Phase::Gathering);
    let (inside, outside) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut bots = JoinSet::new();
    let bar = progress(&options);
    bar.set_message("bots come in");
    for number in 0..options.count {
        let (joined, failed) = (inside.clone(), outside.clone());
        let entered = move |is_in| _ = if is_in { joined } else { failed }.fetch_add(1, Ordering::Relaxed);
        bots.spawn(live(role(&options, number), phase.subscribe(), entered));
        bar.set_position(u64::from(inside.load(Ordering::Relaxed)));
        sleep(RAMP).await;
    }
    loop {
        let (joined, failed) = (inside.load(Ordering::Relaxed), outside.load(Ordering::Relaxed));
        bar.set_position(u64::from(joined));
        if joined + failed >= options.count {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    measure(&options, &bar, &phase).await;
    let mut tally = Tally::default();
    while let Some(done) = bots.join_next().await {
        match done {
            Ok(bot) => tally.merge(bot),
            Err(error) => tracing::error!("a bot ended badly: {error}"),
        }
    }
    bar.finish_and_clear();
    tally.report(options.play)
}

async fn measure(options: &BotOptions, bar: &ProgressBar, phase: &watch::Sender<Phase>) {
    let began = Instant::now();
    bar.set_length(options.play.as_secs().max(1));
    bar.set_message("bots play, seconds");
    phase.send_replace(Phase::Measuring);
    while began.elapsed() < options.play {
        bar.set_position(began.elapsed().as_secs());
        sleep(LOOK_EVERY.min(options.play.saturating_sub(began.elapsed()))).await;
    }
    phase.send_replace(Phase::Over);
}

fn role(options: &BotOptions, number: u32) -> Role {
    let endpoint = options.endpoints.get(number as usize % options.endpoints.len().max(1)).cloned();
    Role {
        number,
        endpoint: endpoint.unwrap_or_else(|| Endpoint::Tcp(String::new())),
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
