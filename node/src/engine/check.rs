//! `pangaea engine check`: tries on the admin's own servers what the cluster relies on, in a stream of its own that is removed
//! afterwards.
//!
//! Compare-and-set is tried by clients that read, add one and write, because a race to create a key shows nothing: a server that
//! forgets a write only does so when writes follow each other. A lease is tried by waiting for its end.

use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::jetstream::stream::{self, Stream};
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde::Serialize;
use tokio::time::Instant;

use super::connect::{self, Connection, EngineOptions};
use super::fenced::{Fate, FencedStream, FencedWrite};
use super::{Durability, RETRY_PAUSE};

/// Clients that add to one number at once.
const CLIENTS: usize = 12;
/// What each of them adds.
const ADDITIONS: u64 = 40;
/// A write that is not decided by then makes the check fail.
const PATIENCE: Duration = Duration::from_secs(20);
/// The lease that is tried, in whole seconds.
const LEASE: Duration = Duration::from_secs(2);
/// Its end must be seen by then.
const LEASE_END_MAX: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CheckReport {
    /// Whether the cluster may rely on this engine.
    pub ok: bool,
    /// What is wrong, in words.
    pub faults: Vec<String>,
    /// The servers that answered, and their versions.
    pub servers: Vec<ServerFound>,
    /// Copies of everything.
    pub replicas: usize,
    /// What acknowledged data outlives, as claimed and confirmed.
    pub durability: String,
    /// Compare-and-set.
    pub additions: Additions,
    /// Of several writes all were stored, or none.
    pub batches: bool,
    /// Seconds between the last renewal of a lease of two seconds and its end, as seen by others.
    pub lease_ended_after_s: f64,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerFound {
    /// As configured.
    pub address: String,
    /// As it says.
    pub version: String,
}

/// Twelve clients that add to one number.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Additions {
    /// Acknowledged.
    pub acknowledged: u64,
    /// The number in the end.
    pub found: u64,
    /// Median time of a write, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 took no longer, in milliseconds.
    pub p99_ms: f64,
}

/// Try everything. What is wrong is in the report.
///
/// # Errors
/// The engine cannot be tried at all: not reached, refused, or it does not make a stream.
pub async fn run(options: &EngineOptions) -> anyhow::Result<CheckReport> {
    let (client, replicas) = connect::reach(options, "check").await?;
    let mut report = CheckReport { replicas, durability: options.durability.to_string(), ..CheckReport::default() };
    for server in &options.servers {
        match connect::probe(options, server).await {
            Ok(version) => report.servers.push(ServerFound { address: server.clone(), version }),
            Err(error) => report.faults.push(format!("{:#}", anyhow::Error::from(error))),
        }
    }
    report.faults.extend(unconfirmed(options).await);
    let context = connect::context(&client);
    let name = format!("PANGAEA_CHECK_{:08x}", fastrand::u32(..));
    let made = connect::stream_of(&context, connect::check_config(&name, replicas)).await?;
    let tried = try_all(options, &made, &name, &mut report).await;
    let removed = context.delete_stream(&name).await;
    tried?;
    removed.with_context(|| format!("cannot remove the stream {name} of this check"))?;
    report.ok = report.faults.is_empty();
    Ok(report)
}

/// Servers whose settings do not give, or do not show, the claimed durability. All are looked at, other than at a start.
async fn unconfirmed(options: &EngineOptions) -> Vec<String> {
    if options.durability == Durability::ProcessLoss {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for monitor in &options.monitors {
        match connect::synced_always(monitor).await {
            Ok(true) => {}
            Ok(false) => faults.push(format!("the server behind {monitor} has no `sync_interval: always`")),
            Err(error) => faults.push(format!("the settings of {monitor} cannot be read: {error:#}")),
        }
    }
    if options.monitors.len() < options.servers.len() {
        faults.push(format!(
            "durability power-loss is claimed, but only {} of {} servers have their monitoring named",
            options.monitors.len(),
            options.servers.len()
        ));
    }
    faults
}

async fn try_all(options: &EngineOptions, made: &Stream, name: &str, report: &mut CheckReport) -> anyhow::Result<()> {
    report.additions = add(options, name).await?;
    let Additions { acknowledged, found, .. } = report.additions;
    if acknowledged != found {
        report
            .faults
            .push(format!("{acknowledged} additions were acknowledged, but {found} are there: compare-and-set is broken"));
    }
    report.batches = together(options, name).await?;
    if !report.batches {
        report.faults.push("of an atomic batch with one write that was overtaken, another was stored".to_owned());
    }
    match lease(options, made, name).await? {
        Some(ended) => report.lease_ended_after_s = ended.as_secs_f64(),
        None => report.faults.push(format!("a lease of {} s did not end within {} s", LEASE.as_secs(), LEASE_END_MAX.as_secs())),
    }
    Ok(())
}

async fn add(options: &EngineOptions, name: &str) -> anyhow::Result<Additions> {
    let all = try_join_all((0..CLIENTS).map(|n| add_some(options, name, n))).await?;
    let mut times: Vec<Duration> = all.into_iter().flatten().collect();
    times.sort_unstable();
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).map_or(0.0, |time| time.as_secs_f64() * 1_000.0);
    let fenced = open(options, name, 0).await?;
    let found = fenced.last(&number_of(name)).await.map_err(anyhow::Error::msg)?.map_or(0, |last| number(&last.payload));
    Ok(Additions { acknowledged: times.len() as u64, found, p50_ms: at(0.5), p99_ms: at(0.99) })
}

