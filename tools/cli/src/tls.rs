//! Words that say which certificates nodes show each other.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use pangaea_node::tls::TlsFiles;

/// All of them, or none.
#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    /// Mutual TLS between nodes: who signs the cluster's certificates (PEM)
    #[arg(long, value_name = "FILE", env = "PANGAEA_TLS_CA")]
    tls_ca: Option<PathBuf>,
    /// Mutual TLS between nodes: our certificate, made for the name CLUSTER.pangaea (PEM)
    #[arg(long, value_name = "FILE", env = "PANGAEA_TLS_CERTIFICATE")]
    tls_certificate: Option<PathBuf>,
    /// Mutual TLS between nodes: its key (PEM)
    #[arg(long, value_name = "FILE", env = "PANGAEA_TLS_KEY")]
    tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// `None`: links are in the clear.
    ///
    /// # Errors
    /// One of the files is not named.
    pub(crate) fn files(self) -> anyhow::Result<Option<TlsFiles>> {
        let all = "mutual TLS between nodes wants all three of --tls-ca, --tls-certificate and --tls-key";
        files(self.tls_ca, self.tls_certificate, self.tls_key, all)
    }
}

/// All three files, or none.
///
/// # Errors
/// `all`, if one is missing.
pub(crate) fn files(
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    all: &'static str,
) -> anyhow::Result<Option<TlsFiles>> {
    if ca.is_none() && certificate.is_none() && key.is_none() {
        return Ok(None);
    }
    Ok(Some(TlsFiles { ca: ca.context(all)?, certificate: certificate.context(all)?, key: key.context(all)? }))
}
