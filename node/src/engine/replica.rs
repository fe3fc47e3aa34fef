//! What the beacon's bucket holds, as one node knows it. Leases and rows are messages of their own:
//!
//! | message | holds | lives |
//! |---|---|---|
//! | `lease.<node>` | the incarnation that has the node's name | one lease longer than its last renewal: the engine removes it |
//! | `row.<key>` | a value, and the incarnation that it is leased to, if any | until it is deleted |
//!
//! A row that is leased counts only while its incarnation holds its node's lease, so the end of a lease is one message, and a
//! zombie's late row counts for nothing. Renewals change no row. A lease that ended while the engine itself was away counts
//! on for a grace: its holder could not renew it.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pangaea_schemas::message::BeaconEntry;
use pangaea_schemas::{NodeId, Nonce, Revision, Timestamp};

/// First bytes of a row: kind and version.
const ROW_FORM: [u8; 4] = [b'B', b'R', b'W', 1];
/// First bytes of a lease.
const LEASE_FORM: [u8; 4] = [b'B', b'L', b'E', 1];

/// A key's value and whom it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) leased_to: Option<(NodeId, Nonce)>,
    pub(super) value: Bytes,
}

impl Row {
    pub(super) fn encode(&self) -> Bytes {
        let (node, nonce) = self.leased_to.map_or((0, 0), |(node, nonce)| (node.to_bits(), nonce.0));
        let mut bytes = BytesMut::with_capacity(self.value.len() + 24);
        bytes.put_slice(&ROW_FORM);
        bytes.put_u32_le(node);
        bytes.put_u128_le(nonce);
        bytes.put_slice(&self.value);
        bytes.freeze()
    }

    /// `None` for a marker of its deletion, and for what is no row.
    pub(super) fn decode(payload: &Bytes) -> Option<Self> {
        let mut rest = payload.slice(payload.starts_with(&ROW_FORM).then_some(ROW_FORM.len())?..);
        let node = NodeId::from_bits(rest.try_get_u32_le().ok()?);
        let nonce = Nonce(rest.try_get_u128_le().ok()?);
        Some(Self { leased_to: node.map(|node| (node, nonce)), value: rest })
    }
}

/// A lease as it is written.
pub(super) fn encode_lease(nonce: Nonce) -> Bytes {
    [LEASE_FORM.as_slice(), &nonce.0.to_le_bytes()].concat().into()
}

/// The holder; `None` for a marker of its end.
pub(super) fn decode_lease(payload: &Bytes) -> Option<Nonce> {
    let mut rest = payload.strip_prefix(LEASE_FORM.as_slice())?;
    rest.try_get_u128_le().ok().map(Nonce)
}

/// What one message of the bucket changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A key has another value, or none.
    Row(String, Option<Row>),
    /// A node's lease has another holder or was renewed; or it ended.
    Lease(NodeId, Option<Nonce>),
    /// Nothing.
    Barrier,
}

#[derive(Debug)]
struct Held {
    nonce: Nonce,
    /// It ended in the engine; it counts until then, and its end has this number.
    ends: Option<(Timestamp, Revision)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Replica {
    sequence: u64,
    rows: BTreeMap<String, (Revision, Row)>,
    leases: BTreeMap<NodeId, Held>,
}

impl Replica {
    /// Up to where it knows the bucket.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The message of `sequence`. Leases that end now count until `grace`, if there is one. Returns what changed for those who
    /// watch.
    pub(super) fn apply(&mut self, sequence: u64, change: Change, grace: Option<Timestamp>) -> Vec<BeaconEntry> {
        self.sequence = self.sequence.max(sequence);
        let revision = Revision(sequence);
        match change {
            Change::Barrier => Vec::new(),
            Change::Row(key, Some(row)) => {
                let was = self.entry(&key).value.is_some();
                self.rows.insert(key.clone(), (revision, row));
                let entry = self.entry(&key);
                match entry.value {
                    Some(_) => vec![entry],
                    None if was => vec![gone(&key, revision)],
                    None => Vec::new(),
                }
            }
            Change::Row(key, None) => {
                let was = self.entry(&key).value.is_some();
                self.rows.remove(&key);
                if was { vec![gone(&key, revision)] } else { Vec::new() }
            }
            Change::Lease(node, Some(nonce)) => match self.leases.insert(node, Held { nonce, ends: None }) {
                Some(before) if before.nonce == nonce => Vec::new(),
                before => {
                    let mut changed = before.map_or_else(Vec::new, |before| self.gone_with(node, before.nonce, revision));
                    changed.extend(self.leased_to(node, nonce).map(|key| self.entry(&key)).collect::<Vec<_>>());
                    changed
                }
            },
            Change::Lease(node, None) => match (self.leases.get_mut(&node), grace) {
                (None, _) => Vec::new(),
                (Some(held), Some(grace)) => {
                    held.ends.get_or_insert((grace, revision));
                    Vec::new()
                }
                (Some(_), None) => self.end(node, revision),
            },
        }
    }

    /// Leases whose grace is over.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<BeaconEntry> {
        let over = |held: &Held| held.ends.filter(|(at, _)| *at <= now).map(|(_, revision)| revision);
        let ended: Vec<_> = self.leases.iter().filter_map(|(node, held)| Some((*node, over(held)?))).collect();
        ended.into_iter().flat_map(|(node, revision)| self.end(node, revision)).collect()
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.leases.values().filter_map(|held| held.ends).map(|(at, _)| at).min()
    }

