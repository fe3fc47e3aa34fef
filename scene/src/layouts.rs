//! What a build of a game keeps and says, in words: two builds are compared before one takes over the other's shards.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pangaea_schemas::registry::TypeInfo;
use serde::{Deserialize, Serialize};

use crate::ecs::kinds::{ComponentKind, Kinds};

/// Every type that leaves a process: in records, between shards, to clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layouts {
    /// Hash of what clients and peers are told, the order of types included.
    registry: String,
    /// By sort and name, such as `component health`: what it is made of, a line each.
    types: BTreeMap<String, Vec<String>>,
}

impl Layouts {
    pub(crate) fn of(registry: String, kinds: &Kinds) -> Self {
        let mut types: BTreeMap<String, Vec<String>> =
            kinds.components.iter().map(|kind| (format!("component {}", kind.name), component(kind))).collect();
        for (sort, messages) in [("input", &kinds.inputs), ("event", &kinds.events), ("effect", &kinds.effects)] {
            types.extend(messages.iter().map(|kind| (format!("{sort} {}", kind.name), fields(&kind.info))));
        }
        Self { registry, types }
    }

    /// What another build has otherwise, in words, a line each; nothing: each reads what the other writes.
    pub fn changes_to(&self, other: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, ours) in &self.types {
            match other.types.get(name) {
                None => changes.push(format!("{name} is gone")),
                Some(theirs) if theirs == ours => {}
                Some(theirs) => {
                    changes.push(format!("{name} is made of something else"));
                    changes.extend(ours.iter().filter(|line| !theirs.contains(line)).map(|line| format!("  - {line}")));
                    changes.extend(theirs.iter().filter(|line| !ours.contains(line)).map(|line| format!("  + {line}")));
                }
            }
        }
        let is_new = |name: &&String| !self.types.contains_key(*name);
        changes.extend(other.types.keys().filter(is_new).map(|name| format!("{name} is new")));
        if changes.is_empty() && self.registry != other.registry {
            changes.push("the types are the same, but are registered in another order: keep the plugins' order".to_owned());
        }
        changes
    }

    /// All types, as text.
    pub fn in_words(&self) -> String {
        let mut text = format!("registry {}", self.registry);
        for (name, lines) in &self.types {
            // Writing to a string does not fail.
            let _ = write!(text, "\n{name}");
            lines.iter().for_each(|line| _ = write!(text, "\n  {line}"));
        }
        text
    }
}

fn component(kind: &ComponentKind) -> Vec<String> {
    let flags = [(kind.replicated, "replicated"), (kind.persistent, "persistent"), (kind.ghosted, "ghosted")];
    let flags: Vec<_> = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| *word).collect();
    let mut lines = vec![if flags.is_empty() { "no flags".to_owned() } else { flags.join(", ") }];
    match &kind.info {
        Some(info) => lines.extend(fields(info)),
        None => lines.push(format!("encoded by serde, as {}", kind.rust)),
    }
    lines
}

fn fields(info: &TypeInfo) -> Vec<String> {
    let mut lines = vec![format!("{} bytes", info.size)];
    lines.extend(info.fields.iter().map(|field| match field.length {
        0 | 1 => format!("{}: {:?} at {}", field.name, field.ty, field.offset),
        length => format!("{}: {length} of {:?} at {}", field.name, field.ty, field.offset),
    }));
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::game::Game;
    use crate::prelude::*;

    use super::*;

    #[component]
    struct Fuel {
        litres: f32,
    }

    #[component]
    struct Paint {
        red: u8,
    }

    mod later {
        use crate::prelude::*;

        #[component]
        pub(super) struct Fuel {
            pub(super) litres: f64,
        }
    }

    fn layouts(game: fn(&mut Game)) -> Arc<Layouts> {
        Arc::clone(Game::build(game).expect("a game").layouts())
    }

    #[test]
    fn what_another_build_has_otherwise_is_told_line_by_line() {
        let before = layouts(|game| {
            game.component::<Fuel>().replicated();
        });
        assert_eq!(before.changes_to(&before), Vec::<String>::new());
        let other = layouts(|game| {
            game.component::<later::Fuel>().replicated();
            game.component::<Paint>();
        });
        let name = |ty: &str| format!("component {ty}");
        let (fuel, paint) = (name(<Fuel as crate::ecs::Plain>::NAME), name(<Paint as crate::ecs::Plain>::NAME));
        let changed = vec![
            format!("{fuel} is made of something else"),
            "  - 4 bytes".to_owned(),
            "  - litres: F32 at 0".to_owned(),
            "  + 8 bytes".to_owned(),
            "  + litres: F64 at 0".to_owned(),
        ];
        assert_eq!(before.changes_to(&other), [changed, vec![format!("{paint} is new")]].concat());
        assert!(other.changes_to(&before).contains(&format!("{paint} is gone")));
        let hidden = layouts(|game| {
            game.component::<Fuel>();
        });
        assert_eq!(before.changes_to(&hidden)[1..], ["  - replicated".to_owned(), "  + no flags".to_owned()]);
    }

    #[test]
    fn another_order_is_told_too() {
        let [one, two]: [fn(&mut Game); 2] = [
            |game| {
                game.component::<Fuel>().replicated();
                game.component::<Paint>().replicated();
            },
            |game| {
                game.component::<Paint>().replicated();
                game.component::<Fuel>().replicated();
            },
        ];
        let changes = layouts(one).changes_to(&layouts(two));
        assert!(matches!(&changes[..], [one] if one.contains("another order")), "{changes:?}");
    }
}
