//! What every beacon and every bus must do, whichever backend it runs on. A backend's test drives it through a small trait and
//! calls the suite; a broken rule panics and names itself.

use std::time::Duration;

use bytes::Bytes;
use pangaea_schemas::message::{
    BUS_BYTES_MAX, BeaconEntry, BeaconReply, BeaconRequest, BusEvent, BusRequest, KEY_BYTES_MAX, NodeInfo, VALUE_BYTES_MAX,
};
use pangaea_schemas::{NodeId, Nonce, RegistryHash, RequestId, Revision, Role};

/// A beacon under test, with all its clients.
pub trait BeaconBackend {
    /// The client on `from` sends this.
    fn send(&mut self, from: NodeId, request: BeaconRequest);
    /// What the client on `to` received since the last call, in order; waits until the backend is quiet.
    fn received(&mut self, to: NodeId) -> Vec<BeaconReply>;
    /// Time passes.
    fn pass(&mut self, span: Duration);
    /// How much later than its time a lease may end here.
    fn lag(&self) -> Duration {
        Duration::ZERO
    }
    /// The link between the beacon and `node` breaks.
    fn cut(&mut self, node: NodeId);
}

/// A bus under test, with all its clients.
pub trait BusBackend {
    /// The client on `from` sends this.
    fn send(&mut self, from: NodeId, request: BusRequest);
    /// What the client on `to` received since the last call, in order; waits until the backend is quiet.
    fn received(&mut self, to: NodeId) -> Vec<BusEvent>;
    /// The link between the bus and `node` breaks.
    fn cut(&mut self, node: NodeId);
}

const SCENE: NodeId = NodeId::new(Role::Scene, 1);
const WATCHER: NodeId = NodeId::new(Role::Gateway, 1);
const TTL_MS: u32 = 1_000;
const TTL: Duration = Duration::from_millis(TTL_MS as u64);

/// Runs every rule of a beacon, each on a fresh one.
pub fn beacon_suite<B: BeaconBackend>(mut fresh: impl FnMut() -> B) {
    revisions_decide(&mut fresh());
    a_lease_lasts_from_its_last_renewal(&mut fresh());
    a_living_name_is_not_given_twice(&mut fresh());
    leased_keys_go_with_their_node(&mut fresh());
    a_watch_tells_the_present_then_changes(&mut fresh());
    a_watch_ends_with_its_link(&mut fresh());
    bounds_are_refused_in_words(&mut fresh());
}

/// Runs every rule of a bus, each on a fresh one.
pub fn bus_suite<B: BusBackend>(mut fresh: impl FnMut() -> B) {
    events_reach_the_subscribers_of_a_prefix(&mut fresh());
    an_event_comes_once_and_in_order(&mut fresh());
    subscriptions_end_with_the_link(&mut fresh());
    what_is_too_large_is_dropped(&mut fresh());
}

fn revisions_decide(beacon: &mut impl BeaconBackend) {
    let first = put(beacon, "a", Revision::ZERO, "1").expect("a new key is put at revision zero");
    assert!(first > Revision::ZERO, "revision zero means that there is no key");
    assert_eq!(put(beacon, "a", Revision::ZERO, "2"), Err(first), "an existing key is not put at revision zero");
    let second = put(beacon, "a", first, "2").expect("the present revision is accepted");
    assert!(second > first, "revisions rise");
    assert_eq!(put(beacon, "a", first, "3"), Err(second), "a past revision is refused");
    assert_eq!(get(beacon, "a"), (second, Some("2".into())), "a refused put changes nothing");
    assert_eq!(delete(beacon, "a", first), Err(second), "a past revision deletes nothing");
    delete(beacon, "a", second).expect("the present revision deletes");
    assert_eq!(get(beacon, "a"), (Revision::ZERO, None), "a deleted key is not there");
    let again = put(beacon, "a", Revision::ZERO, "4").expect("a deleted key is put as a new one");
    assert!(again > second, "revisions rise over a deletion");
    put(beacon, "ab", Revision::ZERO, "5").expect("another key");
    put(beacon, "b", Revision::ZERO, "6").expect("another key");
    beacon.send(WATCHER, BeaconRequest::List { request: RequestId(9), prefix: "a".into() });
    let replies = beacon.received(WATCHER);
    let [BeaconReply::Entries { entries, .. }] = replies.as_slice() else { panic!("no list but {replies:?}") };
    assert_eq!(keys(entries), ["a", "ab"], "a list has all keys of the prefix in order");
}

fn a_lease_lasts_from_its_last_renewal(beacon: &mut impl BeaconBackend) {
    register(beacon, 1);
    beacon.pass(TTL * 3 / 4);
    register(beacon, 1);
    let before = get(beacon, "node/scene-1");
    beacon.pass(TTL * 3 / 4);
    assert_eq!(get(beacon, "node/scene-1"), before, "a renewed lease runs on, and a renewal is no change");
    beacon.pass(TTL + beacon.lag());
    assert_eq!(get(beacon, "node/scene-1").1, None, "a lease that is not renewed ends");
}

