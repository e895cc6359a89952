//! A block's JSON and the header that it claims to be.

use alloy_consensus::Header;
use alloy_primitives::{Bytes, keccak256};
use grid_core::{
    ChainKey,
    ethereum::{SealedEthHeader, header},
};

use crate::{AdapterError, SourceHeader};

/// A header as nodes write it: the consensus fields and a claimed hash.
pub(super) type RpcHeader = alloy_rpc_types_eth::Header;

/// Rebuilds the consensus header, recomputes its hash and refuses a node that claims another.
pub(super) fn rebuild(
    endpoint: &str,
    chain: ChainKey,
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
    let sealed = SealedEthHeader { header, hash };
    let compat = header::compat(chain, &sealed);
    Ok((sealed.header, SourceHeader { compat, raw: Bytes::from(raw) }))
}
