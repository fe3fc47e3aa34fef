//! Bots: real clients over real sockets that report every anomaly a client can see.
//!
//! [`run`] brings a fleet of them into a cluster, lets them play a [`Scenario`] and sums up what they saw. A bot knows only the
//! client protocol: what it may send it reads from the description in `Welcome`. [`Fleet`] is the same in steps, for whoever
//! watches the bots' [`vitals`] meanwhile. Read in this order: [`options`], `fleet`, `bot`, `pilot`, `sight`, then [`anomaly`],
//! [`deeds`] and [`report`].

pub mod anomaly;
pub mod deeds;
pub mod options;
pub mod report;
pub mod vitals;

mod bot;
mod connection;
mod fleet;
mod inputs;
mod pilot;
mod sight;

pub use anomaly::{AnomalyKind, Sighting};
pub use deeds::Deeds;
pub use fleet::{Fleet, run};
pub use options::{BotOptions, Endpoint, Scenario};
pub use report::{Report, Spread};
pub use vitals::{Belongings, Stage, Vitals};
