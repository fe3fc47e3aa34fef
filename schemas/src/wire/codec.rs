//! The two traits behind every encoding, their leaves (numbers, ids, texts, bytes, vectors), and the macros that spell out a
//! type's fields once for both directions.
//!
//! Each Rust type has one wire form: a number, a FlatBuffers struct, or an offset to something written before. The wire field has
//! the Rust field's name, so a list of names is all a type needs:
//!
//! ```text
//! wire_table!  { Effect = effects::{Effect, EffectArgs} { to, from, id, bytes <= COMPONENT_BYTES_MAX } }
//! wire_struct! { Lane = handover::Lane { from, from_epoch, to, to_epoch } }
//! wire_row!    { session::OutAck { agent: EntityId, session: SessionEpoch, upto: OutSeq } }     a tuple
//! wire_code!   { Refusal = handover::Refusal { Full, Registry, Expired, NotRunning } }           an enum without data
//! wire_enum!   { … }                                                                           an enum with data, as a union
//! ```
//!
//! `<= N` bounds a text in bytes, a vector in elements. `wire_enum!` takes `variants` with their own fields (variant, its table's
//! arguments and accessor) and `carriers` of one value that is a table itself.

use std::sync::Arc;

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, Follow, Push, Vector, WIPOffset};

use super::{TEXT_BYTES_MAX, WireError};
use crate::geometry::{CellId, ShardId, SpaceId};
use crate::message::{Currency, ItemKind};
use crate::{
    AccountId, AgentEpoch, EffectSeq, EntityId, InSeq, JournalIndex, MigrationId, NodeId, OutSeq, RegistryHash, RequestId,
    Revision, SessionEpoch, ShardEpoch, Tick, Timestamp, TypeId,
};

/// Byte fields at least this long share the frame's memory; shorter ones are copied, so that keeping one does not keep a frame.
const SHARED_BYTES_MIN: usize = 1_024;

/// Writes a value into a buffer under construction.
pub(super) trait Pack<'b> {
    /// What stands in the parent: a number, a struct, or an offset to what was written.
    type Wire;
    /// Writes everything below the value, then returns what stands for it.
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire;
}

/// How a packed value is passed to a generated `create`.
pub(super) trait Slot {
    /// The type of the argument.
    type Arg<'a>
    where
        Self: 'a;
    /// The argument.
    fn arg(&self) -> Self::Arg<'_>;
}

/// Reads a value from what a generated accessor returned.
pub(super) trait Unpack<W>: Sized {
    /// Checks and copies.
    fn unpack(wire: W, at: At<'_>) -> Result<Self, WireError>;
}

/// Where a value is read: for errors, bounds and shared bytes.
#[derive(Clone, Copy)]
pub(super) struct At<'f> {
    frame: &'f Bytes,
    field: &'static str,
    max: usize,
}

impl<'f> At<'f> {
    /// The root of a frame.
    pub(super) fn new(frame: &'f Bytes) -> Self {
        Self { frame, field: "root", max: usize::MAX }
    }

    /// A field by name, without a bound.
    pub(super) fn field(self, field: &'static str) -> Self {
        Self { field, max: usize::MAX, ..self }
    }

    /// The same field with a bound in bytes or elements.
    pub(super) fn at_most(self, max: usize) -> Self {
        Self { max, ..self }
    }

    /// The error for an absent value.
    pub(super) fn missing(self) -> WireError {
        WireError::Missing { field: self.field }
    }

    /// The error for a value that means nothing.
    pub(super) fn impossible(self, value: impl Into<u64>) -> WireError {
        WireError::Impossible { field: self.field, value: value.into() }
    }

    /// Bytes of the frame, to be kept: long ones share its memory.
    pub(super) fn keep(self, bytes: &[u8]) -> Bytes {
        if bytes.len() < SHARED_BYTES_MIN { Bytes::copy_from_slice(bytes) } else { self.frame.slice_ref(bytes) }
    }

    /// Whether so many bytes or elements are within the field's bound.
    pub(super) fn check(self, length: usize) -> Result<(), WireError> {
        self.check_length(length, self.max)
    }

