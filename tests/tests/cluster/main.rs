//! End to end: real clusters of real processes on this machine, started, played on, hurt and stopped from outside.
//!
//! | file | open it for |
//! |---|---|
//! | `process` | a running cluster, its guard, and commands that ask it |
//! | `player` | a client small enough to read, over TCP |
//! | `life` | a day in the life: up, bots, down, up again with everything where it was |
//! | `refusals` | what does not start, and clients that are turned away: in words |
//! | `admins` | what commands of admins print and end with, tokens, the audit log, agents
//! | `edge` | clients that misbehave, and a gateway that is emptied under load |
//! | `scenes` | a scene that is emptied under load, stopped, started and used again |
//! | `deploying` | a new build that takes over under load, and one that is taken back |
//! | `inspecting` | any entity with its past, a shard that stands and is stepped |
//! | `tuning` | designers who set values while the world runs |
//! | `recovery` | processes that are killed |
//!
//! One cluster runs at a time, whoever runs the tests: they measure time, and a machine has few cores.

mod admins;
mod deploying;
mod edge;
mod inspecting;
mod life;
mod player;
mod process;
mod recovery;
mod recuts;
mod refusals;
mod scenes;
mod tuning;
