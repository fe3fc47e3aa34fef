//! Exhaustive models of the protocols, built from the product's own state machines.
//!
//! A model is a few processes, a network, what is durable, and everything that may go wrong with them; [`explore`] goes through
//! every state that these can be in within its bounds. What decides in production decides here: the machines of `scene`, the
//! journal and the ledger of `persistence`, the whole core of `gateway`. A planted bug (`schemas::mutant`) must break a rule.

pub mod explore;

pub mod net;

pub mod disk;

pub mod ownership;

pub mod handover;

pub mod trade;

pub mod catalogue;
