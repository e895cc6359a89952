//! Headers as the main chain takes them: one call of its light-client contract.
//!
//! What a source hands out is checked here once more before it is paid for: links, heights and, for
//! Bitcoin, each header's own proof of work. The main chain checks everything again.

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolCall as _;
use grid_adapters::SourceHeader;
use grid_core::{
    ChainId, Family,
    api::BlockRef,
    bitcoin::{client::MAX_HEADERS_PER_SUBMISSION, header::Header, target},
    grid::RecoverableSignature,
    modules::{abi::LightClients, gas},
};
use thiserror::Error;

use crate::{
    config::{MAX_BATCH_BYTES, MAX_BITCOIN_BATCH, MAX_ETHEREUM_BATCH},
    plan::Link,
    store::NewItem,
};

/// Why a source's headers are not submitted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Nothing to submit.
    #[error("the source of {0} answered with no header")]
    Empty(ChainId),
    /// A header does not follow the one before it.
    #[error(
        "the source of {chain} handed out header {height} whose parent is {parent}, not {expected}"
    )]
    Broken {
        /// Chain.
        chain: ChainId,
        /// Height.
        height: u64,
        /// Its parent.
        parent: B256,
        /// The header before it.
        expected: B256,
    },
    /// A Bitcoin header that its own difficulty refuses, or that is no header.
    #[error("the source of {chain} handed out header {height} that is invalid: {reason}")]
    Invalid {
        /// Chain.
        chain: ChainId,
        /// Height.
        height: u64,
        /// What is wrong.
        reason: String,
    },
    /// One header alone is larger than a transaction may be.
    #[error("header {height} of {chain} has {size} bytes, at most {limit} can be submitted")]
    TooLarge {
        /// Chain.
        chain: ChainId,
        /// Height.
        height: u64,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// An attested chain whose attesters the main chain does not name.
    #[error("the main chain's node does not name the attesters of {0}; it is too old, update it")]
    NoAttesters(ChainId),
    /// A family that this version cannot relay.
    #[error("chain {chain}: headers of the family {family} cannot be relayed by this version")]
    Family {
        /// Chain.
        chain: ChainId,
        /// Its family.
        family: Family,
    },
}

/// Most headers of a family in one submission.
#[must_use]
pub const fn batch_limit(family: Family) -> usize {
    match family {
        Family::Bitcoin => MAX_BITCOIN_BATCH,
        _ => MAX_ETHEREUM_BATCH,
    }
}

/// Most headers of a family in a submission that leaves the main chain's branch: as many as a submission may
/// have at all where the chain judges it as a whole.
#[must_use]
pub const fn whole_limit(family: Family) -> usize {
    match family {
        Family::Bitcoin => MAX_HEADERS_PER_SUBMISSION,
        _ => MAX_ETHEREUM_BATCH,
    }
}

/// A header's name for the planner.
#[must_use]
pub const fn link(header: &SourceHeader) -> Link {
    Link {
        parent: header.compat.parentHash,
        block: BlockRef { height: header.compat.height, hash: header.compat.blockHash },
    }
}

/// As many of the headers as fit into one transaction, checked, and the last of them.
///
/// # Errors
/// When they are not a linked sequence above `above`.
pub fn run<'a>(
    chain: &ChainId,
    above: BlockRef,
    headers: &'a [SourceHeader],
) -> Result<(&'a [SourceHeader], BlockRef), EvidenceError> {
    let headers = fitting(chain, headers)?;
    check_links(chain, above, headers)?;
    let last = headers.last().ok_or_else(|| EvidenceError::Empty(chain.clone()))?;
    Ok((headers, link(last).block))
}

/// The item that submits as many of the headers as fit into one transaction.
///
/// # Errors
/// When they are not a linked sequence above `above`, or of a family that goes another way.
pub fn item(
    chain: &ChainId,
    family: Family,
    above: BlockRef,
    headers: &[SourceHeader],
) -> Result<NewItem, EvidenceError> {
    let (headers, last) = run(chain, above, headers)?;
    let payload = match family {
        Family::Bitcoin => bitcoin_call(chain, headers)?,
        family => return Err(EvidenceError::Family { chain: chain.clone(), family }),
    };
    Ok(new_item(chain, above, last, payload))
}

