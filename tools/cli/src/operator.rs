//! What all commands take that change anything: whose token they show when none is named, and how to order.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use pangaea_node::keys::ClusterKeys;

/// Where the token is found.
#[derive(Clone, Debug, Args)]
pub(crate) struct OperatorArgs {
    /// Without --token: the cluster's data folder, whose own token is shown
    #[arg(long, default_value = "pangaea-data", value_name = "DIR")]
    data_dir: PathBuf,
}

impl OperatorArgs {
    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.data_dir
    }

    /// The data folder's own token.
    ///
    /// # Errors
    /// It is not there; the text says what to do.
    pub(crate) fn own_token(&self) -> anyhow::Result<String> {
        ClusterKeys::below(&self.data_dir).operator_token().context(
            "an operator's token is needed: give it with --token, set PANGAEA_TOKEN, or name the cluster's folder with --data-dir",
        )
    }
}

/// How to order something.
#[derive(Clone, Debug, Args)]
pub(crate) struct OrderArgs {
    /// Only say what would happen
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// As JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An order by somebody with a folder without a token.
    pub(crate) fn nobody() -> OrderArgs {
        OrderArgs { dry_run: false, json: false, operator: OperatorArgs { data_dir: PathBuf::from("/nowhere") } }
    }

    #[test]
    fn a_missing_token_is_told_with_what_to_do() {
        let text = format!("{:#}", nobody().operator.own_token().expect_err("no token"));
        assert!(text.contains("--token") && text.contains("--data-dir"), "{text}");
    }
}
