//! Where the time goes: `perf` beside the run, and the functions that took most.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// Functions shown.
const LINES: usize = 40;

/// A `perf record` of this process.
pub(crate) struct Recorder {
    perf: Child,
    file: PathBuf,
}

impl Recorder {
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("perf.data");
        let mut command = Command::new("perf");
        command.args(["record", "--quiet", "-e", "cpu-clock", "-F", "1999", "-g", "-o"]).arg(&file);
        command.args(["-p", &std::process::id().to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        let perf = command.spawn().context("perf cannot be started; on Debian it is in linux-perf")?;
        Ok(Self { perf, file })
    }

    /// End the recording; the functions that took most. The rest is told by `perf report -i` of the file.
    pub(crate) fn finish(mut self) -> anyhow::Result<String> {
        if let Some(pid) = Pid::from_raw(self.perf.id() as i32) {
            kill_process(pid, Signal::INT)?;
        }
        self.perf.wait()?;
        let mut report = Command::new("perf");
        report.args(["report", "--no-children", "-g", "none", "--stdio", "-i"]).arg(&self.file);
        let text = report.output().context("perf cannot report")?.stdout;
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).take(LINES);
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}