fn a_living_name_is_not_given_twice(beacon: &mut impl BeaconBackend) {
    register(beacon, 1);
    beacon.send(SCENE, BeaconRequest::Register { request: RequestId(2), node: scene(2), ttl_ms: TTL_MS });
    let taken = BeaconReply::NameTaken { request: RequestId(2), holder: Nonce(1) };
    assert_eq!(beacon.received(SCENE), [taken], "another incarnation holds the name");
    beacon.send(SCENE, BeaconRequest::Deregister { node: SCENE, nonce: Nonce(2) });
    assert!(get(beacon, "node/scene-1").1.is_some(), "only the holder gives the name up");
    beacon.send(SCENE, BeaconRequest::Deregister { node: SCENE, nonce: Nonce(1) });
    assert_eq!(get(beacon, "node/scene-1").1, None, "the holder gives the name up");
    register(beacon, 2);
    beacon.pass(TTL * 2 + beacon.lag());
    register(beacon, 3);
}

fn leased_keys_go_with_their_node(beacon: &mut impl BeaconBackend) {
    let lease = |beacon: &mut _, key: &str| {
        request(beacon, SCENE, |request| BeaconRequest::PutIf {
            request,
            key: key.into(),
            expected: Revision::ZERO,
            value: Bytes::from_static(b"x"),
            leased_to: Some(SCENE),
        })
    };
    let reply = lease(beacon, "shard/a");
    assert!(matches!(reply, BeaconReply::Refused { .. }), "no key depends on a lease that is not there: {reply:?}");
    register(beacon, 1);
    let reply = lease(beacon, "shard/a");
    assert!(matches!(reply, BeaconReply::Done { .. }), "a leased key is put: {reply:?}");
    put(beacon, "shard/b", Revision::ZERO, "y").expect("an unleased key");
    beacon.pass(TTL * 2 + beacon.lag());
    assert_eq!(get(beacon, "shard/a").1, None, "a leased key ends with the lease");
    assert!(get(beacon, "shard/b").1.is_some(), "other keys stay");
}

fn a_watch_tells_the_present_then_changes(beacon: &mut impl BeaconBackend) {
    register(beacon, 1);
    beacon.send(WATCHER, BeaconRequest::Watch { prefix: "node/".into() });
    let replies = beacon.received(WATCHER);
    let [BeaconReply::WatchStart { prefix, entries }] = replies.as_slice() else { panic!("no start but {replies:?}") };
    assert_eq!((prefix.as_str(), keys(entries)), ("node/", vec!["node/scene-1"]), "a watch starts with what is there");
    let start = entries[0].revision;
    register(beacon, 1);
    assert_eq!(beacon.received(WATCHER), [], "a renewal is no change");
    put(beacon, "elsewhere", Revision::ZERO, "x").expect("a key outside the prefix");
    beacon.pass(TTL * 2 + beacon.lag());
    let replies = beacon.received(WATCHER);
    let changes: Vec<_> = replies.iter().filter(|r| matches!(r, BeaconReply::WatchChange { .. })).collect();
    let [BeaconReply::WatchChange { entry, .. }] = changes.as_slice() else { panic!("not one change but {replies:?}") };
    assert_eq!((entry.key.as_str(), &entry.value), ("node/scene-1", &None), "the end of a lease is told, once");
    assert!(entry.revision > start, "a deletion is a change with its own number");
}

fn a_watch_ends_with_its_link(beacon: &mut impl BeaconBackend) {
    beacon.send(WATCHER, BeaconRequest::Watch { prefix: "a".into() });
    beacon.received(WATCHER);
    beacon.cut(WATCHER);
    put_from(beacon, SCENE, "a1", Revision::ZERO, "x").expect("a new key");
    assert_eq!(beacon.received(WATCHER), [], "nothing is told over a broken link");
    beacon.send(WATCHER, BeaconRequest::Watch { prefix: "a".into() });
    let replies = beacon.received(WATCHER);
    let [BeaconReply::WatchStart { entries, .. }] = replies.as_slice() else { panic!("no start but {replies:?}") };
    assert_eq!(keys(entries), ["a1"], "watching again starts afresh");
}

fn bounds_are_refused_in_words(beacon: &mut impl BeaconBackend) {
    for (key, value) in [
        (String::new(), 1),
        ("k".repeat(KEY_BYTES_MAX + 1), 1),
        ("k".to_owned(), VALUE_BYTES_MAX + 1),
        ("node/scene-9".to_owned(), 1),
    ] {
        let reply = request(beacon, SCENE, |request| BeaconRequest::PutIf {
            request,
            key: key.clone(),
            expected: Revision::ZERO,
            value: vec![b'x'; value].into(),
            leased_to: None,
        });
        assert!(matches!(reply, BeaconReply::Refused { .. }), "`{key}` with {value} bytes: {reply:?}");
        assert_eq!(get(beacon, &key).1, None, "what is refused changes nothing");
    }
    let other = NodeInfo { node: WATCHER, ..scene(1) };
    let reply = request(beacon, SCENE, |request| BeaconRequest::Register { request, node: other.clone(), ttl_ms: TTL_MS });
    assert!(matches!(reply, BeaconReply::Refused { .. }), "nobody registers another node: {reply:?}");
}

