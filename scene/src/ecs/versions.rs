//! Layouts that a component had before, and components that this build does not know.
//!
//! A layout never changes: another one is another version of the component, with an id of its own. A build writes a component in
//! all layouts that it declares, so an older build finds the one that it knows and carries the others on as they are
//! ([`Carried`]). Whoever reads takes the latest layout, and into it what an older build has changed meanwhile: see
//! [`ComponentKind::gather`].

use std::fmt;

use bevy_ecs::component::Component;
use pangaea_schemas::TypeId;
use pangaea_schemas::record::ComponentBytes;
use pangaea_schemas::registry::TypeInfo;

use super::kinds::{ComponentKind, Kinds};
use super::plain::{DecodeError, Plain, describe, read};

/// A later layout of the component that was laid out as `Was`: both are made from each other.
///
/// ```compile_fail,E0277
/// use pangaea_scene::prelude::*;
/// #[component(name = "fuel")]
/// struct FuelBefore {
///     litres: f32,
/// }
/// #[component(version = 2, was = FuelBefore)]
/// struct Fuel {
///     millilitres: u32,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is said to have been `{Was}`, but one is not made from the other",
    note = "write `impl From<{Was}> for {Self}` and, for builds that know the former layout only, `impl From<{Self}> for {Was}`"
)]
pub trait Succeeds<Was>: Plain {
    /// From the former layout.
    fn of_former(was: Was) -> Self;
    /// In the former layout.
    fn as_former(self) -> Was;
}

impl<Was: Plain + From<Now>, Now: Plain + From<Was>> Succeeds<Was> for Now {
    fn of_former(was: Was) -> Self {
        was.into()
    }

    fn as_former(self) -> Was {
        self.into()
    }
}

/// A layout that a component had before. Made by `#[component(version = …, was = …)]`.
#[derive(Clone)]
pub struct Former {
    pub(crate) id: TypeId,
    pub(crate) version: u16,
    pub(crate) info: TypeInfo,
    /// Its bytes in the next layout; the second are those of the next layout that are held beside it.
    later: Later,
    /// The next layout's bytes in this one.
    earlier: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
}

/// See [`Former`].
type Later = fn(&[u8], Option<&[u8]>) -> Result<Vec<u8>, DecodeError>;

impl fmt::Debug for Former {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Former({} version {})", self.info.name, self.version)
    }
}

impl Former {
    /// The layout `Was` of the component that is now `Now`.
    pub fn of<Was: Plain, Now: Succeeds<Was>>() -> Self {
        Self {
            id: TypeId::of_version(Was::NAME, Was::VERSION),
            version: Was::VERSION,
            info: describe::<Was>(),
            later: later::<Was, Now>,
            earlier: |now| Ok(bytemuck::bytes_of(&read::<Now>(now)?.as_former()).to_vec()),
        }
    }
}

/// Whether two names are the same: for checks while a game is compiled.
#[doc(hidden)]
pub const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// What `was` is in the next layout, which was `last` when both were written. If nobody changed `was` since, it is `last`. Who
/// changed it did not know the next layout: the fields that come out otherwise than they would have come out then are his, all
/// others stay.
fn later<Was: Plain, Now: Succeeds<Was>>(was: &[u8], last: Option<&[u8]>) -> Result<Vec<u8>, DecodeError> {
    let told: Was = read(was)?;
    let fresh = Now::of_former(told);
    let Some(last) = last else { return Ok(bytemuck::bytes_of(&fresh).to_vec()) };
    let known: Now = read(last)?;
    let then: Was = known.as_former();
    if bytemuck::bytes_of(&then) == was {
        return Ok(last.to_vec());
    }
    let base = Now::of_former(then);
    let (base, fresh) = (bytemuck::bytes_of(&base), bytemuck::bytes_of(&fresh));
    let mut merged = last.to_vec();
    let starts = Now::FIELDS.iter().map(|field| usize::from(field.offset));
    let ends = starts.clone().skip(1).chain([size_of::<Now>()]);
    for field in starts.zip(ends).map(|(start, end)| start..end) {
        if base[field.clone()] != fresh[field.clone()] {
            merged[field.clone()].copy_from_slice(&fresh[field]);
        }
    }
    Ok(merged)
}

