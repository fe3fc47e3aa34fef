//! The audit log: who changed what, when, and how it ended. In `audit/` of the world's data folder, one JSON object a line, each
//! on the disk before its request is answered, and the intention before anything is done: no change is without its trace.
//!
//! A file is closed at [`FILE_BYTES_MAX`]; the last [`FILES_KEPT`] stay. What `/api/audit` tells are the last [`ENTRIES_KEPT`].

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::callers::{Caller, Rank};

/// A file of the log in bytes, about.
const FILE_BYTES_MAX: u64 = 4 * 1_024 * 1_024;
/// Closed files that stay.
const FILES_KEPT: usize = 8;
/// Entries that are told.
const ENTRIES_KEPT: usize = 1_024;
/// Largest body of a change in bytes.
const BODY_BYTES_MAX: usize = 1_024 * 1_024;
/// So many bytes of a body or of a refusal's words are noted.
const NOTED_BYTES_MAX: usize = 512;
/// Attempts of those who may not, noted per minute: nobody can push out what others did.
const TURNED_AWAY_PER_MINUTE: u32 = 30;
/// A move that is not over by then is not followed any more.
const FOLLOW_TIME_MAX: Duration = Duration::from_secs(600);

/// One change, or an attempt at one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Rises by one.
    pub seq: u64,
    /// Microseconds since the Unix epoch.
    pub at_us: u64,
    /// The token's name; `unknown` without a known one.
    pub who: String,
    /// What they may do; `null`: nothing.
    pub rank: Option<Rank>,
    /// The address they asked from.
    pub from: String,
    /// Such as `migrate` or `scenes/scene-1/drain`.
    pub what: String,
    /// Of it, such as `shard` and `to`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// The start of the request's body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// It was only asked what it would do.
    pub dry_run: bool,
    /// `done`, `refused`; for a move later `moved` or `kept`; empty: it is not known, the world ended meanwhile.
    #[serde(default)]
    pub result: String,
    /// The result in words, if there are any.
    #[serde(default)]
    pub words: String,
    /// When the result was known.
    #[serde(default)]
    pub ended_us: u64,
}

/// A line of a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Asked(AuditEntry),
    Ended { seq: u64, at_us: u64, result: String, words: String },
}

/// An order that a move answers: the log follows it to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follows(pub(super) u64);

/// See the module.
#[derive(Debug)]
pub struct AuditLog {
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    folder: PathBuf,
    file: File,
    bytes: u64,
    last: u64,
    entries: VecDeque<AuditEntry>,
    minute: Instant,
    turned_away: u32,
}

