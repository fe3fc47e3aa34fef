//! The engine behind the contracts' traits: each client is an engine of its own, with its own connection.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use pangaea_node::engine::log::{Batch, LogEnds, LogEvent};
use pangaea_node::engine::{Connection, Engine, EngineOptions};
use pangaea_node::mesh::{Inbox, MeshEvent};
use pangaea_persistence::contract::{BlobsBackend, JournalBackend};
use pangaea_persistence::{Data, LmdbOptions, LmdbStore, Logged, Proposal};
use pangaea_schemas::message::{
    Address, BeaconReply, BeaconRequest, BlobReply, BlobRequest, BusEvent, BusRequest, Envelope, JournalReply, JournalRequest,
    Message,
};
use pangaea_schemas::{NodeId, Nonce, RequestId, Role, Timestamp};
use pangaea_world::contract::{BeaconBackend, BusBackend};
use tokio::runtime::Handle;

use crate::fresh_name;

/// Whatever takes longer has gone wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const NOW: Timestamp = Timestamp(1_000_000);
const SCENE: NodeId = NodeId::new(Role::Scene, 1);
const DATA: NodeId = NodeId::new(Role::Data, 1);
/// Nobody else's request has this number.
const QUIET: RequestId = RequestId(u64::MAX);
/// Subjects by which the bus's clients find out that they are known everywhere.
const SETTLED: &str = "settled.";
/// Pause between two tries of that.
const PROBE_EVERY: Duration = Duration::from_millis(50);

/// One node's engine, and what it heard.
pub(crate) struct Client {
    engine: Engine,
    events: Receiver<MeshEvent>,
}

impl Client {
    pub(crate) fn connect(runtime: &Handle, options: &EngineOptions, cluster: &str, node: NodeId) -> Self {
        let _entered = runtime.enter();
        let connection = runtime.block_on(Connection::open(options, cluster, &node.to_string())).expect("connected");
        let (inbox, events) = Inbox::new();
        Self { engine: Engine::start(&connection, node, inbox.into()), events }
    }

    pub(crate) fn send(&mut self, to: Address, message: Message) {
        assert_eq!(self.engine.send(Envelope { to, message }), None, "the engine serves it");
    }

    /// The next message, or a panic.
    pub(crate) fn next(&self) -> Message {
        match self.events.recv_timeout(PATIENCE) {
            Ok(MeshEvent::Message { message, .. }) => message,
            other => panic!("no answer of the engine: {other:?}"),
        }
    }

    /// The bus's next word, if there is one by then.
    fn event_before(&self, deadline: Instant) -> Option<BusEvent> {
        match self.events.recv_deadline(deadline).ok()? {
            MeshEvent::Message { message: Message::BusEvent(event), .. } => Some(event),
            other => panic!("the bus answers, not {other:?}"),
        }
    }
}

/// Clients by node.
struct Clients {
    runtime: Handle,
    options: EngineOptions,
    cluster: String,
    clients: BTreeMap<NodeId, Client>,
}

impl Clients {
    fn fresh(runtime: &Handle, options: &EngineOptions) -> Self {
        Self { runtime: runtime.clone(), options: options.clone(), cluster: fresh_name(), clients: BTreeMap::new() }
    }

    fn of(&mut self, node: NodeId) -> &mut Client {
        let connect = || Client::connect(&self.runtime, &self.options, &self.cluster, node);
        self.clients.entry(node).or_insert_with(connect)
    }
}

pub(crate) struct NatsBeacon {
    clients: Clients,
    /// Answers that are still to come.
    owed: BTreeMap<NodeId, usize>,
}

impl NatsBeacon {
    pub(crate) fn fresh(runtime: &Handle, options: &EngineOptions) -> Self {
        Self { clients: Clients::fresh(runtime, options), owed: BTreeMap::new() }
    }
}

impl BeaconBackend for NatsBeacon {
    fn send(&mut self, from: NodeId, request: BeaconRequest) {
        if !matches!(request, BeaconRequest::Deregister { .. }) {
            *self.owed.entry(from).or_default() += 1;
        }
        self.clients.of(from).send(Address::Beacon, Message::BeaconRequest(request));
    }

    fn received(&mut self, to: NodeId) -> Vec<BeaconReply> {
        // Whoever knows the answer to a request knows all that happened before it.
        let quiet = Message::BeaconRequest(BeaconRequest::Get { request: QUIET, key: "quiet".to_owned() });
        let client = self.clients.of(to);
        client.send(Address::Beacon, quiet);
        let (mut heard, mut owed) = (Vec::new(), self.owed.remove(&to).unwrap_or_default() + 1);
        while owed > 0 {
            let Message::BeaconReply(reply) = client.next() else { panic!("the beacon answers") };
            owed -= usize::from(!matches!(reply, BeaconReply::WatchChange { .. }));
            if !matches!(reply, BeaconReply::Value { request: QUIET, .. }) {
                heard.push(reply);
            }
        }
        heard
    }