fn events_reach_the_subscribers_of_a_prefix(bus: &mut impl BusBackend) {
    bus.send(SCENE, BusRequest::Subscribe { prefix: "chat.".into() });
    publish(bus, "chat.world", "hello");
    publish(bus, "chatter", "no");
    assert_eq!(subjects(&bus.received(SCENE)), ["chat.world"]);
    assert_eq!(bus.received(WATCHER), [], "who does not listen hears nothing");
}

fn an_event_comes_once_and_in_order(bus: &mut impl BusBackend) {
    for prefix in ["chat.", "chat.w", "chat."] {
        bus.send(SCENE, BusRequest::Subscribe { prefix: prefix.into() });
    }
    publish(bus, "chat.world", "1");
    publish(bus, "chat.say", "2");
    publish(bus, "chat.world", "3");
    let heard: Vec<Bytes> = bus.received(SCENE).into_iter().map(|event| event.bytes).collect();
    assert_eq!(heard, ["1", "2", "3"]);
}

fn subscriptions_end_with_the_link(bus: &mut impl BusBackend) {
    bus.send(SCENE, BusRequest::Subscribe { prefix: "chat.".into() });
    bus.cut(SCENE);
    publish(bus, "chat.world", "hello");
    assert_eq!(bus.received(SCENE), []);
}

fn what_is_too_large_is_dropped(bus: &mut impl BusBackend) {
    bus.send(SCENE, BusRequest::Subscribe { prefix: String::new() });
    bus.send(WATCHER, BusRequest::Publish { subject: "a".into(), bytes: vec![0; BUS_BYTES_MAX + 1].into() });
    publish(bus, "b", "small");
    assert_eq!(subjects(&bus.received(SCENE)), ["b"], "one bad message does not harm the next");
}

/// Scene 1 in its `nonce`-th incarnation.
fn scene(nonce: u128) -> NodeInfo {
    NodeInfo {
        node: SCENE,
        nonce: Nonce(nonce),
        pid: 1,
        address: "127.0.0.1:7101".to_owned(),
        client_tcp: String::new(),
        client_ws: String::new(),
        http: String::new(),
        registry: RegistryHash(1),
        draining: false,
    }
}

fn register(beacon: &mut impl BeaconBackend, nonce: u128) {
    let reply = request(beacon, SCENE, |request| BeaconRequest::Register { request, node: scene(nonce), ttl_ms: TTL_MS });
    assert!(matches!(reply, BeaconReply::Registered { ttl_ms: TTL_MS, .. }), "a free or own name is given: {reply:?}");
}

/// One request of a client that watches nothing, and its reply.
fn request(beacon: &mut impl BeaconBackend, from: NodeId, ask: impl FnOnce(RequestId) -> BeaconRequest) -> BeaconReply {
    beacon.received(from);
    beacon.send(from, ask(RequestId(7)));
    let mut replies = beacon.received(from);
    assert_eq!(replies.len(), 1, "one reply to one request, not {replies:?}");
    replies.remove(0)
}

fn put(beacon: &mut impl BeaconBackend, key: &str, expected: Revision, value: &'static str) -> Result<Revision, Revision> {
    put_from(beacon, SCENE, key, expected, value)
}

fn put_from(
    beacon: &mut impl BeaconBackend,
    from: NodeId,
    key: &str,
    expected: Revision,
    value: &'static str,
) -> Result<Revision, Revision> {
    let value = Bytes::from_static(value.as_bytes());
    changed(request(beacon, from, |request| BeaconRequest::PutIf { request, key: key.into(), expected, value, leased_to: None }))
}

fn delete(beacon: &mut impl BeaconBackend, key: &str, expected: Revision) -> Result<Revision, Revision> {
    changed(request(beacon, SCENE, |request| BeaconRequest::DeleteIf { request, key: key.into(), expected }))
}

fn changed(reply: BeaconReply) -> Result<Revision, Revision> {
    match reply {
        BeaconReply::Done { revision, .. } => Ok(revision),
        BeaconReply::Conflict { current, .. } => Err(current),
        other => panic!("neither done nor in conflict: {other:?}"),
    }
}

fn get(beacon: &mut impl BeaconBackend, key: &str) -> (Revision, Option<Bytes>) {
    match request(beacon, SCENE, |request| BeaconRequest::Get { request, key: key.into() }) {
        BeaconReply::Value { entry, .. } => (entry.revision, entry.value),
        other => panic!("no value: {other:?}"),
    }
}

fn keys(entries: &[BeaconEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.key.as_str()).collect()
}

fn publish(bus: &mut impl BusBackend, subject: &str, text: &'static str) {
    bus.send(WATCHER, BusRequest::Publish { subject: subject.into(), bytes: Bytes::from_static(text.as_bytes()) });
}

fn subjects(events: &[BusEvent]) -> Vec<&str> {
    events.iter().map(|event| event.subject.as_str()).collect()
}
