//! Engine servers on this machine, with the settings that the cluster relies on: for `pangaea up --engine nats` and for tests.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, bail};

use super::{Durability, EngineOptions};

/// The program's name.
pub const PROGRAM: &str = "nats-server";
/// Names another program.
pub const PROGRAM_VARIABLE: &str = "NATS_SERVER";
/// Where `cargo xtask nats` puts it.
pub const PROGRAM_OF_WORKSPACE: &str = "target/nats/venv/bin/nats-server";
/// A server that was started answers by then.
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks at a server that starts.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The engine's program on this machine: what `NATS_SERVER` names, what is in the path, or what `cargo xtask nats` installed
/// below `workspace`.
pub fn program(workspace: &Path) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAM_VARIABLE) {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(PROGRAM)).collect::<Vec<_>>();
    candidates.push(workspace.join(PROGRAM_OF_WORKSPACE));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPlan {
    /// Its number, from 1.
    pub ordinal: u16,
    /// Its name in the engine's cluster.
    pub name: String,
    /// Where clients connect.
    pub clients: SocketAddr,
    /// Where its settings are read.
    pub monitor: SocketAddr,
    /// Where the other servers connect.
    pub route: SocketAddr,
    /// Its files.
    pub folder: PathBuf,
}

impl ServerPlan {
    /// Its configuration among `all`, itself included.
    pub fn config(&self, all: &[Self]) -> String {
        let mut text = format!(
            "server_name: {}\nlisten: \"{}\"\nhttp: \"{}\"\nmax_payload: 16MB\n\
             jetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
            self.name,
            self.clients,
            self.monitor,
            self.folder.join("store").display(),
        );
        if all.len() > 1 {
            let routes: Vec<_> = all.iter().map(|server| format!("\"nats://{}\"", server.route)).collect();
            // A server whose host is gone says nothing: only pings tell, and its routes would be held for a minute and a half.
            text += &format!(
                "cluster {{ name: pangaea, listen: \"{}\", routes: [{}], ping_interval: \"1s\", ping_max: 3 }}\n",
                self.route,
                routes.join(", ")
            );
        }
        text
    }

    /// Write its configuration; the file's path.
    ///
    /// # Errors
    /// Its folder cannot be written.
    pub fn write_config(&self, all: &[Self]) -> anyhow::Result<PathBuf> {
        let file = self.folder.join("nats.conf");
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        fs::write(&file, self.config(all)).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}

/// How these servers are reached.
pub fn options(servers: &[ServerPlan]) -> EngineOptions {
    EngineOptions {
        servers: servers.iter().map(|server| format!("nats://{}", server.clients)).collect(),
        monitors: servers.iter().map(|server| server.monitor.to_string()).collect(),
        replicas: Some(if servers.len() >= 3 { 3 } else { 1 }),
        durability: Durability::PowerLoss,
        tls: None,
    }
}

/// Servers as child processes; dropping it kills them.
#[derive(Debug)]
pub struct LocalServers {
    program: PathBuf,
    plans: Vec<ServerPlan>,
    running: Vec<Option<Child>>,
}

impl LocalServers {
    /// Start `count` servers on free ports, with their files below `folder`, and wait until all answer.
    ///
    /// # Errors
    /// One cannot be started, or does not answer.
    pub fn start(program: &Path, folder: &Path, count: usize) -> anyhow::Result<Self> {
        let ports = free_ports(count * 3)?;
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let plan = |(n, ports): (usize, &[u16])| ServerPlan {
            ordinal: n as u16 + 1,
            name: format!("nats-{}", n + 1),
            clients: at(ports[0]),
            monitor: at(ports[1]),
            route: at(ports[2]),
            folder: folder.join(format!("nats-{}", n + 1)),
        };
        let plans: Vec<_> = ports.chunks_exact(3).enumerate().map(plan).collect();
        let mut servers = Self { program: program.to_owned(), running: plans.iter().map(|_| None).collect(), plans };
        for n in 0..count {
            servers.start_one(n)?;
        }
        servers.await_all()?;
        Ok(servers)
    }

    /// How they are reached.
    pub fn options(&self) -> EngineOptions {
        options(&self.plans)
    }

    /// Their plans, in order.
    pub fn plans(&self) -> &[ServerPlan] {
        &self.plans
    }

    /// Process id of a server that runs.
    pub fn pid(&self, server: usize) -> Option<u32> {
        self.running[server].as_ref().map(Child::id)
    }

    /// `kill -9`.
    pub fn kill(&mut self, server: usize) {
        if let Some(mut child) = self.running[server].take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Start one that was killed, on its files.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_one(&mut self, server: usize) -> anyhow::Result<()> {
        let plan = &self.plans[server];
        let config = plan.write_config(&self.plans)?;
        let log = fs::OpenOptions::new().create(true).append(true).open(plan.folder.join("log"))?;
        let child = Command::new(&self.program)
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        self.running[server] = Some(child);
        Ok(())
    }

    /// Until every running server is healthy: its streams have leaders, its routes are up.
    ///
    /// # Errors
    /// One is not, after half a minute.
    pub fn await_all(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIME_MAX;
        for (plan, _) in self.plans.iter().zip(&self.running).filter(|(_, running)| running.is_some()) {
            while !is_healthy(plan.monitor) {
                if Instant::now() > deadline {
                    bail!("{} is not healthy after {} s; see {}", plan.name, START_TIME_MAX.as_secs(), plan.folder.display());
                }
                std::thread::sleep(LOOK_EVERY);
            }
        }
        Ok(())
    }
}

impl Drop for LocalServers {
    fn drop(&mut self) {
        (0..self.running.len()).for_each(|n| self.kill(n));
    }
}

fn is_healthy(monitor: SocketAddr) -> bool {
    use std::io::{Read, Write};
    let ask = || -> io::Result<String> {
        let mut socket = std::net::TcpStream::connect(monitor)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(socket, "GET /healthz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.lines().next().is_some_and(|status| status.contains(" 200 ")))
}

/// Ports that nobody listens on now.
fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let listeners: io::Result<Vec<_>> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    let ports = listeners.and_then(|all| all.iter().map(|one| Ok(one.local_addr()?.port())).collect());
    ports.context("no ports are free")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(n: u16) -> ServerPlan {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port + n));
        ServerPlan {
            ordinal: n,
            name: format!("nats-{n}"),
            clients: at(100),
            monitor: at(200),
            route: at(300),
            folder: PathBuf::from(format!("/data/nats-{n}")),
        }
    }

    #[test]
    fn servers_sync_each_write_and_know_each_other() {
        let all = [plan(1), plan(2), plan(3)];
        let text = all[0].config(&all);
        assert!(text.contains("sync_interval: always") && text.contains("max_payload: 16MB"), "{text}");
        assert!(text.contains("nats://127.0.0.1:301") && text.contains("nats://127.0.0.1:303"), "{text}");
        assert!(text.contains("ping_interval: \"1s\""), "a host that is gone is noticed");
        assert!(!plan(1).config(&[plan(1)]).contains("cluster"), "one alone has no routes");
        assert_eq!((options(&all).replicas, options(&all[..1]).replicas), (Some(3), Some(1)));
    }
}
