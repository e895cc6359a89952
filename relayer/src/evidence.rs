//! Headers as the main chain takes them: one call of its light-client contract.
//!
//! What a source hands out is checked here once more before it is paid for: links, heights and, for
//! Bitcoin, each header's own proof of work. The main chain checks everything again.

use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_sol_types::SolCall as _;
use grid_adapters::{FinalityData, SourceHeader, source::MAX_SYNC_DATA};
use grid_core::{
    ChainId, Family,
    api::BlockRef,
    bitcoin::{client::MAX_HEADERS_PER_SUBMISSION, header::Header, target},
    committee::GRID_BLOCK_KIND,
    grid::RecoverableSignature,
    modules::{abi::LightClients, gas},
};
use thiserror::Error;

use crate::{
    config::{MAX_BATCH_BYTES, MAX_BITCOIN_BATCH, MAX_ETHEREUM_BATCH},
    plan::Link,
    store::{Kind, NewItem},
};

/// Gas of light-client objects and their bytes in one submission, before the margin: half a block of the main
/// chain's default size.
const MAX_SYNC_GAS: u64 = 24_000_000;

/// Keys of a committee, at most.
const COMMITTEE_KEYS: u64 = 512;

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
    /// A run of headers that does not end with the one that the main chain wants.
    #[error(
        "the source of {chain} has {found} at height {height}, the main chain wants {expected} there; one of \
         them follows another chain"
    )]
    OtherEnd {
        /// Chain.
        chain: ChainId,
        /// Height.
        height: u64,
        /// What is wanted.
        expected: B256,
        /// What the source has.
        found: B256,
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
    let (kind, chain) = (Kind::Headers, chain.clone());
    NewItem { kind, chain, from, parent: above.hash, last, payload }
}

/// Light-client objects for one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The item that submits them.
    pub item: NewItem,
    /// The block that the newest of them names final.
    pub anchor: B256,
}

/// As many of the objects, in their order, as fit into one transaction by bytes and by gas; nothing where there
/// are none.
#[must_use]
pub fn offer(chain: &ChainId, data: &[FinalityData]) -> Option<Offer> {
    let (mut bytes, mut gas) = (0_usize, 0_u64);
    let mut objects: Vec<Bytes> = Vec::new();
    let mut newest = None;
    for object in data.iter().take(MAX_SYNC_DATA) {
        let encoded = object.bytes.clone();
        bytes = bytes.saturating_add(abi_size(encoded.len()));
        gas = gas.saturating_add(object_gas(&encoded)).saturating_add(byte_gas(encoded.len()));
        // The first always goes: the main chain's limits leave room for one of every kind.
        if !objects.is_empty() && (bytes > MAX_BATCH_BYTES || gas > MAX_SYNC_GAS) {
            break;
        }
        objects.push(encoded);
        newest = Some((object.slot, object.anchor));
    }
    let (slot, anchor) = newest?;
    let last = BlockRef { height: slot, hash: keccak256(objects.concat()) };
    let payload = sync_call(chain, objects, Vec::new());
    let (kind, chain, parent) = (Kind::Sync, chain.clone(), B256::ZERO);
    Some(Offer { item: NewItem { kind, chain, from: slot, parent, last, payload }, anchor })
}

/// The item that submits the end of a run of headers, as many as fit into one transaction. The last of them
/// must be `last`, and with `whole` none may be left out.
///
/// # Errors
/// When the headers are not linked or end with another one; nothing where they do not fit and have to.
pub fn section(
    chain: &ChainId,
    headers: &[SourceHeader],
    last: BlockRef,
    whole: bool,
) -> Result<Option<NewItem>, EvidenceError> {
    let end = headers.last().ok_or_else(|| EvidenceError::Empty(chain.clone()))?;
    if link(end).block != last {
        return Err(EvidenceError::OtherEnd {
            chain: chain.clone(),
            height: last.height,
            expected: last.hash,
            found: end.compat.blockHash,
        });
    }
    let (mut first, mut bytes) = (headers.len(), 0_usize);
    for header in headers.iter().rev() {
        bytes = bytes.saturating_add(abi_size(header.raw.len()));
        if bytes > MAX_BATCH_BYTES {
            break;
        }
        first -= 1;
    }
    let run = headers.get(first..).unwrap_or_default();
    let Some(lowest) = run.first().filter(|_| !whole || first == 0) else { return Ok(None) };
    let Link { parent, block } = link(lowest);
    let above = BlockRef { height: block.height.saturating_sub(1), hash: parent };
    check_links(chain, above, run)?;
    let payload = sync_call(chain, Vec::new(), run.iter().map(|one| one.raw.clone()).collect());
    let (kind, chain, from) = (Kind::Run, chain.clone(), block.height);
    Ok(Some(NewItem { kind, chain, from, parent, last, payload }))
}

fn sync_call(chain: &ChainId, data: Vec<Bytes>, headers: Vec<Bytes>) -> Bytes {
    let call = LightClients::submitFinalityCall { chain: chain.key().0, data, headers };
    call.abi_encode().into()
}

/// Gas for one light-client object: what the main chain's schedule takes, a full committee assumed.
fn object_gas(object: &[u8]) -> u64 {
    if object.first() == Some(&GRID_BLOCK_KIND) {
        // At most so many signatures fit.
        let signatures = u64::try_from(object.len() / 65).unwrap_or(u64::MAX);
        return gas::GRID_BLOCK.saturating_add(signatures.saturating_mul(gas::SIGNATURE));
    }
    // Kind 2 is a finality update, the only object of a beacon chain without a committee (ADR 9).
    let keys = if object.first() == Some(&2) { 0 } else { COMMITTEE_KEYS };
    gas::SYNC_OBJECT.saturating_add(keys.saturating_mul(gas::SYNC_KEY))
}

/// Bytes of one element of a `bytes[]`: its place, its length, and its content in words of 32 bytes.
const fn abi_size(bytes: usize) -> usize {
    bytes.div_ceil(32).saturating_mul(32).saturating_add(64)
}

/// Gas for call data: 16 for each byte that is not zero, by EIP-2028.
pub(crate) fn byte_gas(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(16)
}

/// Gas that a submission may use: its call data, the light client, each header and signature, and a
/// quarter more. What is not used is not paid.
#[must_use]
pub fn gas_limit(call: &[u8], headers: u64) -> u64 {
    let bytes = byte_gas(call.len());
    let price = gas::BITCOIN_HEADER.max(gas::ETHEREUM_HEADER);
    let work = match LightClients::submitFinalityCall::abi_decode(call) {
        Ok(sync) => {
            let headers = u64::try_from(sync.headers.len()).unwrap_or(u64::MAX);
            sync.data
                .iter()
                .fold(headers.saturating_mul(price), |sum, one| sum.saturating_add(object_gas(one)))
        }
        Err(_) => headers.saturating_mul(price),
    };
    // 64 is the most attesters of a chain.
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

#[cfg(test)]
mod tests;
