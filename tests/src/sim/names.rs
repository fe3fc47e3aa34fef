//! Names of appends: none is ever given twice, for a journal that is asked again answers by the name alone. The network is
//! overheard.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{JournalRequest, Message};
use pangaea_schemas::{JournalIndex, Nonce};

/// See the module.
#[derive(Debug, Default)]
pub struct Names {
    /// By journal, process start and number: where it was to be appended, and the hash of what.
    appends: BTreeMap<(ShardId, Nonce, u64), (JournalIndex, u64)>,
}

impl Names {
    /// A message reaches its receiver. What is wrong with it, in words.
    pub fn overhear(&mut self, message: &Message) -> Option<String> {
        let Message::JournalRequest(JournalRequest::Append { shard, id, expected, entry }) = message else { return None };
        let mut hasher = DefaultHasher::new();
        entry.hash(&mut hasher);
        let named = (*expected, hasher.finish());
        let before = *self.appends.entry((*shard, id.nonce, id.seq)).or_insert(named);
        (before != named).then(|| {
            format!("append {} of {} to {shard} is one behind {} and another behind {expected}", id.seq, id.nonce, before.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::geometry::SpaceId;
    use pangaea_schemas::journal::{Entry, ShardOp};
    use pangaea_schemas::message::AppendId;
    use pangaea_schemas::{EntityId, ShardEpoch, Tick};

    use super::*;

    #[test]
    fn a_name_that_is_given_to_something_else_is_noticed() {
        let shard = ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 };
        let append = |seq, expected, entity| {
            let entry = Entry { epoch: ShardEpoch(1), tick: Tick(1), ops: vec![ShardOp::Born { entity: EntityId(entity) }] };
            let (id, expected) = (AppendId { nonce: Nonce(7), seq }, JournalIndex(expected));
            Message::JournalRequest(JournalRequest::Append { shard, id, expected, entry: entry.into() })
        };
        let mut names = Names::default();
        for message in [append(1, 4, 9), append(1, 4, 9), append(2, 5, 9)] {
            assert_eq!(names.overhear(&message), None);
        }
        assert!(names.overhear(&append(1, 6, 9)).is_some(), "another place");
        assert!(names.overhear(&append(2, 5, 8)).is_some(), "something else");
    }
}
