//! Which system of a shard runs just now, told to a driver that measures. Nothing here reads a clock.
//!
//! Every system of a game is wrapped once, when its shard's schedule is made. The wrapper looks at one flag; only in a tick in
//! which somebody listens it says that its system begins and that it has ended. Systems see nothing of it, so a tick does the
//! same whether it is measured or not.

use std::any::TypeId;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bevy_ecs::schedule::{ApplyDeferred, Schedule, SystemWithAccess};
use bevy_ecs::system::{Adapt, AdapterSystem, IntoSystem, RunSystemError, System};
use pangaea_schemas::message::COST_NAME_BYTES_MAX;

/// What names of scripts begin with, among those of systems.
pub const SCRIPT_PREFIX: &str = "script ";

/// A moment in a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment<'n> {
    /// A system begins.
    Begins,
    /// It has ended: its name, without its crate's.
    Ended(&'n Arc<str>),
}

/// Hears the moments of a tick, in the thread that runs it.
pub type Listener = Box<dyn FnMut(Moment<'_>) + Send>;

/// Where the systems of one world say when they run. Its lock is never waited for: one thread ticks a world.
#[derive(Clone, Default)]
pub(crate) struct Probe(Arc<Shared>);

#[derive(Default)]
struct Shared {
    is_heard: AtomicBool,
    listener: Mutex<Option<Listener>>,
}

impl Probe {
    /// From now on `listener` hears; `None`: nobody does.
    pub(crate) fn set(&self, listener: Option<Listener>) {
        self.0.is_heard.store(listener.is_some(), Ordering::Relaxed);
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = listener;
    }

    /// Does something that has a name.
    pub(crate) fn around<T>(&self, name: &Arc<str>, does: impl FnOnce() -> T) -> T {
        if !self.0.is_heard.load(Ordering::Relaxed) {
            return does();
        }
        self.say(Moment::Begins);
        let done = does();
        self.say(Moment::Ended(name));
        done
    }

    fn say(&self, moment: Moment<'_>) {
        if let Some(listener) = self.0.listener.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            listener(moment);
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

/// Wraps all systems that were added to a schedule so far. To be done before it is initialised.
pub(crate) fn observe(schedule: &mut Schedule, probe: &Probe) {
    let systems = &mut schedule.graph_mut().systems;
    let applies = TypeId::of::<ApplyDeferred>();
    let keys: Vec<_> = systems.iter().filter(|(_, system, _)| system.system_type() != applies).map(|(key, ..)| key).collect();
    for key in keys {
        let Some(place) = systems.get_mut(key) else { continue };
        let system = std::mem::replace(place, SystemWithAccess::new(Box::new(IntoSystem::into_system(|| {}))));
        let full = system.name();
        let telling = Telling { name: short(&full.to_string()), probe: probe.clone() };
        *place = SystemWithAccess::new(Box::new(AdapterSystem::new(telling, system, full)));
    }
}

/// Such as `wander::walk`: a path without its crate.
fn short(path: &str) -> Arc<str> {
    let rest = path.split_once("::").filter(|(head, _)| !head.contains('<')).map_or(path, |(_, rest)| rest);
    Arc::from(&rest[..rest.floor_char_boundary(COST_NAME_BYTES_MAX)])
}

/// Says when a system runs.
struct Telling {
    name: Arc<str>,
    probe: Probe,
}

impl Adapt<SystemWithAccess> for Telling {
    type In = ();
    type Out = ();

    fn adapt(&mut self, (): (), run: impl FnOnce(()) -> Result<(), RunSystemError>) -> Result<(), RunSystemError> {
        self.probe.around(&self.name, || run(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_without_their_crate() {
        for (path, wanted) in [
            ("pangaea_game::wander::walk", "wander::walk"),
            ("walk", "walk"),
            ("Twice<game::walk>", "Twice<game::walk>"),
            ("game::expire<game::Fire>", "expire<game::Fire>"),
        ] {
            assert_eq!(&*short(path), wanted);
        }
        assert_eq!(short(&format!("game::{}", "é".repeat(200))).len(), COST_NAME_BYTES_MAX);
    }
}
