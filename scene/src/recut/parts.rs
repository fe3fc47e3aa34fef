//! What a shard is, dealt out to its four children or put together from them: pure functions over what a migration carries.
//!
//! Each entity goes where its cell lies, and what is in its name goes with it: seat, inputs, operations, answers, effects on it.
//! What was agreed with other shards is kept whole under its name and goes to whoever has the estate. Each follower follows what
//! it followed.

use std::collections::{BTreeMap, BTreeSet};

use pangaea_schemas::geometry::{CellId, ShardId};
use pangaea_schemas::journal::Fence;
use pangaea_schemas::message::{RestFollower, ShardImage, ShardRest};
use pangaea_schemas::record::{Presence, Record};
use pangaea_schemas::{EntityId, ShardEpoch};

/// A shard that stands still, or one that is to run next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// All entities with all their components, the asleep ones too.
    pub records: Vec<Record>,
    /// All that is no entity. Its hash means nothing.
    pub rest: ShardRest,
}

/// Deals a shard out to its children, in their order.
pub fn split(parent: ShardId, children: [ShardId; 4], whole: Part) -> [Part; 4] {
    let Part { records, rest } = whole;
    let mut parts = children.map(|child| begin(&rest, child));
    let mut home = BTreeMap::new();
    for record in records {
        let at = children.iter().position(|child| child.contains(record.cell)).unwrap_or_default();
        home.insert(record.entity, at);
        parts[at].records.push(record);
    }
    // Whoever is not here, on the way perhaps, is somebody's with whom the parent's estate goes: the first child's.
    let at = |entity: EntityId| home.get(&entity).copied().unwrap_or_default();
    for effect in rest.pending {
        parts[at(effect.to)].rest.pending.push(effect);
    }
    for mut effect in rest.arrived {
        effect.within = effect.within.or(Some(parent));
        parts[at(effect.to)].rest.arrived.push(effect);
    }
    for (first, end) in rest.ids {
        let quarter = (end - first) / 4;
        for (n, part) in (0..).zip(&mut parts) {
            let end = if n == 3 { end } else { first + (n + 1) * quarter };
            part.rest.ids.extend((first + n * quarter < end).then_some((first + n * quarter, end)));
        }
    }
    rest.residents.into_iter().for_each(|resident| parts[at(resident.entity)].rest.residents.push(resident));
    rest.seats.into_iter().for_each(|seat| parts[at(seat.agent)].rest.seats.push(seat));
    rest.held.into_iter().for_each(|held| parts[0].rest.held.push(held));
    rest.operations.into_iter().for_each(|operation| parts[at(operation.by)].rest.operations.push(operation));
    rest.answers.into_iter().for_each(|answer| parts[at(answer.by)].rest.answers.push(answer));
    rest.dirty.into_iter().for_each(|entity| parts[at(entity)].rest.dirty.push(entity));
    for follower in rest.followers {
        for (child, part) in children.iter().zip(&mut parts) {
            part.rest.followers.extend(follow(*child, &follower));
        }
    }
    deal_estates(parent, children, &home, (rest.durable, rest.estates), &mut parts);
    parts
}

fn begin(rest: &ShardRest, child: ShardId) -> Part {
    let ShardImage { epoch, tick, .. } = rest.durable;
    let durable = ShardImage { epoch, tick, ..ShardImage::default() };
    let seed = rest.seed ^ child.to_bits().rotate_left(17);
    let rest = ShardRest { tick: rest.tick, seed, durable, peers: rest.peers.clone(), ..ShardRest::default() };
    Part { records: Vec::new(), rest }
}

/// What a follower of the parent follows of a child. A gateway hears of its players wherever they are.
fn follow(child: ShardId, follower: &RestFollower) -> Option<RestFollower> {
    let of = |cells: &[_]| cells.iter().copied().filter(|cell| child.contains(*cell)).collect();
    let part = RestFollower { cells: of(&follower.cells), fresh: of(&follower.fresh), ..follower.clone() };
    (part.shard.is_none() || !part.cells.is_empty()).then_some(part)
}

