//! Publish: one walk over each registered component's changes, then the drafts become feeds, shared by all followers.

use std::sync::Arc;

use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::CellId;
use pangaea_schemas::message::{CellFeed, Changed, Enter, FeedFilter};
use pangaea_schemas::record::ComponentBytes;

use super::encoded::Encoded;
use super::feed::{CellDraft, Seen};
use super::grid::Grid;
use super::kinds::ComponentKind;
use super::population::{Filed, Identity};
use super::settle::in_changes_since;
use super::shard_world::{GHOST_RINGS, Published, ShardWorld};

impl ShardWorld {
    /// Collect component changes, then encode and end the feed.
    pub(crate) fn publish_feed(&mut self) -> Published {
        self.collect_removed();
        self.collect_changed();
        let (mut replicated, mut ghosted) = (Vec::new(), Vec::new());
        for draft in self.feed.turn() {
            let cell = self.cell(draft.index);
            if self.border[draft.index as usize] {
                ghosted.push((cell, Arc::new(self.cell_feed(cell, draft.clone(), FeedFilter::Ghosted))));
            }
            replicated.push((cell, Arc::new(self.cell_feed(cell, draft, FeedFilter::Replicated))));
        }
        // In order already, so the maps are filled in one go.
        let (replicated, ghosted) = (replicated.into_iter().collect(), ghosted.into_iter().collect());
        let published = Published { replicated, ghosted, dirty: self.feed.take_dirty() };
        self.forget_changes();
        published
    }

    /// End the feed without a word to anybody: nobody follows a copy that is not complete.
    pub(crate) fn drop_feed(&mut self) {
        self.feed.turn();
        self.feed.take_dirty();
        self.forget_changes();
    }

    /// What changed until now is no news in the next feed.
    fn forget_changes(&mut self) {
        self.world.clear_trackers();
        self.since = self.world.last_change_tick();
    }

    /// Whoever lost a component enters its cell anew: an `Enter` says everything.
    fn collect_removed(&mut self) {
        let mut lost = Vec::new();
        for (kind, walker) in self.kinds.components.iter().zip(&self.walkers) {
            if kind.replicated || kind.ghosted {
                walker.removed(&self.world, &mut |entity| lost.push(entity));
            }
        }
        for entity in lost {
            let Ok(mut parts) = self.world.get_entity_mut(entity) else { continue };
            let Some(id) = parts.get::<Identity>().map(Identity::id) else { continue };
            let Some(mut filed) = parts.get_mut::<Filed>() else { continue };
            if std::mem::replace(&mut filed.since, self.feed.number) != self.feed.number {
                let draft = self.feed.draft(filed.cell);
                draft.moved.retain(|motion| motion.entity != id);
                draft.entered.push(id);
            }
        }
    }

    fn collect_changed(&mut self) {
        let Self { world, feed, kinds, walkers, since, border, .. } = self;
        in_changes_since(world, *since, |world| {
            for (kind, walker) in kinds.components.iter().zip(walkers) {
                if !kind.replicated && !kind.ghosted && !kind.persistent {
                    continue;
                }
                walker.changed(world, &mut |identity, filed, bytes| {
                    if kind.persistent {
                        feed.dirty.push(identity.id());
                    }
                    let ghosted = kind.ghosted && border[filed.cell as usize];
                    if filed.since != feed.number && (kind.replicated || ghosted) {
                        let mut tell = |id, bytes: &[u8]| {
                            let component = ComponentBytes { id, bytes: feed.keep(bytes) };
                            let changed = Changed { entity: identity.id(), component };
                            feed.draft(filed.cell).changed.push((changed, Seen { replicated: kind.replicated, ghosted }));
                        };
                        tell(kind.id, bytes);
                        kind.in_formers(bytes, &mut tell);
                    }
                });
            }
        });
    }

    fn cell_feed(&self, cell: CellId, draft: CellDraft, filter: FeedFilter) -> CellFeed {
        let CellDraft { index, entered, mut moved, changed, left } = draft;
        if !entered.is_empty() {
            let grid = self.world.resource::<Grid>();
            moved.extend(entered.iter().filter_map(|id| grid.member(index, *id)).map(|member| member.motion));
        }
        let entered = entered.into_iter().filter_map(|id| self.enter(id, filter)).collect();
        let changed = changed.into_iter().filter(|(_, seen)| seen.by(filter)).map(|(changed, _)| changed).collect();
        CellFeed { cell, snapshot: false, entered, moved, changed, left }
    }

    /// All that is in a cell.
    pub(crate) fn cell_snapshot(&self, cell: CellId, filter: FeedFilter) -> CellFeed {
        let grid = self.world.resource::<Grid>();
        let members = grid.index(cell).map_or(&[][..], |index| grid.members(index));
        let entered = members.iter().filter_map(|member| self.enter(member.motion.entity, filter)).collect();
        let moved = members.iter().map(|member| member.motion).collect();
        CellFeed { cell, snapshot: true, entered, moved, changed: Vec::new(), left: Vec::new() }
    }

    fn enter(&self, id: EntityId, filter: FeedFilter) -> Option<Enter> {
        let seen = |kind: &ComponentKind| Seen { replicated: kind.replicated, ghosted: kind.ghosted }.by(filter);
        let entity = self.world.get_entity(self.real(id)?).ok()?;
        let mut encoded = Encoded::default();
        encoded.take(self, &entity, seen);
        Some(Enter { entity: id, components: encoded.to_components() })
    }

    fn cell(&self, index: u32) -> CellId {
        let code = (self.bounds.shard.key_range().0 + u64::from(index)) as u32;
        let (x, z) = pangaea_schemas::geometry::unmorton(code);
        CellId { space: self.bounds.shard.space, x, z }
    }
}

/// Per cell of a shard, in order: whether a neighbour may follow it.
pub(crate) fn border(shard: pangaea_schemas::geometry::ShardId) -> Vec<bool> {
    let first = shard.first_cell();
    let last = shard.edge_cells() - 1;
    let inner = GHOST_RINGS..=last.saturating_sub(GHOST_RINGS);
    shard.cells().map(|cell| !(inner.contains(&(cell.x - first.x)) && inner.contains(&(cell.z - first.z)))).collect()
}
