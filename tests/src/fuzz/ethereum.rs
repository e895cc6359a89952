//! Execution headers, and nodes of Merkle Patricia tries.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use grid_core::ethereum::{
    header::decode_header,
    mpt::{lookup, ordered_trie_root, prove_ordered, verify_receipt},
};

/// Reads bytes as an execution header in RLP. What is read encodes to the same bytes, so that its hash
/// is theirs.
pub fn execution_header(data: &[u8]) {
    if let Ok(sealed) = decode_header(data) {
        assert_eq!(sealed.hash, keccak256(data));
        assert_eq!(alloy_rlp::encode(&sealed.header), data, "another spelling was taken");
    }
}

/// Cuts bytes into pieces: a length of two bytes before each.
fn pieces(mut data: &[u8]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        pieces.push(Bytes::copy_from_slice(piece));
        data = rest;
    }
    pieces
}

/// The other way round.
pub(super) fn join<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut joined = Vec::new();
    for piece in pieces {
        joined.extend(u16::try_from(piece.len()).unwrap_or(u16::MAX).to_le_bytes());
        joined.extend(piece);
    }
    joined
}

/// Reads pieces of bytes as a key and the nodes of its proof, under the root that the first node has.
pub fn trie_nodes(data: &[u8]) {
    let pieces = pieces(data);
    let Some(([key], nodes)) = pieces.split_first_chunk::<1>() else { return };
    let root = nodes.first().map_or(B256::ZERO, keccak256);
    if lookup(root, key, nodes).is_ok() {
        // A proof holds for one root, and needs all of its nodes.
        assert!(lookup(B256::repeat_byte(1), key, nodes).is_err());
        if let Some((_, shorter)) = nodes.split_last() {
            assert!(root == EMPTY_ROOT_HASH || lookup(root, key, shorter).is_err());
        }
    }
}

/// Reads pieces of bytes as the receipts of a block, and proves one of them.
pub fn receipts(data: &[u8]) {
    let mut values = pieces(data);
    values.truncate(3);
    values.retain(|value| !value.is_empty());
    if let Some(last) = values.len().checked_sub(1) {
        let (root, index) = (ordered_trie_root(&values), last as u64);
        let nodes = prove_ordered(&values, index).expect("a value of the trie");
        // What is no receipt is refused, and never panics.
        let _ = verify_receipt(root, index, &nodes, None);
        assert!(verify_receipt(B256::repeat_byte(1), index, &nodes, None).is_err());
    }
}
