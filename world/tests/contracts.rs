//! The embedded beacon and bus keep the contracts; and what only the embedded ones have: leases ended by hand, deadlines.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::message::{BeaconReply, BeaconRequest, BusEvent, BusRequest, NodeInfo};
use pangaea_schemas::{NodeId, Nonce, RegistryHash, RequestId, Role, Timestamp};
use pangaea_world::contract::{BeaconBackend, BusBackend, beacon_suite, bus_suite};
use pangaea_world::{Beacon, Bus};

const START: Timestamp = Timestamp(1_000_000_000);
const SCENE: NodeId = NodeId::new(Role::Scene, 1);

struct EmbeddedBeacon {
    now: Timestamp,
    beacon: Beacon,
    mailboxes: BTreeMap<NodeId, Vec<BeaconReply>>,
}

impl EmbeddedBeacon {
    fn fresh() -> Self {
        Self { now: START, beacon: Beacon::new(START), mailboxes: BTreeMap::new() }
    }

    fn drain(&mut self) {
        while let Some((to, reply)) = self.beacon.poll_output() {
            self.mailboxes.entry(to).or_default().push(reply);
        }
    }
}

impl BeaconBackend for EmbeddedBeacon {
    fn send(&mut self, from: NodeId, request: BeaconRequest) {
        self.beacon.handle(self.now, from, request);
        self.drain();
    }

    fn received(&mut self, to: NodeId) -> Vec<BeaconReply> {
        self.mailboxes.remove(&to).unwrap_or_default()
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((deadline, _)) = self.beacon.poll_timeout().filter(|(deadline, _)| *deadline <= end) {
            self.now = deadline;
            self.beacon.handle_timeout(deadline);
        }
        self.now = end;
        self.drain();
    }

    fn cut(&mut self, node: NodeId) {
        self.beacon.link_closed(node);
    }
}

#[derive(Default)]
struct EmbeddedBus {
    bus: Bus,
    mailboxes: BTreeMap<NodeId, Vec<BusEvent>>,
}

impl BusBackend for EmbeddedBus {
    fn send(&mut self, from: NodeId, request: BusRequest) {
        self.bus.handle(from, request);
        while let Some((to, event)) = self.bus.poll_output() {
            self.mailboxes.entry(to).or_default().push(event);
        }
    }

    fn received(&mut self, to: NodeId) -> Vec<BusEvent> {
        self.mailboxes.remove(&to).unwrap_or_default()
    }

    fn cut(&mut self, node: NodeId) {
        self.bus.link_closed(node);
    }
}

fn register(nonce: u128) -> BeaconRequest {
    let node = NodeInfo {
        node: SCENE,
        nonce: Nonce(nonce),
        pid: 1,
        address: String::new(),
        client_tcp: String::new(),
        client_ws: String::new(),
        http: String::new(),
        registry: RegistryHash(0),
        draining: false,
    };
    BeaconRequest::Register { request: RequestId(1), node, ttl_ms: 1_000 }
}

#[test]
fn the_embedded_beacon_keeps_the_contract() {
    beacon_suite(EmbeddedBeacon::fresh);
}

#[test]
fn the_embedded_bus_keeps_the_contract() {
    bus_suite(EmbeddedBus::default);
}

#[test]
fn a_reaped_incarnation_frees_its_name_at_once() {
    let mut beacon = EmbeddedBeacon::fresh();
    beacon.send(SCENE, register(1));
    beacon.send(SCENE, register(2));
    beacon.beacon.reaped(SCENE, Nonce(3));
    beacon.send(SCENE, register(2));
    beacon.beacon.reaped(SCENE, Nonce(1));
    beacon.send(SCENE, register(2));
    let answers = beacon.received(SCENE);
    let taken = BeaconReply::NameTaken { request: RequestId(1), holder: Nonce(1) };
    let given = BeaconReply::Registered { request: RequestId(1), ttl_ms: 1_000 };
    assert_eq!(answers, [given.clone(), taken.clone(), taken, given]);
}

#[test]
fn revisions_rise_over_a_restart() {
    let last_revision = |beacon: &mut EmbeddedBeacon| {
        beacon.send(SCENE, register(1));
        beacon.send(SCENE, BeaconRequest::Get { request: RequestId(2), key: NodeInfo::key(SCENE) });
        match beacon.received(SCENE).pop() {
            Some(BeaconReply::Value { entry, .. }) => entry.revision,
            other => panic!("no value: {other:?}"),
        }
    };
    let mut first = EmbeddedBeacon::fresh();
    let before = last_revision(&mut first);
    let restart = START + Duration::from_millis(1);
    let mut second = EmbeddedBeacon { now: restart, beacon: Beacon::new(restart), mailboxes: BTreeMap::new() };
    assert!(last_revision(&mut second) > before);
}

#[test]
fn the_next_deadline_is_the_earliest_lease() {
    let mut beacon = EmbeddedBeacon::fresh();
    assert_eq!(beacon.beacon.poll_timeout(), None);
    beacon.send(SCENE, register(1));
    assert_eq!(beacon.beacon.poll_timeout(), Some((START + Duration::from_secs(1), "lease")));
}

#[test]
fn a_beacon_that_stood_still_itself_deregisters_nobody_who_still_renews() {
    let mut beacon = EmbeddedBeacon::fresh();
    beacon.send(SCENE, register(1));
    beacon.received(SCENE);
    beacon.now = START + Duration::from_secs(60);
    beacon.send(SCENE, register(2));
    let taken = BeaconReply::NameTaken { request: RequestId(1), holder: Nonce(1) };
    assert_eq!(beacon.received(SCENE), [taken], "renewals may be waiting in the queue");
    beacon.send(SCENE, register(1));
    beacon.pass(Duration::from_millis(999));
    beacon.send(SCENE, register(2));
    assert_eq!(beacon.received(SCENE).len(), 2, "the lease runs on from the renewal");
    beacon.pass(Duration::from_secs(1));
    beacon.send(SCENE, register(2));
    let given = BeaconReply::Registered { request: RequestId(1), ttl_ms: 1_000 };
    assert_eq!(beacon.received(SCENE), [given], "who does not renew is gone, a grace later than usual");
}
