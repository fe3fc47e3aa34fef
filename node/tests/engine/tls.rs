//! A real server that wants mutual TLS: it is used with a certificate of its authority, and with nothing else.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pangaea_node::engine::{Durability, EngineError, EngineOptions, check, server};
use pangaea_node::tls::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// A server that was started listens by then.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Certificates that one authority has signed, as files in a folder.
struct Authority<'f> {
    issuer: CertifiedIssuer<'static, KeyPair>,
    name: &'static str,
    folder: &'f Path,
}

impl<'f> Authority<'f> {
    fn new(folder: &'f Path, name: &'static str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        Self { issuer, name, folder }
    }

    /// A certificate for an address or a name.
    fn sign(&self, subject: &str) -> TlsFiles {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([subject.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let write = |what: &str, text: String| {
            let path = self.folder.join(format!("{}-{subject}.{what}", self.name));
            std::fs::write(&path, text).expect("written");
            path
        };
        let ca = write("ca", self.issuer.pem());
        TlsFiles { ca, certificate: write("pem", certificate.pem()), key: write("key", key.serialize_pem()) }
    }
}

/// Ends with its test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(program: &Path, folder: &Path, tls: &TlsFiles) -> (Server, SocketAddr) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a port");
    let text = |path: &PathBuf| path.display().to_string();
    let config = format!(
        "listen: \"{free}\"\nmax_payload: 16MB\njetstream {{ store_dir: \"{}\" }}\n\
         tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}\n",
        folder.join("store").display(),
        text(&tls.certificate),
        text(&tls.key),
        text(&tls.ca),
    );
    let path = folder.join("server.conf");
    std::fs::write(&path, config).expect("written");
    let mut command = Command::new(program);
    command.arg("-c").arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Server(command.spawn().expect("it starts"));
    let deadline = Instant::now() + START_TIME_MAX;
    while TcpStream::connect(free).is_err() {
        assert!(Instant::now() < deadline, "it does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    (server, free)
}

#[test]
fn a_server_that_wants_certificates_gets_ours_and_no_other() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
    let Some(program) = server::program(workspace) else {
        eprintln!("SKIPPED: there is no nats-server; `cargo xtask nats` installs it");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (Authority::new(folder.path(), "ours"), Authority::new(folder.path(), "theirs"));
    let (_server, address) = serve(&program, folder.path(), &ours.sign("127.0.0.1"));
    let options = |tls| EngineOptions {
        servers: vec![format!("nats://{address}")],
        durability: Durability::ProcessLoss,
        tls,
        ..EngineOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let report = runtime.block_on(check::run(&options(Some(ours.sign("demo.pangaea"))))).expect("checked");
    assert!(report.ok && report.batches, "{report:?}");
    let stranger = TlsFiles { ca: ours.sign("demo.pangaea").ca, ..theirs.sign("demo.pangaea") };
    for (who, tls) in [("without a certificate", None), ("with one of somebody else", Some(stranger))] {
        let error = runtime.block_on(check::run(&options(tls))).expect_err(who);
        assert!(matches!(error.downcast_ref(), Some(EngineError::NotReached { .. })), "{who}: {error:#}");
    }
}
