//! What designers set while the world runs: judged, kept, then told to all scenes for one tick.
//!
//! The book of rules is one row at `Data`, changed only against the revision that was read, so a change is durable before any
//! scene hears of it, and one that somebody else made is never overwritten unread.
//!
//! | state | leaves it when |
//! |---|---|
//! | `Reading` | the row comes, or there is none: `Idle` |
//! | `Idle` | a wish waits that changes something: `Writing` |
//! | `Writing` | written: told to the scenes, `Idle` · refused: `Idle` · the row was another: `Reading` |
//!
//! Until the book was read nobody is told anything, and scenes open no shard before they are told.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bevy_ecs::prelude::{IntoScheduleConfigs, Query, Res, ResMut, Resource, World as Ecs};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Address, Control, Message, ScriptFault, Table, TableOp, TableReply, TableRequest};
use pangaea_schemas::rules::{Book, CHANGES_KEPT_MAX, Change, Rules, TuneRefusal, TuneSpec, TuneValue, Tuned};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{NodeId, RequestId, Revision, Role, Tick};

use crate::inbox::Inbox;
use crate::nodes::{Node, Nodes};
use crate::scripts::ScriptWish;
use crate::status::{Events, Happening};
use crate::world::{Now, Outbox, Phase, Repeat, World};

/// Rules hold from so many ticks after they are durable: time for every scene to hear of them.
pub const LEAD_TICKS: u64 = 8;
/// Wishes that wait for those before them; more are dropped, and whoever sent them sees that nothing changed.
pub const WISHES_MAX: usize = 64;
/// Questions to `Data` are repeated this often.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Scenes that do not report the latest rules are told again this often.
const TELL_AGAIN: Duration = Duration::from_millis(500);
/// The book's row in [`Table::Settings`].
const ROW: &str = "rules";

/// What somebody wants to be changed, all of it or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Who, in his own words.
    pub by: String,
    /// How: set, edited, undone.
    pub why: String,
    /// Which tunables, to what; `None`: as the game begins with it.
    pub values: Vec<(String, Option<TuneValue>)>,
    /// And what of scripts.
    pub scripts: Vec<ScriptWish>,
}

/// In front of a script's name in the history.
pub const SCRIPTS_PREFIX: &str = "scripts/";

/// Why nothing can be undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UndoRefusal {
    /// Nothing was ever changed.
    #[error("nothing was changed yet")]
    Nothing,
    /// Too long ago, or never.
    #[error("version {0} is not remembered; see `pangaea tune history`")]
    Unknown(u64),
}

/// What of `values` changes these rules, as their tunables hold it.
///
/// # Errors
/// When one of them does not fit; then nothing is to be changed.
pub fn judge(
    specs: &[TuneSpec],
    rules: &Rules,
    values: &[(String, Option<TuneValue>)],
) -> Result<Vec<(String, Option<TuneValue>)>, TuneRefusal> {
    let mut changes = Vec::new();
    for (name, value) in values {
        let spec = TuneSpec::find(specs, name)?;
        let value = value.clone().map(|value| spec.check(value)).transpose()?.filter(|value| *value != spec.initial);
        if rules.tuned(name) != value.as_ref() {
            changes.push((name.clone(), value));
        }
    }
    Ok(changes)
}

/// The wish that takes back a version's changes; the latest version's when none is named.
///
/// # Errors
/// When it is not remembered.
pub fn undo(book: &Book, version: Option<u64>, by: String) -> Result<Wish, UndoRefusal> {
    // Scripts have files and a past of their own.
    let tuned = book.history.iter().filter(|change| !change.name.starts_with(SCRIPTS_PREFIX));
    let last = tuned.clone().next_back().map(|change| change.version).ok_or(UndoRefusal::Nothing)?;
    let version = version.unwrap_or(last);
    let changes = tuned.filter(|change| change.version == version);
    let values: Vec<_> = changes.map(|c| (c.name.clone(), c.before.as_ref().map(|tuned| tuned.value.clone()))).collect();
    if values.is_empty() {
        return Err(UndoRefusal::Unknown(version));
    }
    Ok(Wish { by, why: format!("undo {version}"), values, scripts: Vec::new() })
}

/// Where the book is.
#[derive(Debug)]
enum State {
    Reading,
    Idle,
    Writing(Arc<Book>),
}

/// The book and what is to be done with it.
#[derive(Resource, Debug)]
pub struct Desk {
    specs: Arc<[TuneSpec]>,
    state: State,
    /// As read or written last.
    book: Option<Arc<Book>>,
    revision: Revision,
    /// What lies in the row is not ours to overwrite.
    sealed: bool,
    asked: RequestId,
    ask: Repeat,
    tell: Repeat,
    wishes: VecDeque<Wish>,
    /// Where which script is off because it failed.
    faults: BTreeSet<(ShardId, String)>,
}

impl Desk {
    /// What may be set.
    pub fn specs(&self) -> Arc<[TuneSpec]> {
        Arc::clone(&self.specs)
    }

