//! Fencing numbers: epochs and sequences. Epochs only rise; whoever sees a lower one refuses it.

use std::fmt;

macro_rules! rising {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// Before the first.
            pub const ZERO: Self = Self(0);

            /// The one after this.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

rising! {
    /// Fence of a shard's owner: raised by each OWNER entry in the shard's journal.
    ShardEpoch, "se"
}
rising! {
    /// Fence of an agent's owner, strictly rising over all its owners (`ae`).
    AgentEpoch, "ae"
}
rising! {
    /// Position in a shard's journal. The first entry has index 1; 0 is the empty journal.
    JournalIndex, "j"
}
rising! {
    /// A beacon's or table's change number. 0 means "must not exist".
    Revision, "r"
}
rising! {
    /// Position in the stream of effects from one shard to another, from 1.
    EffectSeq, "x"
}

/// Fence of a session (`se`): the account's login count, then resumes within that login. Compared as a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionEpoch {
    /// Raised durably by each login.
    pub login: u32,
    /// Raised by each resume after a lost connection.
    pub resume: u32,
}

impl SessionEpoch {
    /// The epoch of the next resume.
    #[must_use]
    pub fn resumed(self) -> Self {
        Self { login: self.login, resume: self.resume + 1 }
    }

    /// Packed for the wire, keeping the order.
    pub fn to_bits(self) -> u64 {
        u64::from(self.login) << 32 | u64::from(self.resume)
    }

    /// The inverse of [`Self::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        Self { login: (bits >> 32) as u32, resume: bits as u32 }
    }
}

impl fmt::Display for SessionEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}.{}", self.login, self.resume)
    }
}

/// Sequence of a client's inputs; the first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InSeq(pub u32);

/// Sequence of reliable outputs to a client; the first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutSeq(pub u32);

impl InSeq {
    /// The input after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl OutSeq {
    /// The output after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_epochs_keep_their_order_when_packed() {
        let login = SessionEpoch { login: 2, resume: 7 };
        let resumed = login.resumed();
        let again = SessionEpoch { login: 3, resume: 0 };
        assert!(login < resumed && resumed < again);
        assert!(login.to_bits() < resumed.to_bits() && resumed.to_bits() < again.to_bits());
        assert_eq!(SessionEpoch::from_bits(resumed.to_bits()), resumed);
    }
}