    pub(super) fn check_length(self, length: usize, max: usize) -> Result<(), WireError> {
        if length <= max { Ok(()) } else { Err(WireError::TooLong { field: self.field, length, max }) }
    }
}

// ---- numbers and ids ------------------------------------------------------------------------------------------------------

macro_rules! numbers {
    ($($number:ident),*) => { $(
        impl<'b> Pack<'b> for $number {
            type Wire = Self;
            fn pack(&self, _: &mut FlatBufferBuilder<'b>) -> Self { *self }
        }
        impl Slot for $number {
            type Arg<'a> = Self;
            fn arg(&self) -> Self { *self }
        }
        impl Unpack<$number> for $number {
            fn unpack(wire: Self, _: At<'_>) -> Result<Self, WireError> { Ok(wire) }
        }
    )* };
}
numbers! { bool, i8, i16, u8, u16, u32, u64, f32 }

macro_rules! newtypes {
    ($($name:ident($number:ident)),* $(,)?) => { $(
        impl<'b> Pack<'b> for $name {
            type Wire = $number;
            fn pack(&self, _: &mut FlatBufferBuilder<'b>) -> $number { self.0 }
        }
        impl Unpack<$number> for $name {
            fn unpack(wire: $number, _: At<'_>) -> Result<Self, WireError> { Ok(Self(wire)) }
        }
    )* };
}
newtypes! {
    EntityId(u64), AccountId(u64), RequestId(u64), MigrationId(u64), ShardEpoch(u64), AgentEpoch(u64), JournalIndex(u64), Revision(u64), EffectSeq(u64),
    Tick(u64), Timestamp(u64), RegistryHash(u64), TypeId(u32), InSeq(u32), OutSeq(u32), SpaceId(u16), Currency(u16), ItemKind(u16),
}

/// Ids that are packed bits, of which some mean nothing; one of these stands for "none".
macro_rules! packed_ids {
    ($($name:ident($number:ident, none = $none:expr)),* $(,)?) => { $(
        impl<'b> Pack<'b> for $name {
            type Wire = $number;
            fn pack(&self, _: &mut FlatBufferBuilder<'b>) -> $number { self.to_bits() }
        }
        impl Unpack<$number> for $name {
            fn unpack(wire: $number, at: At<'_>) -> Result<Self, WireError> {
                Self::from_bits(wire).ok_or_else(|| at.impossible(wire))
            }
        }
        impl<'b> Pack<'b> for Option<$name> {
            type Wire = $number;
            fn pack(&self, _: &mut FlatBufferBuilder<'b>) -> $number { self.map_or($none, $name::to_bits) }
        }
        impl Unpack<$number> for Option<$name> {
            fn unpack(wire: $number, at: At<'_>) -> Result<Self, WireError> {
                if wire == $none { Ok(None) } else { Ok(Some(Unpack::unpack(wire, at)?)) }
            }
        }
    )* };
}
packed_ids! { ShardId(u64, none = u64::MAX), CellId(u64, none = u64::MAX), NodeId(u32, none = 0) }

impl<'b> Pack<'b> for SessionEpoch {
    type Wire = u64;
    fn pack(&self, _: &mut FlatBufferBuilder<'b>) -> u64 {
        self.to_bits()
    }
}

impl Unpack<u64> for SessionEpoch {
    fn unpack(wire: u64, _: At<'_>) -> Result<Self, WireError> {
        Ok(Self::from_bits(wire))
    }
}

// ---- texts, bytes, vectors ------------------------------------------------------------------------------------------------

impl<'b> Pack<'b> for String {
    type Wire = WIPOffset<&'b str>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        b.create_string(self)
    }
}

impl Unpack<&str> for String {
    fn unpack(wire: &str, at: At<'_>) -> Result<Self, WireError> {
        at.check_length(wire.len(), at.max.min(TEXT_BYTES_MAX))?;
        Ok(wire.to_owned())
    }
}

impl<'a> Unpack<Option<&'a str>> for String {
    fn unpack(wire: Option<&'a str>, at: At<'_>) -> Result<Self, WireError> {
        Self::unpack(wire.unwrap_or_default(), at)
    }
}

impl<'b> Pack<'b> for Bytes {
    type Wire = WIPOffset<Vector<'b, u8>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        pack_bytes(self, b)
    }
}

/// Bytes as a vector. A byte string has a vector's layout and, unlike `create_vector`, is written by one copy.
pub(super) fn pack_bytes<'b>(bytes: &[u8], b: &mut FlatBufferBuilder<'b>) -> WIPOffset<Vector<'b, u8>> {
    WIPOffset::new(b.create_byte_string(bytes).value())
}

impl<'a> Unpack<Vector<'a, u8>> for Bytes {
    fn unpack(wire: Vector<'a, u8>, at: At<'_>) -> Result<Self, WireError> {
        let bytes = wire.bytes();
        at.check(bytes.len())?;
        Ok(at.keep(bytes))
    }
}

impl<'a> Unpack<Option<Vector<'a, u8>>> for Bytes {
    fn unpack(wire: Option<Vector<'a, u8>>, at: At<'_>) -> Result<Self, WireError> {
        wire.map_or_else(|| Ok(Self::new()), |bytes| Self::unpack(bytes, at))
    }
}

impl<'b, T> Pack<'b> for Vec<T>
where
    T: Pack<'b>,
    T::Wire: Push<Output: 'b>,
{
    type Wire = WIPOffset<Vector<'b, <T::Wire as Push>::Output>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        let elements: Vec<T::Wire> = self.iter().map(|element| element.pack(b)).collect();
        b.create_vector(&elements)
    }
}

impl<'a, T, F> Unpack<Option<Vector<'a, F>>> for Vec<T>
where
    F: Follow<'a> + 'a,
    T: Unpack<F::Inner>,
{
    fn unpack(wire: Option<Vector<'a, F>>, at: At<'_>) -> Result<Self, WireError> {
        let Some(elements) = wire else { return Ok(Self::new()) };
        at.check(elements.len())?;
        let at = at.at_most(usize::MAX);
        // Whoever collects results does not know how many there will be.
        let mut unpacked = Self::with_capacity(elements.len());
        for element in elements {
            unpacked.push(T::unpack(element, at)?);
        }
        Ok(unpacked)
    }
}

impl<'b, T: Pack<'b>> Pack<'b> for Arc<T> {
    type Wire = T::Wire;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        T::pack(self, b)
    }
}