fn deal_estates(
    parent: ShardId,
    children: [ShardId; 4],
    home: &BTreeMap<EntityId, usize>,
    (durable, mut estates): (ShardImage, Vec<ShardImage>),
    parts: &mut [Part; 4],
) {
    estates.push(ShardImage { name: Some(parent), ..durable });
    let born: BTreeSet<EntityId> =
        estates.iter().flat_map(|image| &image.fences).filter(|(_, f)| f.born).map(|(e, _)| *e).collect();
    for mut image in estates {
        // Those who are here are fenced where they are.
        for (entity, fence) in image.fences.extract_if(.., |(entity, _)| home.contains_key(entity)) {
            let at = home[&entity];
            if image.name == Some(parent) {
                parts[at].rest.durable.fences.push((entity, Fence { born: false, ..fence }));
            }
        }
        let name = image.name.unwrap_or(parent);
        for (child, part) in children.iter().zip(parts.iter_mut()) {
            if *child == name {
                let fences = std::mem::take(&mut part.rest.durable.fences);
                part.rest.durable = ShardImage { name: None, epoch: part.rest.durable.epoch, ..image.clone() };
                part.rest.durable.fences.extend(fences);
            } else if child.inherits(name) {
                part.rest.estates.push(image.clone());
            }
        }
    }
    // Nobody is born twice, whichever child is asked.
    for part in parts {
        let fences = &mut part.rest.durable.fences;
        let mut known: BTreeMap<EntityId, Fence> = std::mem::take(fences).into_iter().collect();
        born.iter().for_each(|entity| known.entry(*entity).or_default().born = true);
        fences.extend(known);
    }
}

/// Puts a shard together from its children, in their order.
pub fn merge(parent: ShardId, children: [ShardId; 4], four: [Part; 4]) -> Part {
    let epoch = four.iter().map(|part| part.rest.durable.epoch).max().unwrap_or(ShardEpoch::ZERO);
    let mut whole = Part::default();
    let rest = &mut whole.rest;
    rest.seed = four[0].rest.seed ^ parent.to_bits().rotate_left(17);
    let mut followers = BTreeMap::<_, RestFollower>::new();
    let mut peers = BTreeMap::new();
    let mut estates = Vec::new();
    let mut live = Vec::new();
    for (child, Part { records, rest: part }) in children.into_iter().zip(four) {
        let here: BTreeSet<EntityId> = records.iter().map(|record| record.entity).collect();
        // Who hangs over the border of its quarter is filed inside it, and stands in another cell of the whole.
        let stands = |record: &Record| parent.nearest_cell(CellId::at(parent.space, record.position));
        let astray = records.iter().filter(|record| record.presence == Presence::Awake && record.cell != stands(record));
        rest.dirty.extend(astray.map(|record| record.entity));
        whole.records.extend(records);
        rest.tick = rest.tick.max(part.tick);
        rest.pending.extend(part.pending);
        rest.arrived.extend(part.arrived);
        rest.ids.extend(part.ids);
        rest.residents.extend(part.residents);
        rest.seats.extend(part.seats);
        rest.held.extend(part.held);
        rest.operations.extend(part.operations);
        rest.answers.extend(part.answers);
        rest.dirty.extend(part.dirty);
        for (shard, epoch) in part.peers {
            let known = peers.entry(shard).or_insert(epoch);
            *known = epoch.max(*known);
        }
        // Siblings follow each other no more.
        for follower in part.followers.into_iter().filter(|f| f.shard.is_none_or(|shard| !children.contains(&shard))) {
            join(&mut followers, follower);
        }
        estates.push(ShardImage { name: Some(child), ..part.durable });
        estates.extend(part.estates);
        for image in &mut estates {
            live.extend(image.fences.extract_if(.., |(entity, _)| here.contains(entity)));
        }
    }
    rest.peers = peers.into_iter().collect();
    rest.followers = followers.into_values().collect();
    let own = estates.iter().position(|image| image.name == Some(parent)).map(|at| estates.remove(at));
    rest.durable = ShardImage { name: None, epoch, tick: rest.tick, ..own.unwrap_or_default() };
    rest.durable.fences.extend(live.into_iter().collect::<BTreeMap<_, _>>());
    rest.estates = estates;
    whole
}

/// One follower of several children follows them as one. All it follows comes whole once: what it missed of one is not seen in
/// the sequence of another.
fn join(followers: &mut BTreeMap<(pangaea_schemas::NodeId, Option<ShardId>), RestFollower>, follower: RestFollower) {
    let key = (follower.node, follower.shard);
    let joined = followers.entry(key).or_insert_with(|| RestFollower { cells: vec![], fresh: vec![], ..follower.clone() });
    joined.seq = joined.seq.max(follower.seq);
    joined.cells.extend(&follower.cells);
    joined.fresh.extend(&follower.cells);
}
