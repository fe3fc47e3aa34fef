//! What a game's plain types look like: names, fields, offsets. The description lets any peer or client read and write them
//! without generated code, and its hash tells whether two builds speak of the same types.

use std::fmt;

/// Most types of one sort (components, inputs, events, effects) that a game may register.
pub const TYPES_MAX: usize = 256;
/// Most fields of one type.
pub const FIELDS_MAX: usize = 64;
/// Largest size of one plain type in bytes.
pub const TYPE_BYTES_MAX: usize = 1_024;

/// A plain type's stable name in records and on the wire: the CRC-32 of its registered name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// The id of the type registered as `name`.
    pub fn of(name: &str) -> Self {
        Self(crc32fast::hash(name.as_bytes()))
    }
}

/// Hash of a whole [`Registry`]; 0 is "unknown".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryHash(pub u64);

impl fmt::Display for RegistryHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The type of one field, all little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FieldType {
    /// Unsigned 8 bits.
    U8,
    /// Unsigned 16 bits.
    U16,
    /// Unsigned 32 bits.
    U32,
    /// Unsigned 64 bits.
    U64,
    /// Signed 8 bits.
    I8,
    /// Signed 16 bits.
    I16,
    /// Signed 32 bits.
    I32,
    /// Signed 64 bits.
    I64,
    /// IEEE single.
    F32,
    /// IEEE double.
    F64,
    /// An [`crate::EntityId`].
    Entity,
    /// Zero-padded UTF-8; `length` is its bytes.
    Text,
}

impl FieldType {
    /// Every type, in wire order.
    pub const ALL: [Self; 12] = [
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::F32,
        Self::F64,
        Self::Entity,
        Self::Text,
    ];

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Text => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::Entity => 8,
        }
    }
}

/// One field of a plain type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As in the Rust source.
    pub name: String,
    /// Of one element.
    pub ty: FieldType,
    /// Bytes from the start of the type.
    pub offset: u16,
    /// Elements; more than 1 is an array.
    pub length: u16,
}

/// One plain type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeInfo {
    /// CRC-32 of the name.
    pub id: TypeId,
    /// Registered name, unique within its sort.
    pub name: String,
    /// Bytes, padding included (there is none).
    pub size: u16,
    /// In memory order.
    pub fields: Vec<Field>,
}

/// All plain types of a game, each sort in order of registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    /// Replicated components.
    pub components: Vec<TypeInfo>,
    /// What clients may send.
    pub inputs: Vec<TypeInfo>,
    /// What clients are told reliably.
    pub events: Vec<TypeInfo>,
}

impl Registry {
    /// Hash of names, sizes and fields, in order. FNV-1a over a canonical text; never 0.
    pub fn hash(&self) -> RegistryHash {
        let mut hash = Fnv::new();
        for (sort, types) in [("component", &self.components), ("input", &self.inputs), ("event", &self.events)] {
            for ty in types {
                hash.write(&format!("{sort} {} {}\n", ty.name, ty.size));
                for field in &ty.fields {
                    hash.write(&format!("  {} {:?} {} {}\n", field.name, field.ty, field.offset, field.length));
                }
            }
        }
        RegistryHash(hash.0.max(1))
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo). Small and stable for ever; not for untrusted keys.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, text: &str) {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