/// The item that submits a [`run`] of headers with the signatures over its last one.
#[must_use]
pub fn attested(
    chain: &ChainId,
    above: BlockRef,
    last: BlockRef,
    headers: &[SourceHeader],
    signatures: &[RecoverableSignature],
) -> NewItem {
    let call = LightClients::submitAttestedHeadersCall {
        chain: chain.key().0,
        headers: headers.iter().map(|header| header.raw.clone()).collect(),
        signatures: signatures.iter().map(|signature| (*signature).into()).collect(),
    };
    new_item(chain, above, last, call.abi_encode().into())
}

fn new_item(chain: &ChainId, above: BlockRef, last: BlockRef, payload: Bytes) -> NewItem {
    let from = above.height.saturating_add(1);
    NewItem { chain: chain.clone(), from, parent: above.hash, last, payload }
}

/// Gas that a submission may use: its call data, the light client, each header and signature, and a
/// quarter more. What is not used is not paid.
#[must_use]
pub fn gas_limit(call: &[u8], headers: u64) -> u64 {
    // Non-zero bytes cost 16 each by EIP-2028; 64 is the most attesters of a chain.
    let bytes = u64::try_from(call.len()).unwrap_or(u64::MAX).saturating_mul(16);
    let work = headers.saturating_mul(gas::BITCOIN_HEADER.max(gas::ETHEREUM_HEADER));
    let fixed = 21_000
        + gas::CALL
        + 2 * gas::CLIENT_LOAD
        + 64 * gas::SIGNATURE
        + 16 * gas::READ
        + 16 * gas::WRITE;
    let sum = bytes.saturating_add(work).saturating_add(fixed);
    sum.saturating_add(sum / 4)
}

/// The longest beginning of `headers` within the limit on bytes.
fn fitting<'a>(
    chain: &ChainId,
    headers: &'a [SourceHeader],
) -> Result<&'a [SourceHeader], EvidenceError> {
    let mut bytes = 0_usize;
    let mut count = 0;
    for header in headers {
        bytes = bytes.saturating_add(header.raw.len());
        if bytes > MAX_BATCH_BYTES {
            break;
        }
        count += 1;
    }
    if let (0, Some(first)) = (count, headers.first()) {
        return Err(EvidenceError::TooLarge {
            chain: chain.clone(),
            height: first.compat.height,
            size: first.raw.len(),
            limit: MAX_BATCH_BYTES,
        });
    }
    Ok(headers.get(..count).unwrap_or(headers))
}

fn check_links(
    chain: &ChainId,
    above: BlockRef,
    headers: &[SourceHeader],
) -> Result<(), EvidenceError> {
    let mut before = above;
    for header in headers {
        let Link { parent, block } = link(header);
        if parent != before.hash || Some(block.height) != before.height.checked_add(1) {
            return Err(EvidenceError::Broken {
                chain: chain.clone(),
                height: block.height,
                parent,
                expected: before.hash,
            });
        }
        before = block;
    }
    Ok(())
}

fn bitcoin_call(chain: &ChainId, headers: &[SourceHeader]) -> Result<Bytes, EvidenceError> {
    let mut joined = Vec::with_capacity(headers.len().saturating_mul(80));
    for header in headers {
        let height = header.compat.height;
        let invalid = |reason: &str| EvidenceError::Invalid {
            chain: chain.clone(),
            height,
            reason: reason.into(),
        };
        let raw: &[u8; 80] =
            header.raw.as_ref().try_into().map_err(|_| invalid("a Bitcoin header has 80 bytes"))?;
        let parsed = Header::parse(raw);
        let hash = parsed.hash();
        if hash != header.compat.blockHash {
            return Err(invalid("its bytes hash to something else"));
        }
        // The real difficulty is the light client's business; this keeps out what cannot be right.
        let claimed = target::valid(parsed.bits, &U256::MAX);
        if claimed.is_none_or(|target| target::hash_number(&hash) > target) {
            return Err(invalid("high-hash"));
        }
        joined.extend_from_slice(raw);
    }
    let call =
        LightClients::submitBitcoinHeadersCall { chain: chain.key().0, headers: joined.into() };
    Ok(call.abi_encode().into())
}
