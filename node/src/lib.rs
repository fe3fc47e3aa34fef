//! The shell: tokio, sockets, threads, clock, configuration, telemetry and one driver per role.
//!
//! Read in this order: [`clock`], [`telemetry`], [`keys`]; [`mesh`] (links between nodes), [`membership`] (lease and peers) and
//! [`port`], which joins the two for a driver; [`engine`] (several machines) and [`election`] (which world leads); [`role`] and
//! [`driver`] (one process of a role); [`halt`] (where a drill stops one); [`admin`] (HTTP); [`archive`] (the data node's files,
//! from outside); [`workshop`] (the designers' folder); [`up`] (a whole cluster on this machine).

pub mod admin;
pub mod archive;
pub mod clock;
pub mod driver;
pub mod election;
pub mod engine;
pub mod halt;
pub mod keys;
pub mod membership;
pub mod mesh;
pub mod port;
pub mod role;
pub mod telemetry;
pub mod tls;
pub mod up;
pub mod workshop;
