//! Stories about the world server: the real beacon, bus and world; scenes, gateways and the data node are played by [`stage`].

mod stage;

mod admins;
mod balance;
mod directory;
mod moves;
mod recuts;
mod rules;
mod shards;
mod simulation;
