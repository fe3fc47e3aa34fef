//! Scripted conversations with a gateway: clients on one side, a pretended cluster on the other, no sockets, no clock.

mod admin;
mod crossing;
mod draining;
mod drawing;
mod entering;
mod limits;
mod replication;
mod stage;