impl<T: Unpack<W>, W> Unpack<W> for Arc<T> {
    fn unpack(wire: W, at: At<'_>) -> Result<Self, WireError> {
        T::unpack(wire, at).map(Self::new)
    }
}

impl<'b, T: Pack<'b>> Pack<'b> for Box<T> {
    type Wire = T::Wire;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        T::pack(self, b)
    }
}

impl<T: Unpack<W>, W> Unpack<W> for Box<T> {
    fn unpack(wire: W, at: At<'_>) -> Result<Self, WireError> {
        T::unpack(wire, at).map(Self::new)
    }
}

impl<T: Unpack<W>, W> Unpack<Option<W>> for Option<T> {
    fn unpack(wire: Option<W>, at: At<'_>) -> Result<Self, WireError> {
        wire.map(|present| T::unpack(present, at)).transpose()
    }
}

impl<T> Slot for WIPOffset<T> {
    type Arg<'a>
        = Option<WIPOffset<T>>
    where
        T: 'a;
    fn arg(&self) -> Option<WIPOffset<T>> {
        Some(*self)
    }
}

impl<T> Slot for Option<WIPOffset<T>> {
    type Arg<'a>
        = Self
    where
        T: 'a;
    fn arg(&self) -> Self {
        *self
    }
}

/// Optional values that are absent when `None`.
macro_rules! wire_optional {
    ($($ty:ty),* $(,)?) => { $(
        impl<'b> $crate::wire::codec::Pack<'b> for Option<$ty> {
            type Wire = Option<<$ty as $crate::wire::codec::Pack<'b>>::Wire>;
            fn pack(&self, b: &mut flatbuffers::FlatBufferBuilder<'b>) -> Self::Wire {
                self.as_ref().map(|present| $crate::wire::codec::Pack::pack(present, b))
            }
        }
    )* };
}
wire_optional! { Bytes }

