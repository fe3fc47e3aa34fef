//! Frames on a byte stream: a `u32` little-endian length, then that many bytes, one message.
//!
//! A length is compared with the limit of the connection's present state before anything is allocated for it. WebSocket messages
//! are frames already; their length is compared with the same limits.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::message::BLOB_BYTES_MAX;

/// Bytes of the length.
pub const PREFIX_BYTES: usize = size_of::<u32>();

/// How long a frame may be, by the state of its connection and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameLimit {
    /// From a client that has not said Hello.
    Hello,
    /// The first message of a node's link: it tells what the types of its game are.
    Link,
    /// From a client that has not entered the world.
    Join,
    /// From a client in the world.
    Playing,
    /// From a gateway to a client.
    Server,
    /// Between nodes; blobs are the largest.
    Node,
}

impl FrameLimit {
    /// Longest frame in bytes, its length prefix not counted.
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Hello => 1_024,
            Self::Link => 16 * 1_024,
            Self::Join => 4 * 1_024,
            Self::Playing => 16 * 1_024,
            Self::Server => 1_024 * 1_024,
            Self::Node => BLOB_BYTES_MAX + 64 * 1_024,
        }
    }

    /// Whether a frame of `length` bytes is allowed: for messages that come with their length, such as WebSocket's.
    pub fn check(self, length: usize) -> Result<(), FrameError> {
        let max = self.bytes_max();
        if length <= max { Ok(()) } else { Err(FrameError::TooLong { limit: self, length, max }) }
    }
}

impl fmt::Display for FrameLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hello => "before Hello",
            Self::Link => "before a link's Hello",
            Self::Join => "before Join",
            Self::Playing => "from a client in the world",
            Self::Server => "from a gateway",
            Self::Node => "between nodes",
        })
    }
}

/// Why a stream cannot be cut into frames any more; the connection is to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Over the limit.
    #[error("a frame of {length} bytes, but at most {max} bytes are allowed {limit}")]
    TooLong {
        /// Of which state.
        limit: FrameLimit,
        /// As announced.
        length: usize,
        /// As allowed.
        max: usize,
    },
}

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub struct FrameDecoder {
    limit: FrameLimit,
    buffer: BytesMut,
}

impl FrameDecoder {
    /// A decoder at the start of a stream.
    pub fn new(limit: FrameLimit) -> Self {
        Self { limit, buffer: BytesMut::new() }
    }

    /// The limit of the connection's new state, for frames not yet taken.
    pub fn set_limit(&mut self, limit: FrameLimit) {
        self.limit = limit;
    }

    /// Appends what was read. Drain [`Self::next_frame`] before reading on, so the buffer holds one frame and one read at most.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where a socket may read into directly instead of [`Self::feed`].
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame without its prefix; `None` until more is fed. Makes room only for lengths within the limit.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((prefix, body)) = self.buffer.split_first_chunk() else { return Ok(None) };
        let length = u32::from_le_bytes(*prefix) as usize;
        self.limit.check(length)?;
        if body.len() < length {
            self.buffer.reserve(PREFIX_BYTES + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(PREFIX_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Whether the stream may end here: no frame is half read.
    pub fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// Appends `body` as a frame to `stream`; nothing is appended when it is over the limit.
pub fn encode(body: &[u8], limit: FrameLimit, stream: &mut BytesMut) -> Result<(), FrameError> {
    limit.check(body.len())?;
    stream.reserve(PREFIX_BYTES + body.len());
    stream.put_u32_le(body.len() as u32);
    stream.put_slice(body);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream_of(frames: &[Vec<u8>]) -> BytesMut {
        let mut stream = BytesMut::new();
        for frame in frames {
            encode(frame, FrameLimit::Playing, &mut stream).unwrap();
        }
        stream
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut_of_the_stream(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            step in 1usize..50,
        ) {
            let mut decoder = FrameDecoder::new(FrameLimit::Playing);
            let mut out = Vec::new();
            for piece in stream_of(&frames).chunks(step) {
                decoder.feed(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    out.push(frame.to_vec());
                }
            }
            prop_assert_eq!(out, frames);
            prop_assert!(decoder.is_between_frames());
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_allocated() {
        let mut decoder = FrameDecoder::new(FrameLimit::Hello);
        decoder.feed(&u32::MAX.to_le_bytes());
        let capacity = decoder.buffer_mut().capacity();
        let error = decoder.next_frame().unwrap_err();
        assert_eq!(error.to_string(), "a frame of 4294967295 bytes, but at most 1024 bytes are allowed before Hello");
        assert_eq!(decoder.buffer_mut().capacity(), capacity);
    }

    #[test]
    fn the_limit_follows_the_connections_state() {
        let mut decoder = FrameDecoder::new(FrameLimit::Hello);
        decoder.feed(&2_000u32.to_le_bytes());
        assert!(decoder.next_frame().is_err());
        decoder.set_limit(FrameLimit::Join);
        assert_eq!(decoder.next_frame(), Ok(None));
        assert!(!decoder.is_between_frames());
    }

    #[test]
    fn a_body_over_the_limit_is_not_sent() {
        let mut stream = BytesMut::new();
        assert!(encode(&[0; 1_025], FrameLimit::Hello, &mut stream).is_err());
        assert!(stream.is_empty());
    }
}
