//! A node's registration as the bytes of its beacon key. One place, so that the form can change in one place.

use bytes::Bytes;
use pangaea_schemas::message::NodeInfo;
use pangaea_schemas::{NodeId, Nonce, RegistryHash};

/// First byte of every value.
const VERSION: u8 = 1;

/// As stored: version, node, nonce, pid, registry, draining, then four texts with a `u16` length each, all little-endian.
pub(crate) fn node_info_bytes(info: &NodeInfo) -> Bytes {
    let mut bytes = vec![VERSION];
    bytes.extend(info.node.to_bits().to_le_bytes());
    bytes.extend(info.nonce.0.to_le_bytes());
    bytes.extend(info.pid.to_le_bytes());
    bytes.extend(info.registry.0.to_le_bytes());
    bytes.push(u8::from(info.draining));
    for text in [&info.address, &info.client_tcp, &info.client_ws, &info.http] {
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.into()
}

/// The inverse of [`node_info_bytes`]; `None` for anything else.
pub(crate) fn node_info(bytes: &[u8]) -> Option<NodeInfo> {
    let (version, bytes) = bytes.split_first()?;
    let (node, bytes) = bytes.split_first_chunk()?;
    let (nonce, bytes) = bytes.split_first_chunk()?;
    let (pid, bytes) = bytes.split_first_chunk()?;
    let (registry, bytes) = bytes.split_first_chunk()?;
    let (draining, bytes) = bytes.split_first()?;
    let (address, bytes) = text(bytes)?;
    let (client_tcp, bytes) = text(bytes)?;
    let (client_ws, bytes) = text(bytes)?;
    let (http, bytes) = text(bytes)?;
    (*version == VERSION && bytes.is_empty()).then_some(NodeInfo {
        node: NodeId::from_bits(u32::from_le_bytes(*node))?,
        nonce: Nonce(u128::from_le_bytes(*nonce)),
        pid: u32::from_le_bytes(*pid),
        registry: RegistryHash(u64::from_le_bytes(*registry)),
        draining: *draining != 0,
        address,
        client_tcp,
        client_ws,
        http,
    })
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, bytes) = bytes.split_first_chunk()?;
    let (text, rest) = bytes.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}
