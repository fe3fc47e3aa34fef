//! The disk under LMDB, seen from below: every write and every sync of the file is recorded, and may be made to fail.
//!
//! These functions stand where the C library's would: the linker prefers what the program itself defines. Each thread has a
//! recorder of its own; without one everything passes through.

#![allow(unsafe_code, reason = "it takes the place of functions of the C library")]

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::slice;

/// What happened to the file, in order.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Bytes were handed to the operating system.
    Write {
        offset: usize,
        bytes: Vec<u8>,
        /// These bytes were on the disk when the call came back (`O_DSYNC`).
        durable: bool,
    },
    /// Everything written before is on the disk.
    Sync,
    /// What was written is told to somebody.
    Acknowledged,
}

#[derive(Default)]
struct Recorder {
    steps: Vec<Step>,
    attempts: usize,
    /// From this attempt on, all fail with this error.
    fault: Option<(usize, c_int)>,
}

thread_local! {
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

/// Starts recording what this thread does.
pub(crate) fn record() {
    RECORDER.set(Some(Recorder::default()));
}

/// Lets the `attempt`-th write or sync from now on, and all later ones, fail with `errno`.
pub(crate) fn fail_from(attempt: usize, errno: c_int) {
    RECORDER.set(Some(Recorder { fault: Some((attempt, errno)), ..Recorder::default() }));
}

/// Notes that somebody is told.
pub(crate) fn acknowledge() {
    RECORDER.with_borrow_mut(|recorder| recorder.as_mut().expect("recording").steps.push(Step::Acknowledged));
}

/// How often this thread tried to write or to sync since the recording began.
pub(crate) fn attempts() -> usize {
    RECORDER.with_borrow(|recorder| recorder.as_ref().map_or(0, |recorder| recorder.attempts))
}

/// Ends the recording.
pub(crate) fn recorded() -> Vec<Step> {
    RECORDER.take().map(|recorder| recorder.steps).unwrap_or_default()
}

/// Does `call` and notes `step` of what it did, or fails in its place.
fn pass(fd: c_int, call: impl FnOnce() -> isize, step: impl FnOnce(usize) -> Step) -> isize {
    let watched = RECORDER.try_with(|recorder| recorder.borrow().is_some()).unwrap_or(false) && is_store(fd);
    if !watched {
        return call();
    }
    let fault = RECORDER.with_borrow_mut(|recorder| {
        let recorder = recorder.as_mut()?;
        recorder.attempts += 1;
        recorder.fault.filter(|(first, _)| recorder.attempts >= *first)
    });
    if let Some((_, errno)) = fault {
        // SAFETY: it is this thread's own.
        unsafe { *libc::__errno_location() = errno };
        return -1;
    }
    let done = call();
    if let Ok(done) = usize::try_from(done) {
        RECORDER.with_borrow_mut(|recorder| recorder.as_mut().expect("recording").steps.push(step(done)));
    }
    done
}

fn is_store(fd: c_int) -> bool {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|path| path.ends_with("data.mdb"))
}

fn written(fd: c_int, offset: i64, mut bytes: Vec<u8>, done: usize) -> Step {
    bytes.truncate(done);
    // SAFETY: it only asks for flags.
    let durable = unsafe { libc::fcntl(fd, libc::F_GETFL) } & libc::O_DSYNC != 0;
    Step::Write { offset: offset as usize, bytes, durable }
}

/// # Safety
/// As `pwrite` of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, from: *const c_void, count: usize, offset: i64) -> isize {
    // SAFETY: the caller says so.
    let bytes = || unsafe { slice::from_raw_parts(from.cast::<u8>(), count) }.to_vec();
    // SAFETY: the very arguments of the caller.
    let call = || unsafe { libc::syscall(libc::SYS_pwrite64, fd, from, count, offset) as isize };
    pass(fd, call, |done| written(fd, offset, bytes(), done))
}

/// # Safety
/// As `pwrite64` of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, from: *const c_void, count: usize, offset: i64) -> isize {
    // SAFETY: the same function under its other name.
    unsafe { pwrite(fd, from, count, offset) }
}

/// # Safety
/// As `writev` of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, from: *const libc::iovec, count: c_int) -> isize {
    // SAFETY: it only asks for the offset.
    let offset = unsafe { libc::lseek(fd, 0, libc::SEEK_CUR) };
    let bytes = || {
        // SAFETY: the caller says so.
        let parts = unsafe { slice::from_raw_parts(from, count as usize) };
        // SAFETY: and of each part, too.
        parts
            .iter()
            .flat_map(|part| unsafe { slice::from_raw_parts(part.iov_base.cast::<u8>(), part.iov_len) })
            .copied()
            .collect()
    };
    // SAFETY: the very arguments of the caller.
    let call = || unsafe { libc::syscall(libc::SYS_writev, fd, from, count) as isize };
    pass(fd, call, |done| written(fd, offset, bytes(), done))
}

/// # Safety
/// As `fdatasync` of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: the very argument of the caller.
    pass(fd, || unsafe { libc::syscall(libc::SYS_fdatasync, fd) as isize }, |_| Step::Sync) as c_int
}

/// # Safety
/// As `fsync` of the C library.
#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: the very argument of the caller.
    pass(fd, || unsafe { libc::syscall(libc::SYS_fsync, fd) as isize }, |_| Step::Sync) as c_int
}
