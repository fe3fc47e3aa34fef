//! Plain data: structs of fixed size whose memory is their encoding, with a description that clients and records can read.

use bytemuck::{Pod, Zeroable};
use pangaea_schemas::registry::{Field, FieldType, TypeInfo};
use pangaea_schemas::{EntityId, TypeId};

use super::versions::Former;

#[cfg(target_endian = "big")]
compile_error!("plain types are little-endian memory; this target is not");

/// A struct whose memory is its encoding. Implemented by the attributes `#[component]`, `#[input]`, `#[event]` and `#[effect]`.
/// One with gaps, or with a field that is not plain, does not compile:
///
/// ```compile_fail,E0080
/// use pangaea_scene::prelude::*;
/// #[component]
/// struct Gaps {
///     small: u8,
///     large: u32,
/// }
/// ```
/// ```compile_fail,E0277
/// use pangaea_scene::prelude::*;
/// struct Other;
/// #[component]
/// struct Holds {
///     other: Other,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a plain type",
    note = "write `#[component]`, `#[input]`, `#[event]` or `#[effect]` above the struct"
)]
pub trait Plain: Pod + Send + Sync {
    /// Its registered name.
    const NAME: &'static str;
    /// Which layout of that name it is; only components have others than the first.
    const VERSION: u16 = 1;
    /// Its fields in memory order.
    const FIELDS: &'static [PlainField];

    /// The layouts that it had before, the latest first.
    fn formers() -> Vec<Former> {
        Vec::new()
    }
}

/// One field of a [`Plain`] type.
#[derive(Clone, Copy, Debug)]
pub struct PlainField {
    /// As in the source.
    pub name: &'static str,
    /// Bytes from the start of the type.
    pub offset: u16,
    /// What the field is made of: one part, but for positions and velocities.
    pub parts: &'static [Part],
}

/// A scalar, text or array inside a field.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Empty, or `.x`.
    pub suffix: &'static str,
    /// Of one element.
    pub ty: FieldType,
    /// Bytes from the start of the field.
    pub offset: u16,
    /// Elements.
    pub length: u16,
}

/// What may be a field of a plain type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a plain type",
    note = "use u8 to u64, i8 to i64, f32, f64, arrays of them, `EntityId`, `Text<N>`, `Position` or `Velocity`"
)]
pub trait FieldKind: Pod {
    /// What it is made of.
    const PARTS: &'static [Part];
    /// Its size.
    const BYTES: usize = size_of::<Self>();
}

/// A field kind that may also be the element of an array.
pub trait Scalar: Pod {
    /// Its wire type.
    const TYPE: FieldType;
}

macro_rules! scalars {
    ($($rust:ty => $wire:ident),* $(,)?) => {$(
        impl Scalar for $rust {
            const TYPE: FieldType = FieldType::$wire;
        }
        impl FieldKind for $rust {
            const PARTS: &'static [Part] = &[Part { suffix: "", ty: FieldType::$wire, offset: 0, length: 1 }];
        }
    )*};
}

scalars! {
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    f32 => F32, f64 => F64, EntityId => Entity,
}

impl<T: Scalar, const N: usize> FieldKind for [T; N] {
    const PARTS: &'static [Part] = &[Part { suffix: "", ty: T::TYPE, offset: 0, length: N as u16 }];
}

/// Text of at most `N` bytes: zero-padded UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    /// As much of `text` as fits, cut between characters.
    pub fn new(text: &str) -> Self {
        let mut bytes = [0; N];
        let end = text.floor_char_boundary(N);
        bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        Self(bytes)
    }

    /// The text, up to the first zero byte or the first byte that is not UTF-8.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(N);
        let text = &self.0[..end];
        match std::str::from_utf8(text) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(),
        }
    }
}

impl<const N: usize> std::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl<const N: usize> From<&str> for Text<N> {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<const N: usize> FieldKind for Text<N> {
    const PARTS: &'static [Part] = &[Part { suffix: "", ty: FieldType::Text, offset: 0, length: N as u16 }];
}

/// Bytes that are not a value of the type they were sent as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A plain type of another size.
    #[error("`{name}` has {expected} bytes, not {found}")]
    Size {
        /// Which type.
        name: &'static str,
        /// Its size.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// A codec's refusal.
    #[error("`{name}` does not decode: {reason}")]
    Codec {
        /// Which type.
        name: &'static str,
        /// In the codec's words.
        reason: String,
    },
}

/// Copy a value out of its encoding, aligned or not.
pub(crate) fn read<T: Plain>(bytes: &[u8]) -> Result<T, DecodeError> {
    let wrong = |_| DecodeError::Size { name: T::NAME, expected: size_of::<T>(), found: bytes.len() };
    bytemuck::try_pod_read_unaligned(bytes).map_err(wrong)
}

/// The description that travels to clients.
pub(crate) fn describe<T: Plain>() -> TypeInfo {
    let field = |field: &PlainField, part: &Part| Field {
        name: format!("{}{}", field.name, part.suffix),
        ty: part.ty,
        offset: field.offset + part.offset,
        length: part.length,
    };
    TypeInfo {
        id: TypeId::of_version(T::NAME, T::VERSION),
        name: T::NAME.to_owned(),
        size: size_of::<T>() as u16,
        fields: T::FIELDS.iter().flat_map(|f| f.parts.iter().map(move |part| field(f, part))).collect(),
    }
}
