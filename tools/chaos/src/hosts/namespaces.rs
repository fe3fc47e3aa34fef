//! Network namespaces as hosts, each plugged into the switch with a tap device. It takes root, `ip` and `/dev/net/tun`; neither
//! bridges, packet filters nor traffic control of the kernel are needed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use pangaea_node::up::{HostAddresses, Hosts};
use rustix::fs::OFlags;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use super::switch::{Switch, Weather, address_of};

/// Largest packet in bytes: large, since each costs this machine twice.
pub(super) const MTU_BYTES: usize = 9_000;
/// Where the kernel makes tap devices.
const TUN: &str = "/dev/net/tun";
/// `TUNSETIFF` of `linux/if_tun.h`: make the device of this name, and speak for it through this file.
const MAKE_DEVICE: Opcode = opcode::write::<i32>(b'T', 202);
/// `IFF_TAP | IFF_NO_PI`: Ethernet frames and nothing else.
const TAP_FRAMES: i16 = 0x0002 | 0x1000;
/// Longest name of a device.
const NAME_BYTES_MAX: usize = 15;
/// Namespaces are named after the process that made them: `pangaea-4711-1`.
const PREFIX: &str = "pangaea-";
/// The device of a host, inside.
const DEVICE: &str = "eth0";
/// Networks are 10.78.N.0/24, with hosts from .1 on and this machine at .254.
const NETWORK: [u8; 2] = [10, 78];
const OWN_HOST: u8 = 254;

/// Hosts and what is between them. Dropping it removes both.
pub(crate) struct Network {
    hosts: Hosts,
    switch: Switch,
    _namespaces: Namespaces,
}

impl Network {
    /// Make so many hosts. What runs that died before it could clean up has left is removed first.
    ///
    /// # Errors
    /// It takes rights, a program or a device that is not here; the text says which. Nothing is left.
    pub(crate) fn make(count: u16, seed: u64) -> anyhow::Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "only root may make network namespaces");
        remove_left()?;
        let (process, network) = (std::process::id(), free_network()?);
        let mut namespaces = Namespaces(Vec::new());
        let own = format!("pgea{process}-0");
        let mut devices = vec![tap(&own)?];
        plug(None, &own, 0, network, OWN_HOST)?;
        for host in 1..=count as u8 {
            let (namespace, device) = (format!("{PREFIX}{process}-{host}"), format!("pgea{process}-{host}"));
            run(&["netns", "add", &namespace])?;
            namespaces.0.push(namespace.clone());
            devices.push(tap(&device)?);
            run(&["link", "set", &device, "netns", &namespace, "name", DEVICE])?;
            run(&["-n", &namespace, "link", "set", "lo", "up"])?;
            plug(Some(&namespace), DEVICE, host, network, host)?;
        }
        let switch = Switch::start(devices, seed).context("there is no thread for the switch")?;
        let [a, b] = NETWORK;
        let addresses = HostAddresses::new(Ipv4Addr::new(a, b, network, 1), count);
        let hosts = Hosts { addresses, namespaces: Some(namespaces.0.clone()) };
        Ok(Self { hosts, switch, _namespaces: namespaces })
    }

    pub(crate) fn hosts(&self) -> Hosts {
        self.hosts.clone()
    }

    /// From now on a host's network is like this.
    pub(crate) fn set(&self, host: u16, weather: Weather) {
        self.switch.set(usize::from(host), weather);
    }
}

/// Removed when dropped. Their devices go with them.
struct Namespaces(Vec<String>);

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            if let Err(error) = run(&["netns", "del", name]) {
                tracing::warn!("{error:#}");
            }
        }
    }
}

/// Give a device its addresses and switch it on.
fn plug(namespace: Option<&str>, device: &str, port: u8, network: u8, host: u8) -> anyhow::Result<()> {
    let place: Vec<_> = namespace.into_iter().flat_map(|name| ["-n", name]).collect();
    let hardware = address_of(port).map(|byte| format!("{byte:02x}")).join(":");
    let ([a, b], mtu) = (NETWORK, MTU_BYTES.to_string());
    let address = format!("{a}.{b}.{network}.{host}/24");
    run(&[&place[..], &["link", "set", device, "address", &hardware, "mtu", &mtu]].concat())?;
    run(&[&place[..], &["addr", "add", &address, "dev", device]].concat())?;
    run(&[&place[..], &["link", "set", device, "up"]].concat())
}

/// As the kernel lays out `struct ifreq` for this request.
#[repr(C)]
struct DeviceRequest {
    name: [u8; NAME_BYTES_MAX + 1],
    flags: i16,
    unused: [u8; 22],
}

/// Make a tap device; it lives as long as its file. Frames are read and written without blocking.
#[allow(unsafe_code, reason = "rustix has no safe call for it")]
fn tap(name: &str) -> anyhow::Result<OwnedFd> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(TUN);
    let file: File = file.with_context(|| format!("cannot open {TUN}"))?;
    ensure!(name.len() <= NAME_BYTES_MAX, "{name} is too long for a device");
    let mut request = DeviceRequest { name: [0; NAME_BYTES_MAX + 1], flags: TAP_FRAMES, unused: [0; 22] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: the kernel reads and writes one `struct ifreq` for TUNSETIFF, which `DeviceRequest` is.
    let made = unsafe { ioctl(&file, Updater::<MAKE_DEVICE, DeviceRequest>::new(&mut request)) };
    made.with_context(|| format!("cannot make the device {name}"))?;
    Ok(file.into())
}

