//! A network that loses, doubles, reorders and delays as it likes: a set of everything that was ever said.
//!
//! A message is never taken out by being heard, so each may be heard again, later, or not at all.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use crate::explore::fingerprint;

/// Everything that was said, in an order that says nothing.
#[derive(Clone, Debug)]
pub struct Net<M>(Vec<(u64, Rc<M>)>);

impl<M> Default for Net<M> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<M> Hash for Net<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (name, _) in &self.0 {
            state.write_u64(*name);
        }
        state.write_usize(self.0.len());
    }
}

impl<M: Hash> Net<M> {
    /// Somebody says something; saying it again says nothing new.
    pub fn say(&mut self, message: M) {
        let name = fingerprint(&message);
        if let Err(at) = self.0.binary_search_by_key(&name, |(name, _)| *name) {
            self.0.insert(at, (name, Rc::new(message)));
        }
    }

    /// Everything that may be heard.
    pub fn heard(&self) -> impl Iterator<Item = &Rc<M>> {
        self.0.iter().map(|(_, message)| message)
    }

    /// Drops what can change nothing any more, so that states which differ in nothing else are one.
    pub fn keep(&mut self, mut matters: impl FnMut(&M) -> bool) {
        self.0.retain(|(_, message)| matters(message));
    }
}