    fn pass(&mut self, span: Duration) {
        std::thread::sleep(span);
    }

    fn lag(&self) -> Duration {
        // The engine looks for messages whose time is over about once a second.
        Duration::from_millis(1_500)
    }

    fn cut(&mut self, node: NodeId) {
        self.clients.clients.remove(&node);
    }
}

/// Clients of the bus, which may hang on different servers, and one more client on every server.
///
/// A server hears of a subscription at another server some time after that one's client does; what it is told before, it sends
/// nowhere else. The suite publishes as soon as a subscription stands, so here it stands when every server's own client is heard.
pub(crate) struct NatsBus {
    clients: Clients,
    probes: Vec<Client>,
}

impl NatsBus {
    pub(crate) fn fresh(runtime: &Handle, options: &EngineOptions) -> Self {
        let clients = Clients::fresh(runtime, options);
        let probe = |(n, server): (usize, &String)| {
            let options = EngineOptions { servers: vec![server.clone()], ..options.clone() };
            Client::connect(runtime, &options, &clients.cluster, NodeId::new(Role::Auth, n as u16 + 1))
        };
        let probes = options.servers.iter().enumerate().map(probe).collect();
        Self { clients, probes }
    }

    fn publish(client: &mut Client, subject: &str, bytes: &[u8]) {
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        client.send(Address::Bus, Message::BusRequest(BusRequest::Publish { subject: subject.to_owned(), bytes }));
    }

    fn subscribe(client: &mut Client, prefix: &str) {
        client.send(Address::Bus, Message::BusRequest(BusRequest::Subscribe { prefix: prefix.to_owned() }));
    }

    /// Everything that `node` has said so far has reached every server, and what was said to it before is in the answer.
    fn settle(&mut self, node: NodeId) -> Vec<BusEvent> {
        let subject = format!("{SETTLED}{node}");
        let client = self.clients.of(node);
        Self::subscribe(client, &subject);
        let mut heard = Vec::new();
        let mut unheard: Vec<u8> = (0..self.probes.len() as u8).collect();
        let deadline = Instant::now() + PATIENCE;
        while !unheard.is_empty() {
            assert!(Instant::now() < deadline, "{node} does not hear the servers {unheard:?}");
            for probe in &unheard {
                Self::publish(&mut self.probes[usize::from(*probe)], &subject, &[*probe]);
            }
            let until = Instant::now() + PROBE_EVERY;
            while let Some(event) = client.event_before(until) {
                if event.subject == subject {
                    unheard.retain(|probe| event.bytes[..] != [*probe]);
                }
                heard.push(event);
                if unheard.is_empty() {
                    break;
                }
            }
        }
        heard.retain(|event| !event.subject.starts_with(SETTLED));
        heard
    }

    /// What `to` hears until everything has come that `from` has said so far.
    fn heard_of(&mut self, from: NodeId, to: NodeId) -> Vec<BusEvent> {
        let last = format!("{SETTLED}{to}.{from}");
        Self::subscribe(self.clients.of(to), &last);
        let mut heard = self.settle(to);
        Self::publish(self.clients.of(from), &last, b"last");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let event = self.clients.of(to).event_before(deadline).expect("what one says, the other hears");
            if event.subject == last {
                return heard;
            }
            heard.push(event);
        }
    }
}

impl BusBackend for NatsBus {
    fn send(&mut self, from: NodeId, request: BusRequest) {
        let listens = matches!(request, BusRequest::Subscribe { .. });
        self.clients.of(from).send(Address::Bus, Message::BusRequest(request));
        if listens {
            let early = self.settle(from);
            assert_eq!(early, [], "nothing was published yet");
        }
    }

    fn received(&mut self, to: NodeId) -> Vec<BusEvent> {
        let others: Vec<NodeId> = self.clients.clients.keys().copied().filter(|node| *node != to).collect();
        let mut heard: Vec<_> = others.into_iter().flat_map(|from| self.heard_of(from, to)).collect();
        heard.retain(|event| !event.subject.starts_with(SETTLED));
        heard
    }

    fn cut(&mut self, node: NodeId) {
        self.clients.clients.remove(&node);
    }
}

pub(crate) struct NatsBlobs(Clients);

impl NatsBlobs {
    pub(crate) fn fresh(runtime: &Handle, options: &EngineOptions) -> Self {
        Self(Clients::fresh(runtime, options))
    }
}

