//! Emptying a process and using it again: the same for all roles, but for what it has to lose.

use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use pangaea_node::admin::StatusView;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster::ClusterAddress;
use crate::operator::OperatorArgs;

/// Pause between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How to empty a process, or use it again.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// Only say what would happen
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// As JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
}

/// What became of an order. `V`: what the cluster said that it means.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome<V> {
    /// `drained`, `up`, or with a dry run what the state is now.
    pub(crate) result: String,
    /// How long it took.
    pub(crate) seconds: f64,
    #[serde(flatten)]
    pub(crate) order: V,
}

/// A kind of process that can be emptied.
pub(crate) struct Kind<V> {
    /// In the admin API's routes.
    pub(crate) route: &'static str,
    /// Its state as an order told it.
    pub(crate) was: fn(&V) -> &str,
    /// State, and what is left, of the one with this name.
    pub(crate) look: fn(&StatusView, &str) -> Option<(String, String)>,
    /// What becomes of what it had when it leaves meanwhile.
    pub(crate) gone: &'static str,
    /// One that has not done as ordered by then will not.
    pub(crate) obey_time_max: Duration,
}

impl<V: DeserializeOwned> Kind<V> {
    /// Order, and wait until the process is in the state that is wanted.
    pub(crate) async fn order(
        &self,
        cluster: &ClusterAddress,
        name: &str,
        args: &DrainArgs,
        (verb, wanted): (&str, &str),
    ) -> anyhow::Result<Outcome<V>> {
        let began = Instant::now();
        let query = if args.dry_run { "?dry_run=true" } else { "" };
        let path = format!("/api/{}/{name}/{verb}{query}", self.route);
        let order: V = cluster.order(&path, &args.operator).await?;
        if args.dry_run {
            return Ok(Outcome { result: (self.was)(&order).to_owned(), seconds: 0.0, order });
        }
        let progress = !args.json && std::io::stderr().is_terminal();
        while began.elapsed() < self.obey_time_max {
            let Some((state, left)) = (self.look)(&cluster.ask("/api/status").await?, name) else {
                bail!("{name} has left the cluster; {}", self.gone);
            };
            if progress {
                // Nobody may look.
                let _ = write!(std::io::stderr(), "\r{name}: {state}, {left} left  ");
            }
            if state == wanted {
                if progress {
                    let _ = writeln!(std::io::stderr());
                }
                return Ok(Outcome { result: state, seconds: began.elapsed().as_secs_f64(), order });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let limit = self.obey_time_max.as_secs();
        bail!("{name} is not {wanted} after {limit} s; see its log and `pangaea status`")
    }
}
