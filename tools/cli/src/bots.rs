//! `pangaea bots`: real clients that play and report every anomaly they see.

use std::process::ExitCode;

use anyhow::bail;

use crate::args::BotsArgs;
use crate::cluster::ClusterAddress;

/// Let them play, then report; failure when anything was wrong.
pub(crate) async fn run(_cluster: &ClusterAddress, _args: BotsArgs) -> anyhow::Result<ExitCode> {
    bail!("this build has no bots yet")
}
