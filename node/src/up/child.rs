//! One child process: started with its stdin held open, its lines kept, and ended without orphans.
//!
//! A role ends in good order when its stdin ends. The supervisor holds the other end, so the operating system closes it even
//! when the supervisor is killed. Children have a process group of their own: Ctrl-C in the terminal reaches the supervisor only,
//! which then ends them in order.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin, Command};

/// Last log lines kept for an obituary.
const TAIL_LINES_MAX: usize = 20;
/// Longest log line kept, in bytes.
const LINE_BYTES_MAX: usize = 4 * 1_024;

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildSpec {
    /// Such as `scene-1`.
    pub name: String,
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// The network namespace that it runs in; this process's own when not given.
    pub namespace: Option<String>,
    /// Where its lines go.
    pub log: PathBuf,
    /// Every line goes to the terminal too, not only warnings and errors.
    pub verbose: bool,
}

/// A running child.
pub struct Child {
    name: String,
    process: tokio::process::Child,
    stdin: Option<ChildStdin>,
    tail: Arc<Mutex<VecDeque<String>>>,
    /// Its warnings are no news: its peers come and go.
    calm: Arc<AtomicBool>,
}

/// How a child ended when it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, well.
    InOrder,
    /// By itself, with an error.
    Badly(ExitStatus),
    /// Too slow: it was killed.
    Killed,
}

impl ChildSpec {
    /// `ip` enters the namespace and becomes the program: it keeps its process id.
    fn command(&self) -> Command {
        let Some(namespace) = &self.namespace else {
            let mut command = Command::new(&self.program);
            command.args(&self.args);
            return command;
        };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(&self.program).args(&self.args);
        command
    }
}

impl Child {
    /// Start it.
    ///
    /// # Errors
    /// The log file or the program cannot be opened.
    pub fn start(spec: &ChildSpec) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(&spec.log);
        let log = log.with_context(|| format!("cannot write the log {}", spec.log.display()))?;
        let mut process = spec
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {} ({})", spec.name, spec.program.display()))?;
        let (tail, calm) = (Arc::new(Mutex::new(VecDeque::new())), Arc::new(AtomicBool::new(true)));
        if let Some(stderr) = process.stderr.take() {
            let (name, verbose) = (spec.name.clone(), spec.verbose);
            let lines = Lines { name, log, tail: tail.clone(), verbose, calm: calm.clone() };
            tokio::spawn(lines.follow(stderr));
        }
        Ok(Self { name: spec.name.clone(), stdin: process.stdin.take(), process, tail, calm })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// How it ended, if it has.
    pub fn poll_exit(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Its last log lines, oldest first.
    pub fn last_lines(&self) -> Vec<String> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Whether only its errors reach the terminal, or its warnings too.
    pub fn set_calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::Relaxed);
    }

    /// Ask it to end, and kill it after `grace`.
    pub async fn stop(mut self, grace: Duration) -> Ended {
        drop(self.stdin.take());
        match tokio::time::timeout(grace, self.process.wait()).await {
            Ok(Ok(status)) if status.success() => Ended::InOrder,
            Ok(Ok(status)) => Ended::Badly(status),
            Ok(Err(_)) | Err(_) => {
                // It may have ended in this moment; either way nothing is left.
                let _ = self.process.kill().await;
                Ended::Killed
            }
        }
    }
}

/// The way of a child's lines.
struct Lines {
    name: String,
    log: File,
    tail: Arc<Mutex<VecDeque<String>>>,
    verbose: bool,
    calm: Arc<AtomicBool>,
}