/// A third number of addresses that no device here has yet, another one for each process that asks.
fn free_network() -> anyhow::Result<u8> {
    let taken = said(&["-o", "-4", "addr"])?;
    let [a, b] = NETWORK;
    let first = std::process::id() % 250;
    let networks = (0..250).map(|step| ((first + step) % 250) as u8);
    let free = networks.into_iter().find(|network| !taken.contains(&format!(" {a}.{b}.{network}.")));
    free.with_context(|| format!("all networks {a}.{b}.0.0 to {a}.{b}.249.0 are taken"))
}

/// Remove namespaces whose maker is dead. Whoever runs in them still, nobody's child any more, is about to end by itself.
fn remove_left() -> anyhow::Result<()> {
    let left = said(&["netns", "list"])?;
    let names = left.lines().filter_map(|line| line.split_whitespace().next());
    let is_left = |name: &&str| maker(name).is_some_and(|pid| !is_running(pid));
    names.filter(is_left).try_for_each(|name| run(&["netns", "del", name]))
}

/// Who made a namespace of ours.
fn maker(name: &str) -> Option<u32> {
    let (pid, host) = name.strip_prefix(PREFIX)?.split_once('-')?;
    host.parse::<u16>().ok()?;
    pid.parse().ok()
}

fn is_running(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap_or(true)
}

fn run(arguments: &[&str]) -> anyhow::Result<()> {
    said(arguments).map(drop)
}

/// What `ip` says.
fn said(arguments: &[&str]) -> anyhow::Result<String> {
    let words = arguments.join(" ");
    let output = match Command::new("ip").args(arguments).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!("there is no program `ip` (iproute2)"),
        output => output.with_context(|| format!("cannot run `ip {words}`"))?,
    };
    if !output.status.success() {
        bail!("`ip {words}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::time::Duration;

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    use super::super::Way;
    use super::*;

    #[test]
    fn only_namespaces_of_ours_have_a_maker() {
        assert_eq!(maker("pangaea-4711-2"), Some(4_711));
        for foreign in ["pangaea-4711", "pangaea-x-1", "pangaea-1-lan", "docker-4711-1", ""] {
            assert_eq!(maker(foreign), None, "{foreign}");
        }
        assert!(is_running(std::process::id()) && !is_running(u32::MAX));
    }

    #[test]
    fn the_request_is_as_large_as_the_kernel_reads() {
        assert_eq!(size_of::<DeviceRequest>(), 40);
        assert_eq!(std::mem::offset_of!(DeviceRequest, flags), 16);
    }

    /// What is waited for comes at once, or not at all.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// Longer than a connection takes, were it let through.
    const GLANCE: Duration = Duration::from_millis(300);

    /// Serve one connection after the other in a namespace; it says where.
    fn listen_in(namespace: &str, address: Ipv4Addr) -> SocketAddr {
        let entrance = File::open(format!("/run/netns/{namespace}")).expect("it is there");
        let thread = std::thread::spawn(move || {
            move_into_link_name_space(entrance.as_fd(), Some(LinkNameSpaceType::Network)).expect("entered");
            TcpListener::bind((address, 0)).expect("its own address")
        });
        let listener = thread.join().expect("bound");
        let bound = listener.local_addr().expect("bound");
        std::thread::spawn(move || listener.incoming().flatten().try_for_each(|mut client| client.write_all(b"here")));
        bound
    }

    #[test]
    #[allow(clippy::print_stderr, reason = "whoever reads the test's output must see what was not tested")]
    fn a_host_is_reached_until_it_is_cut_off_and_gone_afterwards() {
        let network = match Network::make(2, 1) {
            Ok(network) => network,
            Err(error) => return eprintln!("SKIPPED: no network namespaces here: {error:#}"),
        };
        let (hosts, cut) = (network.hosts(), Way { cut: true, ..Way::default() });
        let names = hosts.namespaces.clone().expect("namespaces");
        let at: Vec<_> = (1..).zip(&names).map(|(host, name)| listen_in(name, hosts.addresses.of_host(host))).collect();
        let is_reached = |host: usize, patience| {
            let mut words = [0; 4];
            let mut socket = TcpStream::connect_timeout(&at[host - 1], patience).ok()?;
            socket.set_read_timeout(Some(patience)).ok()?;
            socket.read_exact(&mut words).ok().filter(|()| &words == b"here")
        };
        assert!(is_reached(1, PATIENCE).is_some() && is_reached(2, PATIENCE).is_some());
        network.set(1, Weather { sent: cut, heard: Way::default() });
        assert!(is_reached(1, GLANCE).is_none() && is_reached(2, PATIENCE).is_some(), "only the first is mute");
        network.set(1, Weather::default());
        assert!(is_reached(1, PATIENCE).is_some());
        drop(network);
        let left = said(&["netns", "list"]).expect("listed");
        assert!(names.iter().all(|name| !left.contains(name.as_str())), "{left}");
    }
}
