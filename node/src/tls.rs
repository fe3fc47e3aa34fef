//! Mutual TLS on the links between nodes: who has no certificate of the cluster is no node of it, and nobody else can read along.
//!
//! A certificate is one of the cluster if the cluster's own authority has signed it for the cluster's name, see [`name_of`]. Both
//! ends of a link check that; addresses are not looked at, since nodes find each other by the beacon.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Certificates in PEM files: both ends show one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who may sign the other end's certificate.
    pub ca: PathBuf,
    /// Ours.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that is not there, or holds something else.
    #[error("TLS: {path} has no {what}: {reason}")]
    File {
        /// What it should hold.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// In words.
        reason: String,
    },
    /// The files do not belong together.
    #[error("TLS: {certificate} and its key cannot be used: {reason}")]
    Use {
        /// The certificate's file.
        certificate: PathBuf,
        /// In words.
        reason: String,
    },
}

/// What every certificate of a cluster must be made for, as a DNS name.
pub fn name_of(cluster: &str) -> String {
    format!("{cluster}.pangaea")
}

/// Our end of every link.
#[derive(Clone)]
pub struct NodeTls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// Keys are told to nobody.
impl fmt::Debug for NodeTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeTls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl NodeTls {
    /// Reads the files, and tries our own certificate as others will.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(files: &TlsFiles, cluster: &str) -> Result<Self, TlsError> {
        let certificate = files.certificate.clone();
        let unusable = |reason: String| TlsError::Use { certificate: certificate.clone(), reason };
        let name = ServerName::try_from(name_of(cluster)).map_err(|error| unusable(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for root in certificates(&files.ca)? {
            roots.add(root).map_err(|error| in_file("certificate of an authority", &files.ca, error))?;
        }
        let chain = certificates(&files.certificate)?;
        is_of(&chain, &name).map_err(|reason| in_file("certificate of this cluster", &files.certificate, reason))?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| in_file("key", &files.key, error))?;
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let who_dials = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
        let who_dials = who_dials.build().map_err(|error| unusable(error.to_string()))?;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .and_then(|server| server.with_client_cert_verifier(who_dials).with_single_cert(chain.clone(), key.clone_key()));
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .and_then(|client| client.with_root_certificates(roots).with_client_auth_cert(chain, key));
        let (server, client) = server.and_then(|server| Ok((server, client?))).map_err(|error| unusable(error.to_string()))?;
        Ok(Self { acceptor: Arc::new(server).into(), connector: Arc::new(client).into(), name })
    }

    /// As the end that dials.
    pub(crate) async fn dial(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        Ok(self.connector.connect(self.name.clone(), stream).await?.into())
    }

    /// As the other end: whoever dials has a certificate of the cluster, too.
    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = self.acceptor.accept(stream).await?;
        let (_, connection) = stream.get_ref();
        is_of(connection.peer_certificates().unwrap_or_default(), &self.name).map_err(std::io::Error::other)?;
        Ok(stream.into())
    }
}

/// Whether the first certificate, which is the holder's own, was made for `name`.
fn is_of(chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> Result<(), String> {
    let own = chain.first().ok_or("it is empty")?;
    let parsed = ParsedCertificate::try_from(own).map_err(|error| error.to_string())?;
    verify_server_name(&parsed, name).map_err(|error| error.to_string())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(in_file("certificate", path, "it holds none")),
        read => read.map_err(|error| in_file("certificate", path, error)),
    }
}

fn in_file(what: &'static str, path: &Path, reason: impl fmt::Display) -> TlsError {
    TlsError::File { what, path: path.to_owned(), reason: reason.to_string() }
}
