//! Mining for tests: regtest's target takes two tries a header on average.

use alloy_primitives::B256;

use super::{
    Header,
    network::NetworkParams,
    rules::{Parent, next_work_required},
    target,
};
use crate::header_tree::HeaderTree;

/// Finds a nonce for a header under its own bits.
pub(crate) fn mine(mut header: Header) -> Header {
    let target = target::decode(header.bits).target;
    while target::hash_number(&header.hash()) > target {
        header.nonce += 1;
    }
    header
}

/// A valid child, of the difficulty that the rules ask for; `salt` keeps siblings apart.
pub(crate) fn child(
    params: &NetworkParams,
    tree: &HeaderTree,
    parent: &B256,
    time: u32,
    salt: u64,
) -> Header {
    let below = tree.get(parent).expect("parent is in the tree");
    let context = &below.context().expect("a bitcoin header");
    let own = below.bitcoin().expect("a bitcoin header");
    let parent_of = Parent { height: below.height(), bits: own.bits, context };
    let bits = next_work_required(params, &parent_of, time);
    let merkle_root = crate::hash::leaf(&salt.to_be_bytes());
    mine(Header { version: 4, prev: *parent, merkle_root, time, bits, nonce: 0 })
}

/// `count` headers on top of `parent`, `spacing` seconds apart, without a tree.
pub(crate) fn run(parent: &Header, count: usize, spacing: u32, salt: u64) -> Vec<Header> {
    let mut at = *parent;
    (0..count as u64)
        .map(|step| {
            let merkle_root = crate::hash::leaf(&(salt << 32 | step).to_be_bytes());
            let (prev, time) = (at.hash(), at.time + spacing);
            at = mine(Header { version: 4, prev, merkle_root, time, bits: at.bits, nonce: 0 });
            at
        })
        .collect()
}
