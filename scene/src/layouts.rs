//! What a build of a game keeps and says, in words: two builds are compared before one takes over the other's shards.
//!
//! While both run, each reads what the other writes, and nothing that one of them keeps is lost at the other. So of what the
//! running build knows nothing may be made of something else, and nothing may be gone; but what is new is no harm, and a
//! component with another layout is no change if the new build declares what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use pangaea_schemas::TypeId;
use pangaea_schemas::record::RECORD_COMPONENTS_MAX;
use pangaea_schemas::registry::{Dialect, TypeInfo};
use serde::{Deserialize, Serialize};

use crate::ecs::kinds::{ComponentKind, Kinds};

/// Every type that leaves a process: in records, between shards, to clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layouts {
    /// Hash of what clients are told, the order of types included.
    registry: String,
    /// By sort and name, such as `component health`, or `component health@2` of its second layout.
    types: BTreeMap<String, Layout>,
    /// Layouts that components had before, which are still written.
    formers: BTreeMap<String, Layout>,
    /// Names of types that were taken out on purpose.
    retired: BTreeSet<String>,
    /// By name: what may be set, in words.
    tunables: BTreeMap<String, String>,
}

/// One type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Layout {
    /// Who reads it: of components only.
    flags: BTreeSet<String>,
    /// What it is made of, a line each.
    made_of: Vec<String>,
}

/// What another build has otherwise, in words, a line each; indented lines belong to the one above.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// What only the other build has.
    pub added: Vec<String>,
    /// Components that it has in another layout, and what became of them.
    pub converted: Vec<String>,
    /// What it does not have any more, on purpose.
    pub retired: Vec<String>,
    /// Why it cannot run beside this one, and how to mend that.
    pub refused: Vec<String>,
}

impl Layouts {
    pub(crate) fn of(registry: String, kinds: &Kinds) -> Self {
        let mut layouts = Self { registry, ..Self::default() };
        for kind in &kinds.components {
            layouts.types.insert(component_key(kind.name, kind.version), Layout { flags: flags(kind), made_of: made_of(kind) });
            for former in &kind.formers {
                let layout = Layout { flags: BTreeSet::new(), made_of: fields(&former.info) };
                layouts.formers.insert(component_key(kind.name, former.version), layout);
            }
        }
        for (sort, messages) in [("input", &kinds.inputs), ("event", &kinds.events), ("effect", &kinds.effects)] {
            let layout = |info| Layout { flags: BTreeSet::new(), made_of: fields(info) };
            layouts.types.extend(messages.iter().map(|kind| (format!("{sort} {}", kind.name), layout(&kind.info))));
        }
        layouts.retired = kinds.retired.iter().map(|name| (*name).to_owned()).collect();
        let specs = kinds.tunables.iter().flat_map(|kind| &kind.specs);
        layouts.tunables = specs.map(|spec| (spec.name.clone(), format!("{:?}", spec.kind))).collect();
        layouts
    }

    /// What another build has otherwise that is to run beside this one, and whether it can.
    pub fn compared_with(&self, other: &Self) -> Comparison {
        let mut comparison = Comparison::default();
        let ours = || self.types.iter().chain(&self.formers);
        for (key, layout) in ours() {
            match (other.types.get(key), other.formers.get(key)) {
                (Some(theirs), _) => comparison.judge(key, layout, theirs, self.types.contains_key(key)),
                (None, Some(theirs)) if theirs.made_of != layout.made_of => comparison.refuse_change(key, layout, theirs),
                (None, Some(_)) if self.formers.contains_key(key) => {}
                (None, Some(_)) => comparison.convert(key, layout, other),
                (None, None) if other.retired.contains(name_of(key)) => {
                    comparison.retired.push(format!("{key} is retired: entities that have it carry it on"));
                }
                (None, None) => match ours().map(|(known, _)| known).find(|known| other.knows(known) && is_before(known, key)) {
                    Some(earlier) => comparison.converted.push(format!(
                        "{key} becomes {earlier} again; what only {key} has is carried on, so it is there if this is taken back"
                    )),
                    None => comparison.refuse_loss(key, other),
                },
            }
        }
        let is_new = |key: &&String| !ours().any(|(known, _)| known == *key || is_before(known, key));
        comparison.added.extend(other.types.keys().filter(is_new).map(|key| added(key)));
        let components: BTreeSet<_> = ours()
            .chain(&other.types)
            .chain(&other.formers)
            .map(|(key, _)| key)
            .filter(|key| key.starts_with(COMPONENT))
            .collect();
        if components.len() > RECORD_COMPONENTS_MAX {
            comparison.refused.push(format!(
                "both builds together have {} components and layouts of them; {RECORD_COMPONENTS_MAX} fit into a record: join some",
                components.len()
            ));
        }
        self.compare_tunables(other, &mut comparison);
        comparison
    }

