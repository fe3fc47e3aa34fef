//! What streams, buckets and subjects of a cluster are called.

use std::fmt::Write as _;

use pangaea_schemas::NodeId;
use pangaea_schemas::geometry::ShardId;

/// The names of one cluster. Several clusters may share an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// The cluster's name with nothing in it that a subject may not have.
    cluster: String,
}

impl Names {
    pub(super) fn of(cluster: &str) -> Self {
        let word = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        Self { cluster: cluster.chars().map(word).collect() }
    }

    pub(super) fn log_stream(&self) -> String {
        format!("PANGAEA_{}_LOG", self.cluster)
    }

    /// Every message of the log.
    pub(super) fn log(&self) -> String {
        format!("pangaea.{}.log.>", self.cluster)
    }

    /// Entries of one shard's journal.
    pub(super) fn shard(&self, shard: ShardId) -> String {
        format!("pangaea.{}.log.shard.{}-{}-{}-{}", self.cluster, shard.space.0, shard.level, shard.x, shard.z)
    }

    /// Entries of all shards' journals.
    pub(super) fn shards(&self) -> String {
        format!("pangaea.{}.log.shard.*", self.cluster)
    }

    /// Batches of all data nodes.
    pub(super) fn batches(&self) -> String {
        format!("pangaea.{}.log.data.*", self.cluster)
    }

    /// Batches that a data node proposed.
    pub(super) fn batch(&self, node: NodeId) -> String {
        format!("pangaea.{}.log.data.{node}", self.cluster)
    }

    /// As a key-value bucket is called, so that NATS' own tools read it.
    pub(super) fn beacon_stream(&self) -> String {
        format!("KV_pangaea_{}_beacon", self.cluster)
    }

    pub(super) fn beacon_prefix(&self) -> String {
        format!("$KV.pangaea_{}_beacon.", self.cluster)
    }

    pub(super) fn blobs_bucket(&self) -> String {
        format!("pangaea_{}_blobs", self.cluster)
    }

    pub(super) fn bus_prefix(&self) -> String {
        format!("pangaea.{}.bus.", self.cluster)
    }
}

/// A beacon key as the rest of a subject: letters, digits, `-`, `_` and `/` stand for themselves, all else is `=` and two
/// hexadecimal digits.
pub(super) fn escape(key: &str) -> String {
    let mut escaped = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "={byte:02X}");
        }
    }
    escaped
}

/// The inverse of [`escape`]; `None` for what it never gives.
pub(super) fn unescape(escaped: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_a_subject() {
        for key in ["node/scene-1", "shard/0/3/1,0", "a.b", "ä > *", "=", ""] {
            let escaped = escape(key);
            assert!(escaped.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/=".contains(&b)), "{escaped}");
            assert_eq!(unescape(&escaped).as_deref(), Some(key));
        }
        assert_eq!(unescape("=4"), None);
        assert_eq!(unescape("=zz"), None);
    }

    #[test]
    fn a_clusters_name_never_breaks_a_subject() {
        assert_eq!(Names::of("my world.2").log_stream(), "PANGAEA_my_world_2_LOG");
    }
}