// ---- composed types -------------------------------------------------------------------------------------------------------

/// A Rust struct as a FlatBuffers table.
macro_rules! wire_table {
    ($ty:ident = $($module:ident)::+ :: {$table:ident, $args:ident} { $($field:ident $(<= $max:expr)?),* $(,)? }) => {
        impl<'b> $crate::wire::codec::Pack<'b> for $ty {
            type Wire = flatbuffers::WIPOffset<$($module)::+::$table<'b>>;
            fn pack(&self, b: &mut flatbuffers::FlatBufferBuilder<'b>) -> Self::Wire {
                let Self { $($field),* } = self;
                $(let $field = $crate::wire::codec::Pack::pack($field, b);)*
                $($module)::+::$table::create(b, &$($module)::+::$args { $($field: $crate::wire::codec::Slot::arg(&$field)),* })
            }
        }
        impl<'a> $crate::wire::codec::Unpack<$($module)::+::$table<'a>> for $ty {
            fn unpack(
                wire: $($module)::+::$table<'a>,
                at: $crate::wire::codec::At<'_>,
            ) -> Result<Self, $crate::wire::WireError> {
                Ok(Self {
                    $($field: $crate::wire::codec::Unpack::unpack(wire.$field(), at.field(stringify!($field))$(.at_most($max))?)?),*
                })
            }
        }
        $crate::wire::codec::wire_required! { $ty = $($module)::+::$table<'a> }
    };
}

/// A value that is an error when absent.
macro_rules! wire_required {
    ($ty:ty = $wire:ty) => {
        impl<'a> $crate::wire::codec::Unpack<Option<$wire>> for $ty {
            fn unpack(wire: Option<$wire>, at: $crate::wire::codec::At<'_>) -> Result<Self, $crate::wire::WireError> {
                Self::unpack(wire.ok_or_else(|| at.missing())?, at)
            }
        }
    };
}

/// How a FlatBuffers struct is passed.
macro_rules! wire_slot {
    ($wire:ty) => {
        impl $crate::wire::codec::Slot for $wire {
            type Arg<'a> = Option<&'a Self>;
            fn arg(&self) -> Option<&Self> {
                Some(self)
            }
        }
    };
}

