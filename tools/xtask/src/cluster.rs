//! A real cluster for checks that need one: started from the debug build, and gone when the check is over, however it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::{build, built, run};

/// Ports of one cluster, from its base on.
const PORTS: u16 = 80;
/// Bases that are tried: above the usual ports, below those that the system hands out by itself.
const BASES: std::ops::Range<u16> = 12_000..20_000;
/// A cluster that was asked to end has ended by then.
const DOWN_TIME_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks at a process that ends.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `pangaea up` as a child process; killed, with all its roles, when dropped.
pub(crate) struct Cluster {
    up: Child,
    folder: PathBuf,
    url: String,
}

impl Cluster {
    /// Start it on an empty folder below `target/` and wait until it is up.
    pub(crate) fn start(root: &Path, options: &[&str]) -> anyhow::Result<Self> {
        build(root)?;
        let (program, folder, base) = (built(root, "pangaea"), root.join("target/ci/world"), free_ports()?);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        let mut command = Command::new(&program);
        command.args(["up", "--port-base", &base.to_string(), "--data-dir"]).arg(&folder).args(options);
        let up = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the cluster")?;
        let mut cluster = Self { up, folder, url: format!("http://127.0.0.1:{base}") };
        cluster.await_up()?;
        Ok(cluster)
    }

    /// Its page.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What its admin API wants for orders.
    pub(crate) fn operator_token(&self) -> anyhow::Result<String> {
        let file = self.folder.join("keys/operator.token");
        let token = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(token.trim().to_owned())
    }

    /// End it in good order.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        run(Command::new("sh").args(["-c", &format!("kill -INT {}", self.up.id())]))?;
        let deadline = Instant::now() + DOWN_TIME_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.up.try_wait()? {
                ensure!(status.success(), "the cluster ended badly: {status}");
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        bail!("the cluster did not end within {} s", DOWN_TIME_MAX.as_secs())
    }

    /// `up` itself gives up after a minute. Its few later lines fit the pipe.
    fn await_up(&mut self) -> anyhow::Result<()> {
        let stdout = self.up.stdout.as_mut().context("stdout is piped")?;
        for line in BufReader::new(stdout).lines() {
            if line?.starts_with("Pangaea is up.") {
                return Ok(());
            }
        }
        bail!("the cluster did not come up: {}", self.up.wait()?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // It may have ended already. The roles end by themselves when their supervisor has gone.
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

/// A base whose ports are all free now.
pub(crate) fn free_ports() -> anyhow::Result<u16> {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let mut bases = BASES.step_by(usize::from(PORTS));
    bases.find(|base| (*base..base + PORTS).all(is_free)).context("no ports are free")
}
