//! The description of a game's plain types, as clients get it.

use flatbuffers::{FlatBufferBuilder, Vector, WIPOffset};

use super::WireError;
use super::codec::{At, Pack, Unpack, wire_code, wire_optional, wire_table};
use crate::client::NAME_BYTES_MAX;
use crate::generated::client;
use crate::registry::{Dialect, FIELDS_MAX, Field, FieldType, Registry, TYPES_MAX, TypeInfo};

wire_code! { FieldType = client::FieldType { U8, U16, U32, U64, I8, I16, I32, I64, F32, F64, Entity, Text } }
wire_table! { Field = client::{Field, FieldArgs} { name <= NAME_BYTES_MAX, ty, offset, length } }
wire_table! { TypeInfo = client::{TypeInfo, TypeInfoArgs} { id, name <= NAME_BYTES_MAX, size, fields <= FIELDS_MAX } }
wire_table! {
    Registry = client::{Registry, RegistryArgs} { components <= TYPES_MAX, inputs <= TYPES_MAX, events <= TYPES_MAX }
}
wire_optional! { Registry }

impl<'b> Pack<'b> for Dialect {
    type Wire = WIPOffset<Vector<'b, u64>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        b.create_vector(self.entries())
    }
}

impl<'a> Unpack<Option<Vector<'a, u64>>> for Dialect {
    fn unpack(wire: Option<Vector<'a, u64>>, at: At<'_>) -> Result<Self, WireError> {
        Vec::unpack(wire, at).map(Self::from_entries)
    }
}
