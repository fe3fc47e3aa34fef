//! Where the processes of a cluster run: all at the loopback address, or spread over hosts that have an address each.
//!
//! Whoever has number n of a role, and server n of the engine, runs on host n, around: so each host has a bit of everything. A
//! host may be a network namespace of this machine, made by somebody else; its processes are then started in it.

use std::net::Ipv4Addr;

/// Hosts' addresses, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAddresses {
    first: Ipv4Addr,
    count: u16,
}

impl Default for HostAddresses {
    /// One host, which is this machine for itself.
    fn default() -> Self {
        Self::new(Ipv4Addr::LOCALHOST, 1)
    }
}

impl HostAddresses {
    /// So many hosts, at least one, from this address on.
    pub const fn new(first: Ipv4Addr, count: u16) -> Self {
        Self { first, count: if count == 0 { 1 } else { count } }
    }

    /// How many.
    pub fn count(self) -> u16 {
        self.count
    }

    /// Of a host, from 1.
    pub fn of_host(self, host: u16) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.to_bits() + u32::from(host.saturating_sub(1)))
    }

    /// Where whoever has this ordinal runs.
    pub fn of_ordinal(self, ordinal: u16) -> Ipv4Addr {
        self.of_host(host_of(ordinal, self.count))
    }
}

/// The host, from 1, of whoever has this ordinal among its kind: a node of any role, or a server of the engine.
pub const fn host_of(ordinal: u16, hosts: u16) -> u16 {
    ordinal.saturating_sub(1) % if hosts == 0 { 1 } else { hosts } + 1
}

/// The hosts of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Where they are reached.
    pub addresses: HostAddresses,
    /// Names of network namespaces, one per host in order. Without: every address is one of this machine itself.
    pub namespaces: Option<Vec<String>>,
}

impl Hosts {
    /// The namespace of whoever has this ordinal.
    pub(super) fn namespace(&self, ordinal: u16) -> Option<String> {
        let host = host_of(ordinal, self.addresses.count());
        self.namespaces.as_ref()?.get(usize::from(host) - 1).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_go_around_the_hosts() {
        assert_eq!([1, 2, 3, 4, 7].map(|ordinal| host_of(ordinal, 3)), [1, 2, 3, 1, 1]);
        assert_eq!([1, 2, 9].map(|ordinal| host_of(ordinal, 1)), [1, 1, 1]);
        let hosts = Hosts {
            addresses: HostAddresses::new(Ipv4Addr::new(10, 77, 0, 1), 3),
            namespaces: Some(["a", "b", "c"].map(str::to_owned).to_vec()),
        };
        assert_eq!(
            (hosts.addresses.of_ordinal(5).to_string(), hosts.namespace(5)),
            ("10.77.0.2".to_owned(), Some("b".to_owned()))
        );
        assert_eq!((Hosts::default().namespace(2), HostAddresses::default().of_ordinal(2)), (None, Ipv4Addr::LOCALHOST));
    }
}
