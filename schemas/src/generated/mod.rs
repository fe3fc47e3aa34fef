//! What `flatc` wrote from `schemas/fbs` (`cargo xtask schemas`). Not edited by hand and not part of the crate's interface:
//! [`crate::wire`] is.
#![allow(
    missing_docs,
    unreachable_pub,
    unused,
    unsafe_code,
    mismatched_lifetime_syntaxes,
    clippy::all,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "generated code"
)]

mod client_generated;
mod node_generated;

pub(crate) use client_generated::pangaea::client;
pub(crate) use node_generated::pangaea::{node, record};
