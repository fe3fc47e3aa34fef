//! Which port is whose: one table for a cluster on one machine, from `--port-base` N.
//!
//! | port | what |
//! |---|---|
//! | N | web page and admin API (world) |
//! | N+1, +2, +3 | node listeners of world, data, auth |
//! | N+10 … | node listeners of scenes |
//! | N+20 … | node listeners of gateways |
//! | N+30, N+31 … | TCP and WebSocket listeners of gateways, in pairs |
//! | N+50 … | metrics and health: data, auth, then scenes, then gateways |
//! | N+4 … N+7 | node listeners of the second and third world, then data node |
//! | N+72 … N+75 | web page and admin API of the second and third world; metrics of the second and third data node |
//! | N+80 … N+88 | the engine's own servers, three ports each: clients, monitoring, routes |
//!
//! On several hosts each has the ports of those who run there, at its own address.

use std::net::{SocketAddr, TcpListener};

use pangaea_schemas::{NodeId, Role};

use super::hosts::HostAddresses;

/// Most scenes of a cluster on one machine.
pub const SCENES_MAX: u16 = 10;
/// Most gateways of a cluster on one machine.
pub const GATEWAYS_MAX: u16 = 10;
/// Ports from the base on that a cluster may use.
pub const PORTS: u16 = 90;
/// Most world processes of a cluster on one machine, and most data processes.
pub const TRIPLE_MAX: u16 = 3;
/// Most servers of the engine that a cluster on one machine starts itself.
pub const SERVERS_MAX: u16 = 3;

/// One port of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPort {
    /// Where.
    pub address: SocketAddr,
    /// Of whom, for what: for people.
    pub purpose: String,
}

/// A port that is not free.
#[derive(Debug, thiserror::Error)]
#[error(
    "port {} ({}) is in use. Another cluster may be running here; stop it, or choose other ports with --port-base {}",
    .port.address.port(), .port.purpose, suggested_base
)]
pub struct PortInUse {
    /// Which.
    pub port: PlannedPort,
    /// A base whose ports are free right now.
    pub suggested_base: u16,
}

/// The table of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortTable {
    base: u16,
    hosts: HostAddresses,
}

impl PortTable {
    /// The table from `base` on, of one host; `None` when it does not fit below 65536 or would need root.
    pub fn new(base: u16) -> Option<Self> {
        (base >= 1_024 && base.checked_add(PORTS).is_some()).then_some(Self { base, hosts: HostAddresses::default() })
    }

    /// The same ports, spread over these hosts.
    pub fn on(self, hosts: HostAddresses) -> Self {
        Self { hosts, ..self }
    }

    /// The web page and the admin API.
    pub fn web(self) -> SocketAddr {
        self.at(1, 0)
    }

    /// Where peers connect.
    pub fn node(self, node: NodeId) -> SocketAddr {
        let offset = match node.role {
            Role::World if node.ordinal > 1 => 2 + node.ordinal,
            Role::Data if node.ordinal > 1 => 4 + node.ordinal,
            Role::World => 1,
            Role::Data => 2,
            Role::Auth => 3,
            Role::Scene => 9 + node.ordinal,
            Role::Gateway => 19 + node.ordinal,
        };
        self.at(node.ordinal, offset)
    }

    /// Metrics and health; the world's are with the admin API.
    pub fn http(self, node: NodeId) -> SocketAddr {
        let offset = match node.role {
            Role::World if node.ordinal > 1 => 70 + node.ordinal,
            Role::Data if node.ordinal > 1 => 72 + node.ordinal,
            Role::World => 0,
            Role::Data => 50,
            Role::Auth => 51,
            Role::Scene => 51 + node.ordinal,
            Role::Gateway => 61 + node.ordinal,
        };
        self.at(node.ordinal, offset)
    }

    /// Where a gateway's clients connect over TCP.
    pub fn client_tcp(self, gateway: u16) -> SocketAddr {
        self.at(gateway, 28 + gateway * 2)
    }

    /// Where a gateway's clients connect over WebSocket.
    pub fn client_ws(self, gateway: u16) -> SocketAddr {
        self.at(gateway, 29 + gateway * 2)
    }

    /// Clients', monitoring's and routes' port of a server of the engine, from 1.
    pub fn server(self, server: u16) -> [SocketAddr; 3] {
        [0, 1, 2].map(|n| self.at(server, 77 + server * 3 + n))
    }