impl BlobsBackend for NatsBlobs {
    fn ask(&mut self, requests: Vec<BlobRequest>) -> Vec<BlobReply> {
        let (client, count) = (self.0.of(DATA), requests.len());
        requests.into_iter().for_each(|request| client.send(Address::Data, Message::BlobRequest(request)));
        let reply = |_| match client.next() {
            Message::BlobReply(reply) => reply,
            other => panic!("the blob store answers, not {other:?}"),
        };
        (0..count).map(reply).collect()
    }

    fn crash(&mut self) {
        self.0.clients.clear();
    }
}

/// A scene's appends, and a data node that follows the log, with its rows on disk.
pub(crate) struct NatsJournal {
    clients: Clients,
    follower: Option<Follower>,
    folder: tempfile::TempDir,
    starts: u128,
}

/// A data node without its process.
pub(crate) struct Follower {
    data: Data<LmdbStore>,
    events: Receiver<LogEvent>,
    ends: LogEnds,
    nonce: Nonce,
    number: u64,
}

impl Follower {
    pub(crate) fn start(
        runtime: &Handle,
        options: &EngineOptions,
        cluster: &str,
        folder: &std::path::Path,
        nonce: Nonce,
    ) -> Self {
        let _entered = runtime.enter();
        let connection = runtime.block_on(Connection::open(options, cluster, "data")).expect("connected");
        let data = Data::new(LmdbStore::open(folder, LmdbOptions::default()).expect("opens"));
        let (inbox, events) = Inbox::new();
        let ends = LogEnds::start(&connection, data.position().expect("read"), inbox, |event| event);
        Self { data, events, ends, nonce, number: 0 }
    }

    /// Has one request decided by the log; everything before it is in the rows then.
    pub(crate) fn ask(&mut self, request: Message) -> Vec<Message> {
        self.number += 1;
        let proposal = Proposal { node: DATA, nonce: self.nonce, number: self.number };
        self.ends.propose(Batch { proposal, now: NOW, frames: vec![(SCENE, pangaea_schemas::wire::encode(&request))] });
        let deadline = Instant::now() + PATIENCE;
        loop {
            let event = self.events.recv_deadline(deadline).expect("the log goes on");
            let LogEvent::Next { place, requests } = event else { panic!("{event:?}") };
            let own = place.proposal == Some(proposal);
            let requests = requests.into_iter().map(|(from, message)| (own.then_some(from), message)).collect();
            self.data.follow(Logged { place, requests });
            self.data.commit(NOW);
            assert_eq!(self.data.broken(), None);
            if own {
                return std::iter::from_fn(|| self.data.poll_output()).map(|(_, message)| message).collect();
            }
        }
    }

    /// The rows' sums: equal rows have equal sums.
    pub(crate) fn data(&self) -> &Data<LmdbStore> {
        &self.data
    }
}

impl NatsJournal {
    pub(crate) fn fresh(runtime: &Handle, options: &EngineOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { clients: Clients::fresh(runtime, options), follower: None, folder, starts: 0 }
    }

    fn follower(&mut self) -> &mut Follower {
        let Self { clients, follower, folder, starts } = self;
        follower.get_or_insert_with(|| {
            *starts += 1;
            Follower::start(&clients.runtime, &clients.options, &clients.cluster, folder.path(), Nonce(*starts))
        })
    }
}

impl JournalBackend for NatsJournal {
    fn ask(&mut self, requests: Vec<JournalRequest>) -> Vec<JournalReply> {
        let reply = |message| match message {
            Message::JournalReply(reply) => reply,
            other => panic!("the journal answers, not {other:?}"),
        };
        // Appends to one journal keep their order; those to different ones are told apart by their names.
        let mut replies: Vec<Option<JournalReply>> = requests.iter().map(|_| None).collect();
        let mut waiting = Vec::new();
        for (n, request) in requests.into_iter().enumerate() {
            if let JournalRequest::Append { shard, id, .. } = request {
                self.clients.of(SCENE).send(Address::Data, Message::JournalRequest(request));
                waiting.push((n, shard, id));
            } else {
                let mut answers = self.follower().ask(Message::JournalRequest(request));
                assert_eq!(answers.len(), 1, "one answer, not {answers:?}");
                replies[n] = Some(reply(answers.remove(0)));
            }
        }
        while !waiting.is_empty() {
            let answer = reply(self.clients.of(SCENE).next());
            let (JournalReply::Appended { shard, id, .. }
            | JournalReply::Conflict { shard, id, .. }
            | JournalReply::Unavailable { shard, id, .. }) = answer
            else {
                panic!("an append is answered, not {answer:?}")
            };
            let at = waiting.iter().position(|(_, of, named)| (*of, *named) == (shard, id)).expect("it was asked for");
            replies[waiting.remove(at).0] = Some(answer);
        }
        replies.into_iter().map(|reply| reply.expect("answered")).collect()
    }

    fn crash(&mut self) {
        self.clients.clients.clear();
        self.follower = None;
    }
}
