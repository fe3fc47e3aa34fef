//! What lies in journals, database rows and beacon values: four bytes of kind and version, then one FlatBuffer; or a record as in
//! [`super::flat`].

use bytes::Bytes;
use flatbuffers::{Follow, Verifiable, WIPOffset};

use super::codec::{Pack, Unpack};
use super::{NODE_LIMITS, WireError, build, decode_part};
use crate::generated::node::{beacon, journal, ledger, recording, rules, trade};
use crate::generated::record as fb;
use crate::journal::{Decision, Departure, Entry};
use crate::message::{Effect, LedgerResult, NodeInfo, ShardImage, ShardRoute, Trade, Transaction};
use crate::recording::{RecordedTick, RecordingEnd, RecordingHead, RecordingPart};
use crate::rules::Book;

/// A type that is stored on its own.
pub trait Stored: Sized {
    /// Kind (three letters) and version of the stored form. A version is raised when old bytes need conversion; added fields are
    /// not such a change.
    const FORM: [u8; 4];

    /// The stored form.
    fn to_stored(&self) -> Bytes;

    /// The inverse of [`Self::to_stored`].
    fn from_stored(bytes: &Bytes) -> Result<Self, WireError>;
}

macro_rules! stored {
    ($($ty:ident = $wire:ty, $kind:literal, $version:literal;)*) => { $(
        impl Stored for $ty {
            const FORM: [u8; 4] = [$kind[0], $kind[1], $kind[2], $version];

            fn to_stored(&self) -> Bytes {
                write(self, Self::FORM)
            }

            fn from_stored(bytes: &Bytes) -> Result<Self, WireError> {
                read::<Self, $wire>(bytes, Self::FORM)
            }
        }
    )* };
}
stored! {
    Entry = fb::Entry<'_>, b"ENT", 4;
    Departure = fb::Departure<'_>, b"DEP", 3;
    Decision = fb::Decision<'_>, b"DEC", 1;
    Effect = fb::Effect<'_>, b"EFF", 1;
    ShardImage = journal::ShardImage<'_>, b"IMG", 2;
    NodeInfo = beacon::NodeInfo<'_>, b"NOD", 1;
    ShardRoute = beacon::ShardRoute<'_>, b"ROU", 1;
    Transaction = ledger::Transaction<'_>, b"TRA", 1;
    LedgerResult = ledger::LedgerResult<'_>, b"LRS", 1;
    Trade = trade::Trade<'_>, b"TRD", 1;
    Book = rules::Book<'_>, b"RUL", 1;
    RecordingHead = recording::Head<'_>, b"RCH", 2;
    RecordingPart = recording::Part<'_>, b"RCP", 2;
    RecordedTick = recording::Tick<'_>, b"RCT", 2;
    RecordingEnd = recording::End<'_>, b"RCE", 1;
}

fn write<T, R>(value: &T, form: [u8; 4]) -> Bytes
where
    T: Pack<'static, Wire = WIPOffset<R>>,
{
    build(&form, |builder| value.pack(builder))
}

fn read<'a, T, R>(bytes: &'a Bytes, form: [u8; 4]) -> Result<T, WireError>
where
    R: Follow<'a> + Verifiable + 'a,
    T: Unpack<R::Inner>,
{
    decode_part::<T, R>(behind_form(bytes, form)?, bytes, &NODE_LIMITS)
}

/// What follows the kind and version, which must be these.
pub(super) fn behind_form(bytes: &[u8], form: [u8; 4]) -> Result<&[u8], WireError> {
    match bytes.split_first_chunk() {
        Some((found, buffer)) if *found == form => Ok(buffer),
        _ => {
            let mut found = [0; 4];
            found.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            Err(WireError::Form { found, expected: form })
        }
    }
}
