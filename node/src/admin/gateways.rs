//! Emptying gateways and taking them into use again.
//!
//! An order is judged by the last snapshot and answered with what it means; what becomes of it is told by `/api/status`.

use axum::Json;
use axum::extract::{Path, Query, State};
use pangaea_schemas::NodeId;
use serde::{Deserialize, Serialize};

use super::drains::{self, DryRun};
use super::orders::Refusal;
use super::view::GatewayView;
use super::{Admin, AdminOrder};

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

pub(super) async fn drain(
    State(admin): State<Admin>,
    Path(gateway): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<GatewayOrderView>, Refusal> {
    let judged = judge(&admin.shown.borrow().status.gateways, &gateway, AdminOrder::Drain, dry_run);
    drains::carry_out(&admin, dry_run, judged).await
}

pub(super) async fn undrain(
    State(admin): State<Admin>,
    Path(gateway): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<GatewayOrderView>, Refusal> {
    let judged = judge(&admin.shown.borrow().status.gateways, &gateway, AdminOrder::Undrain, dry_run);
    drains::carry_out(&admin, dry_run, judged).await
}

/// What the order would mean now.
fn judge(
    gateways: &[GatewayView],
    gateway: &str,
    order: fn(NodeId) -> AdminOrder,
    dry_run: bool,
) -> Result<(GatewayOrderView, AdminOrder), Refusal> {
    let states = gateways.iter().map(|known| (known.id.as_str(), known.state.as_str()));
    let judged = drains::judge(("gateway", "clients"), states, gateway, order)?;
    let connections = gateways.iter().find(|known| known.id == gateway).map_or(0, |known| known.connections);
    let view = GatewayOrderView { gateway: gateway.to_owned(), was: judged.was, connections, to: judged.to, dry_run };
    Ok((view, judged.order))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

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
        judge(&gateways(states), gateway, AdminOrder::Drain, true).map(|(view, _)| view)
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
        assert!(text.contains("there are gateway-1, gateway-2"), "{text}");
    }

    #[test]
    fn a_drained_gateway_may_be_the_last_one_to_be_undrained() {
        let judged = judge(&gateways(&["drained"]), "gateway-1", AdminOrder::Undrain, false);
        let node = "gateway-1".parse().expect("a name");
        assert_eq!(judged.map(|(_, order)| order), Ok(AdminOrder::Undrain(node)));
    }
}
