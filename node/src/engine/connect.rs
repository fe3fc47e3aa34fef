//! The connection to the engine, and what must be true of it: a version whose compare-and-set works, streams with the settings
//! that acknowledgements rely on, and no durability told that the servers do not give.

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::object_store::ObjectStore;
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, ConnectOptions};
use pangaea_schemas::journal::ENTRY_BYTES_MAX;

use super::RETRY_PAUSE;
use super::fenced::FencedStream;
use super::names::Names;
use crate::admin::client;
use crate::tls::TlsFiles;

/// The oldest version whose compare-and-set on replicated streams holds. Of 16,095 acknowledged increments on 2.9.10, 9,153 were
/// overwritten.
pub const VERSION_MIN: (u64, u64) = (2, 12);
/// The largest message that a server must take: an entry of a journal and what is written beside it.
pub const PAYLOAD_BYTES_MIN: usize = ENTRY_BYTES_MAX + 4 * 1_024;
/// A server that answers two of these in a row with nothing is left for another: within about a second, since a lease, which goes
/// the same way, is over after two.
const PING_EVERY: Duration = Duration::from_millis(400);
/// A server that does not answer the first words in this time is not there.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// An answer of the engine's API takes at most so long, or the engine is away.
const API_TIME: Duration = Duration::from_secs(5);
/// Repetitions of a message under the same name are recognised for so long.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// How long the end of a lease stays visible for those who follow the bucket.
const MARKER_TIME: Duration = Duration::from_secs(60);
/// Servers that were started together have found each other by then, and those that lost one have a new leader.
const SETTLE_TIME: Duration = Duration::from_secs(30);
/// What servers say that are still finding each other.
const PASSING: [ErrorCode; 6] = [
    ErrorCode::CLUSTER_NO_PEERS,
    ErrorCode::CLUSTER_NOT_ACTIVE,
    ErrorCode::CLUSTER_NOT_AVAILABLE,
    ErrorCode::CLUSTER_NOT_LEADER,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::STREAM_OFFLINE,
];
/// Commands that wait for a connection that is away.
const CLIENT_COMMANDS_MAX: usize = 8_192;

/// What the servers promise when they acknowledge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Acknowledged data outlives a power failure of all servers at once: each write is synced (`sync_interval: always`).
    #[default]
    PowerLoss,
    /// It outlives processes and, with replicas, single hosts; a power failure of all servers may lose up to two minutes.
    ProcessLoss,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerLoss => "power-loss",
            Self::ProcessLoss => "process-loss",
        })
    }
}

impl std::str::FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "power-loss" => Ok(Self::PowerLoss),
            "process-loss" => Ok(Self::ProcessLoss),
            other => Err(format!("`{other}` is no durability: power-loss or process-loss")),
        }
    }
}

/// How the engine is reached, and what is expected of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// `nats://host:port`, at least one; the others are learned from it. They are tried in this order.
    pub servers: Vec<String>,
    /// `host:port` of the servers' monitoring, where their settings are read.
    pub monitors: Vec<String>,
    /// Copies of everything; `None`: three where there are three servers, else one.
    pub replicas: Option<usize>,
    /// What is claimed; refused when the servers do not give it.
    pub durability: Durability,
    /// For mutual TLS.
    pub tls: Option<TlsFiles>,
}

impl EngineOptions {
    /// The same, beginning with another server: number `ordinal` from 1, around. Whoever begins with the server of its own host
    /// loses none when another host is lost.
    pub fn from_server(&self, ordinal: u16) -> Self {
        let mut options = self.clone();
        let first = usize::from(ordinal.saturating_sub(1)) % options.servers.len().max(1);
        options.servers.rotate_left(first);
        options
    }

