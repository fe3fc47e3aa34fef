//! A split or a merge: an entry that ends some journals and begins others.
//!
//! All of them get a message in one atomic batch, each behind the one that was its last when the entry was judged, by the same
//! rule as a data node would ([`recut::recut`]). Whoever follows the log does all of it at the entry, which comes first; the
//! messages behind it are there as fences, and as heads for whoever appends next.

use futures_util::future::try_join_all;
use pangaea_persistence::{encode_entry, recut};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::JournalReply;
use pangaea_schemas::wire::stored::Stored;

use super::{Append, Desk, Known, PATIENCE, write_of};
use crate::engine::entries::{Closed, EntryMessage};
use crate::engine::fenced::{Fate, FencedWrite};

/// How often heads are looked at anew. They only change once under an owner who waits for this very answer.
const LOOKS_MAX: usize = 4;

impl Desk {
    /// Only the leader's word counts, whatever is remembered: it is seldom asked. `Err`: nobody knows.
    pub(super) async fn recut(&mut self, append: &Append, parts: [ShardId; 4]) -> Result<JournalReply, String> {
        let Append { id, expected, .. } = append;
        let (shard, id, expected) = (self.shard, *id, *expected);
        let appended = JournalReply::Appended { shard, id, index: expected.next() };
        for _ in 0..LOOKS_MAX {
            let known = self.look().await?;
            if expected < known.head.tail && self.is_there(&known, expected.next(), id).await? {
                return Ok(appended);
            }
            let look = async |part| Ok::<_, String>((part, self.look_at(part).await?));
            let of_parts = try_join_all(parts.map(look)).await?;
            let Some(writes) = self.writes(append, &known, of_parts)? else {
                return Ok(self.conflict(id, known.head.tail, known.head.epoch));
            };
            match self.log.write_together(&writes, PATIENCE).await {
                Fate::Written(_) => {
                    self.remember(expected.next(), id);
                    self.known = None;
                    return Ok(appended);
                }
                Fate::Overtaken(_) => {}
                Fate::Unknown(reason) => return Err(reason),
            }
        }
        Err(format!("journals of {shard} and its parts change all the time"))
    }

    /// What is to be written, the entry first. `None`: a journal is not as the entry says.
    fn writes(
        &self,
        Append { id, expected, entry }: &Append,
        known: &Known,
        of_parts: Vec<(ShardId, Known)>,
    ) -> Result<Option<Vec<FencedWrite>>, String> {
        let encoded = encode_entry(entry).map_err(|fault| fault.to_string())?;
        if known.head.tail != *expected || !known.head.ends_with(id.nonce, entry) {
            return Ok(None);
        }
        let (mut head, sequences) = (known.head.clone(), of_parts.iter().map(|(_, known)| known.sequence).collect::<Vec<_>>());
        let mut parts: Vec<_> = of_parts.into_iter().map(|(part, known)| (part, known.head)).collect();
        let Some(recut) = recut::recut(self.shard, id.nonce, entry, &mut head, &mut parts) else { return Ok(None) };
        let message =
            EntryMessage { shard: self.shard, id: *id, owner: head.owner, index: expected.next(), previous: known.sequence };
        let mut writes = vec![write_of(&self.names, self.shard, *id, known.sequence, message.encode(&encoded))];
        for ((shard, part), previous) in parts.into_iter().zip(sequences) {
            let (id, index) = (*id, part.tail);
            let payload = match &recut {
                recut::Recut::Begins(first) => {
                    let message = EntryMessage { shard, id, owner: part.owner, index: index.next(), previous };
                    message.encode(&first.to_stored())
                }
                recut::Recut::Ends => Closed { shard, id, index, epoch: part.epoch, previous }.encode(),
            };
            writes.push(write_of(&self.names, shard, id, previous, payload));
        }
        Ok(Some(writes))
    }
}
