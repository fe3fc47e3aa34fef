//! The bus: world-wide messages by subject. Delivered at most once to whoever listens now.

use bytes::Bytes;

/// Largest message in bytes.
pub const BUS_BYTES_MAX: usize = 16 * 1_024;

/// To the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusRequest {
    /// Tell all subscribers of a prefix of `subject`.
    Publish {
        /// Dotted words, such as `chat.world`.
        subject: String,
        /// At most [`BUS_BYTES_MAX`].
        bytes: Bytes,
    },
    /// Listen to subjects that start with `prefix`, until the link ends.
    Subscribe {
        /// Start of the subjects.
        prefix: String,
    },
}

/// From the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusEvent {
    /// As published.
    pub subject: String,
    /// As published.
    pub bytes: Bytes,
}
