//! How typed messages become bytes and back. Roles never see this: the shell decodes at the edge and hands cores typed values.
//!
//! Every buffer is verified once, with limits that fit its kind, before anything in it is read; then ids, enums and lengths are
//! checked while it is copied into types. Decoding never panics. Encoding does not check bounds: whoever builds a message keeps
//! to the `*_MAX` beside its type, or the receiver refuses it.
//!
//! To add a field: one word in `fbs/*.fbs` (at the end of its table), one in the list of its type in `wire/`, then
//! `cargo xtask schemas`. To add a message: a table and its name in the union, and one line in `wire/`. Forgetting either does
//! not compile.
//!
//! [`encode`] and [`decode`] are for nodes, [`link`] for their first words, [`stored`] for what lies in journals and rows,
//! [`client`] and [`update`] for clients.

mod codec;
mod control;
mod conversations;
mod desk;
mod feed;
mod migration;
mod parts;
mod record;
mod recording;
mod registry;
mod rules;

pub mod client;
pub mod flat;
pub mod link;
pub mod stored;
pub mod update;

#[cfg(test)]
mod tests;

use std::cell::Cell;

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, Follow, InvalidFlatbuffer, Verifiable, VerifierOptions, WIPOffset};

use self::codec::{At, Pack, Unpack};
use crate::generated::node as fb;
use crate::message::Message;

/// Longest text in bytes where no closer bound is named.
pub const TEXT_BYTES_MAX: usize = 4 * 1_024;
/// Deepest nesting, most tables and largest unfolded size in bytes of what a client may send. Without such limits 380 bytes can
/// keep the verifier busy for 22 ms.
const CLIENT_LIMITS: VerifierOptions = limits(8, 256, 64 * 1_024);
/// The same for what a gateway sends; a `Welcome` with a full description is the largest.
const SERVER_LIMITS: VerifierOptions = limits(8, 64 * 1_024, 4 * 1_024 * 1_024);
/// The same between nodes, where a blob is the largest message and a shard's image has the most tables.
const NODE_LIMITS: VerifierOptions = limits(16, 1_000_000, 128 * 1_024 * 1_024);

const fn limits(max_depth: usize, max_tables: usize, max_apparent_size: usize) -> VerifierOptions {
    VerifierOptions { max_depth, max_tables, max_apparent_size, ignore_missing_null_terminator: false }
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Broken, or larger than its limits.
    #[error("not a valid FlatBuffer of this kind")]
    Malformed(#[from] InvalidFlatbuffer),
    /// A field that must be there.
    #[error("`{field}` is missing")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// An id, enum value or union member that does not exist.
    #[error("`{field}` has the impossible value {value:#x}")]
    Impossible {
        /// Which.
        field: &'static str,
        /// As found.
        value: u64,
    },
    /// Over a bound.
    #[error("`{field}` has {length} bytes or elements, but at most {max} are allowed")]
    TooLong {
        /// Which.
        field: &'static str,
        /// As found.
        length: usize,
        /// As allowed.
        max: usize,
    },
    /// Stored bytes of another kind, or of a version this build does not know.
    #[error("stored bytes begin with {found:02x?}; expected {expected:02x?} (kind, then version)")]
    Form {
        /// The first bytes, zero-padded.
        found: [u8; 4],
        /// Those of the wanted kind.
        expected: [u8; 4],
    },
    /// The peer speaks another version of the client protocol.
    #[error("protocol version {found}; this build speaks {expected}")]
    Protocol {
        /// As found.
        found: u32,
        /// Ours.
        expected: u32,
    },
}

/// A node message as one FlatBuffer, without its frame.
pub fn encode(message: &Message) -> Bytes {
    encode_root(message)
}

/// The inverse of [`encode`]. Large byte fields share `frame`'s memory, small ones are copied out of it.
pub fn decode(frame: &Bytes) -> Result<Message, WireError> {
    decode_root::<Message, fb::NodeMessage<'_>>(frame, &NODE_LIMITS)
}

fn encode_root<T, R>(value: &T) -> Bytes
where
    T: Pack<'static, Wire = WIPOffset<R>>,
{
    build(&[], |builder| value.pack(builder))
}

/// A builder that has written more than this is not kept for the next message, in bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// What a new builder has room for, in bytes.
const BUILDER_BYTES: usize = 1_024;

thread_local! {
    /// What wrote this thread's last message: its memory is there already, and what is sent is a copy of the right size.
    static BUILDER: Cell<Option<FlatBufferBuilder<'static>>> = const { Cell::new(None) };
}

/// The FlatBuffer whose root `write` makes, behind `prefix`.
fn build<R>(prefix: &[u8], write: impl FnOnce(&mut FlatBufferBuilder<'static>) -> WIPOffset<R>) -> Bytes {
    let mut builder = BUILDER.take().unwrap_or_else(|| FlatBufferBuilder::with_capacity(BUILDER_BYTES));
    let root = write(&mut builder);
    builder.finish_minimal(root);
    let bytes = [prefix, builder.finished_data()].concat();
    if bytes.len() <= KEPT_BYTES_MAX {
        builder.reset();
        BUILDER.set(Some(builder));
    }
    bytes.into()
}

fn decode_root<'a, T, R>(frame: &'a Bytes, limits: &VerifierOptions) -> Result<T, WireError>
where
    R: Follow<'a> + Verifiable + 'a,
    T: Unpack<R::Inner>,
{
    decode_part::<T, R>(frame, frame, limits)
}

/// Reads a FlatBuffer that is a part of `frame`.
fn decode_part<'a, T, R>(buffer: &'a [u8], frame: &'a Bytes, limits: &VerifierOptions) -> Result<T, WireError>
where
    R: Follow<'a> + Verifiable + 'a,
    T: Unpack<R::Inner>,
{
    let root = flatbuffers::root_with_opts::<R>(limits, buffer)?;
    T::unpack(root, At::new(frame))
}
