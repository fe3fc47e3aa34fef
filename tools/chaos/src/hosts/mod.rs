//! Hosts on one machine: each a network namespace with an address of its own, and between them a [`switch`] of ours whose ports
//! can be hurt. This machine has a port, too, so that bots, clients and admins reach the hosts.
//!
//! Where namespaces cannot be made, hosts are loopback addresses: their processes can be ended and stopped together, but no
//! network is between them.

mod namespaces;
mod switch;

use std::net::Ipv4Addr;

use pangaea_node::up::{HostAddresses, Hosts};

pub(crate) use namespaces::Network;
pub(crate) use switch::{Way, Weather};

use crate::fault::Ground;

/// The first host's address where hosts are no namespaces; `127.0.0.1` stays the machine's own.
const LOOPBACK_FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// Where the cluster's processes run. Dropping it removes what was made; the processes must have ended.
pub(crate) enum Land {
    /// All on this machine.
    OneMachine,
    /// On so many of its addresses, since there can be no namespaces for this reason.
    Addresses(u16, String),
    /// On hosts with a network between them.
    Network(Network),
}

impl Land {
    /// Make so many hosts; what the network loses and delays is drawn from the seed.
    pub(crate) fn make(hosts: u16, seed: u64) -> Self {
        if hosts <= 1 {
            return Self::OneMachine;
        }
        match Network::make(hosts, seed) {
            Ok(network) => Self::Network(network),
            Err(error) => Self::Addresses(hosts, format!("{error:#}")),
        }
    }

    pub(crate) fn ground(&self) -> Ground {
        match self {
            Self::OneMachine => Ground::OneMachine,
            Self::Addresses(..) => Ground::Addresses,
            Self::Network(_) => Ground::Network,
        }
    }

    /// Where processes are to be started.
    pub(crate) fn hosts(&self) -> Hosts {
        match self {
            Self::OneMachine => Hosts::default(),
            Self::Addresses(count, _) => Hosts { addresses: HostAddresses::new(LOOPBACK_FIRST, *count), namespaces: None },
            Self::Network(network) => network.hosts(),
        }
    }

    /// In words, for the report.
    pub(crate) fn describe(&self) -> Option<String> {
        let addresses = self.hosts().addresses;
        let (count, first) = (addresses.count(), addresses.of_host(1));
        match self {
            Self::OneMachine => None,
            Self::Addresses(_, why) => {
                Some(format!("{count} loopback addresses from {first} on, no network between them: {why}"))
            }
            Self::Network(_) => Some(format!("{count} network namespaces with the addresses from {first} on")),
        }
    }

    /// From now on a host's network is like this.
    pub(crate) fn set(&self, host: u16, weather: Weather) {
        if let Self::Network(network) = self {
            network.set(host, weather);
        }
    }
}
