//! Emptying gateways and taking them into use again.
//!
//! An order is judged by the last snapshot and answered with what it means; what becomes of it is told by `/api/status`.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use pangaea_schemas::NodeId;
use serde::{Deserialize, Serialize};

use super::view::GatewayView;
use super::{Admin, AdminOrder, is_operator, unauthorised};

/// What an order to a gateway means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayOrderView {
    /// Such as `gateway-1`.
    pub gateway: String,
    /// Its state before: `up`, `draining` or `drained`.
    pub was: String,
    /// Clients that it has now; all of them move when it is drained.
    pub connections: u32,
    /// Where clients can go: the other gateways that take them.
    pub to: Vec<String>,
    /// Nothing was ordered.
    pub dry_run: bool,
}

/// Why a gateway is not ordered about, in words.
type Refusal = (StatusCode, String);

#[derive(Deserialize)]
pub(super) struct DryRun {
    #[serde(default)]
    dry_run: bool,
}

pub(super) async fn drain(
    State(admin): State<Admin>,
    Path(gateway): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
    headers: HeaderMap,
) -> Response {
    order(&admin, &headers, &gateway, dry_run, AdminOrder::DrainGateway)
}

pub(super) async fn undrain(
    State(admin): State<Admin>,
    Path(gateway): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
    headers: HeaderMap,
) -> Response {
    order(&admin, &headers, &gateway, dry_run, AdminOrder::UndrainGateway)
}

fn order(admin: &Admin, headers: &HeaderMap, gateway: &str, dry_run: bool, order: fn(NodeId) -> AdminOrder) -> Response {
    if !is_operator(headers, &admin.operator_token) {
        return unauthorised();
    }
    let judged = judge(&admin.shown.borrow().status.gateways, gateway, order, dry_run);
    let (view, order) = match judged {
        Ok(judged) => judged,
        Err(refusal) => return refusal.into_response(),
    };
    if !dry_run && admin.orders.try_send(order).is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many orders wait\n").into_response();
    }
    Json(view).into_response()
}

/// What the order would mean now.
fn judge(
    gateways: &[GatewayView],
    gateway: &str,
    order: fn(NodeId) -> AdminOrder,
    dry_run: bool,
) -> Result<(GatewayOrderView, AdminOrder), Refusal> {
    let Some(known) = gateways.iter().find(|known| known.id == gateway) else {
        let names: Vec<_> = gateways.iter().map(|known| known.id.as_str()).collect();
        return Err((StatusCode::NOT_FOUND, format!("there is no gateway `{gateway}`, only {}\n", names.join(", "))));
    };
    let Ok(node) = gateway.parse() else {
        return Err((StatusCode::BAD_REQUEST, format!("`{gateway}` is not a node name\n")));
    };
    let open = gateways.iter().filter(|other| other.id != gateway && other.state == "up");
    let to: Vec<_> = open.map(|other| other.id.clone()).collect();
    let order = order(node);
    if to.is_empty() && matches!(order, AdminOrder::DrainGateway(_)) {
        let text = format!("{gateway} is the last gateway that takes clients; start another one first\n");
        return Err((StatusCode::CONFLICT, text));
    }
    let (was, connections) = (known.state.clone(), known.connections);
    Ok((GatewayOrderView { gateway: gateway.to_owned(), was, connections, to, dry_run }, order))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateways(states: &[&str]) -> Vec<GatewayView> {
        let named = |(n, state): (usize, &&str)| GatewayView {
            id: format!("gateway-{}", n + 1),
            state: (*state).to_owned(),
            connections: 7,
            ..GatewayView::default()
        };
        states.iter().enumerate().map(named).collect()
    }

    fn judged(states: &[&str], gateway: &str) -> Result<GatewayOrderView, Refusal> {
        judge(&gateways(states), gateway, AdminOrder::DrainGateway, true).map(|(view, _)| view)
    }

    #[test]
    fn a_drain_says_who_moves_where() {
        let view = judged(&["up", "draining", "up"], "gateway-1").expect("possible");
        assert_eq!((view.was.as_str(), view.connections, view.dry_run), ("up", 7, true));
        assert_eq!(view.to, ["gateway-3"]);
    }

    #[test]
    fn the_last_gateway_and_strangers_are_refused_in_words() {
        let (status, text) = judged(&["up", "drained"], "gateway-1").expect_err("the last one");
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(text.contains("start another one first"), "{text}");
        let (status, text) = judged(&["up", "up"], "gateway-9").expect_err("unknown");
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(text.contains("only gateway-1, gateway-2"), "{text}");
    }

    #[test]
    fn a_drained_gateway_may_be_the_last_one_to_be_undrained() {
        let judged = judge(&gateways(&["drained"]), "gateway-1", AdminOrder::UndrainGateway, false);
        let node = "gateway-1".parse().expect("a name");
        assert_eq!(judged.map(|(_, order)| order), Ok(AdminOrder::UndrainGateway(node)));
    }
}
