//! A row's key in memory.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Keys up to this length, in bytes, need no memory of their own: two numbers.
const INLINE_BYTES: usize = 16;

/// The key of a row, in the order of its bytes. Nearly all keys are one or two numbers and are compared as one, which is most of
/// what a commit does with them.
#[derive(Clone, PartialEq, Eq)]
pub struct RowKey {
    /// The first bytes, behind them zeros.
    head: [u8; INLINE_BYTES],
    length: usize,
    /// All bytes of a longer key.
    whole: Box<[u8]>,
}

impl RowKey {
    /// As the store knows it.
    pub fn bytes(&self) -> &[u8] {
        self.head.get(..self.length).unwrap_or(&self.whole)
    }

    fn number(&self) -> u128 {
        u128::from_be_bytes(self.head)
    }
}

impl From<&[u8]> for RowKey {
    fn from(bytes: &[u8]) -> Self {
        let (mut head, length) = ([0; INLINE_BYTES], bytes.len());
        let inline = length.min(INLINE_BYTES);
        head[..inline].copy_from_slice(&bytes[..inline]);
        Self { head, length, whole: if length > INLINE_BYTES { bytes.into() } else { Box::default() } }
    }
}

impl<const N: usize> From<&[u8; N]> for RowKey {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl Ord for RowKey {
    fn cmp(&self, other: &Self) -> Ordering {
        // With equal heads a key that ends in its head is the start of the other one, or the same with fewer zeros.
        self.number().cmp(&other.number()).then_with(|| match (self.whole.is_empty(), other.whole.is_empty()) {
            (false, false) => self.whole.cmp(&other.whole),
            _ => self.length.cmp(&other.length),
        })
    }
}

impl PartialOrd for RowKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for RowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let number = self.number();
        state.write_u64((number >> 64) as u64);
        state.write_u64(number as u64);
        if !self.whole.is_empty() {
            state.write(&self.whole);
        }
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_are_their_bytes(
            a in prop::collection::vec(0u8..3, 0..20),
            b in prop::collection::vec(0u8..3, 0..20),
            tail in prop::collection::vec(0u8..2, 0..4),
        ) {
            let longer = [a.as_slice(), &tail].concat();
            for (one, other) in [(&a, &b), (&a, &longer), (&longer, &b)] {
                let keys = (RowKey::from(one.as_slice()), RowKey::from(other.as_slice()));
                prop_assert_eq!(keys.0.bytes(), one.as_slice());
                prop_assert_eq!(keys.0.cmp(&keys.1), one.cmp(other));
                prop_assert_eq!(keys.0 == keys.1, one == other);
            }
        }
    }
}