impl Lines {
    async fn follow(mut self, stderr: ChildStderr) {
        let mut lines = BufReader::new(stderr).lines();
        // A line that is no UTF-8 ends `lines` with an error: it is skipped, the child must never block on a full pipe.
        loop {
            match lines.next_line().await {
                Ok(Some(line)) => self.take(&line),
                Ok(None) => return,
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => self.take("(a line that is not text)"),
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, line: &str) {
        let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
        // A full disk must not take the role's log pipe with it.
        let _ = writeln!(self.log, "{line}");
        let shown_from = if self.calm.load(Ordering::Relaxed) { Alarm::Error } else { Alarm::Warning };
        if self.verbose || Alarm::of(line) >= shown_from {
            let _ = writeln!(std::io::stderr(), "{}: {line}", self.name);
        }
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL_LINES_MAX {
            tail.pop_front();
        }
        tail.push_back(line.to_owned());
    }
}

/// How much a log line wants to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Nothing,
    Warning,
    /// An error, or a line without a level, such as a panic's.
    Error,
}

impl Alarm {
    /// Of a line for people or in JSON.
    fn of(line: &str) -> Self {
        let head = &line[..line.floor_char_boundary(100)];
        let is_one_of = |levels: &[&str]| {
            let marks = levels.iter().flat_map(|level| [format!(" {level} "), format!("\"{level}\"")]);
            marks.into_iter().any(|mark| head.contains(&mark))
        };
        // The last ones are how the engine's servers write.
        if is_one_of(&["INFO", "DEBUG", "TRACE", "[INF]", "[DBG]", "[TRC]"]) {
            Self::Nothing
        } else if is_one_of(&["WARN", "[WRN]"]) {
            Self::Warning
        } else {
            Self::Error
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(folder: &tempfile::TempDir, script: &str) -> Child {
        let spec = ChildSpec {
            name: "scene-1".to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            namespace: None,
            log: folder.path().join("scene-1.log"),
            verbose: false,
        };
        Child::start(&spec).expect("a shell")
    }

    #[tokio::test]
    async fn a_child_ends_when_its_stdin_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let child = shell(&folder, "cat >/dev/null; echo ' INFO bye' >&2");
        assert!(child.pid().is_some());
        assert_eq!(child.stop(Duration::from_secs(20)).await, Ended::InOrder);
    }

    #[test]
    fn in_a_namespace_ip_becomes_the_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let spec = |namespace: Option<&str>| ChildSpec {
            name: "scene-1".to_owned(),
            program: "/bin/pangaea".into(),
            args: vec!["scene".to_owned()],
            namespace: namespace.map(str::to_owned),
            log: folder.path().join("log"),
            verbose: false,
        };
        let words = |spec: &ChildSpec| {
            let command = spec.command();
            let command = command.as_std();
            let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
            words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(&spec(None)), "/bin/pangaea scene");
        assert_eq!(words(&spec(Some("host-2"))), "ip netns exec host-2 /bin/pangaea scene");
    }

    #[tokio::test]
    async fn a_stubborn_child_is_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let child = shell(&folder, "while true; do sleep 1; done");
        assert_eq!(child.stop(Duration::from_millis(50)).await, Ended::Killed);
    }

    #[tokio::test]
    async fn a_child_that_fails_leaves_its_last_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = shell(&folder, "echo ' INFO no disk' >&2; exit 3");
        let status = child.process.wait().await.expect("ended");
        assert_eq!(status.code(), Some(3));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while child.last_lines().is_empty() && tokio::time::Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        assert_eq!(child.last_lines(), vec![" INFO no disk"]);
        assert_eq!(child.poll_exit().and_then(|status| status.code()), Some(3));
    }

    #[test]
    fn lines_are_told_apart_by_their_level() {
        assert_eq!(Alarm::of("2026-01-01T00:00:00Z  INFO scene: up"), Alarm::Nothing);
        assert_eq!(Alarm::of(r#"{"timestamp":"2026","level":"DEBUG","message":"x"}"#), Alarm::Nothing);
        assert_eq!(Alarm::of("[7] 2026/01/01 00:00:00.0 [INF] Server is ready"), Alarm::Nothing);
        assert_eq!(Alarm::of("[7] 2026/01/01 00:00:00.0 [ERR] no disk"), Alarm::Error);
        assert_eq!(Alarm::of("2026-01-01T00:00:00Z  WARN scene: late"), Alarm::Warning);
        assert_eq!(Alarm::of("2026-01-01T00:00:00Z ERROR scene: broken"), Alarm::Error);
        assert_eq!(Alarm::of("thread 'tick' panicked at scene.rs:1"), Alarm::Error);
    }
}
