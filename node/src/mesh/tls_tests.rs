//! The mesh under mutual TLS: who has a certificate of the cluster is a node, and nobody else is.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use pangaea_schemas::RequestId;
use pangaea_schemas::message::BlobRequest;

use super::tests::{WORLD, chat, identity, node, node_at};
use super::*;
use crate::tls::{NodeTls, TlsFiles, name_of};

const SCENE: NodeId = NodeId::new(pangaea_schemas::Role::Scene, 1);
/// A link that is refused does not come up within this, many times what one takes that is not.
const QUIET: Duration = Duration::from_millis(1_500);

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    /// A certificate for `name`, as files below `folder`.
    fn files(&self, folder: &Path, name: &str) -> TlsFiles {
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new([name.to_owned()]).expect("a name").signed_by(&key, &self.0).expect("signed");
        let path = |what: &str| folder.join(format!("{name}.{what}"));
        let files = TlsFiles { ca: path("ca"), certificate: path("pem"), key: path("key") };
        let texts = [(&files.ca, self.0.pem()), (&files.certificate, certificate.pem()), (&files.key, key.serialize_pem())];
        texts.iter().for_each(|(path, text)| std::fs::write(path, text).expect("written"));
        files
    }

    fn tls(&self) -> NodeTls {
        let folder = tempfile::tempdir().expect("a folder");
        NodeTls::load(&self.files(folder.path(), &name_of("demo")), "demo").expect("usable")
    }
}

fn secured(node: NodeId, tls: &NodeTls) -> Identity {
    Identity { tls: Some(tls.clone()), ..identity(node) }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_certificates_of_the_cluster_talk() {
    let authority = Authority::new();
    let world = node_at(secured(WORLD, &authority.tls()), "127.0.0.1:0").await;
    let scene = node_at(secured(SCENE, &authority.tls()), "127.0.0.1:0").await;
    scene.mesh.learn(WORLD, &world.address.to_string());
    world.expect_up(SCENE).await;
    scene.expect_up(WORLD).await;
    // More than one record of TLS, and more than a write takes at once.
    let bytes = vec![7; 200_000].into();
    let long = Message::BlobRequest(BlobRequest::Put { request: RequestId(1), name: "long".to_owned(), bytes });
    for n in 0..20 {
        scene.mesh.send(WORLD, &long);
        world.mesh.send(SCENE, &chat(&format!("down {n}")));
    }
    for n in 0..20 {
        world.expect_message(SCENE, &long).await;
        scene.expect_message(WORLD, &chat(&format!("down {n}"))).await;
    }
}

#[tokio::test]
async fn a_process_that_ends_has_closed_its_links() {
    let authority = Authority::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let dialed = tokio::net::TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
    let (accepted, _) = listener.accept().await.expect("accepted");
    let (here, there) = (authority.tls(), authority.tls());
    let (here, there) = tokio::join!(here.accept(accepted), there.dial(dialed));
    let (mut frames, _socket) = link::split_tls(there.expect("shaken"), FrameLimit::Link.bytes_max());
    drop(here.expect("shaken"));
    let end = link::next_message(&mut frames, &Peer::new(SCENE)).await.expect_err("nothing was sent");
    assert!(matches!(end, LinkEnd::Closed), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_certificate_of_the_cluster_is_no_node() {
    let (authority, other) = (Authority::new(), Authority::new());
    let world = node_at(secured(WORLD, &authority.tls()), "127.0.0.1:0").await;
    let address = world.address.to_string();
    let in_the_clear = node(SCENE).await;
    in_the_clear.mesh.learn(WORLD, &address);
    let of_others = node_at(secured(SCENE, &other.tls()), "127.0.0.1:0").await;
    of_others.mesh.learn(WORLD, &address);
    for (stranger, who) in [(&in_the_clear, "without TLS"), (&of_others, "of another authority")] {
        assert!(stranger.events.recv_timeout(QUIET).is_err(), "{who}");
    }
    assert!(world.events.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_authority_for_something_else_is_none_of_the_cluster() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let files = authority.files(folder.path(), "mail.example.org");
    let said = NodeTls::load(&files, "demo").expect_err("another name").to_string();
    assert!(said.contains("mail.example.org.pem has no certificate of this cluster"), "{said}");
    // Who has such a one and is not honest about it: the other end looks, too.
    let forged = NodeTls::load(&authority.files(folder.path(), &name_of("other")), "other").expect("usable there");
    let world = node_at(secured(WORLD, &authority.tls()), "127.0.0.1:0").await;
    let scene = node_at(secured(SCENE, &forged), "127.0.0.1:0").await;
    scene.mesh.learn(WORLD, &world.address.to_string());
    assert!(scene.events.recv_timeout(QUIET).is_err() && world.events.is_empty());
}

#[test]
fn files_that_are_wrong_are_named() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let good = authority.files(folder.path(), &name_of("demo"));
    let said = |files: TlsFiles| NodeTls::load(&files, "demo").expect_err("wrong").to_string();
    let missing = said(TlsFiles { key: folder.path().join("nowhere.key"), ..good.clone() });
    assert!(missing.contains("nowhere.key has no key"), "{missing}");
    let swapped = said(TlsFiles { certificate: good.key.clone(), ..good.clone() });
    assert!(swapped.contains("demo.pangaea.key has no certificate: it holds none"), "{swapped}");
    let others = Authority::new().files(folder.path(), "demo.pangaea.2").key;
    let mixed = said(TlsFiles { key: others, ..good });
    assert!(mixed.contains("demo.pangaea.pem and its key cannot be used"), "{mixed}");
}
