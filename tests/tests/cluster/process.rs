//! `pangaea up` as a child process, its guard, and commands that ask it.
//!
//! Whatever a test does, nothing outlives it: a [`Cluster`] that is dropped kills its supervisor, and a [`Site`] every process
//! that works on its folder.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pangaea_node::engine::server;
use serde_json::Value;
use tempfile::TempDir;

/// A cluster is up or has given up by then; a debug build on a busy machine takes a few seconds.
const UP_TIME_MAX: Duration = Duration::from_secs(60);
/// A cluster is down by then: the sum of what the supervisor grants its children.
const DOWN_TIME_MAX: Duration = Duration::from_secs(50);
/// Pause between two looks at something that changes by itself.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Ports of one cluster, from its base on.
const PORTS: u16 = 80;
/// Bases that are tried: above the usual ports, below those that the system hands out by itself.
const BASES: std::ops::Range<u16> = 20_000..32_000;

/// A place for one cluster at a time: a data folder, and the turn of whoever measures time on this machine.
pub(crate) struct Site {
    folder: TempDir,
    _turn: File,
}

/// A cluster at work.
pub(crate) struct Cluster {
    up: Child,
    folder: PathBuf,
    port_base: u16,
    said: Said,
}

/// What became of an `up` that ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Site {
    /// An empty folder, once no other test has a cluster.
    pub(crate) fn new() -> Self {
        let turn = std::env::temp_dir().join("pangaea-cluster-tests.lock");
        let turn = File::options().create(true).append(true).open(turn).expect("a lock file");
        turn.lock().expect("a lock");
        Self { folder: tempfile::tempdir().expect("a folder"), _turn: turn }
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Start a cluster, without bots unless `options` say otherwise, and wait until it says that it is up.
    pub(crate) fn up(&self, options: &[&str]) -> Cluster {
        let mut cluster = Cluster::begin(self.folder(), free_ports(), options);
        cluster.await_up();
        cluster
    }

    /// The same, of another build.
    pub(crate) fn up_of(&self, build: &Path, options: &[&str]) -> Cluster {
        let mut cluster = Cluster::begin_of(build, self.folder(), free_ports(), options);
        cluster.await_up();
        cluster
    }

    /// Start one that is expected to give up, and see what it says; it leaves no process.
    pub(crate) fn up_fails(&self, port_base: u16) -> Ended {
        let before = processes_on(self.folder());
        let ended = Cluster::begin(self.folder(), port_base, &[]).ended(UP_TIME_MAX);
        assert_eq!(processes_on(self.folder()), before, "orphans");
        assert_ne!(ended.status.code(), Some(0), "{}", ended.stdout);
        ended
    }
}

impl Cluster {
    fn begin(folder: &Path, port_base: u16, options: &[&str]) -> Self {
        Self::begin_of(program(), folder, port_base, options)
    }

    fn begin_of(build: &Path, folder: &Path, port_base: u16, options: &[&str]) -> Self {
        let mut command = Command::new(build);
        command.args(["up", "--port-base", &port_base.to_string(), "--data-dir"]).arg(folder).args(options);
        if !options.contains(&"--bots") {
            command.args(["--bots", "0"]);
        }
        if let Some(server) = engine_server() {
            command.env(server::PROGRAM_VARIABLE, server);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut up = command.spawn().expect("pangaea up starts");
        let said = Said::listen(&mut up);
        Self { up, folder: folder.to_owned(), port_base, said }
    }

    fn await_up(&mut self) {
        let deadline = Instant::now() + UP_TIME_MAX;
        loop {
            match self.said.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with("Pangaea is up.") => return,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("not up after {UP_TIME_MAX:?}: {}", self.said.stderr()),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended: {}", self.said.stderr()),
            }
        }
    }

    /// `pangaea COMMAND` against this cluster, to be waited for.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(["--cluster", &format!("http://127.0.0.1:{}", self.port_base)]).args(words).stdin(Stdio::null());
        command
    }

    /// `pangaea COMMAND --json` against this cluster: its exit code and what it printed.
    pub(crate) fn ask(&self, words: &[&str]) -> (Option<i32>, Value) {
        read_json(&self.command(words).arg("--json").output().expect("pangaea starts"))
    }

    /// `pangaea status --json`.
    pub(crate) fn status(&self) -> Value {
        let (code, status) = self.ask(&["status"]);
        assert_eq!(code, Some(0));
        status
    }

    /// Wait until the status is as wanted; how long it took. `what` says what is waited for.
    pub(crate) fn await_status(&self, what: &str, at_most: Duration, wanted: impl Fn(&Value) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let status = self.status();
            if wanted(&status) {
                return began.elapsed();
            }
            assert!(began.elapsed() < at_most, "{what}: not after {at_most:?}: {status:#}");
            thread::sleep(LOOK_EVERY);
        }
    }

    /// What a node's `/metrics` says, by the name of its series.
    pub(crate) fn metrics(&self, node: &str) -> String {
        let status = self.status();
        let http = node_of(&status, node)["http"].as_str().expect("an address").to_owned();
        let mut socket = std::net::TcpStream::connect(http).expect("metrics are served");
        std::io::Write::write_all(&mut socket, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("asked");
        let mut text = String::new();
        socket.read_to_string(&mut text).expect("answered");
        text
    }

    /// Where a gateway's clients connect.
    pub(crate) fn gateway(&self, ordinal: u16) -> String {
        let status = self.status();
        node_of(&status, &format!("gateway-{ordinal}"))["client_tcp"].as_str().expect("an address").to_owned()
    }

    /// The process id of a node.
    pub(crate) fn pid_of(&self, node: &str) -> u32 {
        node_of(&self.status(), node)["pid"].as_u64().expect("a pid") as u32
    }

    /// Ctrl-C, then wait for the end; no process is left.
    pub(crate) fn stop(self) -> Ended {
        let folder = self.folder.clone();
        signal(self.up.id(), "INT");
        let ended = self.ended(DOWN_TIME_MAX);
        assert_eq!(processes_on(&folder), Vec::<u32>::new(), "orphans");
        ended
    }

    /// `kill -9` of the supervisor alone; how long its children lived on.
    pub(crate) fn kill_supervisor(mut self, at_most: Duration) -> Duration {
        self.up.kill().expect("it runs");
        self.up.wait().expect("it ends");
        let began = Instant::now();
        while !processes_on(&self.folder).is_empty() {
            assert!(began.elapsed() < at_most, "orphans after {at_most:?}: {:?}", processes_on(&self.folder));
            thread::sleep(LOOK_EVERY);
        }
        began.elapsed()
    }

    fn ended(mut self, at_most: Duration) -> Ended {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.up.try_wait().expect("a child") {
                break status;
            }
            assert!(began.elapsed() < at_most, "it still runs after {at_most:?}: {}", self.said.stderr());
            thread::sleep(LOOK_EVERY);
        };
        let stdout = self.said.lines.iter().collect::<Vec<_>>().join("\n");
        Ended { status, stdout, stderr: self.said.stderr() }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for pid in processes_on(self.folder()) {
            signal(pid, "KILL");
        }
    }
}

