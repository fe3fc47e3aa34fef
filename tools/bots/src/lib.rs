//! Bots: real clients over real sockets that report every anomaly a client can see.
//!
//! [`run`] brings a fleet of them into a cluster, lets them play a [`Scenario`] and sums up what they saw. A bot knows only the
//! client protocol: what it may send it reads from the description in `Welcome`. Read in this order: [`options`], `fleet`,
//! `bot`, `pilot`, `sight`, then [`anomaly`] and [`report`].

pub mod anomaly;
pub mod options;
pub mod report;

mod bot;
mod connection;
mod fleet;
mod inputs;
mod pilot;
mod sight;

pub use anomaly::AnomalyKind;
pub use fleet::run;
pub use options::{BotOptions, Endpoint, Scenario};
pub use report::{Report, Spread};
