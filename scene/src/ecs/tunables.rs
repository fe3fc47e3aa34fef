//! Tunables: values that designers change while the world runs. All shards see a change from the same tick on.
//!
//! A group of them is a struct with the attribute `#[tunable]`; systems read it with [`Tunable`].

use std::ops::Deref;

use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Res, SystemParam};
use bevy_ecs::world::World;
use pangaea_schemas::rules::{Rules, TuneKind, TuneSpec, TuneValue};

use super::plain::Text;

/// A group of tunables. Implemented by the attribute `#[tunable]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a group of tunables",
    note = "write `#[tunable]` above the struct, and `#[tune(first value, lowest..=highest)]` above each field"
)]
pub trait Tunables: Clone + Send + Sync + 'static {
    /// The group's name, the first part of its tunables' names.
    const NAME: &'static str;

    /// What designers may set.
    fn specs() -> Vec<TuneSpec>;

    /// What it is until somebody does.
    fn begin() -> Self;

    /// Sets a field. The value has passed the field's [`TuneSpec::check`].
    fn tune(&mut self, field: &str, value: &TuneValue);
}

/// What may be a field of a group of tunables.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be tuned",
    note = "use f32, f64, i8 to i64, u8 to u32, `bool` or `Text<N>`"
)]
pub trait TuneField: Sized {
    /// How its first value is written in the source.
    type Source;

    /// From the source.
    fn begin(source: Self::Source) -> Self;

    /// Its description.
    fn spec(name: &str, about: &str, initial: Self::Source, range: Option<(Self::Source, Self::Source)>) -> TuneSpec;

    /// Takes a value that fits; any other changes nothing.
    fn tune(&mut self, value: &TuneValue);
}

fn describe(name: &str, about: &str, initial: TuneValue, kind: TuneKind) -> TuneSpec {
    TuneSpec { name: name.to_owned(), about: about.to_owned(), initial, kind }
}

macro_rules! numbers {
    ($($rust:ty => $variant:ident by $wide:expr),* $(,)?) => { $(
        impl TuneField for $rust {
            type Source = Self;

            fn begin(source: Self) -> Self {
                source
            }

            fn spec(name: &str, about: &str, initial: Self, range: Option<(Self, Self)>) -> TuneSpec {
                let (min, max) = range.unwrap_or((Self::MIN, Self::MAX));
                let kind = TuneKind::$variant { min: $wide(min), max: $wide(max) };
                describe(name, about, TuneValue::$variant($wide(initial)), kind)
            }

            fn tune(&mut self, value: &TuneValue) {
                if let TuneValue::$variant(value) = value {
                    // The range, which was checked, is of this type.
                    *self = *value as Self;
                }
            }
        }
    )* };
}
numbers! {
    f32 => Float by as_written, f64 => Float by f64::from,
    i8 => Int by i64::from, i16 => Int by i64::from, i32 => Int by i64::from, i64 => Int by i64::from,
    u8 => Int by i64::from, u16 => Int by i64::from, u32 => Int by i64::from,
}

/// 2.4 of 32 bits is told as 2.4, not as the number of 64 bits that is nearest to it.
fn as_written(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

impl TuneField for bool {
    type Source = Self;

    fn begin(source: Self) -> Self {
        source
    }

    fn spec(name: &str, about: &str, initial: Self, _: Option<(Self, Self)>) -> TuneSpec {
        describe(name, about, TuneValue::Flag(initial), TuneKind::Flag)
    }

    fn tune(&mut self, value: &TuneValue) {
        if let TuneValue::Flag(value) = value {
            *self = *value;
        }
    }
}

impl<const N: usize> TuneField for Text<N> {
    type Source = &'static str;

    fn begin(source: &'static str) -> Self {
        Self::new(source)
    }

    fn spec(name: &str, about: &str, initial: &'static str, _: Option<(&'static str, &'static str)>) -> TuneSpec {
        describe(name, about, TuneValue::Text(initial.to_owned()), TuneKind::Text { bytes_max: N })
    }

    fn tune(&mut self, value: &TuneValue) {
        if let TuneValue::Text(value) = value {
            *self = Self::new(value);
        }
    }
}

/// A group of tunables as it is now; the same on all shards.
#[derive(Resource)]
pub struct Tuned<T: Send + Sync + 'static>(T);

/// Reads a group of tunables.
#[derive(SystemParam)]
pub struct Tunable<'w, T: Tunables> {
    tuned: Res<'w, Tuned<T>>,
}

impl<T: Tunables> Deref for Tunable<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.tuned.0
    }
}

/// A registered group.
#[derive(Clone)]
pub(crate) struct TunableKind {
    pub(crate) rust: &'static str,
    pub(crate) name: &'static str,
    pub(crate) specs: Vec<TuneSpec>,
    /// Makes the group what the rules say.
    pub(crate) apply: fn(&mut World, &[TuneSpec], &Rules),
}

impl TunableKind {
    pub(crate) fn of<T: Tunables>() -> Self {
        Self { rust: std::any::type_name::<T>(), name: T::NAME, specs: T::specs(), apply: apply::<T> }
    }
}

/// A value that does not fit was set for another build of the game, and counts as not set.
fn apply<T: Tunables>(world: &mut World, specs: &[TuneSpec], rules: &Rules) {
    let mut tuned = T::begin();
    for spec in specs {
        let fitting = rules.tuned(&spec.name).and_then(|value| spec.check(value.clone()).ok());
        if let (Some(value), Some((_, field))) = (fitting, spec.name.split_once('.')) {
            tuned.tune(field, &value);
        }
    }
    world.insert_resource(Tuned(tuned));
}
