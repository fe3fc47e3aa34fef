//! Which machine and which build: a figure without them says nothing.

use std::fmt;
use std::fs;
use std::process::Command;

use serde::Serialize;

/// Where and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Commit of the source tree in the working folder, `+` when it is changed; empty outside of one.
    pub commit: String,
    /// As the kernel names it.
    pub processor: String,
    /// How many threads can run at once.
    pub cores: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Its version.
    pub kernel: String,
    /// How busy the machine was with other things when the run began: the load of the last minute.
    pub load: f64,
    /// Seconds since 1970 at the start.
    pub at: u64,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commit, processor, cores, memory_mib, kernel, load, .. } = self;
        write!(f, "commit {commit}, {processor}, {cores} cores, {memory_mib} MiB, Linux {kernel}, load {load} at the start")
    }
}

/// This one, now.
pub(crate) fn describe() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Machine {
        commit: commit(),
        processor: field(&read("/proc/cpuinfo"), "model name"),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_mib: memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1_024,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        load: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        at: since_1970.as_secs(),
    }
}

fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success());
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    git(&["rev-parse", "--short=12", "HEAD"]).map(|id| if changed { id + "+" } else { id }).unwrap_or_default()
}

/// Resident memory of this process in bytes.
pub(crate) fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