    /// A key as it counts now.
    pub(super) fn entry(&self, key: &str) -> BeaconEntry {
        let counts = self.rows.get(key).filter(|(_, row)| self.counts(row));
        BeaconEntry {
            key: key.to_owned(),
            revision: counts.map_or(Revision::ZERO, |(revision, _)| *revision),
            value: counts.map(|(_, row)| row.value.clone()),
        }
    }

    /// All keys with a prefix that count now, in order.
    pub(super) fn under(&self, prefix: &str) -> Vec<BeaconEntry> {
        let from = self.rows.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        from.filter(|(_, (_, row))| self.counts(row)).map(|(key, _)| self.entry(key)).collect()
    }

    fn counts(&self, row: &Row) -> bool {
        row.leased_to.is_none_or(|(node, nonce)| self.leases.get(&node).is_some_and(|held| held.nonce == nonce))
    }

    fn end(&mut self, node: NodeId, revision: Revision) -> Vec<BeaconEntry> {
        self.leases.remove(&node).map_or_else(Vec::new, |held| self.gone_with(node, held.nonce, revision))
    }

    fn gone_with(&self, node: NodeId, nonce: Nonce, revision: Revision) -> Vec<BeaconEntry> {
        self.leased_to(node, nonce).map(|key| gone(&key, revision)).collect()
    }

    fn leased_to(&self, node: NodeId, nonce: Nonce) -> impl Iterator<Item = String> {
        let leased = move |(_, (_, row)): &(&String, &(Revision, Row))| row.leased_to == Some((node, nonce));
        self.rows.iter().filter(leased).map(|(key, _)| key.clone())
    }
}

fn gone(key: &str, revision: Revision) -> BeaconEntry {
    BeaconEntry { key: key.to_owned(), revision, value: None }
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::Role;

    use super::*;

    const SCENE: NodeId = NodeId::new(Role::Scene, 1);
    const FIRST: Nonce = Nonce(1);
    const SECOND: Nonce = Nonce(2);

    fn row(leased_to: Option<(NodeId, Nonce)>) -> Row {
        Row { leased_to, value: Bytes::from_static(b"x") }
    }

    fn lease(nonce: Nonce) -> Change {
        Change::Lease(SCENE, Some(nonce))
    }

    /// Keys that changed, `-` before those that have gone.
    fn told(changed: Vec<BeaconEntry>) -> Vec<String> {
        let text = |entry: BeaconEntry| if entry.value.is_some() { entry.key } else { format!("-{}", entry.key) };
        changed.into_iter().map(text).collect()
    }

    /// Scene 1 is there in its first incarnation, with a row.
    fn replica() -> Replica {
        let mut replica = Replica::default();
        assert_eq!(told(replica.apply(1, lease(FIRST), None)), [""; 0]);
        assert_eq!(told(replica.apply(2, Change::Row("a".to_owned(), Some(row(Some((SCENE, FIRST))))), None)), ["a"]);
        replica
    }

    #[test]
    fn rows_and_leases_come_back() {
        for row in [row(None), row(Some((SCENE, FIRST)))] {
            assert_eq!(Row::decode(&row.encode()), Some(row));
        }
        assert_eq!(Row::decode(&Bytes::new()), None);
        assert_eq!(decode_lease(&encode_lease(SECOND)), Some(SECOND));
        assert_eq!(decode_lease(&Bytes::new()), None);
    }

    #[test]
    fn a_renewal_is_no_change_and_an_end_takes_the_rows_along() {
        let mut replica = replica();
        let before = replica.entry("a");
        assert_eq!(told(replica.apply(3, lease(FIRST), None)), [""; 0]);
        assert_eq!(replica.entry("a"), before);
        assert_eq!(told(replica.apply(4, Change::Lease(SCENE, None), None)), ["-a"]);
        assert_eq!(replica.under(""), []);
        assert_eq!(told(replica.apply(5, lease(FIRST), None)), ["a"], "the same incarnation came back");
    }

    #[test]
    fn a_row_of_another_incarnation_does_not_count() {
        let mut replica = replica();
        assert_eq!(told(replica.apply(3, lease(SECOND), None)), ["-a"]);
        let late = Change::Row("a".to_owned(), Some(row(Some((SCENE, FIRST)))));
        assert_eq!(told(replica.apply(4, late, None)), [""; 0], "a zombie's row");
        let own = Change::Row("a".to_owned(), Some(row(Some((SCENE, SECOND)))));
        assert_eq!(told(replica.apply(5, own, None)), ["a"]);
    }

    #[test]
    fn who_could_not_renew_is_given_a_grace() {
        let mut replica = replica();
        let (now, end) = (Timestamp(1_000), Timestamp(2_000));
        assert_eq!(told(replica.apply(3, Change::Lease(SCENE, None), Some(end))), [""; 0]);
        assert_eq!((replica.next_end(), told(replica.expire(now))), (Some(end), vec![]));
        assert_eq!(told(replica.apply(4, lease(FIRST), None)), [""; 0]);
        assert_eq!(told(replica.expire(end)), [""; 0], "it was renewed in time");

        replica.apply(5, Change::Lease(SCENE, None), Some(end));
        assert_eq!(told(replica.expire(end)), ["-a"], "it was not");
        assert_eq!(replica.next_end(), None);
    }

    #[test]
    fn deletions_are_told_once() {
        let mut replica = replica();
        assert_eq!(told(replica.apply(3, Change::Row("a".to_owned(), None), None)), ["-a"]);
        assert_eq!(told(replica.apply(4, Change::Row("a".to_owned(), None), None)), [""; 0]);
        assert_eq!(replica.sequence(), 4);
    }
}
