//! Which cluster a command speaks to, and how it is asked.

use std::fmt;
use std::str::FromStr;

use anyhow::Context;
use pangaea_node::admin::client::{self, AskError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::operator::OperatorArgs;

/// Host and port of a cluster's admin API, and what is shown there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterAddress {
    address: String,
    token: Option<String>,
}

impl FromStr for ClusterAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self { address: address.to_owned(), token: None })
            }
            _ => Err("expected something like http://127.0.0.1:7000".to_owned()),
        }
    }
}

impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl ClusterAddress {
    /// The same, with a token to show; an empty one is none.
    pub(crate) fn with_token(self, token: Option<String>) -> Self {
        Self { token: token.filter(|token| !token.trim().is_empty()), ..self }
    }

    /// The JSON at `path`.
    ///
    /// # Errors
    /// The cluster is not there, or answers something else; the text says what to do.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let body = client::get(&self.address, path, self.token.as_deref()).await;
        self.understand(path, body)
    }

    /// The bytes at `path`.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) async fn fetch(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let body = client::get(&self.address, path, self.token.as_deref()).await;
        body.map_err(|error| self.explain(path, error))
    }

    /// Order something at `path`; what it means.
    ///
    /// # Errors
    /// The token is missing, the cluster is not there or refuses; the text has its words.
    pub(crate) async fn order<T: DeserializeOwned>(&self, path: &str, operator: &OperatorArgs) -> anyhow::Result<T> {
        self.send(path, operator, &serde_json::json!({})).await
    }

    /// The same, with a body.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        path: &str,
        operator: &OperatorArgs,
        body: &(impl Serialize + Sync),
    ) -> anyhow::Result<T> {
        let token = self.token.clone().map_or_else(|| operator.own_token(), Ok)?;
        let body = serde_json::to_vec(body)?;
        let answer = client::post(&self.address, path, &token, &body).await;
        self.understand(path, answer)
    }

    /// Events as they happen, each as JSON, from after the one numbered `after`; until `told` returns `false`.
    ///
    /// # Errors
    /// The cluster is not there, or its stream ends.
    pub(crate) async fn listen(&self, after: u64, told: impl FnMut(&str) -> bool + Send) -> anyhow::Result<()> {
        let path = format!("/api/events?after={after}");
        let heard = client::listen(&self.address, &path, self.token.as_deref(), told).await;
        heard.map_err(|error| self.explain(&path, error))
    }

    fn understand<T: DeserializeOwned>(&self, path: &str, answer: Result<Vec<u8>, AskError>) -> anyhow::Result<T> {
        let body = answer.map_err(|error| self.explain(path, error))?;
        serde_json::from_slice(&body).with_context(|| format!("http://{self}{path} is not what this build understands"))
    }

    /// With what to do about it.
    fn explain(&self, path: &str, error: AskError) -> anyhow::Error {
        let what = match &error {
            AskError::Unreachable { .. } => {
                format!("there is no cluster at http://{self}; start one with `pangaea up`, or name another with --cluster URL")
            }
            AskError::TooSlow(_) | AskError::Broken { .. } => {
                format!(
                    "the cluster at http://{self} does not answer; see the log of its world, or name another with --cluster URL"
                )
            }
            AskError::Refused { status: 401 | 403, .. } => "not allowed; see `pangaea token --help`".to_owned(),
            AskError::Refused { .. } => "refused".to_owned(),
            AskError::Malformed(_) => format!("http://{self}{path} is not what this build understands"),
        };
        anyhow::Error::new(error).context(what)
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
