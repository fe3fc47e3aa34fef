//! Tunables: what they are, who set them, and setting them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use pangaea_schemas::rules::{Book, Change, Rules, TuneKind, TuneSpec, TuneValue, Tuned};
use pangaea_world::rules::{Wish, judge, undo};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::callers::LOCAL;
use super::drains::{DryRun, carry_out};
use super::orders::Refusal;
use super::{Admin, AdminOrder, Caller};

/// What the tunables are, and how they came to be so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RulesShown {
    /// As the game declares them.
    pub specs: Arc<[TuneSpec]>,
    /// As designers have set them; `None`: the world has not read that yet.
    pub book: Option<Arc<Book>>,
}

/// `/api/tune`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TuneView {
    /// Of the rules in force or about to be; rises with each change.
    pub version: u64,
    /// They hold from this tick on, everywhere.
    pub from_tick: u64,
    /// All tunables, in the game's order.
    pub tunables: Vec<TunableView>,
    /// What was changed, the latest last.
    pub history: Vec<ChangeView>,
    /// The version that each scene knows.
    pub scenes: BTreeMap<String, u64>,
}

/// One tunable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TunableView {
    /// Group and name.
    pub name: String,
    /// What it does.
    pub about: String,
    /// `int`, `float`, `flag` or `text`.
    pub kind: String,
    /// As it is now.
    pub value: Value,
    /// As the game begins with it.
    pub initial: Value,
    /// The lowest possible value, of numbers.
    pub min: Option<f64>,
    /// The highest possible value, of numbers.
    pub max: Option<f64>,
    /// It is not as the game begins with it.
    pub is_set: bool,
}

/// One change of one tunable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChangeView {
    /// Of the rules that it led to.
    pub version: u64,
    /// In microseconds since the Unix epoch.
    pub at_us: u64,
    /// Who.
    pub by: String,
    /// `set`, `edit`, or `undo` with a version.
    pub why: String,
    /// Which tunable.
    pub name: String,
    /// What it was; `null`: as the game begins with it.
    pub before: Value,
    /// What it became; `null`: as the game begins with it.
    pub after: Value,
}

/// The body of `POST /api/tune`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TuneOrder {
    /// Who; what counts is the token's name, unless it is the folder's own.
    #[serde(default)]
    pub by: String,
    /// Which tunables, to what; `null`: as the game begins with it.
    pub values: BTreeMap<String, Value>,
}

/// The body of `POST /api/tune/undo`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UndoOrder {
    /// Who, in his own words.
    pub by: String,
    /// Which version's changes; `null`: the latest.
    pub version: Option<u64>,
}

/// What an order to tune means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TuneOrderView {
    /// The rules' version before; a later one holds the change.
    pub version: u64,
    /// What changes, with the values before and after; nothing: it is all so already.
    pub changes: Vec<ChangeView>,
    /// Nothing was ordered.
    pub dry_run: bool,
}

pub(super) async fn show(State(admin): State<Admin>) -> Json<TuneView> {
    let shown = admin.shown.borrow();
    let scenes = shown.status.scenes.iter().map(|scene| (scene.id.clone(), scene.rules)).collect();
    Json(view(&shown.rules, scenes))
}

pub(super) async fn set(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Json(order): Json<TuneOrder>,
) -> Result<Json<TuneOrderView>, Refusal> {
    let rules = admin.shown.borrow().rules.clone();
    let by = signed(caller, order.by.clone());
    let weighed = wish(TuneOrder { by, ..order }).and_then(|wish| weigh(&rules, wish, dry_run));
    carry_out(&admin, dry_run, weighed).await
}

pub(super) async fn take_back(
    State(admin): State<Admin>,
    Extension(caller): Extension<Caller>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Json(UndoOrder { by, version }): Json<UndoOrder>,
) -> Result<Json<TuneOrderView>, Refusal> {
    let rules = admin.shown.borrow().rules.clone();
    let book = rules.book.clone().ok_or_else(unread)?;
    let wish = undo(&book, version, signed(caller, by)).map_err(|refusal| (StatusCode::CONFLICT, format!("{refusal}\n")))?;
    carry_out(&admin, dry_run, weigh(&rules, wish, dry_run)).await
}

/// Who stands in the history: the token's name, or with the folder's own token whoever they say they are.
pub(super) fn signed(caller: Caller, by: String) -> String {
    if caller.name == LOCAL && !by.is_empty() { by } else { caller.name }
}

pub(super) fn unread() -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, "the world has not read the rules yet; is the data node up?\n".to_owned())
}

/// What a wish would change now.
fn weigh(shown: &RulesShown, wish: Wish, dry_run: bool) -> Result<(TuneOrderView, AdminOrder), Refusal> {
    let book = shown.book.as_ref().ok_or_else(unread)?;
    let changes = judge(&shown.specs, &book.rules, &wish.values);
    let changes = changes.map_err(|refusal| (StatusCode::UNPROCESSABLE_ENTITY, format!("{refusal}\n")))?;
    let change = |(name, after): (String, Option<TuneValue>)| ChangeView {
        version: book.rules.version + 1,
        by: wish.by.clone(),
        why: wish.why.clone(),
        before: book.rules.tuned(&name).map_or(Value::Null, to_json),
        after: after.as_ref().map_or(Value::Null, to_json),
        name,
        ..ChangeView::default()
    };
    let changes = changes.into_iter().map(change).collect();
    Ok((TuneOrderView { version: book.rules.version, changes, dry_run }, AdminOrder::Wish(wish)))
}

