//! The description of a game's plain types, as clients get it.

use super::codec::{wire_code, wire_optional, wire_table};
use crate::client::NAME_BYTES_MAX;
use crate::generated::client;
use crate::registry::{FIELDS_MAX, Field, FieldType, Registry, TYPES_MAX, TypeInfo};

wire_code! { FieldType = client::FieldType { U8, U16, U32, U64, I8, I16, I32, I64, F32, F64, Entity, Text } }
wire_table! { Field = client::{Field, FieldArgs} { name <= NAME_BYTES_MAX, ty, offset, length } }
wire_table! { TypeInfo = client::{TypeInfo, TypeInfoArgs} { id, name <= NAME_BYTES_MAX, size, fields <= FIELDS_MAX } }
wire_table! {
    Registry = client::{Registry, RegistryArgs} { components <= TYPES_MAX, inputs <= TYPES_MAX, events <= TYPES_MAX }
}
wire_optional! { Registry }
