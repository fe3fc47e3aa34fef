//! Emptying nodes of a role and taking them into use again: what is the same for all roles.

use axum::Json;
use axum::http::StatusCode;
use pangaea_schemas::NodeId;
use serde::Deserialize;

use super::orders::Refusal;
use super::{Admin, AdminOrder, unknown};

#[derive(Deserialize)]
pub(super) struct DryRun {
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// What an order means for its node, whatever it has to lose.
#[derive(Debug, PartialEq)]
pub(super) struct Judged {
    /// The state before.
    pub(super) was: String,
    /// The others that take what it gives.
    pub(super) to: Vec<String>,
    /// For the world.
    pub(super) order: AdminOrder,
}

/// What an order would mean now. `nodes`: names and states of all nodes of its role; `role` and `what` name it and what it takes.
pub(super) fn judge<'a>(
    (role, what): (&str, &str),
    nodes: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    node: &str,
    order: fn(NodeId) -> AdminOrder,
) -> Result<Judged, Refusal> {
    let Some((_, was)) = nodes.clone().find(|(id, _)| *id == node) else {
        return Err((StatusCode::NOT_FOUND, unknown(role, node, nodes.map(|(id, _)| id)) + "\n"));
    };
    let Ok(id) = node.parse() else {
        return Err((StatusCode::BAD_REQUEST, format!("`{node}` is not a node name\n")));
    };
    let open = nodes.filter(|(other, state)| *other != node && *state == "up");
    let to: Vec<_> = open.map(|(other, _)| other.to_owned()).collect();
    let order = order(id);
    if to.is_empty() && matches!(order, AdminOrder::Drain(_)) {
        let text = format!("{node} is the last {role} that takes {what}; start another one first\n");
        return Err((StatusCode::CONFLICT, text));
    }
    Ok(Judged { was: was.to_owned(), to, order })
}

/// Orders what was judged well, unless it is only asked for, and answers with what it means.
pub(super) async fn carry_out<V>(
    admin: &Admin,
    dry_run: bool,
    judged: Result<(V, AdminOrder), Refusal>,
) -> Result<Json<V>, Refusal> {
    let (view, order) = judged?;
    if !dry_run {
        admin.order(order).await?;
    }
    Ok(Json(view))
}
