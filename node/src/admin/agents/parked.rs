//! Agents that rest because their inputs ended their shard's owners: letting them play again.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use pangaea_schemas::EntityId;
use serde::{Deserialize, Serialize};

use super::agent_of;
use crate::admin::drains::{self, DryRun};
use crate::admin::orders::Refusal;
use crate::admin::view::ShardView;
use crate::admin::{Admin, AdminOrder, unknown};

/// What the release of an agent means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseView {
    /// Its entity id.
    pub agent: u64,
    /// The shard where it rests.
    pub shard: String,
    /// Nothing was ordered.
    pub dry_run: bool,
}

pub(in crate::admin) async fn release(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<ReleaseView>, Refusal> {
    let judged = judge(&admin.shown.borrow().status.shards, agent_of(&id)?, dry_run);
    drains::carry_out(&admin, dry_run, judged).await
}

fn judge(shards: &[ShardView], agent: EntityId, dry_run: bool) -> Result<(ReleaseView, AdminOrder), Refusal> {
    let Some(shard) = shards.iter().find(|shard| shard.parked.contains(&agent.0)) else {
        let names: Vec<_> = shards.iter().flat_map(|shard| &shard.parked).map(|id| EntityId(*id).to_string()).collect();
        let text = unknown("parked agent", &agent.to_string(), names.iter().map(String::as_str));
        return Err((StatusCode::NOT_FOUND, text + "\n"));
    };
    let view = ReleaseView { agent: agent.0, shard: shard.id.clone(), dry_run };
    Ok((view, AdminOrder::Release(agent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_parked_can_be_released() {
        let shard = |id: &str, parked: &[u64]| ShardView { id: id.to_owned(), parked: parked.to_vec(), ..ShardView::default() };
        let shards = [shard("0/3/0,0", &[]), shard("0/3/1,0", &[12, 65_545])];
        let (view, order) = judge(&shards, EntityId(65_545), true).expect("it is parked");
        assert_eq!((view.shard.as_str(), order), ("0/3/1,0", AdminOrder::Release(EntityId(65_545))));
        let (status, text) = judge(&shards, EntityId(65_546), true).expect_err("nobody");
        assert_eq!((status, text.contains("there are e65545, e12")), (StatusCode::NOT_FOUND, true), "{text}");
    }
}
