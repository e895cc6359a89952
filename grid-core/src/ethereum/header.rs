//! Execution headers in RLP, strict.
//!
//! Fields are positional: fifteen of the first fork, then `baseFeePerGas` (London), `withdrawalsRoot`
//! (Shanghai), `blobGasUsed`, `excessBlobGas`, `parentBeaconBlockRoot` (Cancun), `requestsHash`
//! (Prague), `blockAccessListHash`, `slotNumber` (Amsterdam). A header's hash is keccak256 of the
//! bytes that were given; what a node says about it is never asked.

use alloy_consensus::Header;
use alloy_primitives::{B256, keccak256};
use alloy_rlp::{Decodable, Encodable};
use thiserror::Error;

use crate::{ChainKey, CompatHeader};

/// The most bytes of a header. Mainnet's have some 650; a Grid header's extension adds up to 700;
/// chains with signatures in `extraData` need a few KiB.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;

/// A header and its hash, from the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedEthHeader {
    /// The decoded fields.
    pub header: Header,
    /// keccak256 of the RLP.
    pub hash: B256,
}

/// Why bytes are not an execution header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EthHeaderError {
    /// Longer than [`MAX_HEADER_BYTES`].
    #[error("header has {0} bytes, at most {MAX_HEADER_BYTES} are taken")]
    TooLarge(usize),
    /// Not the RLP of a header of any fork up to Amsterdam.
    #[error("header is not the RLP of an execution header up to Amsterdam: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// More bytes than the header.
    #[error("{0} bytes follow the header")]
    Trailing(usize),
    /// Decodes, but encodes to other bytes.
    #[error("header is not canonically encoded: its fields encode to other bytes")]
    NotCanonical,
}

/// Decodes a header; every byte must be accounted for.
///
/// # Errors
/// [`EthHeaderError`] for anything but one canonically encoded header.
pub fn decode_header(rlp: &[u8]) -> Result<SealedEthHeader, EthHeaderError> {
    if rlp.len() > MAX_HEADER_BYTES {
        return Err(EthHeaderError::TooLarge(rlp.len()));
    }
    let mut rest = rlp;
    let header = Header::decode(&mut rest)?;
    if !rest.is_empty() {
        return Err(EthHeaderError::Trailing(rest.len()));
    }
    let mut encoded = Vec::with_capacity(rlp.len());
    header.encode(&mut encoded);
    if encoded != rlp {
        return Err(EthHeaderError::NotCanonical);
    }
    Ok(SealedEthHeader { header, hash: keccak256(rlp) })
}

/// The common form of a header of `chain`.
#[must_use]
pub fn compat(chain: ChainKey, sealed: &SealedEthHeader) -> CompatHeader {
    let SealedEthHeader { header, hash } = sealed;
    CompatHeader {
        chain: chain.0,
        height: header.number,
        blockHash: *hash,
        parentHash: header.parent_hash,
        time: header.timestamp,
        txRoot: header.transactions_root,
        receiptsRoot: header.receipts_root,
        stateRoot: header.state_root,
        indexRoot: B256::ZERO,
    }
}