    /// The book; `None`: it was not read yet.
    pub fn book(&self) -> Option<Arc<Book>> {
        self.book.clone()
    }

    pub(crate) fn wish(&mut self, wish: Wish) {
        if self.wishes.len() < WISHES_MAX {
            self.wishes.push_back(wish);
        } else {
            tracing::warn!(by = wish.by, "too many changes of the rules wait; one is dropped");
        }
    }

    /// The book was read: what is in force may not have reached everybody, so it is told for a tick to come.
    fn read(&mut self, now: Tick, revision: Revision, value: Option<&bytes::Bytes>) {
        let book = match value.map(Book::from_stored) {
            None => Book::default(),
            Some(Ok(book)) => book,
            Some(Err(error)) => {
                tracing::error!(%error, "the kept rules cannot be read: the game's own hold, and nothing can be changed");
                self.sealed = true;
                Book::default()
            }
        };
        let rules = Rules { version: book.rules.version.max(1), from: in_time(now), ..book.rules };
        self.have(revision, Book { rules, ..book });
    }

    /// The next wish that changes something, as the book would then be. `failing`: scripts that fail somewhere.
    fn next(&mut self, now: Now, failing: &BTreeSet<String>, events: &mut Events) -> Option<Arc<Book>> {
        let book = self.book.clone()?;
        while let Some(wish) = self.wishes.pop_front() {
            let sealed = self.sealed.then(|| "the kept rules are of another build; start that, or remove them".to_owned());
            let judged = match sealed {
                Some(reason) => Err(reason),
                None => changed(&self.specs, &book, now, &wish, failing),
            };
            match judged {
                Ok(Some(book)) => return Some(Arc::new(book)),
                Ok(None) => {}
                Err(reason) => refused(now, &wish.by, reason, events),
            }
        }
        None
    }

    /// What was written is in force soon.
    fn written(&mut self, now: Now, revision: Revision, book: &Book, events: &mut Events) {
        let rules = Rules { from: in_time(now.tick), ..book.rules.clone() };
        for change in book.history.iter().filter(|change| change.version == rules.version) {
            let (name, by) = (change.name.clone(), change.by.clone());
            let value = if name.starts_with(SCRIPTS_PREFIX) { change.why.clone() } else { shown(change.after.as_ref()) };
            tracing::info!(name, value, by, "tuned");
            events.push(now.at, Happening::Tuned { name, value, by, from: rules.from });
        }
        self.have(revision, Book { rules, ..book.clone() });
    }

    /// This is the book now; whoever does not know it is told in this tick.
    fn have(&mut self, revision: Revision, book: Book) {
        self.book = Some(Arc::new(book));
        (self.revision, self.state, self.tell) = (revision, State::Idle, Repeat::every(TELL_AGAIN));
    }

    fn hear(&mut self, now: Now, reply: TableReply, events: &mut Events) {
        match (&self.state, reply) {
            (State::Reading, TableReply::Row { request, revision, value }) if request == self.asked => {
                self.read(now.tick, revision, value.as_ref());
            }
            (State::Writing(book), TableReply::Done { request, revision }) if request == self.asked => {
                let book = Arc::clone(book);
                self.written(now, revision, &book, events);
            }
            (State::Writing(_), TableReply::Conflict { request, .. }) if request == self.asked => {
                // Our own write whose answer was lost, or somebody else's: the row tells.
                (self.state, self.ask) = (State::Reading, Repeat::every(ASK_AGAIN));
            }
            (State::Writing(_), TableReply::Failed { request, reason }) if request == self.asked => {
                refused(now, "data", reason, events);
                self.state = State::Idle;
            }
            (State::Reading | State::Idle | State::Writing(_), reply) => {
                tracing::debug!(?reply, "an answer that nobody waits for");
            }
        }
    }

    /// What fails where, as the scenes report; what is new is told to admins.
    fn hear_faults<'f>(&mut self, now: Now, faults: impl Iterator<Item = &'f ScriptFault>, events: &mut Events) {
        let mut heard = BTreeSet::new();
        for fault in faults {
            let place = (fault.shard, fault.script.clone());
            if !self.faults.contains(&place) {
                events.push(now.at, Happening::ScriptFailed { fault: Box::new(fault.clone()) });
            }
            heard.insert(place);
        }
        self.faults = heard;
    }

    /// Asks what the state wants to know, again and again until it is answered.
    fn ask(&mut self, now: Now, outbox: &mut Outbox) {
        let op = match &self.state {
            State::Idle => return,
            State::Reading => TableOp::Get,
            State::Writing(book) => TableOp::PutIf { expected: self.revision, value: book.to_stored() },
        };
        if self.ask.due(now.at) {
            self.asked = outbox.request();
            let request = TableRequest { request: self.asked, table: Table::Settings, key: ROW.to_owned(), op };
            outbox.send(Address::Data, Message::TableRequest(request));
        }
    }
}