    /// The words that tell a process of this engine.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        let mut flag = |name: &str, value: String| args.extend([format!("--engine-{name}"), value]);
        flag("servers", self.servers.join(","));
        if !self.monitors.is_empty() {
            flag("monitors", self.monitors.join(","));
        }
        if let Some(replicas) = self.replicas {
            flag("replicas", replicas.to_string());
        }
        if self.durability != Durability::default() {
            flag("durability", self.durability.to_string());
        }
        if let Some(tls) = &self.tls {
            flag("ca", tls.ca.display().to_string());
            flag("certificate", tls.certificate.display().to_string());
            flag("key", tls.key.display().to_string());
        }
        args
    }
}

/// Why the engine cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// None of the servers.
    #[error("no server of the engine is reached at {servers}; start it, or correct [engine] servers")]
    NotReached {
        /// As configured.
        servers: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// Its compare-and-set is broken.
    #[error(
        "nats-server {version} at {server} is refused: before {}.{} compare-and-set on replicated streams loses acknowledged \
         writes without a word. Upgrade it",
        VERSION_MIN.0, VERSION_MIN.1
    )]
    TooOld {
        /// Where.
        server: String,
        /// As it says.
        version: String,
    },
    /// Journals' entries may be larger.
    #[error("the server at {server} takes messages of {found} bytes, {PAYLOAD_BYTES_MIN} are needed: set `max_payload: 16MB`")]
    Payload {
        /// Where.
        server: String,
        /// As it says.
        found: usize,
    },
    /// A stream could not be made or looked at.
    #[error("the engine's stream {stream} cannot be used: {reason}")]
    Stream {
        /// Its name.
        stream: String,
        /// In words.
        reason: String,
    },
    /// A stream that is there already has other settings.
    #[error("the engine's stream {stream} has {setting} = {found}, but {expected} is needed")]
    Setting {
        /// Its name.
        stream: String,
        /// Which.
        setting: &'static str,
        /// As read back.
        found: String,
        /// As wanted.
        expected: String,
    },
    /// The servers do not give the durability that is claimed.
    #[error(
        "durability \"power-loss\" is not what this engine gives: {reason}. Set `sync_interval: always` in the servers' jetstream \
         block and name their monitoring in [engine] monitors; or claim less with [engine] durability = \"process-loss\""
    )]
    Durability {
        /// In words.
        reason: String,
    },
}

/// An open connection and the cluster's streams.
#[derive(Clone)]
pub struct Connection {
    client: Client,
    context: jetstream::Context,
    names: Names,
    log: FencedStream,
    beacon: FencedStream,
    blobs: ObjectStore,
    replicas: usize,
}