impl AuditLog {
    /// That of a data folder; made if there is none.
    ///
    /// # Errors
    /// The file system says no.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join("audit");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let mut entries = VecDeque::new();
        for path in (1..=FILES_KEPT).rev().map(|n| closed(&folder, n)).chain([current(&folder)]) {
            match fs::read(&path) {
                // A line that a crash cut short ends nothing but itself.
                Ok(bytes) => bytes
                    .split(|byte| *byte == b'\n')
                    .filter_map(|line| serde_json::from_slice(line).ok())
                    .for_each(|line| fold(&mut entries, line)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let (file, bytes) = append_to(&current(&folder))?;
        let last = entries.back().map_or(0, |entry: &AuditEntry| entry.seq);
        let held = Held { folder, file, bytes, last, entries, minute: Instant::now(), turned_away: 0 };
        Ok(Self { held: Mutex::new(held) })
    }

    /// The last entries, the oldest first, at most `limit`.
    pub fn latest(&self, limit: usize) -> Vec<AuditEntry> {
        let held = self.lock();
        held.entries.iter().skip(held.entries.len().saturating_sub(limit)).cloned().collect()
    }

    /// Notes what somebody wants; its number.
    fn asked(&self, mut entry: AuditEntry) -> io::Result<u64> {
        let mut held = self.lock();
        entry.seq = held.last + 1;
        entry.at_us = now_us();
        let seq = entry.seq;
        held.write(Line::Asked(entry))?;
        held.last = seq;
        Ok(seq)
    }

    /// Notes how it ended. A log that cannot be written now has the intention at least.
    fn ended(&self, seq: u64, result: &str, words: &str) {
        let line = Line::Ended { seq, at_us: now_us(), result: result.to_owned(), words: words.to_owned() };
        if let Err(error) = self.lock().write(line) {
            tracing::error!(seq, result, %error, "the audit log cannot be written");
        }
    }

    /// Notes an attempt of somebody who may not.
    pub(super) fn turned_away(&self, caller: Option<Caller>, from: Option<SocketAddr>, request: &Request, words: &str) {
        {
            let mut held = self.lock();
            if held.minute.elapsed() >= Duration::from_secs(60) {
                (held.minute, held.turned_away) = (Instant::now(), 0);
            }
            held.turned_away += 1;
            if held.turned_away > TURNED_AWAY_PER_MINUTE {
                return;
            }
        }
        let entry = entry(caller, from, request.uri(), &[]);
        match self.asked(entry) {
            Ok(seq) => self.ended(seq, "refused", words.trim()),
            Err(error) => tracing::error!(%error, "the audit log cannot be written"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Held {
    fn write(&mut self, line: Line) -> io::Result<()> {
        if self.bytes >= FILE_BYTES_MAX {
            self.turn_over()?;
        }
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        self.bytes += text.len() as u64;
        fold(&mut self.entries, line);
        Ok(())
    }

    /// Closes the file and begins a new one.
    fn turn_over(&mut self) -> io::Result<()> {
        for n in (1..FILES_KEPT).rev() {
            match fs::rename(closed(&self.folder, n), closed(&self.folder, n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(current(&self.folder), closed(&self.folder, 1))?;
        (self.file, self.bytes) = append_to(&current(&self.folder))?;
        Ok(())
    }
}

fn current(folder: &Path) -> PathBuf {
    folder.join("audit.jsonl")
}

fn closed(folder: &Path, n: usize) -> PathBuf {
    folder.join(format!("audit.{n}.jsonl"))
}

/// What a crash left without an end gets one.
fn append_to(path: &Path) -> io::Result<(File, u64)> {
    let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(path)?;
    let mut bytes = file.metadata()?.len();
    let mut end = [b'\n'];
    if bytes > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut end)?;
    }
    if end != [b'\n'] {
        file.write_all(b"\n")?;
        bytes += 1;
    }
    Ok((file, bytes))
}

fn fold(entries: &mut VecDeque<AuditEntry>, line: Line) {
    match line {
        Line::Asked(entry) => {
            if entries.len() == ENTRIES_KEPT {
                entries.pop_front();
            }
            entries.push_back(entry);
        }
        Line::Ended { seq, at_us, result, words } => {
            if let Some(entry) = entries.iter_mut().rev().find(|entry| entry.seq == seq) {
                (entry.ended_us, entry.result, entry.words) = (at_us, result, words);
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Latest {
    limit: Option<usize>,
}

pub(super) async fn show(State(admin): State<Admin>, Query(query): Query<Latest>) -> Json<Vec<AuditEntry>> {
    Json(admin.audit.latest(query.limit.unwrap_or(ENTRIES_KEPT)))
}

/// Runs a change between its two lines of the log.
pub(super) async fn watched(admin: &Admin, caller: Caller, from: Option<SocketAddr>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, format!("a request has at most {BODY_BYTES_MAX} bytes\n")).into_response();
    };
    let entry = entry(Some(caller), from, &parts.uri, &body);
    let log = Arc::clone(&admin.audit);
    let asked = tokio::task::spawn_blocking(move || log.asked(entry)).await;
    let seq = match asked.map_err(io::Error::other).flatten() {
        Ok(seq) => seq,
        Err(error) => {
            let text = format!("nothing was done: the audit log in the world's data folder cannot be written: {error}\n");
            return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
        }
    };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (response, result, words) = told(response).await;
    let followed = response.extensions().get::<Follows>().copied();
    let log = Arc::clone(&admin.audit);
    // It was done: whether that can be noted changes nothing.
    let _ = tokio::task::spawn_blocking(move || log.ended(seq, result, &words)).await;
    if let Some(Follows(number)) = followed {
        tokio::spawn(follow(admin.clone(), seq, number));
    }
    response
}

/// The response, with its result and, if it is a refusal, its words.
async fn told(response: Response) -> (Response, &'static str, String) {
    if response.status().is_success() {
        return (response, "done", String::new());
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let words = start_of(&body);
    (Response::from_parts(parts, Body::from(body)), "refused", words)
}

/// Waits for a move's end and notes it.
async fn follow(admin: Admin, seq: u64, number: u64) {
    let mut shown = admin.shown.clone();
    let over = shown.wait_for(|snapshot| snapshot.status.moves.iter().any(|shift| shift.id == number && shift.over));
    let Ok(Ok(snapshot)) = tokio::time::timeout(FOLLOW_TIME_MAX, over).await.map(|seen| seen.map(|seen| Arc::clone(&seen)))
    else {
        return;
    };
    let Some(shift) = snapshot.status.moves.iter().find(|shift| shift.id == number) else { return };
    let (result, words) = match shift.step.as_str() {
        "done" => {
            let (blackout, missed) = (shift.blackout_ms, shift.missed_ticks);
            let words =
                format!("{} entities, {} bytes, {blackout:.1} ms blackout, {missed} missed ticks", shift.entities, shift.bytes);
            ("moved", words)
        }
        step => (if step == "kept" { "kept" } else { "over" }, shift.reason.clone()),
    };
    let (log, words) = (Arc::clone(&admin.audit), words);
    // It is over whether or not that can be noted.
    let _ = tokio::task::spawn_blocking(move || log.ended(seq, result, &words)).await;
}

fn entry(caller: Option<Caller>, from: Option<SocketAddr>, uri: &Uri, body: &[u8]) -> AuditEntry {
    let mut args: BTreeMap<String, String> = Query::try_from_uri(uri).map(|Query(args)| args).unwrap_or_default();
    let dry_run = args.remove("dry_run").is_some_and(|value| value == "true");
    AuditEntry {
        rank: caller.as_ref().map(|caller| caller.rank),
        who: caller.map_or_else(|| "unknown".to_owned(), |caller| caller.name),
        from: from.map(|from| from.ip().to_string()).unwrap_or_default(),
        what: start_of(uri.path().trim_start_matches("/api/").as_bytes()),
        args: args.into_iter().map(|(name, value)| (start_of(name.as_bytes()), start_of(value.as_bytes()))).collect(),
        body: if body == b"{}" { String::new() } else { start_of(body) },
        dry_run,
        ..AuditEntry::default()
    }
}

fn start_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(NOTED_BYTES_MAX)]).trim().to_owned()
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(what: &str) -> AuditEntry {
        AuditEntry { who: "ann".to_owned(), what: what.to_owned(), ..AuditEntry::default() }
    }

    fn results(log: &AuditLog) -> Vec<(u64, String)> {
        log.latest(ENTRIES_KEPT).into_iter().map(|entry| (entry.seq, entry.result)).collect()
    }

    #[test]
    fn the_log_is_whole_after_a_restart_and_after_a_torn_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = AuditLog::open(folder.path()).expect("opened");
        let first = log.asked(asks("migrate")).expect("written");
        log.asked(asks("abort")).expect("written");
        log.ended(first, "done", "");
        log.ended(first, "moved", "fast");
        drop(log);
        let mut file = File::options().append(true).open(folder.path().join("audit/audit.jsonl")).expect("there");
        file.write_all(br#"{"asked":{"seq":3,"who":"b"#).expect("torn");

        let log = AuditLog::open(folder.path()).expect("opened");
        assert_eq!(results(&log), [(1, "moved".to_owned()), (2, String::new())]);
        assert_eq!(log.asked(asks("drain")).expect("written"), 3);
        drop(log);
        assert_eq!(results(&AuditLog::open(folder.path()).expect("opened")).len(), 3, "the torn line spoilt none after it");
    }

    #[test]
    fn files_and_memory_are_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = AuditLog::open(folder.path()).expect("opened");
        for _ in 0..FILES_KEPT + 3 {
            log.lock().bytes = FILE_BYTES_MAX;
            log.asked(asks("migrate")).expect("written");
        }
        assert_eq!(fs::read_dir(folder.path().join("audit")).expect("listed").count(), FILES_KEPT + 1);
        drop(log);
        let log = AuditLog::open(folder.path()).expect("opened");
        assert_eq!(results(&log).len(), FILES_KEPT + 1);
        assert_eq!(log.asked(asks("migrate")).expect("written"), FILES_KEPT as u64 + 4, "numbers go on");
    }

    #[test]
    fn strangers_do_not_push_out_what_others_did() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = AuditLog::open(folder.path()).expect("opened");
        let request = Request::post("/api/migrate?shard=0/3/1,0&to=scene-2").body(Body::empty()).expect("a request");
        for _ in 0..TURNED_AWAY_PER_MINUTE + 9 {
            log.turned_away(None, None, &request, "this wants a token\n");
        }
        let noted = log.latest(ENTRIES_KEPT);
        assert_eq!(noted.len(), TURNED_AWAY_PER_MINUTE as usize);
        assert_eq!((noted[0].who.as_str(), noted[0].what.as_str(), noted[0].result.as_str()), ("unknown", "migrate", "refused"));
        assert_eq!(noted[0].args["shard"], "0/3/1,0");
    }
}
