//! Headers: Ethereum's, with the Grid extension in `extraData`.

use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, Header, ReceiptEnvelope, TxEnvelope,
    constants::EMPTY_ROOT_HASH,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, U256};
use alloy_sol_types::SolValue;

use super::{Parent, next_base_fee};
use crate::{
    genesis::Genesis,
    grid::{Extension, ValidatorSet, extension::EXTENSION_VERSION},
    index::{self, ChainEntry},
    modules,
};

/// What a block's execution contributes to its header.
pub(crate) struct Results<'a> {
    pub(crate) transactions: &'a [TxEnvelope],
    pub(crate) receipts: &'a [ReceiptEnvelope],
    pub(crate) gas_used: u64,
    pub(crate) state_root: B256,
    pub(crate) entries: &'a [ChainEntry],
    pub(crate) validators_hash: B256,
    pub(crate) next_validators: &'a ValidatorSet,
}

/// The header of the block after `parent`.
pub(crate) fn assemble(
    parent: &Parent,
    time_ms: u64,
    proposer: Address,
    results: &Results<'_>,
) -> Header {
    let mut bloom = Bloom::ZERO;
    for receipt in results.receipts {
        bloom |= *receipt.logs_bloom();
    }
    let extension = extension(
        time_ms,
        results.entries,
        results.validators_hash,
        results.next_validators.hash(),
    );
    Header {
        parent_hash: parent.hash,
        beneficiary: proposer,
        state_root: results.state_root,
        transactions_root: calculate_transaction_root(results.transactions),
        receipts_root: calculate_receipt_root(results.receipts),
        logs_bloom: bloom,
        number: parent.header.number.saturating_add(1),
        gas_limit: parent.header.gas_limit,
        gas_used: results.gas_used,
        base_fee_per_gas: Some(next_base_fee(&parent.header)),
        ..template(time_ms, extension)
    }
}

/// The header of block 0.
pub(crate) fn genesis_header(
    genesis: &Genesis,
    validators: &ValidatorSet,
    entries: &[ChainEntry],
    state_root: B256,
) -> Header {
    let hash = validators.hash();
    let extension = extension(genesis.time_ms, entries, hash, hash);
    Header {
        state_root,
        gas_limit: genesis.gas_limit,
        base_fee_per_gas: Some(genesis.base_fee),
        ..template(genesis.time_ms, extension)
    }
}

/// The fields that are the same in every Grid header: no mining, no ommers, no fork after London.
fn template(time_ms: u64, extension: Bytes) -> Header {
    Header {
        parent_hash: B256::ZERO,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: Address::ZERO,
        state_root: B256::ZERO,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        logs_bloom: Bloom::ZERO,
        difficulty: U256::ZERO,
        number: 0,
        gas_limit: 0,
        gas_used: 0,
        timestamp: time_ms.checked_div(1000).unwrap_or(0),
        extra_data: extension,
        mix_hash: B256::ZERO,
        nonce: B64::ZERO,
        ..Header::default()
    }
}

fn extension(
    time_ms: u64,
    entries: &[ChainEntry],
    validators_hash: B256,
    next_validators_hash: B256,
) -> Bytes {
    let extension = Extension {
        version: EXTENSION_VERSION,
        timeMs: time_ms,
        indexRoot: index::index_root(entries),
        validatorsHash: validators_hash,
        nextValidatorsHash: next_validators_hash,
        collectionHash: modules::collection_hash(),
        extra: Bytes::new(),
    };
    extension.abi_encode().into()
}

/// The first field, by its JSON-RPC name, in which two headers differ: name, of `found`, of `expected`.
pub(super) fn difference(
    expected: &Header,
    found: &Header,
) -> Option<(&'static str, String, String)> {
    macro_rules! compare {
        ($($name:literal => $field:ident),* $(,)?) => {
            $(if expected.$field != found.$field {
                return Some(($name, format!("{:?}", found.$field), format!("{:?}", expected.$field)));
            })*
        };
    }
    compare! {
        "parentHash" => parent_hash,
        "number" => number,
        "timestamp" => timestamp,
        "gasLimit" => gas_limit,
        "baseFeePerGas" => base_fee_per_gas,
        "miner" => beneficiary,
        "sha3Uncles" => ommers_hash,
        "difficulty" => difficulty,
        "mixHash" => mix_hash,
        "nonce" => nonce,
        "gasUsed" => gas_used,
        "transactionsRoot" => transactions_root,
        "receiptsRoot" => receipts_root,
        "logsBloom" => logs_bloom,
        "extraData" => extra_data,
        "stateRoot" => state_root,
    }
    // Fields of later forks must be absent; comparing whole headers covers those not listed.
    (expected != found)
        .then(|| ("(fields of later forks)", "present".to_owned(), "absent".to_owned()))
}