    /// What of a world that this build has kept another one would lose by starting on it, in words, a line each: of components
    /// that are persistent, since nothing else lasts.
    pub fn losses_of(&self, other: &Self) -> Vec<String> {
        let lasting = |layout: &Layout| layout.flags.contains(PERSISTENT);
        let only_lasting = |layouts: &Self| {
            let of_components = layouts.types.iter().filter(|(key, _)| key.starts_with(COMPONENT));
            let flags = |layout: &Layout| layout.flags.iter().filter(|flag| *flag == PERSISTENT).cloned().collect();
            let types = of_components.map(|(key, layout)| (key.clone(), Layout { flags: flags(layout), ..layout.clone() }));
            Self { types: types.collect(), tunables: BTreeMap::new(), ..layouts.clone() }
        };
        let (mut ours, theirs) = (only_lasting(self), only_lasting(other));
        ours.types.retain(|_, layout| lasting(layout));
        ours.formers.retain(|key, _| ours.types.keys().any(|own| split_version(own).0 == split_version(key).0));
        ours.compared_with(&theirs).refused
    }

    /// Reads it, as its own or as a former layout.
    fn knows(&self, key: &str) -> bool {
        self.types.contains_key(key) || self.formers.contains_key(key)
    }

    fn compare_tunables(&self, other: &Self, comparison: &mut Comparison) {
        for (name, kind) in &other.tunables {
            match self.tunables.get(name) {
                None => comparison
                    .added
                    .push(format!("tunable {name} is new: it is what the source says until the world runs a build that has it")),
                Some(was) if was != kind => {
                    comparison
                        .converted
                        .push(format!("tunable {name} may be something else: a value that does not fit counts as not set"));
                    comparison.converted.extend([format!("  - {was}"), format!("  + {kind}")]);
                }
                Some(_) => {}
            }
        }
        let gone = self.tunables.keys().filter(|name| !other.tunables.contains_key(*name));
        comparison.retired.extend(gone.map(|name| format!("tunable {name} is gone: setting it does nothing any more")));
    }

    /// All types, as text.
    pub fn in_words(&self) -> String {
        let mut text = format!("registry {}", self.registry);
        for (title, types) in [("", &self.types), ("former ", &self.formers)] {
            for (name, Layout { flags, made_of }) in types {
                // Writing to a string does not fail.
                let _ = write!(text, "\n{title}{name}");
                if name.starts_with(COMPONENT) && title.is_empty() {
                    let _ = write!(text, "\n  {}", flags_in_words(flags));
                }
                made_of.iter().for_each(|line| _ = write!(text, "\n  {line}"));
            }
        }
        self.retired.iter().for_each(|name| _ = write!(text, "\nretired {name}"));
        text
    }
}

impl Comparison {
    /// Whether both builds can run side by side.
    pub fn is_possible(&self) -> bool {
        self.refused.is_empty()
    }

    /// Whether each reads what the other writes, without more.
    pub fn is_same(&self) -> bool {
        *self == Self::default()
    }

    /// A type that both have as their own.
    fn judge(&mut self, key: &str, ours: &Layout, theirs: &Layout, is_own: bool) {
        if ours.made_of != theirs.made_of {
            return self.refuse_change(key, ours, theirs);
        }
        let lost: Vec<_> = if is_own { ours.flags.difference(&theirs.flags).collect() } else { Vec::new() };
        for flag in lost {
            self.refused.push(format!("{key} is not {flag} any more"));
            self.refused.push("  keep `.".to_owned() + flag + "()` where it is registered");
        }
        if is_own {
            let won = theirs.flags.difference(&ours.flags);
            self.added.extend(won.map(|flag| format!("{key} is {flag} now: in shards of the new build only")));
        }
    }

    fn refuse_change(&mut self, key: &str, ours: &Layout, theirs: &Layout) {
        self.refused.push(format!("{key} is made of something else"));
        self.refused.extend(difference(ours, theirs));
        self.refused.push(if key.starts_with(COMPONENT) {
            let (_, version) = split_version(key);
            let next = version + 1;
            format!(
                "  make it the next version of itself: `#[component(version = {next}, added(field = value))]` if fields were added, or \
                 `#[component(version = {next}, was = …)]` with `From` both ways (docs/cookbook.md)"
            )
        } else {
            "  give it another name, and keep what has this one until no build that says it runs any more".to_owned()
        });
    }

    fn refuse_loss(&mut self, key: &str, other: &Layouts) {
        self.refused.push(format!("{key} is gone"));
        let (base, _) = split_version(key);
        let successor = other.types.keys().find(|known| split_version(known).0 == base);
        self.refused.push(match successor {
            Some(successor) => {
                format!(
                    "  say that it became {successor}: keep `was = …` or `added(…)` for each layout that records may still be in"
                )
            }
            None => format!("  keep it, or say that it went on purpose: `game.retired(\"{}\")`", name_of(key)),
        });
    }

