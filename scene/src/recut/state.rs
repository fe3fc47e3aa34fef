//! Where a recut is.
//!
//! | state | happening | next | order |
//! |---|---|---|---|
//! | – | the world asks | Asking | read the tails of the journals that are to begin |
//! | Asking | TailsKnown | Freezing | after this tick the closing shards tick no more, and flush their journals |
//! | Freezing | Flushed | Committing | build the opening shards, append the entry |
//! | Asking | TimedOut, Cancelled, Lost | gone | forget it: nothing has happened |
//! | Freezing | TimedOut, Cancelled, Lost, BadCopy | gone | go on ticking as if nothing had been |
//! | Committing | BadCopy | gone | go on: the entry was not sent |
//! | Committing | Appended | gone | the opened shards stand in the place of the closed ones and run the next tick |
//! | Committing | Refused | gone | go on: the journal has not taken the entry, and never will |
//!
//! Whatever is not in the table changes nothing. Once the entry is on its way only the journal's answer counts: the opened
//! shards may be in force already.

/// Where a recut is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cutting {
    /// The journals that are to begin were asked for their tails; everything ticks.
    Asking,
    /// The closing shards stand still; their last entries are on their way.
    Freezing,
    /// The entry is on its way: only the journal knows which shards there are.
    Committing,
}

/// What a recut hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// All tails are known, and a tick is over.
    TailsKnown,
    /// Everything up to the last tick is durable.
    Flushed,
    /// A shard that was built is not what its original was.
    BadCopy,
    /// The entry is durable.
    Appended,
    /// The journal has something else where the entry should be.
    Refused,
    /// A closing shard has another owner, or none that is sure.
    Lost,
    /// Somebody did not answer for too long.
    TimedOut,
    /// An admin, or the end of this process.
    Cancelled,
}

/// What must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Let the closing shards stand still.
    Freeze,
    /// Build what opens, and append the entry.
    Append,
    /// Let the closing shards go on, if they stand still.
    GoOn,
    /// Put what was built in their place.
    Replace,
}

impl Cutting {
    /// Takes one step of the table. `None` in the first place: the recut is over.
    pub fn step(self, heard: Heard) -> (Option<Self>, Option<Order>) {
        match (self, heard) {
            (Self::Asking, Heard::TailsKnown) => (Some(Self::Freezing), Some(Order::Freeze)),
            (Self::Freezing, Heard::Flushed) => (Some(Self::Committing), Some(Order::Append)),
            (Self::Asking | Self::Freezing, Heard::TimedOut | Heard::Cancelled | Heard::Lost)
            | (Self::Freezing | Self::Committing, Heard::BadCopy)
            | (Self::Committing, Heard::Refused) => (None, Some(Order::GoOn)),
            (Self::Committing, Heard::Appended) => (None, Some(Order::Replace)),
            (Self::Asking, Heard::Flushed | Heard::BadCopy | Heard::Appended | Heard::Refused)
            | (Self::Freezing, Heard::TailsKnown | Heard::Appended | Heard::Refused)
            | (Self::Committing, Heard::TailsKnown | Heard::Flushed | Heard::Lost | Heard::TimedOut | Heard::Cancelled) => {
                (Some(self), None)
            }
        }
    }

    /// Its name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asking => "asking the journals",
            Self::Freezing => "freezing",
            Self::Committing => "committing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Heard; 8] = [
        Heard::TailsKnown,
        Heard::Flushed,
        Heard::BadCopy,
        Heard::Appended,
        Heard::Refused,
        Heard::Lost,
        Heard::TimedOut,
        Heard::Cancelled,
    ];

    #[test]
    fn a_recut_goes_its_way() {
        let (next, order) = Cutting::Asking.step(Heard::TailsKnown);
        assert_eq!((next, order), (Some(Cutting::Freezing), Some(Order::Freeze)));
        let (next, order) = Cutting::Freezing.step(Heard::Flushed);
        assert_eq!((next, order), (Some(Cutting::Committing), Some(Order::Append)));
        assert_eq!(Cutting::Committing.step(Heard::Appended), (None, Some(Order::Replace)));
    }

    #[test]
    fn only_the_journal_ends_what_is_committing() {
        for heard in ALL {
            let (next, order) = Cutting::Committing.step(heard);
            let ends = matches!(heard, Heard::Appended | Heard::Refused | Heard::BadCopy);
            assert_eq!(next.is_none(), ends, "{heard:?}");
            assert_eq!(order == Some(Order::Replace), heard == Heard::Appended, "{heard:?}");
        }
    }

    #[test]
    fn nothing_is_replaced_and_nothing_appended_before_its_time() {
        for heard in ALL {
            assert_ne!(Cutting::Asking.step(heard).1, Some(Order::Append), "{heard:?}");
            for state in [Cutting::Asking, Cutting::Freezing] {
                assert_ne!(state.step(heard).1, Some(Order::Replace), "{heard:?}");
            }
        }
    }
}
