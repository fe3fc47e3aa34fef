//! Scripts: what runs, what fails where, and switching them.

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pangaea_schemas::message::ScriptFault;
use pangaea_schemas::rules::{Book, ScriptRule, Source};
use pangaea_world::rules::Wish;
use pangaea_world::scripts::ScriptWish;
use serde::{Deserialize, Serialize};

use super::drains::{DryRun, carry_out};
use super::orders::Refusal;
use super::tune::{signed, unread};
use super::{Admin, AdminOrder, Caller};

/// `/api/scripts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptsView {
    /// Of the rules in force or about to be.
    pub version: u64,
    /// They hold from this tick on, everywhere.
    pub from_tick: u64,
    /// In order of name.
    pub scripts: Vec<ScriptView>,
}

/// One script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptView {
    /// Its file's name without the ending.
    pub name: String,
    /// Whether it runs.
    pub is_on: bool,
    /// Lines of what runs.
    pub lines: usize,
    /// What runs is older than what was saved last.
    pub is_rolled_back: bool,
    /// There is an earlier one that failed nowhere.
    pub has_good: bool,
    /// Where it is off because it failed.
    pub faults: Vec<FaultView>,
    /// What runs; only of one script that is asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// A script's failure in a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// Such as `0/3/1,0`.
    pub shard: String,
    /// Where in its source; 0: nowhere in particular.
    pub line: u32,
    /// Why.
    pub text: String,
    /// The entity that it had in hand, in words.
    pub values: String,
    /// When.
    pub tick: u64,
}

/// The body of `POST /api/scripts/{name}/{word}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptOrder {
    /// Who, in his own words.
    pub by: String,
    /// For `save`: the text.
    #[serde(default)]
    pub source: String,
}

/// What an order about a script means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptOrderView {
    /// The rules' version before; a later one holds the change.
    pub version: u64,
    /// What is done, in a word; empty: it is so already.
    pub done: String,
    /// Nothing was ordered.
    pub dry_run: bool,
}

pub(super) async fn list(State(admin): State<Admin>) -> Json<ScriptsView> {
    let shown = admin.shown.borrow();
    let book = shown.rules.book.clone().unwrap_or_default();
    let scripts = book.rules.scripts.iter().map(|rule| view(&book, rule, &shown.faults)).collect();
    Json(ScriptsView { version: book.rules.version, from_tick: book.rules.from.0, scripts })
}

pub(super) async fn show(State(admin): State<Admin>, Path(name): Path<String>) -> Response {
    let shown = admin.shown.borrow();
    let book = shown.rules.book.clone().unwrap_or_default();
    match book.rules.scripts.iter().find(|rule| rule.name == name) {
        Some(rule) => Json(ScriptView { source: rule.source.to_string(), ..view(&book, rule, &shown.faults) }).into_response(),
        None => (StatusCode::NOT_FOUND, format!("there is no script `{name}`; see `pangaea script list`\n")).into_response(),
    }
}

pub(super) async fn order(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Path((name, word)): Path<(String, String)>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Json(order): Json<ScriptOrder>,
) -> Result<Json<ScriptOrderView>, Refusal> {
    let (book, faults) = {
        let shown = admin.shown.borrow();
        (shown.rules.book.clone().ok_or_else(unread)?, shown.faults.clone())
    };
    let wish = wish(name, &word, &order.source)?;
    if let ScriptWish::Save { name, source } = &wish {
        (admin.check_script)(name, source).map_err(|reason| (StatusCode::UNPROCESSABLE_ENTITY, format!("{reason}\n")))?;
    }
    let fails = faults.iter().any(|fault| fault.script == wish.name());
    let done = wish.apply(&mut Book::clone(&book), fails);
    let done = done.map_err(|refusal| (StatusCode::CONFLICT, format!("{refusal}\n")))?;
    let view = ScriptOrderView { version: book.rules.version, done: done.unwrap_or_default().to_owned(), dry_run };
    let order = Wish { by: signed(caller, order.by), why: word, values: Vec::new(), scripts: vec![wish] };
    carry_out(&admin, dry_run, Ok((view, AdminOrder::Wish(order)))).await
}

fn wish(name: String, word: &str, source: &str) -> Result<ScriptWish, Refusal> {
    match word {
        "on" => Ok(ScriptWish::Switch { name, on: true }),
        "off" => Ok(ScriptWish::Switch { name, on: false }),
        "rollback" => Ok(ScriptWish::Rollback { name }),
        "remove" => Ok(ScriptWish::Remove { name }),
        "save" => Ok(ScriptWish::Save { name, source: Source::from(source) }),
        other => Err((StatusCode::NOT_FOUND, format!("`{other}` is not among on, off, rollback, remove, save\n"))),
    }
}

fn view(book: &Book, rule: &ScriptRule, faults: &[ScriptFault]) -> ScriptView {
    let past = book.pasts.iter().find(|past| past.name == rule.name);
    let fault = |fault: &ScriptFault| FaultView {
        shard: fault.shard.to_string(),
        line: fault.line,
        text: fault.text.clone(),
        values: fault.values.clone(),
        tick: fault.tick.0,
    };
    ScriptView {
        name: rule.name.clone(),
        is_on: rule.is_on,
        lines: rule.source.lines().count(),
        is_rolled_back: past.is_some_and(|past| past.saved != rule.source),
        has_good: past.is_some_and(|past| !past.good.is_empty()),
        faults: faults.iter().filter(|fault| fault.script == rule.name).map(fault).collect(),
        source: String::new(),
    }
}
