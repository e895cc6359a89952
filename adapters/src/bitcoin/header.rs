//! 80 bytes and their common form.

use alloy_primitives::{B256, Bytes, U256};
use grid_core::{
    ChainKey,
    bitcoin::{header::Header, target},
};

pub(super) use grid_core::bitcoin::header::sha256d as hash;

use crate::SourceHeader;

/// Length of a header.
pub(super) const LEN: usize = Header::SIZE;

/// A hash as Bitcoin's tools show it: bytes reversed, no prefix.
pub(super) fn shown(hash: &B256) -> String {
    let mut reversed = *hash;
    reversed.0.reverse();
    alloy_primitives::hex::encode(reversed)
}

/// Reads a hash as Bitcoin's tools show it.
pub(super) fn parse_shown(text: &str) -> Option<B256> {
    let mut bytes = [0; 32];
    alloy_primitives::hex::decode_to_slice(text, &mut bytes).ok()?;
    bytes.reverse();
    Some(B256::new(bytes))
}

/// Hash of the parent.
pub(super) const fn parent(raw: &[u8; LEN]) -> B256 {
    Header::parse(raw).prev
}

/// Whether the hash is at most the target that the header itself claims. Whether it may claim that
/// target is the light client's question; this one makes an invented header expensive.
pub(super) fn has_work(raw: &[u8; LEN], hash: &B256) -> bool {
    let target = target::valid(Header::parse(raw).bits, &U256::MAX);
    target.is_some_and(|target| target::hash_number(hash) <= target)
}

/// The common form, with the recomputed hash.
pub(super) fn normalise(chain: ChainKey, height: u64, raw: &[u8; LEN]) -> SourceHeader {
    let compat = Header::parse(raw).compat(chain, height, hash(raw));
    SourceHeader { compat, raw: Bytes::copy_from_slice(raw) }
}

#[cfg(test)]
mod tests {
    use bitcoin::{Network, blockdata::constants::genesis_block, consensus::serialize};

    use super::*;

    #[test]
    fn mainnet_genesis_is_normalised() {
        let block = genesis_block(Network::Bitcoin);
        let raw: [u8; LEN] = serialize(&block.header).try_into().unwrap();
        let header = normalise(ChainKey(B256::ZERO), 0, &raw).compat;
        assert_eq!(shown(&header.blockHash), block.block_hash().to_string());
        assert_eq!(shown(&header.txRoot), block.header.merkle_root.to_string());
        assert_eq!((header.time, header.parentHash), (1_231_006_505, B256::ZERO));
        assert_eq!(parse_shown(&shown(&header.blockHash)), Some(header.blockHash));
        assert_eq!(parse_shown("00"), None);
    }
}
