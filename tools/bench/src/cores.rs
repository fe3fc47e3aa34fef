//! Which core does what: servers on one, clients on the other, so that neither's figure is the other's.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where servers run.
pub(crate) const SERVER: usize = 0;
/// Where clients run.
pub(crate) const CLIENTS: usize = 1;

/// Keep a process on one core; why not, if it cannot be.
pub(crate) fn pin(process: Option<Pid>, core: usize) -> Result<(), String> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(process, &cores).map_err(|error| format!("not pinned to core {core}: {error}"))
}

/// Runs `work` on the server's core alone, then gives all cores back; the note tells when that is not permitted.
pub(crate) fn on_server_core<T>(work: impl FnOnce() -> T) -> (T, String) {
    let before = sched_getaffinity(None);
    let note = pin(None, SERVER).err().unwrap_or_default();
    let done = work();
    if let Ok(before) = before {
        // It was ours a moment ago.
        let _ = sched_setaffinity(None, &before);
    }
    (done, note)
}