    fn convert(&mut self, key: &str, was: &Layout, other: &Layouts) {
        let (base, _) = split_version(key);
        let Some((successor, now)) = other.types.iter().find(|(known, _)| split_version(known).0 == base) else { return };
        self.converted.push(format!("{key} becomes {successor}; both are written, so either build reads what the other writes"));
        self.converted.extend(difference(was, now));
        for flag in was.flags.difference(&now.flags) {
            self.refused.push(format!("{successor} is not {flag} any more, as {key} was"));
            self.refused.push("  keep `.".to_owned() + flag + "()` where it is registered");
        }
    }
}

/// What is converted, added and so on, for a terminal.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts =
            [("New:", &self.added), ("Converted:", &self.converted), ("Retired:", &self.retired), ("Refused:", &self.refused)];
        let mut told = parts.iter().filter(|(_, lines)| !lines.is_empty());
        let part = |(title, lines): &(&str, &Vec<String>), f: &mut fmt::Formatter<'_>| {
            write!(f, "{title}")?;
            lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
        };
        if let Some(first) = told.next() {
            part(first, f)?;
        }
        told.try_for_each(|next| {
            writeln!(f)?;
            part(next, f)
        })
    }
}

/// What two nodes compare before they talk: see [`Dialect`].
pub(crate) fn dialect(kinds: &Kinds) -> Dialect {
    let mut types: Vec<(&str, TypeId, Vec<String>)> = Vec::new();
    for kind in &kinds.components {
        types.push(("component", kind.id, made_of(kind)));
        types.extend(kind.formers.iter().map(|former| ("component", former.id, fields(&former.info))));
    }
    for (sort, messages) in [("input", &kinds.inputs), ("event", &kinds.events), ("effect", &kinds.effects)] {
        types.extend(messages.iter().map(|kind| (sort, kind.id, fields(&kind.info))));
    }
    Dialect::of(types.iter().map(|(sort, id, lines)| (*sort, *id, &lines[..])))
}

/// What a component's key begins with.
const COMPONENT: &str = "component ";
/// The flag of components that records hold.
const PERSISTENT: &str = "persistent";

fn component_key(name: &str, version: u16) -> String {
    if version == 1 { format!("{COMPONENT}{name}") } else { format!("{COMPONENT}{name}@{version}") }
}

/// `component health@2` is the second layout of `component health`.
fn split_version(key: &str) -> (&str, u16) {
    let later = key.rsplit_once('@').and_then(|(base, version)| Some((base, version.parse().ok()?)));
    later.filter(|_| key.starts_with(COMPONENT)).unwrap_or((key, 1))
}

/// Whether `one` is an earlier layout of the component of which `other` is one.
fn is_before(one: &str, other: &str) -> bool {
    let ((one, earlier), (other, later)) = (split_version(one), split_version(other));
    one == other && earlier < later
}

/// The registered name in a key.
fn name_of(key: &str) -> &str {
    let (base, _) = split_version(key);
    base.split_once(' ').map_or(base, |(_, name)| name)
}

/// What is said of something that only the new build has.
fn added(key: &str) -> String {
    let meanwhile = match key.split_once(' ').map(|(sort, _)| sort) {
        Some("effect") => ": a shard of the old build that is sent one leaves it out",
        Some("input") => ": clients learn of it when gateways run this build",
        Some("event") => ": clients learn what it means when gateways run this build",
        Some(_) | None => ": shards of the old build carry it unseen, clients see it when gateways run this build",
    };
    format!("{key} is new{meanwhile}")
}

fn difference(ours: &Layout, theirs: &Layout) -> Vec<String> {
    let less = ours.made_of.iter().filter(|line| !theirs.made_of.contains(line)).map(|line| format!("  - {line}"));
    let more = theirs.made_of.iter().filter(|line| !ours.made_of.contains(line)).map(|line| format!("  + {line}"));
    less.chain(more).collect()
}

fn flags(kind: &ComponentKind) -> BTreeSet<String> {
    let flags = [(kind.replicated, "replicated"), (kind.persistent, PERSISTENT), (kind.ghosted, "ghosted")];
    flags.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| (*word).to_owned()).collect()
}

fn flags_in_words(flags: &BTreeSet<String>) -> String {
    if flags.is_empty() { "no flags".to_owned() } else { flags.iter().map(String::as_str).collect::<Vec<_>>().join(", ") }
}

fn made_of(kind: &ComponentKind) -> Vec<String> {
    match &kind.info {
        Some(info) => fields(info),
        None => vec![format!("encoded by serde, as {}", kind.rust)],
    }
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
mod tests;
