//! Which core does what: servers on one, clients on the other, so that neither's figure is the other's.

use std::fs;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where servers run.
pub(crate) const SERVER: usize = 0;
/// Where clients run.
pub(crate) const CLIENTS: usize = 1;

/// Keep a process on one core; why not, if it cannot be.
pub(crate) fn pin(process: Option<Pid>, core: usize) -> Result<(), String> {
    pin_to(process, &[core])
}

fn pin_to(process: Option<Pid>, allowed: &[usize]) -> Result<(), String> {
    let mut cores = CpuSet::new();
    allowed.iter().for_each(|core| cores.set(*core));
    sched_setaffinity(process, &cores).map_err(|error| format!("not pinned to core {allowed:?}: {error}"))
}

/// Keep every thread that a process has by now on one core; those to come do as the thread that starts them.
pub(crate) fn pin_threads(process: u32, core: usize) -> Result<(), String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).map_err(|error| format!("no process {process}: {error}"))?;
    for thread in threads.flatten() {
        let id = thread.file_name().to_str().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
        pin(id, core)?;
    }
    Ok(())
}

/// Runs `work` on the server's core alone, then gives all cores back; the note tells when that is not permitted.
pub(crate) fn on_server_core<T>(work: impl FnOnce() -> T) -> (T, String) {
    on_cores(&[SERVER], work)
}

/// Runs `work` on these cores, then gives back those that there were; the note tells when that is not permitted.
pub(crate) fn on_cores<T>(allowed: &[usize], work: impl FnOnce() -> T) -> (T, String) {
    let before = sched_getaffinity(None);
    let note = pin_to(None, allowed).err().unwrap_or_default();
    let done = work();
    if let Ok(before) = before {
        // It was ours a moment ago.
        let _ = sched_setaffinity(None, &before);
    }
    (done, note)
}