fn refused(now: Now, by: &str, reason: String, events: &mut Events) {
    tracing::warn!(by, reason, "rules not changed");
    events.push(now.at, Happening::RulesRefused { by: by.to_owned(), reason });
}

/// What somebody wants cannot even be understood.
pub(crate) fn refuse(ecs: &mut Ecs, by: &str, reason: String) {
    let now = *ecs.resource::<Now>();
    refused(now, by, reason, &mut ecs.resource_mut::<Events>());
}

/// A value for people.
fn shown(tuned: Option<&Tuned>) -> String {
    tuned.map_or_else(|| "what the game begins with".to_owned(), |tuned| tuned.value.to_string())
}

fn in_time(now: Tick) -> Tick {
    Tick(now.0 + LEAD_TICKS)
}

/// The book as a wish wants it; `None`: it is so already.
fn changed(specs: &[TuneSpec], book: &Book, now: Now, wish: &Wish, failing: &BTreeSet<String>) -> Result<Option<Book>, String> {
    let changes = judge(specs, &book.rules, &wish.values).map_err(|refusal| refusal.to_string())?;
    let mut book = book.clone();
    let mut done = Vec::new();
    for script in &wish.scripts {
        let word = script.apply(&mut book, failing.contains(script.name())).map_err(|refusal| refusal.to_string())?;
        done.extend(word.map(|word| (format!("{SCRIPTS_PREFIX}{}", script.name()), word.to_owned())));
    }
    if changes.is_empty() && done.is_empty() {
        return Ok(None);
    }
    book.rules.version += 1;
    book.rules.from = in_time(now.tick);
    let (version, at) = (book.rules.version, now.at);
    let scripted = |(name, why)| Change { version, at, by: wish.by.clone(), why, name, before: None, after: None };
    book.history.extend(done.into_iter().map(scripted));
    for (name, value) in changes {
        let tuned = |value: Option<&TuneValue>| value.map(|value| Tuned { name: name.clone(), value: value.clone() });
        let (before, after) = (tuned(book.rules.tuned(&name)), tuned(value.as_ref()));
        book.rules.tune(&name, value);
        let (by, why) = (wish.by.clone(), wish.why.clone());
        book.history.push(Change { version: book.rules.version, at: now.at, by, why, name, before, after });
    }
    let forgotten = book.history.len().saturating_sub(CHANGES_KEPT_MAX);
    book.history.drain(..forgotten);
    Ok(Some(book))
}

pub(crate) fn plugin(world: &mut World, specs: Arc<[TuneSpec]>) {
    world.insert_resource(Desk {
        specs,
        state: State::Reading,
        book: None,
        revision: Revision::ZERO,
        sealed: false,
        asked: RequestId(0),
        ask: Repeat::every(ASK_AGAIN),
        tell: Repeat::every(TELL_AGAIN),
        wishes: VecDeque::new(),
        faults: BTreeSet::new(),
    });
    world.add_systems(Phase::Rules, (keep, tell).chain());
}

/// Answers, then the next wish.
fn keep(
    now: Res<Now>,
    scenes: Query<&Node>,
    mut inbox: ResMut<Inbox>,
    mut desk: ResMut<Desk>,
    mut events: ResMut<Events>,
    mut outbox: ResMut<Outbox>,
) {
    desk.hear_faults(*now, scenes.iter().flat_map(|scene| &scene.faults), &mut events);

    for reply in inbox.tables.drain(..) {
        desk.hear(*now, reply, &mut events);
    }
    if matches!(desk.state, State::Idle)
        && let failing = desk.faults.iter().map(|(_, script)| script.clone()).collect()
        && let Some(book) = desk.next(*now, &failing, &mut events)
    {
        (desk.state, desk.ask) = (State::Writing(book), Repeat::every(ASK_AGAIN));
    }
    desk.ask(*now, &mut outbox);
}

/// Scenes that joined are told at once, before they are given a shard; others until they report that they know.
fn tell(now: Res<Now>, mut desk: ResMut<Desk>, nodes: Res<Nodes>, scenes: Query<&Node>, mut outbox: ResMut<Outbox>) {
    let Some(book) = desk.book() else { return };
    let again = desk.tell.due(now.at);
    let known = |entity| scenes.get(entity).map_or(0, |scene| scene.rules);
    let behind = nodes.of_role(Role::Scene).filter(|(_, entity)| known(*entity) < book.rules.version);
    let wanting: Vec<NodeId> = behind.map(|(node, _)| node).filter(|node| again || has_joined(&nodes, *node)).collect();
    if wanting.is_empty() {
        return;
    }
    let rules = Arc::new(book.rules.clone());
    for node in wanting {
        outbox.send(Address::Node(node), Message::Control(Control::Rules(Arc::clone(&rules))));
    }
}

fn has_joined(nodes: &Nodes, node: NodeId) -> bool {
    nodes.joined.iter().any(|(joined, _)| *joined == node)
}
