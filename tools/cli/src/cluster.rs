//! Which cluster is meant, and how it is asked.

use std::fmt;
use std::str::FromStr;

use anyhow::Context;
use pangaea_node::admin::client;
use serde::de::DeserializeOwned;

use crate::operator::OperatorArgs;

/// Host and port of a cluster's admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterAddress(String);

impl FromStr for ClusterAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(Self(address.to_owned())),
            _ => Err("expected something like http://127.0.0.1:7000".to_owned()),
        }
    }
}

impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ClusterAddress {
    /// The JSON at `path`.
    ///
    /// # Errors
    /// The cluster is not there, or answers something else; the text says what to do.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let body = client::get(&self.0, path).await;
        let body = body.with_context(|| {
            format!(
                "the cluster at http://{self} does not answer {path}; start one with `pangaea up`, or name another with --cluster"
            )
        })?;
        serde_json::from_slice(&body).with_context(|| format!("http://{self}{path} is not what this build understands"))
    }

    /// Order something at `path` as the operator; what it means.
    ///
    /// # Errors
    /// The token is missing, the cluster is not there or refuses; the text has its words.
    pub(crate) async fn order<T: DeserializeOwned>(&self, path: &str, operator: &OperatorArgs) -> anyhow::Result<T> {
        let answer = client::post(&self.0, path, &operator.token()?, b"{}").await;
        let body = answer.with_context(|| format!("the cluster at http://{self} does not take {path}"))?;
        serde_json::from_slice(&body).with_context(|| format!("http://{self}{path} is not what this build understands"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_with_or_without_a_scheme() {
        for text in ["http://127.0.0.1:7000", "http://127.0.0.1:7000/", "127.0.0.1:7000"] {
            assert_eq!(text.parse::<ClusterAddress>().expect("an address").to_string(), "127.0.0.1:7000");
        }
        for text in ["", "localhost", "http://", ":7000", "localhost:99999"] {
            assert!(text.parse::<ClusterAddress>().is_err(), "{text}");
        }
    }
}
