//! What is named in orders and questions: found, or refused in words. Names that nobody has are told with those that were
//! probably meant.

use axum::http::StatusCode;
use pangaea_schemas::NodeId;
use pangaea_schemas::geometry::ShardId;

use super::orders::Refusal;
use super::view::{ShardView, StatusView};

/// Names offered.
const OFFERED_MAX: usize = 4;

/// That there is no `kind` called `name`, and which there are, the nearest first.
pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<_> = known.into_iter().map(|other| (strsim::levenshtein(name, other), other)).collect();
    if known.is_empty() {
        return format!("there is no {kind} `{name}`, nor any other now");
    }
    known.sort_unstable();
    let more = if known.len() > OFFERED_MAX { format!(", … ({} in all)", known.len()) } else { String::new() };
    let names: Vec<_> = known.into_iter().take(OFFERED_MAX).map(|(_, other)| other).collect();
    format!("there is no {kind} `{name}`; there are {}{more}", names.join(", "))
}

/// The shard of that name, as the cluster's status has it.
pub(super) fn shard_named<'s>(status: &'s StatusView, name: &str) -> Result<&'s ShardView, Refusal> {
    status.shards.iter().find(|known| known.id == name).ok_or_else(|| no_shard(status, name))
}

/// There is no shard of that name.
pub(super) fn no_shard(status: &StatusView, name: &str) -> Refusal {
    let names = status.shards.iter().map(|known| known.id.as_str());
    (StatusCode::NOT_FOUND, unknown("shard", name, names) + "\n")
}

/// Who runs a shard, and its name for its owner.
pub(super) fn running(known: &ShardView) -> Result<(ShardId, String), Refusal> {
    let owner = known.owner.clone().filter(|_| known.phase == "running");
    let text = || format!("shard {} does not run now, it is {}; wait a moment\n", known.id, known.phase);
    known.id.parse().ok().zip(owner).ok_or_else(|| (StatusCode::CONFLICT, text()))
}

/// An owner's answer is not one to the question.
pub(super) fn answers_otherwise(scene: NodeId) -> Refusal {
    (StatusCode::BAD_GATEWAY, format!("{scene} answers something else\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first() {
        let shards = ["0/3/0,0", "0/3/1,0", "0/3/1,1", "0/3/7,7", "0/3/5,5"];
        assert_eq!(
            unknown("shard", "0/3/1.1", shards),
            "there is no shard `0/3/1.1`; there are 0/3/1,1, 0/3/1,0, 0/3/0,0, 0/3/5,5, … (5 in all)"
        );
        assert_eq!(unknown("scene", "scene1", ["scene-1"]), "there is no scene `scene1`; there are scene-1");
        assert_eq!(unknown("scene", "x", []), "there is no scene `x`, nor any other now");
    }
}
