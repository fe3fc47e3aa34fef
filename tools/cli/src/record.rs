//! `pangaea record`: a shard and all that reaches it, into a file, while people play in it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use pangaea_node::admin::RecordingView;
use pangaea_node::admin::client::AskError;
use pangaea_schemas::message::RECORDED_BYTES_MAX;
use pangaea_schemas::recording::{FrameScanner, RECORDING_SECONDS_MAX, Recording};
use serde::Serialize;

use crate::cluster::ClusterAddress;
use crate::operator::OrderArgs;
use crate::progress::Progress;
use crate::{exit, say};

/// Pause between two looks at what was recorded.
const FETCH_EVERY: Duration = Duration::from_millis(100);
/// The cluster may be silent for so long; then the recording ends with what there is.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// For the parser of numbers.
const SECONDS_MAX: i64 = RECORDING_SECONDS_MAX as i64;

const EXAMPLES: &str = "Examples:
  pangaea record 0/3/1,0 --seconds 60 --out busy.rec
  pangaea replay busy.rec                            whether the same comes of it
  pangaea record 0/3/1,0 --end                       ends what somebody else records
Ctrl-C ends a recording before its time; what was recorded until then is whole. While it lasts each tick costs the shard a little
more, at its beginning as much as the last step of a move. The file holds all that players did and said there: keep it as you keep
the world's data.";

/// What to record.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RecordArgs {
    /// Which shard, such as 0/3/1,0
    #[arg(value_name = "SHARD")]
    shard: String,
    /// For how long, up to 600
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=SECONDS_MAX))]
    seconds: u32,
    /// The file to write; as usual SHARD.rec
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// End a recording of this shard that somebody else began
    #[arg(long, conflicts_with_all = ["out", "seconds"])]
    end: bool,
    #[command(flatten)]
    how: OrderArgs,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Recorded {
    /// `recorded`, or `broken off`.
    result: &'static str,
    shard: String,
    scene: String,
    file: String,
    ticks: u64,
    seconds: f64,
    bytes: u64,
    why: String,
}

/// Record it, and tell how it went.
pub(crate) async fn run(cluster: &ClusterAddress, args: &RecordArgs) -> anyhow::Result<ExitCode> {
    let RecordArgs { shard, seconds, how, .. } = args;
    let path = format!("shard={shard}&seconds={seconds}&dry_run={}", how.dry_run);
    if args.end || how.dry_run {
        let word = if args.end { "/end" } else { "" };
        let view: RecordingView = cluster.order(&format!("/api/recordings{word}?{path}"), &how.operator).await?;
        say(&if how.json { serde_json::to_string_pretty(&view)? } else { in_short(&view, args.end) });
        return Ok(ExitCode::SUCCESS);
    }
    let name = args.out.clone().unwrap_or_else(|| PathBuf::from(shard.replace(['/', ','], "-") + ".rec"));
    // What cannot be written is not begun.
    let opened = OpenOptions::new().write(true).create_new(true).open(&name);
    let file = opened.with_context(|| format!("cannot make {}; name another file with --out", name.display()))?;
    let begun = cluster.order::<RecordingView>(&format!("/api/recordings?{path}"), &how.operator).await;
    let view = begun.inspect_err(|_| drop(fs::remove_file(&name)))?;
    let mut fetching = Fetching { cluster, view: &view, file, scanner: FrameScanner::default() };
    let lost = fetching.follow(args).await.err();
    if let Some(lost) = &lost {
        fetching.close(&format!("it broke off: {lost:#}")).with_context(|| format!("cannot write {}", name.display()))?;
    }
    let outcome = outcome(&name, &view, lost.is_some())?;
    say(&if how.json { serde_json::to_string_pretty(&outcome)? } else { in_words(&outcome) });
    Ok(ExitCode::from(if lost.is_none() { exit::DONE } else { exit::WRONG }))
}

/// A recording on its way into its file.
struct Fetching<'a> {
    cluster: &'a ClusterAddress,
    view: &'a RecordingView,
    file: File,
    scanner: FrameScanner,
}