/// One client, on a server of its own if there are several. Returns what each write took.
async fn add_some(options: &EngineOptions, name: &str, client: usize) -> anyhow::Result<Vec<Duration>> {
    let (fenced, subject) = (open(options, name, client).await?, number_of(name));
    let mut times = Vec::new();
    while (times.len() as u64) < ADDITIONS {
        let last = fenced.last(&subject).await.map_err(anyhow::Error::msg)?;
        let (sequence, next) = last.map_or((0, 1), |last| (last.sequence, number(&last.payload) + 1));
        let write = FencedWrite {
            subject: subject.clone(),
            id: format!("{client}-{}-{sequence}", times.len()),
            expected: sequence,
            payload: Bytes::copy_from_slice(&next.to_le_bytes()),
            ttl: None,
            header: None,
        };
        let began = Instant::now();
        match fenced.write(&write, PATIENCE).await {
            Fate::Written(_) => times.push(began.elapsed()),
            Fate::Overtaken(_) => {}
            Fate::Unknown(reason) => anyhow::bail!("a write was not decided within {} s: {reason}", PATIENCE.as_secs()),
        }
    }
    Ok(times)
}

async fn open(options: &EngineOptions, name: &str, client: usize) -> anyhow::Result<FencedStream> {
    let server = &options.servers[client % options.servers.len()];
    let alone = EngineOptions { servers: vec![server.clone()], ..options.clone() };
    let (client, _) = connect::reach(&alone, "check").await?;
    let context = connect::context(&client);
    let stream = context.get_stream(name).await?;
    Ok(FencedStream::new(context, stream))
}

/// Whether two writes are one: none when the second is overtaken, both otherwise.
async fn together(options: &EngineOptions, name: &str) -> anyhow::Result<bool> {
    let fenced = open(options, name, 0).await?;
    let subjects = ["one", "two"].map(|part| format!("{name}.{part}"));
    let writes = |round: &str, expected: [u64; 2]| {
        let parts = subjects.iter().zip(expected);
        let write = |(subject, expected): (&String, u64)| FencedWrite {
            subject: subject.clone(),
            id: format!("{round}-{subject}"),
            expected,
            payload: Bytes::from_static(b"together"),
            ttl: None,
            header: None,
        };
        parts.map(write).collect::<Vec<_>>()
    };
    let overtaken = fenced.write_together(&writes("overtaken", [0, 1]), PATIENCE).await;
    let is_there = async |subject: &String| fenced.last(subject).await.map_err(anyhow::Error::msg).map(|last| last.is_some());
    let none = !is_there(&subjects[0]).await? && !is_there(&subjects[1]).await?;
    match fenced.write_together(&writes("taken", [0, 0]), PATIENCE).await {
        Fate::Written(_) => {}
        other => anyhow::bail!("two writes at once are not taken: {other:?}"),
    }
    let both = is_there(&subjects[0]).await? && is_there(&subjects[1]).await?;
    Ok(matches!(overtaken, Fate::Overtaken(_)) && none && both)
}

/// How long after its last renewal the end of a lease is seen; `None`: not at all.
async fn lease(options: &EngineOptions, made: &Stream, name: &str) -> anyhow::Result<Option<Duration>> {
    let (fenced, subject) = (open(options, name, 0).await?, format!("{name}.lease"));
    let (mut expected, mut renewed) = (0, Instant::now());
    for n in 0..3 {
        let id = format!("lease-{n}");
        let payload = Bytes::from_static(b"held");
        let write = FencedWrite { subject: subject.clone(), id, expected, payload, ttl: Some(LEASE), header: None };
        renewed = Instant::now();
        match fenced.write(&write, PATIENCE).await {
            Fate::Written(sequence) => expected = sequence,
            other => anyhow::bail!("a lease could not be renewed: {other:?}"),
        }
        tokio::time::sleep(LEASE / 2).await;
        ensure!(is_held(made, &subject).await?, "a lease ended before its time");
    }
    while renewed.elapsed() < LEASE_END_MAX {
        if !is_held(made, &subject).await? {
            return Ok(Some(renewed.elapsed()));
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    Ok(None)
}

/// A lease that ended leaves a marker without a payload, or nothing.
async fn is_held(stream: &Stream, subject: &str) -> anyhow::Result<bool> {
    match stream.get_last_raw_message_by_subject(subject).await {
        Ok(last) => Ok(!last.payload.is_empty()),
        Err(error) if error.kind() == stream::RawMessageErrorKind::NoMessageFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn number_of(name: &str) -> String {
    format!("{name}.number")
}

fn number(payload: &Bytes) -> u64 {
    payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The cluster's own streams, looked at with the settings that they must have.
///
/// # Errors
/// See [`super::EngineError`].
pub async fn streams(options: &EngineOptions, cluster: &str) -> Result<(), super::EngineError> {
    Connection::open(options, cluster, "check").await.map(drop)
}
