//! A block's JSON and the header that it claims to be.

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, keccak256};
use grid_core::{ChainId, CompatHeader};

use crate::{AdapterError, SourceHeader};

/// A header as nodes write it: the consensus fields and a claimed hash.
pub(super) type RpcHeader = alloy_rpc_types_eth::Header;

/// Rebuilds the consensus header, recomputes its hash and refuses a node that claims another.
pub(super) fn rebuild(
    endpoint: &str,
    chain: &ChainId,
    claimed: RpcHeader,
) -> Result<(Header, SourceHeader), AdapterError> {
    let header = claimed.inner;
    let raw = alloy_rlp::encode(&header);
    let hash = keccak256(&raw);
    if hash != claimed.hash {
        return Err(AdapterError::EditedHeader {
            endpoint: endpoint.into(),
            height: header.number,
            claimed: claimed.hash.to_string(),
            computed: hash.to_string(),
        });
    }
    let normalised = SourceHeader { compat: compat(chain, &header, hash), raw: Bytes::from(raw) };
    Ok((header, normalised))
}

fn compat(chain: &ChainId, header: &Header, hash: B256) -> CompatHeader {
    CompatHeader {
        chain: chain.key().0,
        height: header.number,
        blockHash: hash,
        parentHash: header.parent_hash,
        time: header.timestamp,
        txRoot: header.transactions_root,
        receiptsRoot: header.receipts_root,
        stateRoot: header.state_root,
        indexRoot: B256::ZERO,
    }
}
