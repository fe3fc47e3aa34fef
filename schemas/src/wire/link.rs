//! The first words between two nodes: who is there, and whether they speak of the same world.
//!
//! The connecting node sends [`LinkHello`]; the other answers [`LinkMessage::Welcome`], or [`LinkMessage::Refused`] in words and
//! closes. Nothing else may come before.

use bytes::Bytes;

use super::codec::wire_enum;
use super::{CLIENT_LIMITS, WireError, decode_root, encode_root};
use crate::client::NAME_BYTES_MAX;
use crate::generated::node::link;
use crate::registry::{DIALECT_MAX, Dialect};
use crate::{NodeId, Nonce};

/// Version of the protocol between nodes. Raised when old and new nodes must not talk.
pub const LINK_PROTOCOL: u32 = 6;

/// What a link begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkMessage {
    /// From the node that connects.
    Hello {
        /// [`LINK_PROTOCOL`].
        protocol: u32,
        /// The cluster's name.
        cluster: String,
        /// Who connects.
        node: NodeId,
        /// Its incarnation.
        nonce: Nonce,
        /// What its game's types are; empty for roles that know no game.
        dialect: Dialect,
    },
    /// From the node that was called: messages may follow.
    Welcome {
        /// Who answers.
        node: NodeId,
        /// Its incarnation.
        nonce: Nonce,
    },
    /// From the node that was called: it closes the link.
    Refused {
        /// Why, in words.
        text: String,
    },
}

wire_enum! {
    LinkMessage = link::{LinkMessage, LinkMessageArgs, LinkBody}
    variants {
        Hello(HelloArgs, body_as_hello) { protocol, cluster <= NAME_BYTES_MAX, node, nonce, dialect <= DIALECT_MAX },
        Welcome(WelcomeArgs, body_as_welcome) { node, nonce },
        Refused(RefusedArgs, body_as_refused) { text },
    }
    carriers {}
}

/// A link message as one FlatBuffer, without its frame.
pub fn encode(message: &LinkMessage) -> Bytes {
    encode_root(message)
}

/// The inverse of [`encode`].
pub fn decode(frame: &Bytes) -> Result<LinkMessage, WireError> {
    decode_root::<LinkMessage, link::LinkMessage<'_>>(frame, &CLIENT_LIMITS)
}

/// What a node expects of those who connect to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPolicy {
    /// The own cluster's name.
    pub cluster: String,
    /// The own node.
    pub node: NodeId,
    /// What this node's game's types are; empty for roles that know no game.
    pub dialect: Dialect,
}

/// Why a link is refused; the words go to the peer and to the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkRefusal {
    /// Another protocol version.
    #[error("{peer} speaks node protocol {theirs}, {own} speaks {LINK_PROTOCOL}: run the same build on both")]
    Protocol {
        /// Who connects.
        peer: NodeId,
        /// Who refuses.
        own: NodeId,
        /// Their version.
        theirs: u32,
    },
    /// Another cluster.
    #[error("{peer} belongs to cluster `{theirs}`, {own} to `{ours}`: check the address or the cluster's name")]
    Cluster {
        /// Who connects.
        peer: NodeId,
        /// Who refuses.
        own: NodeId,
        /// Their cluster.
        theirs: String,
        /// Our cluster.
        ours: String,
    },
    /// Another game: of what both name alike, some is made of something else.
    #[error(
        "{peer} and {own} run builds of which {count} types have the same name and other fields: run the same build on both, or one \
         that `pangaea deploy --dry-run` takes"
    )]
    Dialect {
        /// Who connects.
        peer: NodeId,
        /// Who refuses.
        own: NodeId,
        /// Types of one name that differ.
        count: usize,
    },
    /// A link does not begin like this.
    #[error("{own} expected a Hello as the first message of a link")]
    NoHello {
        /// Who refuses.
        own: NodeId,
    },
}

impl LinkPolicy {
    /// Who connects, if its Hello fits. What only one side knows does not matter: see [`Dialect`].
    pub fn admit(&self, first: &LinkMessage) -> Result<(NodeId, Nonce), LinkRefusal> {
        let own = self.node;
        let LinkMessage::Hello { protocol, cluster, node: peer, nonce, dialect } = first else {
            return Err(LinkRefusal::NoHello { own });
        };
        let peer = *peer;
        if *protocol != LINK_PROTOCOL {
            return Err(LinkRefusal::Protocol { peer, own, theirs: *protocol });
        }
        if *cluster != self.cluster {
            return Err(LinkRefusal::Cluster { peer, own, theirs: cluster.clone(), ours: self.cluster.clone() });
        }
        match self.dialect.differences(dialect) {
            0 => Ok((peer, *nonce)),
            count => Err(LinkRefusal::Dialect { peer, own, count }),
        }
    }
}