impl Fetching<'_> {
    /// Until the recording is over.
    async fn follow(&mut self, args: &RecordArgs) -> anyhow::Result<()> {
        let (mut is_ended, mut heard) = (false, Instant::now());
        let progress = Progress::begin(&self.view.shard, "s", args.how.json);
        let began = Instant::now();
        let ctrl_c = tokio::signal::ctrl_c();
        tokio::pin!(ctrl_c);
        while !self.scanner.is_over() {
            let more = match self.fetch().await {
                Ok(more) => {
                    heard = Instant::now();
                    more
                }
                Err(error) if heard.elapsed() > SILENCE_MAX || !is_passing(&error) => return Err(error),
                Err(_) => false,
            };
            let bytes = self.scanner.bytes() / 1_024;
            let words = format!("{} ticks, {bytes} KiB, Ctrl-C ends it", self.scanner.ticks());
            progress.show(began.elapsed().as_secs().min(u64::from(args.seconds)), u64::from(args.seconds), words);
            if more {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(FETCH_EVERY) => {}
                _ = &mut ctrl_c, if !is_ended => {
                    is_ended = true;
                    let path = format!("/api/recordings/end?shard={}", self.view.shard);
                    // It may be over by now, which the next part shows.
                    let _ = self.cluster.order::<RecordingView>(&path, &args.how.operator).await;
                }
            }
        }
        // Nothing more comes; but so the shard's owner hears that all of it has arrived, and keeps none of it any longer.
        let _ = self.fetch().await;
        Ok(())
    }

    /// The next part; whether there is more of it already.
    async fn fetch(&mut self) -> anyhow::Result<bool> {
        let (RecordingView { shard, key, .. }, from) = (self.view, self.scanner.bytes());
        let bytes = self.cluster.fetch(&format!("/api/recordings/part?shard={shard}&key={key}&from={from}")).await?;
        self.scanner.take(&bytes)?;
        self.file.write_all(&bytes).context("the recording cannot be written")?;
        Ok(bytes.len() >= RECORDED_BYTES_MAX)
    }

    /// Nothing more comes: the file ends behind the last whole tick.
    fn close(&mut self, why: &str) -> std::io::Result<()> {
        self.file.set_len(self.scanner.whole_bytes())?;
        std::io::Seek::seek(&mut self.file, std::io::SeekFrom::End(0))?;
        self.file.write_all(&self.scanner.last_frame(why))
    }
}

/// The shard's owner may change and the world may start again; what is refused in words is over.
fn is_passing(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<AskError>() {
        Some(AskError::Refused { status, .. }) => matches!(status, 404 | 500..),
        Some(AskError::Unreachable { .. } | AskError::TooSlow(_) | AskError::Broken { .. }) => true,
        Some(AskError::Malformed(_)) | None => false,
    }
}

/// What the file holds.
fn outcome(name: &Path, view: &RecordingView, is_lost: bool) -> anyhow::Result<Recorded> {
    let bytes = Bytes::from(fs::read(name).with_context(|| format!("cannot read {} again", name.display()))?);
    let recording = Recording::read(&bytes);
    let recording = match recording {
        Ok(recording) => recording,
        Err(error) if is_lost => bail!("nothing was recorded: {error}"),
        Err(error) => return Err(error).with_context(|| format!("{} is not what was fetched", name.display())),
    };
    let ticks = recording.ticks() as u64;
    Ok(Recorded {
        result: if is_lost { "broken off" } else { "recorded" },
        shard: view.shard.clone(),
        scene: view.scene.clone(),
        file: name.display().to_string(),
        ticks,
        seconds: ticks as f64 / f64::from(recording.head().hz),
        bytes: bytes.len() as u64,
        why: recording.end().why.clone(),
    })
}

fn in_short(view: &RecordingView, ends: bool) -> String {
    let RecordingView { shard, scene, entities, players, seconds, dry_run, .. } = view;
    match (ends, dry_run) {
        (true, false) => format!("The recording of {shard} at {scene} ends with the next tick; whoever began it has it."),
        (true, true) => format!("A recording of {shard} at {scene} would end. Nothing was ordered."),
        (false, _) => format!(
            "{shard} with {entities} entities, {players} of them players, would be recorded at {scene} for {seconds} s. Nothing \
             was ordered."
        ),
    }
}

fn in_words(recorded: &Recorded) -> String {
    let Recorded { shard, scene, file, ticks, seconds, bytes, why, .. } = recorded;
    let size = bytes / 1_024;
    format!("{shard} at {scene}: {ticks} ticks, {seconds:.1} s, {size} KiB in {file}; {why}.\nNow: pangaea replay {file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_waited_for_and_what_is_refused_in_words_is_not() {
        let refused = |status| anyhow::Error::new(AskError::Refused { status, text: String::new() }).context("refused");
        for (status, passes) in [(404, true), (504, true), (409, false), (403, false)] {
            assert_eq!(is_passing(&refused(status)), passes, "{status}");
        }
        assert!(is_passing(&anyhow::Error::new(AskError::TooSlow("here".to_owned()))));
        assert!(!is_passing(&anyhow::anyhow!("the disk is full")));
    }

    #[test]
    fn a_file_that_is_there_is_not_written_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("old.rec");
        fs::write(&out, "precious").expect("written");
        let how = crate::operator::tests::nobody();
        let args = RecordArgs { shard: "0/3/0,0".to_owned(), seconds: 1, out: Some(out.clone()), end: false, how };
        let cluster = "127.0.0.1:1".parse().expect("an address");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let error = runtime.block_on(run(&cluster, &args)).expect_err("it is there");
        assert!(format!("{error:#}").contains("--out"), "{error:#}");
        assert_eq!(fs::read(&out).expect("still there"), b"precious");
    }
}
