//! Execution headers in RLP, strict.
//!
//! Fields are positional: fifteen of the first fork, then `baseFeePerGas` (London), `withdrawalsRoot`
//! (Shanghai), `blobGasUsed`, `excessBlobGas`, `parentBeaconBlockRoot` (Cancun), `requestsHash`
//! (Prague), `blockAccessListHash`, `slotNumber` (Amsterdam). A header's hash is keccak256 of the
//! bytes that were given; what a node says about it is never asked.

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, keccak256};
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

/// Why headers are not a run, each the child of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// A header cannot be decoded.
    #[error("header {index}: {error}")]
    Header {
        /// Position in the run.
        index: usize,
        /// What is wrong.
        error: EthHeaderError,
    },
    /// A header is not the child of the one before it.
    #[error("header {index} (height {height}) is not the child of the one before it")]
    NotLinked {
        /// Position in the run.
        index: usize,
        /// Its height.
        height: u64,
    },
}

/// Decodes headers of which each is the child of the one before, by hash and by number.
///
/// # Errors
/// [`RunError`] naming the first header that cannot be decoded or does not follow.
pub fn decode_run(headers: &[Bytes]) -> Result<Vec<SealedEthHeader>, RunError> {
    let mut run: Vec<SealedEthHeader> = Vec::with_capacity(headers.len());
    for (index, rlp) in headers.iter().enumerate() {
        let sealed = decode_header(rlp).map_err(|error| RunError::Header { index, error })?;
        if let Some(below) = run.last() {
            let height = sealed.header.number;
            let linked = sealed.header.parent_hash == below.hash
                && Some(height) == below.header.number.checked_add(1);
            if !linked {
                return Err(RunError::NotLinked { index, height });
            }
        }
        run.push(sealed);
    }
    Ok(run)
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

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U256};
    use proptest::prelude::*;

    use super::*;
    use crate::ChainId;

    /// A header with the fields of the given fork: 0 is the first, 5 Amsterdam.
    fn header(fork: u8, seed: u8) -> Header {
        let number = u64::from(seed) << 8;
        let hash = B256::repeat_byte(seed);
        let from = |first: u8| fork >= first;
        Header {
            parent_hash: hash,
            ommers_hash: hash,
            beneficiary: Address::repeat_byte(seed),
            state_root: hash,
            transactions_root: hash,
            receipts_root: hash,
            logs_bloom: Bloom::repeat_byte(seed),
            difficulty: U256::from(number),
            number,
            gas_limit: number,
            gas_used: number,
            timestamp: number,
            extra_data: Bytes::from(vec![seed; usize::from(seed)]),
            mix_hash: hash,
            nonce: B64::repeat_byte(seed),
            base_fee_per_gas: from(1).then_some(number),
            withdrawals_root: from(2).then_some(hash),
            blob_gas_used: from(3).then_some(number),
            excess_blob_gas: from(3).then_some(number),
            parent_beacon_block_root: from(3).then_some(hash),
            requests_hash: from(4).then_some(hash),
            block_access_list_hash: from(5).then_some(hash),
            slot_number: from(5).then_some(number),
        }
    }

    #[test]
    fn headers_of_every_fork_decode_to_their_own_hash() {
        for fork in 0..=5 {
            for seed in [0, 1, 0x7f, 0x80, 0xff] {
                let header = header(fork, seed);
                let rlp = alloy_rlp::encode(&header);
                let sealed = decode_header(&rlp).expect("its own encoding");
                assert_eq!((sealed.hash, &sealed.header), (header.hash_slow(), &header));
                let chain = ChainId::eip155(1).key();
                let common = compat(chain, &sealed);
                assert_eq!(common.height, header.number);
                assert_eq!(common.txRoot, header.transactions_root);
                assert_eq!(common.indexRoot, B256::ZERO);
            }
        }
    }

    #[test]
    fn mainnet_genesis_has_its_known_hash() {
        let genesis = Header {
            state_root: "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544"
                .parse()
                .expect("hex"),
            difficulty: U256::from(0x4_0000_0000u64),
            gas_limit: 5000,
            extra_data: "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa"
                .parse()
                .expect("hex"),
            nonce: B64::from(66u64),
            ..Header::default()
        };
        let sealed = decode_header(&alloy_rlp::encode(&genesis)).expect("canonical");
        let known = "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3";
        assert_eq!(sealed.hash, known.parse::<B256>().expect("hex"));
    }

    #[test]
    fn anything_but_the_one_encoding_is_refused() {
        let rlp = alloy_rlp::encode(header(4, 3));
        let mut longer = rlp.clone();
        longer.push(0);
        assert_eq!(decode_header(&longer), Err(EthHeaderError::Trailing(1)));
        for length in 0..rlp.len() {
            assert!(decode_header(&rlp[..length]).is_err(), "cut to {length}");
        }
        let large = vec![0; MAX_HEADER_BYTES + 1];
        assert_eq!(decode_header(&large), Err(EthHeaderError::TooLarge(large.len())));
        assert!(matches!(decode_header(b"\x80"), Err(EthHeaderError::Rlp(_))));

        // More fields than any fork has, inside the list.
        let mut fields = alloy_rlp::encode(header(5, 3))[3..].to_vec();
        fields.push(0x01);
        let mut more = Vec::new();
        alloy_rlp::Header { list: true, payload_length: fields.len() }.encode(&mut more);
        more.extend(fields);
        assert!(matches!(decode_header(&more), Err(EthHeaderError::Rlp(_))));
    }

    proptest! {
        #[test]
        fn a_changed_byte_changes_the_hash_or_is_refused(
            fork in 0..=5u8,
            seed in any::<u8>(),
            at in any::<prop::sample::Index>(),
            flip in 1..=u8::MAX,
        ) {
            let header = header(fork, seed);
            let mut rlp = alloy_rlp::encode(&header);
            *at.get_mut(&mut rlp) ^= flip;
            if let Ok(sealed) = decode_header(&rlp) {
                prop_assert_ne!(&sealed.header, &header);
                prop_assert_ne!(sealed.hash, header.hash_slow());
                prop_assert_eq!(alloy_rlp::encode(&sealed.header), rlp);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            if let Ok(sealed) = decode_header(&bytes) {
                prop_assert_eq!(alloy_rlp::encode(&sealed.header), bytes);
            }
        }
    }
}
