//! Bytes of this crate's own small rows: little-endian numbers one after another.
//!
//! Records, entries and departures have forms of their own (`pangaea_schemas::wire::stored`); they appear here only to name
//! their errors.

use bytes::Bytes;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::wire::WireError;
use pangaea_schemas::wire::stored::Stored;

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Appends values to a row.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, n: u8) -> &mut Self {
        self.0.push(n);
        self
    }

    pub(crate) fn u16(&mut self, n: u16) -> &mut Self {
        self.0.extend_from_slice(&n.to_le_bytes());
        self
    }

    pub(crate) fn u32(&mut self, n: u32) -> &mut Self {
        self.0.extend_from_slice(&n.to_le_bytes());
        self
    }

    pub(crate) fn u64(&mut self, n: u64) -> &mut Self {
        self.0.extend_from_slice(&n.to_le_bytes());
        self
    }

    pub(crate) fn u128(&mut self, n: u128) -> &mut Self {
        self.0.extend_from_slice(&n.to_le_bytes());
        self
    }
}

/// Takes values from a row.
#[derive(Debug)]
pub(crate) struct Reader(Bytes);

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.as_ref().try_into().map_err(|_| Malformed("it ends too early"))
    }

    fn take(&mut self, count: usize) -> Result<Bytes, Malformed> {
        if count > self.0.len() {
            return Err(Malformed("it ends too early"));
        }
        Ok(self.0.split_to(count))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128, Malformed> {
        self.array().map(u128::from_le_bytes)
    }

    pub(crate) fn shard(&mut self) -> Result<ShardId, Malformed> {
        ShardId::from_bits(self.u64()?).ok_or(Malformed("there is no such shard"))
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> Bytes {
        self.0
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("it goes on too long")) }
    }
}

/// A record, an entry or a departure from its stored form.
pub(crate) fn decode<T: Stored>(bytes: &Bytes) -> Result<T, Malformed> {
    T::from_stored(bytes).map_err(undecodable)
}

/// What is wrong with a stored form goes to the log, whole.
pub(crate) fn undecodable(error: WireError) -> Malformed {
    tracing::warn!(%error, "a row with a right checksum cannot be decoded");
    Malformed("it cannot be decoded")
}