/// A Rust struct of numbers as a FlatBuffers struct; fields in the order of the schema.
macro_rules! wire_struct {
    ($ty:ident = $($module:ident)::+ { $($field:ident),* $(,)? }) => {
        impl<'b> $crate::wire::codec::Pack<'b> for $ty {
            type Wire = $($module)::+;
            fn pack(&self, b: &mut flatbuffers::FlatBufferBuilder<'b>) -> Self::Wire {
                let Self { $($field),* } = self;
                $($module)::+::new($($crate::wire::codec::Pack::pack($field, b)),*)
            }
        }
        impl<'a> $crate::wire::codec::Unpack<&'a $($module)::+> for $ty {
            fn unpack(wire: &'a $($module)::+, at: $crate::wire::codec::At<'_>) -> Result<Self, $crate::wire::WireError> {
                Ok(Self { $($field: $crate::wire::codec::Unpack::unpack(wire.$field(), at.field(stringify!($field)))?),* })
            }
        }
        $crate::wire::codec::wire_slot! { $($module)::+ }
        $crate::wire::codec::wire_required! { $ty = &'a $($module)::+ }
    };
}

/// A tuple of numbers as a FlatBuffers struct; fields in the order of the schema.
macro_rules! wire_row {
    ($($module:ident)::+ { $($field:ident: $ty:ty),* $(,)? }) => {
        impl<'b> $crate::wire::codec::Pack<'b> for ($($ty),*) {
            type Wire = $($module)::+;
            fn pack(&self, b: &mut flatbuffers::FlatBufferBuilder<'b>) -> Self::Wire {
                let ($($field),*) = self;
                $($module)::+::new($($crate::wire::codec::Pack::pack($field, b)),*)
            }
        }
        impl<'a> $crate::wire::codec::Unpack<&'a $($module)::+> for ($($ty),*) {
            fn unpack(wire: &'a $($module)::+, at: $crate::wire::codec::At<'_>) -> Result<Self, $crate::wire::WireError> {
                Ok(($($crate::wire::codec::Unpack::unpack(wire.$field(), at.field(stringify!($field)))?),*))
            }
        }
    };
}

/// An enum without data as a FlatBuffers enum of the same names.
macro_rules! wire_code {
    ($ty:ident = $module:ident :: $code:ident { $($variant:ident),* $(,)? }) => {
        impl<'b> $crate::wire::codec::Pack<'b> for $ty {
            type Wire = $module::$code;
            fn pack(&self, _: &mut flatbuffers::FlatBufferBuilder<'b>) -> Self::Wire {
                match self { $(Self::$variant => $module::$code::$variant),* }
            }
        }
        impl $crate::wire::codec::Slot for $module::$code {
            type Arg<'a> = Self;
            fn arg(&self) -> Self { *self }
        }
        impl $crate::wire::codec::Unpack<$module::$code> for $ty {
            fn unpack(wire: $module::$code, at: $crate::wire::codec::At<'_>) -> Result<Self, $crate::wire::WireError> {
                $(if wire == $module::$code::$variant { return Ok(Self::$variant); })*
                Err(at.impossible(wire.0))
            }
        }
    };
}

/// An enum with data as a table around a union.
macro_rules! wire_enum {
    (
        $ty:ident = $module:ident::{$table:ident, $args:ident, $body:ident}
        variants { $($variant:ident($vargs:ident, $vas:ident) { $($field:ident $(<= $max:expr)?),* $(,)? }),* $(,)? }
        carriers { $($carrier:ident($cas:ident)),* $(,)? }
    ) => {
        impl<'b> $crate::wire::codec::Pack<'b> for $ty {
            type Wire = flatbuffers::WIPOffset<$module::$table<'b>>;
            fn pack(&self, b: &mut flatbuffers::FlatBufferBuilder<'b>) -> Self::Wire {
                let (body_type, body) = match self {
                    $(Self::$variant { $($field),* } => {
                        $(let $field = $crate::wire::codec::Pack::pack($field, b);)*
                        let args = $module::$vargs { $($field: $crate::wire::codec::Slot::arg(&$field)),* };
                        ($module::$body::$variant, $module::$variant::create(b, &args).as_union_value())
                    })*
                    $(Self::$carrier(value) =>
                        ($module::$body::$carrier, $crate::wire::codec::Pack::pack(value, b).as_union_value()),)*
                };
                $module::$table::create(b, &$module::$args { body_type, body: Some(body) })
            }
        }
        impl<'a> $crate::wire::codec::Unpack<$module::$table<'a>> for $ty {
            fn unpack(
                wire: $module::$table<'a>,
                at: $crate::wire::codec::At<'_>,
            ) -> Result<Self, $crate::wire::WireError> {
                let at = at.field(stringify!($body));
                $(if let Some(table) = wire.$cas() {
                    return $crate::wire::codec::Unpack::unpack(table, at).map(Self::$carrier);
                })*
                $(if let Some(_table) = wire.$vas() {
                    return Ok(Self::$variant {
                        $($field: $crate::wire::codec::Unpack::unpack(
                            _table.$field(), at.field(stringify!($field))$(.at_most($max))?)?),*
                    });
                })*
                Err(at.impossible(wire.body_type().0))
            }
        }
        $crate::wire::codec::wire_required! { $ty = $module::$table<'a> }
    };
}

pub(super) use {wire_code, wire_enum, wire_optional, wire_required, wire_row, wire_slot, wire_struct, wire_table};