impl Connection {
    /// Connect, check the servers, and make the streams of `cluster` that are not there yet.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn open(options: &EngineOptions, cluster: &str, who: &str) -> Result<Self, EngineError> {
        let (client, replicas) = reach(options, who).await?;
        for server in &options.servers {
            match probe(options, server).await {
                // One that is away now is looked at when it is back: by whoever connects then.
                Ok(_) | Err(EngineError::NotReached { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let (context, names) = (context(&client), Names::of(cluster));
        let log = stream_of(&context, log_config(&names, replicas)).await?;
        let beacon = stream_of(&context, beacon_config(&names, replicas)).await?;
        stream_of(&context, blobs_config(&names, replicas)).await?;
        let bucket = names.blobs_bucket();
        let blobs = settled(async || context.get_object_store(&bucket).await.map_err(|error| (true, error.to_string()))).await;
        let blobs = blobs.map_err(|reason| EngineError::Stream { stream: bucket, reason })?;
        let fenced = |stream| FencedStream::new(context.clone(), stream);
        let (log, beacon) = (fenced(log), fenced(beacon));
        Ok(Self { client, context, names, log, beacon, blobs, replicas })
    }

    /// Copies of everything.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn context(&self) -> &jetstream::Context {
        &self.context
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn log(&self) -> &FencedStream {
        &self.log
    }

    pub(super) fn beacon(&self) -> &FencedStream {
        &self.beacon
    }

    pub(super) fn blobs(&self) -> &ObjectStore {
        &self.blobs
    }
}

/// A connection, and how many copies there are to be.
pub(super) async fn reach(options: &EngineOptions, who: &str) -> Result<(Client, usize), EngineError> {
    let client = connect(options, &options.servers, who).await?;
    let info = client.server_info();
    check_server(&format!("{}:{}", info.host, info.port), &info)?;
    let known = options.servers.len().max(info.connect_urls.len());
    Ok((client, options.replicas.unwrap_or(if known >= 3 { 3 } else { 1 })))
}

/// The version of one server, if it may be used.
pub(super) async fn probe(options: &EngineOptions, server: &str) -> Result<String, EngineError> {
    let client = connect(options, &[server.to_owned()], "probe").await?;
    let info = client.server_info();
    check_server(server, &info)?;
    Ok(info.version)
}

pub(super) fn context(client: &Client) -> jetstream::Context {
    jetstream::context::ContextBuilder::new().timeout(API_TIME).build(client.clone())
}

async fn connect(options: &EngineOptions, servers: &[String], who: &str) -> Result<Client, EngineError> {
    let mut connect = ConnectOptions::new()
        .name(format!("pangaea {who}"))
        .connection_timeout(CONNECT_TIME)
        .client_capacity(CLIENT_COMMANDS_MAX)
        .retain_servers_order()
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(|attempts| Duration::from_millis(100 * (attempts as u64).min(10)))
        .event_callback(|event| async move { tracing::info!(%event, "engine connection") });
    if let Some(tls) = &options.tls {
        connect = connect
            .add_root_certificates(tls.ca.clone())
            .add_client_certificate(tls.certificate.clone(), tls.key.clone())
            .require_tls(true);
    }
    let reached = connect.connect(servers.to_vec()).await;
    reached.map_err(|source| EngineError::NotReached { servers: servers.join(", "), source })
}

fn check_server(server: &str, info: &async_nats::ServerInfo) -> Result<(), EngineError> {
    if version(&info.version).is_none_or(|found| found < VERSION_MIN) {
        return Err(EngineError::TooOld { server: server.to_owned(), version: info.version.clone() });
    }
    if info.max_payload < PAYLOAD_BYTES_MIN {
        return Err(EngineError::Payload { server: server.to_owned(), found: info.max_payload });
    }
    Ok(())
}

/// Major and minor number of `2.12.8`, `2.12.0-RC.1` and the like.
fn version(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Refuses a claimed durability that the servers do not give, or that nobody can read back.
///
/// # Errors
/// [`EngineError::Durability`].
pub async fn check_durability(options: &EngineOptions) -> Result<(), EngineError> {
    if options.durability == Durability::ProcessLoss {
        return Ok(());
    }
    let refused = |reason: String| Err(EngineError::Durability { reason });
    if options.monitors.is_empty() {
        return refused("no monitoring is configured, so the servers' settings cannot be read".to_owned());
    }
    // A server that is down now does not keep the others from being used; it is looked at by whoever starts while it is up.
    let (mut read, mut unread) = (0, String::new());
    for monitor in &options.monitors {
        match synced_always(monitor).await {
            Ok(true) => read += 1,
            Ok(false) => return refused(format!("the server behind {monitor} syncs now and then, not with each write")),
            Err(error) => unread = format!("the settings of {monitor} cannot be read: {error:#}"),
        }
    }
    if read == 0 { refused(unread) } else { Ok(()) }
}

/// Whether the server behind a monitoring address syncs each write.
///
/// # Errors
/// It does not answer, or has no JetStream.
pub async fn synced_always(monitor: &str) -> anyhow::Result<bool> {
    let settings: serde_json::Value = serde_json::from_slice(&client::get(monitor, "/varz", None).await?)?;
    let config = settings.pointer("/jetstream/config");
    let config = config.ok_or_else(|| anyhow::anyhow!("JetStream is not switched on there"))?;
    Ok(config.get("sync_always").and_then(serde_json::Value::as_bool).unwrap_or(false))
}

fn log_config(names: &Names, replicas: usize) -> stream::Config {
    stream::Config {
        name: names.log_stream(),
        description: Some("Pangaea: shards' journals and data nodes' batches, in one order".to_owned()),
        subjects: vec![names.log()],
        deny_delete: true,
        allow_atomic_publish: true,
        ..base_config(replicas)
    }
}

/// What a check of the engine tries itself on.
pub(super) fn check_config(name: &str, replicas: usize) -> stream::Config {
    stream::Config {
        name: name.to_owned(),
        description: Some("Pangaea: `engine check` is running".to_owned()),
        subjects: vec![format!("{name}.>")],
        max_messages_per_subject: 1,
        allow_atomic_publish: true,
        allow_message_ttl: true,
        subject_delete_marker_ttl: Some(MARKER_TIME),
        ..base_config(replicas)
    }
}

fn beacon_config(names: &Names, replicas: usize) -> stream::Config {
    stream::Config {
        name: names.beacon_stream(),
        description: Some("Pangaea: who is here and who has what".to_owned()),
        subjects: vec![format!("{}>", names.beacon_prefix())],
        max_messages_per_subject: 1,
        allow_rollup: true,
        deny_delete: true,
        allow_message_ttl: true,
        subject_delete_marker_ttl: Some(MARKER_TIME),
        ..base_config(replicas)
    }
}

fn blobs_config(names: &Names, replicas: usize) -> stream::Config {
    let bucket = names.blobs_bucket();
    stream::Config {
        name: format!("OBJ_{bucket}"),
        description: Some("Pangaea: snapshots and backups".to_owned()),
        subjects: vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
        allow_rollup: true,
        ..base_config(replicas)
    }
}

/// Nothing is dropped to make room, and whoever reads asks the leader.
fn base_config(replicas: usize) -> stream::Config {
    stream::Config {
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: replicas,
        allow_direct: false,
        duplicate_window: DUPLICATE_WINDOW,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        ..stream::Config::default()
    }
}

/// The stream, made if it is not there, with its settings read back.
pub(super) async fn stream_of(context: &jetstream::Context, wanted: stream::Config) -> Result<Stream, EngineError> {
    let found = settled(async || match context.get_stream(&wanted.name).await {
        Err(error) if is_not_found(error.kind()) => {
            context.create_stream(wanted.clone()).await.map_err(|error| (create_may_pass(error.kind()), error.to_string()))
        }
        found => found.map_err(|error| (get_may_pass(error.kind()), error.to_string())),
    });
    let fault = |reason| EngineError::Stream { stream: wanted.name.clone(), reason };
    let mut stream = found.await.map_err(fault)?;
    if wanted.allow_atomic_publish && !stream.cached_info().config.allow_atomic_publish {
        // Made by a version that wrote to one journal at a time.
        let config = stream::Config { allow_atomic_publish: true, ..stream.cached_info().config.clone() };
        Box::pin(context.update_stream(&config)).await.map_err(|error| fault(error.to_string()))?;
        stream = Box::pin(context.get_stream(&wanted.name)).await.map_err(|error| fault(error.to_string()))?;
    }
    read_back(&stream.cached_info().config, &wanted)?;
    Ok(stream)
}

/// Servers that have just started, or of which one has just died, do not know yet who leads, and say so or nothing at all:
/// `attempt`, whose errors are (whether they may pass by themselves, words), is made again for [`SETTLE_TIME`].
async fn settled<T>(mut attempt: impl AsyncFnMut() -> Result<T, (bool, String)>) -> Result<T, String> {
    let deadline = tokio::time::Instant::now() + SETTLE_TIME;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err((true, reason)) if tokio::time::Instant::now() < deadline => tracing::debug!(reason, "asked again"),
            Err((_, reason)) => return Err(reason),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

fn is_not_found(kind: GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn get_may_pass(kind: GetStreamErrorKind) -> bool {
    match kind {
        GetStreamErrorKind::Request => true,
        GetStreamErrorKind::JetStream(why) => PASSING.contains(&why.error_code()),
        _ => false,
    }
}

/// Two nodes may make a stream at once: the same settings are no conflict.
fn create_may_pass(kind: CreateStreamErrorKind) -> bool {
    match kind {
        CreateStreamErrorKind::TimedOut | CreateStreamErrorKind::JetStreamUnavailable => true,
        CreateStreamErrorKind::JetStream(why) => PASSING.contains(&why.error_code()),
        _ => false,
    }
}

fn read_back(found: &stream::Config, wanted: &stream::Config) -> Result<(), EngineError> {
    let compare = |setting: &'static str, of: &dyn Fn(&stream::Config) -> String| {
        let (found, expected) = (of(found), of(wanted));
        if found == expected {
            return Ok(());
        }
        Err(EngineError::Setting { stream: wanted.name.clone(), setting, found, expected })
    };
    compare("replicas", &|c| c.num_replicas.to_string())?;
    compare("storage", &|c| format!("{:?}", c.storage))?;
    compare("retention", &|c| format!("{:?}", c.retention))?;
    compare("discard", &|c| format!("{:?}", c.discard))?;
    compare("direct get", &|c| c.allow_direct.to_string())?;
    compare("messages per subject", &|c| c.max_messages_per_subject.to_string())?;
    compare("atomic batches", &|c| c.allow_atomic_publish.to_string())?;
    compare("times to live", &|c| c.allow_message_ttl.to_string())?;
    compare("subjects", &|c| c.subjects.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_unreadable_versions_are_refused_by_name() {
        let server = |version: &str| async_nats::ServerInfo {
            version: version.to_owned(),
            max_payload: PAYLOAD_BYTES_MIN,
            ..async_nats::ServerInfo::default()
        };
        for good in ["2.12.0", "2.12.8", "2.15.1", "3.0.0-beta.1", "v2.14.2"] {
            check_server("here", &server(good)).expect(good);
        }
        for bad in ["2.9.10", "2.11.9", "1.99.0", "", "two"] {
            let error = check_server("here", &server(bad)).expect_err(bad).to_string();
            assert!(error.contains(bad) && error.contains("refused"), "{error}");
        }
    }

    #[test]
    fn everybody_begins_with_the_server_of_its_own_number_and_knows_all() {
        let options = EngineOptions { servers: ["a", "b", "c"].map(str::to_owned).to_vec(), ..EngineOptions::default() };
        let order = |ordinal| options.from_server(ordinal).servers.join("");
        assert_eq!([1, 2, 3, 5].map(order), ["abc", "bca", "cab", "bca"]);
        assert_eq!(EngineOptions::default().from_server(2), EngineOptions::default());
    }

    #[test]
    fn a_setting_that_was_changed_is_named() {
        let names = Names::of("demo");
        let (found, wanted) = (log_config(&names, 1), log_config(&names, 3));
        let error = read_back(&found, &wanted).expect_err("other replicas").to_string();
        assert!(error.contains("replicas = 1, but 3 is needed"), "{error}");
        let error = read_back(&stream::Config { allow_direct: true, ..wanted.clone() }, &wanted).expect_err("followers answer");
        assert!(error.to_string().contains("direct get"), "{error}");
        read_back(&wanted.clone(), &wanted).expect("the same");
    }

    #[tokio::test]
    async fn durability_that_nobody_can_read_back_is_not_claimed() {
        let options = EngineOptions::default();
        let error = check_durability(&options).await.expect_err("no monitors").to_string();
        assert!(error.contains("sync_interval: always"), "{error}");
        check_durability(&EngineOptions { durability: Durability::ProcessLoss, ..options }).await.expect("claims less");
    }
}