/// The streams of a child, read all the time so that it never waits for us.
struct Said {
    lines: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    stderr_ended: Receiver<()>,
}

impl Said {
    fn listen(child: &mut Child) -> Self {
        let (stdout, mut stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (say, lines) = channel();
        thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        let (text, (end, stderr_ended)) = (Arc::new(Mutex::new(String::new())), channel());
        let heard = text.clone();
        thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(read @ 1..) = stderr.read(&mut piece) {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push_str(&String::from_utf8_lossy(&piece[..read]));
            }
            drop(end);
        });
        Self { lines, stderr: text, stderr_ended }
    }

    /// All of it when the child has ended, and what there is when it goes on.
    fn stderr(&self) -> String {
        let _ = self.stderr_ended.recv_timeout(Duration::from_secs(1));
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The engine's server, if it is installed.
pub(crate) fn engine_server() -> Option<PathBuf> {
    server::program(Path::new(env!("CARGO_MANIFEST_DIR")).parent()?)
}

/// The program under test, built as these tests are.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(given) = std::env::var_os("PANGAEA_BIN") {
            return given.into();
        }
        // Such as target/debug/deps/cluster-0123456789abcdef.
        let tests = std::env::current_exe().expect("this program has a file");
        let profile = tests.ancestors().nth(2).expect("target/PROFILE/deps");
        let target = profile.parent().expect("target/PROFILE");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // As `cargo test --workspace` does: a package built alone has other features and would build the dependencies anew.
        build.args(["build", "--quiet", "--locked", "--workspace", "--bins", "--tests", "--target-dir"]).arg(target);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).status().expect("cargo starts");
        assert!(built.success(), "pangaea does not build");
        profile.join("pangaea")
    })
}

/// A base whose ports are all free now.
pub(crate) fn free_ports() -> u16 {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let bases = usize::from((BASES.end - BASES.start) / PORTS);
    // Tests of other processes look elsewhere first.
    let first = std::process::id() as usize;
    let mut tried = (0..bases).map(|n| BASES.start + ((first + n) % bases) as u16 * PORTS);
    tried.find(|base| (*base..base + PORTS).all(is_free)).expect("some ports are free")
}

/// Processes that were started with `folder` among their arguments.
pub(crate) fn processes_on(folder: &Path) -> Vec<u32> {
    let folder = folder.to_str().expect("a temporary folder's name is text");
    let named = |pid: u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == folder.as_bytes()).then_some(pid)
    };
    let all = fs::read_dir("/proc").expect("a list of processes");
    all.filter_map(|entry| named(entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
}

/// Send a signal such as `INT`.
pub(crate) fn signal(pid: u32, name: &str) {
    // A process that has ended by itself in the meantime is no fault.
    let _ = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).stderr(Stdio::null()).status();
}

/// The exit code and the JSON on stdout.
pub(crate) fn read_json(output: &Output) -> (Option<i32>, Value) {
    let value = serde_json::from_slice(&output.stdout);
    (output.status.code(), value.unwrap_or_else(|error| panic!("no JSON ({error}): {}", String::from_utf8_lossy(&output.stderr))))
}

/// One node of a status.
pub(crate) fn node_of<'s>(status: &'s Value, id: &str) -> &'s Value {
    let nodes = status["nodes"].as_array().expect("nodes");
    nodes.iter().find(|node| node["id"] == id).unwrap_or_else(|| panic!("{id} in {status:#}"))
}

/// A number of every shard of a status.
pub(crate) fn of_shards(status: &Value, field: &str) -> Vec<u64> {
    let shards = status["shards"].as_array().expect("shards");
    shards.iter().map(|shard| shard[field].as_u64().unwrap_or_else(|| panic!("{field} in {shard}"))).collect()
}

/// Whether every shard runs.
pub(crate) fn all_run(status: &Value) -> bool {
    status["shards"].as_array().is_some_and(|shards| !shards.is_empty() && shards.iter().all(|shard| shard["phase"] == "running"))
}