fn wish(order: TuneOrder) -> Result<Wish, Refusal> {
    let mut values = Vec::new();
    for (name, value) in order.values {
        let Ok(value) = of_json(&value) else {
            let text = format!("`{name}` cannot be {value}: tunables are numbers, texts, true or false\n");
            return Err((StatusCode::UNPROCESSABLE_ENTITY, text));
        };
        values.push((name, value));
    }
    Ok(Wish { by: order.by, why: "set".to_owned(), values, scripts: Vec::new() })
}

fn view(shown: &RulesShown, scenes: BTreeMap<String, u64>) -> TuneView {
    let book = shown.book.clone().unwrap_or_default();
    TuneView {
        version: book.rules.version,
        from_tick: book.rules.from.0,
        tunables: shown.specs.iter().map(|spec| tunable(spec, &book.rules)).collect(),
        history: book.history.iter().map(change).collect(),
        scenes,
    }
}

fn tunable(spec: &TuneSpec, rules: &Rules) -> TunableView {
    let (kind, min, max) = match spec.kind {
        TuneKind::Int { min, max } => ("int", Some(min as f64), Some(max as f64)),
        TuneKind::Float { min, max } => ("float", Some(min), Some(max)),
        TuneKind::Flag => ("flag", None, None),
        TuneKind::Text { .. } => ("text", None, None),
    };
    TunableView {
        name: spec.name.clone(),
        about: spec.about.clone(),
        kind: kind.to_owned(),
        value: to_json(rules.tuned(&spec.name).unwrap_or(&spec.initial)),
        initial: to_json(&spec.initial),
        min,
        max,
        is_set: rules.tuned(&spec.name).is_some(),
    }
}

fn change(change: &Change) -> ChangeView {
    let value = |tuned: &Option<Tuned>| tuned.as_ref().map_or(Value::Null, |tuned| to_json(&tuned.value));
    ChangeView {
        version: change.version,
        at_us: change.at.0,
        by: change.by.clone(),
        why: change.why.clone(),
        name: change.name.clone(),
        before: value(&change.before),
        after: value(&change.after),
    }
}

fn to_json(value: &TuneValue) -> Value {
    match value {
        TuneValue::Int(value) => (*value).into(),
        TuneValue::Float(value) => (*value).into(),
        TuneValue::Flag(value) => (*value).into(),
        TuneValue::Text(value) => value.as_str().into(),
    }
}

/// `Ok(None)`: as the game begins with it.
fn of_json(value: &Value) -> Result<Option<TuneValue>, ()> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(value) => TuneValue::Flag(*value),
        Value::Number(number) => match number.as_i64() {
            Some(value) => TuneValue::Int(value),
            None => TuneValue::Float(number.as_f64().ok_or(())?),
        },
        Value::String(text) => TuneValue::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => return Err(()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> RulesShown {
        let speed = TuneSpec {
            name: "wolves.speed".to_owned(),
            about: "In m/s.".to_owned(),
            initial: TuneValue::Float(2.4),
            kind: TuneKind::Float { min: 0.0, max: 20.0 },
        };
        RulesShown { specs: [speed].into(), book: Some(Arc::default()) }
    }

    fn weighed(name: &str, value: Value) -> Result<TuneOrderView, Refusal> {
        let order = TuneOrder { by: "anna".to_owned(), values: BTreeMap::from([(name.to_owned(), value)]) };
        wish(order).and_then(|wish| weigh(&shown(), wish, true)).map(|(view, _)| view)
    }

    #[test]
    fn an_order_says_what_it_would_change() {
        let view = weighed("wolves.speed", 5.into()).expect("possible");
        let [change] = &view.changes[..] else { panic!("one change: {view:?}") };
        assert_eq!((change.name.as_str(), &change.before, &change.after), ("wolves.speed", &Value::Null, &5.0.into()));
        assert_eq!(weighed("wolves.speed", 2.4.into()).expect("possible").changes, []);
    }

    #[test]
    fn a_bad_order_is_refused_with_the_reason() {
        let texts: Vec<String> = [
            weighed("wolves.speed", 500.into()),
            weighed("wolves.sped", 5.into()),
            weighed("wolves.speed", Value::Array(Vec::new())),
        ]
        .into_iter()
        .filter_map(Result::err)
        .map(|(_, text)| text)
        .collect();
        assert_eq!(
            texts,
            [
                "`wolves.speed` is a number from 0 to 20; 500 is not\n",
                "there is no tunable `wolves.sped`; did you mean `wolves.speed`?\n",
                "`wolves.speed` cannot be []: tunables are numbers, texts, true or false\n",
            ]
        );
    }

    #[test]
    fn the_view_has_values_and_what_they_may_be() {
        let view = view(&shown(), BTreeMap::new());
        let [speed] = &view.tunables[..] else { panic!("one tunable: {view:?}") };
        assert_eq!(
            (speed.kind.as_str(), &speed.value, speed.min, speed.max, speed.is_set),
            ("float", &2.4.into(), Some(0.0), Some(20.0), false)
        );
    }
}