    /// Every port that these nodes use.
    pub fn planned(self, nodes: &[NodeId]) -> Vec<PlannedPort> {
        let mut planned = Vec::new();
        let mut plan = |address: SocketAddr, purpose: String| planned.push(PlannedPort { address, purpose });
        for &node in nodes {
            plan(self.node(node), format!("{node}, for other nodes"));
            match node.role {
                Role::World => plan(self.http(node), format!("{node}, web page and admin API")),
                Role::Data | Role::Auth | Role::Scene => plan(self.http(node), format!("{node}, metrics")),
                Role::Gateway => {
                    plan(self.http(node), format!("{node}, metrics"));
                    plan(self.client_tcp(node.ordinal), format!("{node}, clients over TCP"));
                    plan(self.client_ws(node.ordinal), format!("{node}, clients over WebSocket"));
                }
            }
        }
        planned.sort_by_key(|planned| planned.address.port());
        planned
    }

    /// Whether all ports of these nodes are free now.
    ///
    /// # Errors
    /// The first that is not, and a base where all are.
    pub fn check(self, nodes: &[NodeId]) -> Result<(), PortInUse> {
        let Some(port) = self.first_in_use(nodes) else { return Ok(()) };
        let others = (1..50).filter_map(|step| Some(Self::new(self.base.checked_add(step * 100)?)?.on(self.hosts)));
        let free = others.into_iter().find(|table| table.first_in_use(nodes).is_none());
        Err(PortInUse { port, suggested_base: free.map_or(self.base.saturating_add(1_000), |table| table.base) })
    }

    fn first_in_use(self, nodes: &[NodeId]) -> Option<PlannedPort> {
        self.planned(nodes).into_iter().find(|planned| TcpListener::bind(planned.address).is_err())
    }

    /// On the host of whoever has this ordinal.
    fn at(self, ordinal: u16, offset: u16) -> SocketAddr {
        SocketAddr::from((self.hosts.of_ordinal(ordinal), self.base + offset))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use super::*;

    fn everybody() -> Vec<NodeId> {
        let three = |role| (1..=TRIPLE_MAX).map(move |n| NodeId::new(role, n));
        let one = three(Role::World).chain(three(Role::Data)).chain([NodeId::new(Role::Auth, 1)]);
        let scenes = (1..=SCENES_MAX).map(|n| NodeId::new(Role::Scene, n));
        let gateways = (1..=GATEWAYS_MAX).map(|n| NodeId::new(Role::Gateway, n));
        one.chain(scenes).chain(gateways).collect()
    }

    #[test]
    fn no_two_purposes_share_a_port_and_all_fit_the_range() {
        let table = PortTable::new(7_000).expect("fits");
        let planned = table.planned(&everybody());
        let servers = (1..=SERVERS_MAX).flat_map(|n| table.server(n)).map(|address| address.port());
        let ports: BTreeSet<_> = planned.iter().map(|planned| planned.address.port()).chain(servers).collect();
        assert_eq!(ports.len(), planned.len() + usize::from(SERVERS_MAX) * 3);
        assert!(ports.iter().all(|port| (7_000..7_000 + PORTS).contains(port)), "{ports:?}");
    }

    #[test]
    fn on_several_hosts_whoever_has_a_number_is_at_that_hosts_address() {
        let table = PortTable::new(7_000).expect("fits").on(HostAddresses::new(Ipv4Addr::new(10, 77, 0, 1), 3));
        let host = |address: SocketAddr| address.ip().to_string();
        assert_eq!(host(table.web()), "10.77.0.1");
        assert_eq!(host(table.node(NodeId::new(Role::Scene, 2))), "10.77.0.2");
        assert_eq!(host(table.http(NodeId::new(Role::Scene, 4))), "10.77.0.1", "around");
        assert_eq!((host(table.client_tcp(3)), host(table.server(3)[2])), ("10.77.0.3".to_owned(), "10.77.0.3".to_owned()));
    }

    #[test]
    fn a_taken_port_is_named_with_its_role_and_a_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("bound").port();
        let Some(table) = port.checked_sub(2).and_then(PortTable::new) else { return };
        let nodes = [NodeId::new(Role::World, 1), NodeId::new(Role::Data, 1)];
        let text = table.check(&nodes).expect_err("taken").to_string();
        assert!(text.contains(&format!("port {port} (data-1, for other nodes) is in use")), "{text}");
        assert!(text.contains("--port-base "), "{text}");
    }

    #[test]
    fn bases_out_of_range_are_refused() {
        assert_eq!(PortTable::new(80), None);
        assert_eq!(PortTable::new(65_500), None);
    }
}
