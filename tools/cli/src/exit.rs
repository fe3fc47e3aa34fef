//! What exit codes mean.

use std::process::ExitCode;

use clap::Args;
use pangaea_node::admin::client::AskError;
use pangaea_node::keys::KeyError;

use crate::say;

/// Done, and nothing is wrong.
pub(crate) const DONE: u8 = 0;
/// Refused, failed, or something wrong was found.
pub(crate) const WRONG: u8 = 1;
/// The cluster is not there, or does not answer.
pub(crate) const UNREACHABLE: u8 = 3;
/// Aborted by Ctrl-C, or by `pangaea abort`.
pub(crate) const ABORTED: u8 = 4;
/// The token is missing or unknown, or its holder may not do this.
pub(crate) const NOT_ALLOWED: u8 = 5;

const TABLE: &str = "Exit codes:
  0  done, and nothing is wrong
  1  refused, failed, or something wrong was found: an anomaly, a fault of the ledger, a shard that stayed
  2  the command line was not understood
  3  the cluster is not there or does not answer; name one with --cluster
  4  aborted: by Ctrl-C, or by `pangaea abort` from elsewhere
  5  not allowed: the token is missing or unknown, or a viewer's";

const EXAMPLES: &str = "Examples:
  pangaea exit-codes
  pangaea shard migrate 0/3/1,0 --to scene-2 || echo \"ended with $?\"";

/// Nothing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, long_about = TABLE)]
pub(crate) struct ExitCodesArgs {}

/// Print the table.
pub(crate) fn show() -> ExitCode {
    say(TABLE);
    ExitCode::from(DONE)
}

/// The code of an error that ends a command.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    error
        .chain()
        .find_map(|cause| match cause.downcast_ref::<AskError>() {
            Some(AskError::Unreachable { .. } | AskError::TooSlow(_) | AskError::Broken { .. }) => Some(UNREACHABLE),
            Some(AskError::Refused { status: 401 | 403, .. }) => Some(NOT_ALLOWED),
            Some(AskError::Refused { .. } | AskError::Malformed(_)) => Some(WRONG),
            None => cause.downcast_ref::<KeyError>().map(|_| NOT_ALLOWED),
        })
        .unwrap_or(WRONG)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn codes_tell_who_should_do_what() {
        let source = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let refused = |status| AskError::Refused { status, text: "no".to_owned() };
        for (error, code) in [
            (AskError::Unreachable { address: "here".to_owned(), source: source() }, UNREACHABLE),
            (AskError::TooSlow("here".to_owned()), UNREACHABLE),
            (refused(401), NOT_ALLOWED),
            (refused(403), NOT_ALLOWED),
            (refused(409), WRONG),
        ] {
            let error = Err::<(), _>(error).context("the cluster does not take it").expect_err("an error");
            assert_eq!(code_of(&error), code, "{error:#}");
        }
        assert_eq!(code_of(&anyhow::anyhow!("something else")), WRONG);
    }
}
