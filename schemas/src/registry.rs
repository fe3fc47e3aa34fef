//! What a game's plain types look like: names, fields, offsets. The description lets any peer or client read and write them
//! without generated code, and its hash tells whether two builds speak of the same types.

use std::fmt;

/// Most types of one sort (components, inputs, events, effects) that a game may register.
pub const TYPES_MAX: usize = 256;
/// Most fields of one type.
pub const FIELDS_MAX: usize = 64;
/// Largest size of one plain type in bytes.
pub const TYPE_BYTES_MAX: usize = 1_024;

/// Most layouts that a component may have had, its present one included.
pub const VERSIONS_MAX: u16 = 16;
/// Most types in a [`Dialect`]: every sort's, and layouts that components had before.
pub const DIALECT_MAX: usize = 1_024;

/// A plain type's stable name in records and on the wire: the CRC-32 of its registered name. Later layouts of a component have
/// the numbers behind it, so whoever knows one layout knows the others for what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// The id of the type registered as `name`.
    pub fn of(name: &str) -> Self {
        Self(crc32fast::hash(name.as_bytes()))
    }

    /// The id of a layout of the component `name`; the first is version 1.
    pub fn of_version(name: &str, version: u16) -> Self {
        Self(Self::of(name).0.wrapping_add(u32::from(version.saturating_sub(1))))
    }

    /// Which version of the component whose first layout has the id `first` this is. `None`: it is another component's.
    pub fn version_of(self, first: Self) -> Option<u16> {
        let behind = self.0.wrapping_sub(first.0);
        (behind < u32::from(VERSIONS_MAX)).then_some(behind as u16 + 1)
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

/// What each type of a build is made of, in order: a hash of sort and id in the upper half, one of the layout in the lower half.
/// Two builds may talk when nothing that both know differs; what only one of them knows the other one passes on, or leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dialect(Vec<u64>);

impl Dialect {
    /// Of types, each with its sort (such as `component`), its id and its layout in words. At most [`DIALECT_MAX`] count.
    pub fn of<'t>(types: impl Iterator<Item = (&'t str, TypeId, &'t [String])>) -> Self {
        let half = |hash: Fnv| (hash.0 ^ hash.0 >> 32) & u64::from(u32::MAX);
        let entry = |(sort, id, layout): (&str, TypeId, &[String])| {
            let (mut what, mut made_of) = (Fnv::new(), Fnv::new());
            what.write(&format!("{sort} {}", id.0));
            layout.iter().for_each(|line| made_of.write(&format!("{line}\n")));
            half(what) << 32 | half(made_of)
        };
        let mut entries: Vec<u64> = types.map(entry).collect();
        entries.sort_unstable();
        entries.dedup();
        entries.truncate(DIALECT_MAX);
        Self(entries)
    }

    /// How many types both know that are not the same.
    pub fn differences(&self, other: &Self) -> usize {
        let layout = |entry: &u64| other.0.binary_search_by_key(&(entry >> 32), |theirs| theirs >> 32).map(|at| other.0[at]);
        self.0.iter().filter(|entry| layout(entry).is_ok_and(|theirs| theirs != **entry)).count()
    }

    /// Its entries, in order.
    pub fn entries(&self) -> &[u64] {
        &self.0
    }

    /// From its entries.
    pub fn from_entries(mut entries: Vec<u64>) -> Self {
        entries.sort_unstable();
        Self(entries)
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
