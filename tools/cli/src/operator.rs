//! The operator's token: what a command that changes anything shows to the cluster.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use pangaea_node::keys::ClusterKeys;

/// Where the token is found.
#[derive(Debug, Args)]
pub(crate) struct OperatorArgs {
    /// The operator's token; without it, it is read from the data folder
    #[arg(long = "operator-token", env = "PANGAEA_OPERATOR_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The cluster's data folder, where its keys are
    #[arg(long, default_value = "pangaea-data", value_name = "DIR")]
    data_dir: PathBuf,
}

impl OperatorArgs {
    /// The token.
    ///
    /// # Errors
    /// It is not given, and not in the data folder; the text says what to do.
    pub(crate) fn token(&self) -> anyhow::Result<String> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        ClusterKeys::below(&self.data_dir)
            .operator_token()
            .context("the operator's token is needed; name the cluster's folder with --data-dir, or set PANGAEA_OPERATOR_TOKEN")
    }
}