impl ComponentKind {
    /// The id of the component's first layout: later ones are numbered from it.
    pub(crate) fn first_id(&self) -> TypeId {
        TypeId::of(self.name)
    }

    /// The id of a layout: 0 is the present one, 1 the one before.
    fn layout_id(&self, level: usize) -> TypeId {
        level.checked_sub(1).map_or(self.id, |at| self.formers[at].id)
    }

    /// Which of its layouts has this id, if one has.
    pub(crate) fn level_of(&self, id: TypeId) -> Option<usize> {
        if self.id == id { Some(0) } else { self.formers.iter().position(|former| former.id == id).map(|at| at + 1) }
    }

    /// Its present bytes, out of all that are held of its layouts. `None`: none of them is.
    pub(crate) fn gather<'b>(&self, held: impl Fn(TypeId) -> Option<&'b [u8]>) -> Result<Option<Vec<u8>>, DecodeError> {
        let mut gathered: Option<Vec<u8>> = None;
        for level in (0..=self.formers.len()).rev() {
            let here = held(self.layout_id(level));
            gathered = match gathered {
                None => here.map(<[u8]>::to_vec),
                Some(older) => Some((self.formers[level].later)(&older, here)?),
            };
        }
        Ok(gathered)
    }

    /// What its present bytes are in each former layout, the latest first.
    pub(crate) fn in_formers(&self, own: &[u8], visit: &mut dyn FnMut(TypeId, &[u8])) {
        let mut later: Option<Vec<u8>> = None;
        for former in &self.formers {
            match (former.earlier)(later.as_deref().unwrap_or(own)) {
                Ok(earlier) => visit(former.id, later.insert(earlier)),
                // Its own bytes: of the right size by construction.
                Err(error) => return tracing::error!(%error, "a component is not told in a former layout"),
            }
        }
    }

    /// Its present bytes once a layout of another build is heard of, beside what is known so far.
    pub(crate) fn learn(&self, told: &ComponentBytes, known: Option<&[u8]>) -> Result<Option<Vec<u8>>, DecodeError> {
        let mut layers = vec![(told.id, told.bytes.to_vec())];
        let level = self.level_of(told.id).unwrap_or_default();
        if let Some(known) = known {
            let mut keep = |id, bytes: &[u8]| {
                if self.level_of(id).is_some_and(|other| other < level) {
                    layers.push((id, bytes.to_vec()));
                }
            };
            keep(self.id, known);
            self.in_formers(known, &mut keep);
        }
        self.gather(|id| layers.iter().find(|(layer, _)| *layer == id).map(|(_, bytes)| &bytes[..]))
    }
}

impl Kinds {
    /// The component of which this is a layout, and whether it is the present one.
    pub(crate) fn with_layout(&self, id: TypeId) -> Option<(&ComponentKind, bool)> {
        self.components.iter().find_map(|kind| kind.level_of(id).map(|level| (kind, level == 0)))
    }

    /// The component of which this is a layout that this build does not know, and whether that is a later one than it has.
    pub(crate) fn kin(&self, id: TypeId) -> Option<(&ComponentKind, bool)> {
        let version = |kind: &ComponentKind| id.version_of(kind.first_id()).map(|version| version > kind.version);
        self.components.iter().find_map(|kind| version(kind).map(|is_later| (kind, is_later)))
    }
}

/// What an entity has that this build does not know: of a newer build, or of one that had more. Goes wherever the entity goes. It
/// came in a record, so it is bounded as records are; `pangaea deploy` sees to it that both builds' components fit into one.
#[derive(Component, Clone, Debug)]
pub(crate) struct Carried(pub(crate) Vec<CarriedPart>);

/// One component of them.
#[derive(Clone, Debug)]
pub(crate) struct CarriedPart {
    pub(crate) component: ComponentBytes,
    /// It is to be in records at rest.
    pub(crate) lasts: bool,
}
