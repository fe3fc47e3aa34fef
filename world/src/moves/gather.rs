//! Bringing the parts of a merge to one scene first, one after the other: a merge is done by a scene that has all four.
//!
//! A part that cannot be brought ends the merge. What was brought by then stays where it is: it runs as well there.

use std::collections::BTreeMap;

use bevy_ecs::prelude::World as Ecs;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{MigrationStep, NEWS_CANCELLED};
use pangaea_schemas::{MigrationId, NodeId, ShardEpoch};

use super::{Move, MoveKind, Moves};
use crate::custody::Custody;
use crate::nodes::{Node, Nodes};
use crate::shards::{Shard, ShardMap};
use crate::status::Events;
use crate::world::Now;

/// How far the parts are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gathering {
    /// The move that brings one of them.
    under_way: Option<MigrationId>,
}

/// Where parts of one shard are best brought together: at the only scene that has them, or else at the one that has most of
/// their entities, if it takes shards. `None`: none of those does.
///
/// `parts`: who has each, and its entities.
pub fn meeting_place(parts: &[(NodeId, u32)], is_open: impl Fn(NodeId) -> bool) -> Option<NodeId> {
    let mut scenes: BTreeMap<NodeId, (u32, usize)> = BTreeMap::new();
    for (scene, entities) in parts {
        let (sum, count) = scenes.entry(*scene).or_default();
        (*sum, *count) = (sum.saturating_add(*entities), *count + 1);
    }
    let is_together = scenes.len() == 1;
    let candidates = scenes.into_iter().rev().filter(|(scene, _)| is_together || is_open(*scene));
    candidates.max_by_key(|(_, weight)| *weight).map(|(scene, _)| scene)
}

/// What may be done about a part now.
enum Part {
    AtHome,
    Elsewhere { scene: NodeId, epoch: ShardEpoch, entities: u32 },
    NotRunning,
}

/// Goes on with all merges whose parts are on their way.
pub(super) fn gather(ecs: &mut Ecs) {
    let moves = ecs.resource::<Moves>();
    let gathering = moves.by_id.iter().filter_map(|(id, (shift, _))| Some((*id, shift.gathering?)));
    let gathering: Vec<_> = gathering.collect();
    for (id, Gathering { under_way }) in gathering {
        match under_way.and_then(|part| ecs.resource::<Moves>().by_id.get(&part)).map(|(part, _)| part.clone()) {
            Some(part) if !part.is_over() => tell_progress(ecs, id, &part),
            Some(Move { news, from, .. }) if news.step == MigrationStep::Kept => {
                end(ecs, id, &format!("its part {} stays at {from}: {}", news.shard, news.reason));
            }
            Some(_) | None => bring_next(ecs, id),
        }
    }
}

/// Ends a merge by an admin's word, and the move of the part that is under way.
pub(super) fn cancel(ecs: &mut Ecs, id: MigrationId, Gathering { under_way }: Gathering) {
    end(ecs, id, NEWS_CANCELLED);
    if let Some(part) = under_way {
        super::cancel(ecs, part);
    }
}

fn tell_progress(ecs: &mut Ecs, id: MigrationId, part: &Move) {
    let now = ecs.resource::<Now>().at;
    if let Some((shift, _)) = ecs.resource_mut::<Moves>().by_id.get_mut(&id) {
        (shift.news.bytes, shift.news.rounds, shift.heard) = (part.news.bytes, part.news.rounds, now);
    }
}

/// Orders the move of the first part that is elsewhere; when none is, the scene is told to merge them.
fn bring_next(ecs: &mut Ecs, id: MigrationId) {
    let Some((shift, _)) = ecs.resource::<Moves>().by_id.get(&id) else { return };
    let (home, parent) = (shift.from, shift.news.shard);
    for part in parent.children().into_iter().flatten() {
        match look(ecs, part, home) {
            Part::AtHome => {}
            Part::NotRunning => return end(ecs, id, &format!("its part {part} has no running owner")),
            Part::Elsewhere { .. } if !takes_shards(ecs, home) => {
                return end(ecs, id, &format!("{home} takes no shards any more"));
            }
            Part::Elsewhere { scene, epoch, entities } => {
                let under_way = super::begin(ecs, (part, epoch, entities), scene, home);
                return set(ecs, id, Some(Gathering { under_way: Some(under_way) }));
            }
        }
    }
    tracing::info!(shard = %parent, scene = %home, id = id.0, "all parts are together");
    set(ecs, id, None);
}

fn look(ecs: &Ecs, part: ShardId, home: NodeId) -> Part {
    let known = ecs.resource::<ShardMap>().entity(part).and_then(|entity| ecs.get::<Shard>(entity));
    match known.map(|known| (known.custody, known)) {
        Some((Custody::Owned { holder }, _)) if holder.node == home => Part::AtHome,
        Some((Custody::Owned { holder }, known)) => {
            Part::Elsewhere { scene: holder.node, epoch: known.epoch, entities: known.entities() }
        }
        Some((
            Custody::Unknown
            | Custody::Recalled { .. }
            | Custody::Vacant { .. }
            | Custody::Ordered { .. }
            | Custody::Starting { .. },
            _,
        ))
        | None => Part::NotRunning,
    }
}

pub(super) fn takes_shards(ecs: &Ecs, scene: NodeId) -> bool {
    let entity = ecs.resource::<Nodes>().entity(scene);
    entity.and_then(|entity| ecs.get::<Node>(entity)).is_some_and(Node::is_open)
}

fn set(ecs: &mut Ecs, id: MigrationId, gathering: Option<Gathering>) {
    let now = ecs.resource::<Now>().at;
    if let Some((shift, _)) = ecs.resource_mut::<Moves>().by_id.get_mut(&id) {
        (shift.gathering, shift.heard) = (gathering, now);
    }
}

fn end(ecs: &mut Ecs, id: MigrationId, reason: &str) {
    let now = ecs.resource::<Now>().at;
    ecs.resource_scope(|ecs, mut moves: bevy_ecs::prelude::Mut<'_, Moves>| {
        let Some((shift, _)) = moves.by_id.get_mut(&id).filter(|(shift, _)| shift.kind == MoveKind::Merge) else { return };
        shift.gathering = None;
        shift.news.step = MigrationStep::Kept;
        reason.clone_into(&mut shift.news.reason);
        super::tell_end(now, shift, &mut ecs.resource_mut::<Events>());
    });
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::Role;

    use super::*;

    fn scene(ordinal: u16) -> NodeId {
        NodeId::new(Role::Scene, ordinal)
    }

    #[test]
    fn parts_meet_where_most_of_their_entities_are_and_may_come() {
        let parts = [(1, 10), (2, 30), (1, 15), (3, 2)].map(|(ordinal, entities)| (scene(ordinal), entities));
        let place = |closed: &[u16]| meeting_place(&parts, |scene| !closed.contains(&scene.ordinal));
        assert_eq!(place(&[]), Some(scene(2)));
        assert_eq!(place(&[2]), Some(scene(1)));
        assert_eq!(place(&[1, 2, 3]), None);
        assert_eq!(meeting_place(&[(scene(1), 0); 4], |_| false), Some(scene(1)), "nobody has to go anywhere");
        let equal = [(2, 0), (1, 0), (3, 0), (3, 0)].map(|(ordinal, entities)| (scene(ordinal), entities));
        assert_eq!(meeting_place(&equal, |_| true), Some(scene(3)), "it has two of them");
        assert_eq!(meeting_place(&equal[..2], |_| true), Some(scene(1)), "the first of equals");
    }
}
