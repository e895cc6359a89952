//! Domain-separated keccak256, the only hash of Grid's own commitments.
//!
//! A leaf, an inner node and a root binding can never be mistaken for each other because each is
//! hashed under its own one-byte prefix. A Solidity contract recomputes any of them with
//! `keccak256(abi.encodePacked(prefix, …))`.

use alloy_primitives::{B256, Keccak256};

/// Prefix of a leaf: `keccak256(0x00 ‖ payload)`.
pub const LEAF: u8 = 0x00;
/// Prefix of an inner node: `keccak256(0x01 ‖ left ‖ right)`.
pub const NODE: u8 = 0x01;
/// Prefix of a root binding: `keccak256(0x02 ‖ abi.encode(count, treeRoot))`.
pub const ROOT: u8 = 0x02;

fn tagged(prefix: u8, parts: &[&[u8]]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update([prefix]);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

/// Hashes a leaf's payload.
#[must_use]
pub fn leaf(payload: &[u8]) -> B256 {
    tagged(LEAF, &[payload])
}

/// Hashes two children into their parent.
#[must_use]
pub fn node(left: &B256, right: &B256) -> B256 {
    tagged(NODE, &[left.as_slice(), right.as_slice()])
}

/// Binds a tree's root to the ABI encoding of what it counts.
#[must_use]
pub fn root(payload: &[u8]) -> B256 {
    tagged(ROOT, &[payload])
}
