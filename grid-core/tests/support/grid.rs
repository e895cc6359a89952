//! Another Grid chain: headers, validators and certified blocks, for the chain that follows it.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Signature};
use alloy_sol_types::SolValue;
use grid_core::{
    ChainId, Family, Level, Security,
    committee::grid_object,
    confirm::ConfirmationRule,
    grid::{
        CommitCertificate, Extension, RecoverableSignature, Validator, ValidatorSet, VoteKind,
        light::{LightBlock, LightPolicy},
        vote_digest,
    },
    modules::{ChainRecord, ChainStatus, ClientParams},
};
use k256::ecdsa::SigningKey;

use super::START_MS;

pub const OTHER_ID: u64 = 8_000;
/// Height of the trusted header.
pub const FIRST: u64 = 500;
/// A week.
pub const PERIOD_MS: u64 = 7 * 24 * 3_600 * 1_000;

/// Four keys, chosen by a number, in the order of their addresses.
pub fn keys(seed: u8) -> Vec<SigningKey> {
    let mut keys: Vec<_> =
        (0..4).map(|at| SigningKey::from_slice(&[seed + at; 32]).unwrap()).collect();
    keys.sort_by_key(Address::from_private_key);
    keys
}

pub fn set(keys: &[SigningKey]) -> ValidatorSet {
    let member =
        |key: &SigningKey| Validator { account: Address::from_private_key(key), power: 10 };
    ValidatorSet::new(keys.iter().map(member).collect()).unwrap()
}

/// The index root that a header of this height commits to.
pub fn index_root(height: u64) -> B256 {
    B256::with_last_byte(u8::try_from(height % 251).unwrap())
}

/// A header on `parent`, decided by `own`; `next` decides the one above. `salt` makes branches differ.
pub fn header(parent: &Header, own: &ValidatorSet, next: &ValidatorSet, salt: u8) -> Header {
    let number = parent.number + 1;
    let time_ms = START_MS - 1_000_000 + number * 1_000;
    let extension = Extension {
        version: 1,
        timeMs: time_ms,
        indexRoot: index_root(number),
        validatorsHash: own.hash(),
        nextValidatorsHash: next.hash(),
        collectionHash: B256::repeat_byte(salt),
        extra: Bytes::new(),
    };
    Header {
        parent_hash: parent.hash_slow(),
        number,
        timestamp: time_ms / 1_000,
        state_root: B256::repeat_byte(salt),
        base_fee_per_gas: Some(7),
        extra_data: extension.abi_encode().into(),
        ..Header::default()
    }
}

/// `count` headers above `parent`, all decided by `keys`.
pub fn headers(parent: &Header, keys: &[SigningKey], count: usize, salt: u8) -> Vec<Header> {
    let set = set(keys);
    let mut headers: Vec<Header> = Vec::new();
    for _ in 0..count {
        let next = header(headers.last().unwrap_or(parent), &set, &set, salt);
        headers.push(next);
    }
    headers
}

/// The first header, which is trusted.
pub fn start(keys: &[SigningKey]) -> Header {
    let set = set(keys);
    header(&Header { number: FIRST - 1, ..Header::default() }, &set, &set, 1)
}

pub fn record(keys: &[SigningKey]) -> ChainRecord {
    ChainRecord {
        id: ChainId::eip155(OTHER_ID),
        family: Family::Grid,
        security: Security::BftCertificate,
        level: Level::L0,
        measured: false,
        rule: ConfirmationRule::Final,
        status: ChainStatus::Active,
        client: ClientParams::Grid {
            start: alloy_rlp::encode(start(keys)).into(),
            validators: set(keys),
            policy: LightPolicy { trusting_period_ms: PERIOD_MS, ..LightPolicy::default() },
        },
        window: 64,
    }
}

/// A block that `keys` decided; `next` where others decide the one above.
pub fn block(header: &Header, keys: &[SigningKey], next: Option<&[SigningKey]>) -> LightBlock {
    let (height, round, block_hash) = (header.number, 0, header.hash_slow());
    let digest = vote_digest(VoteKind::Precommit, OTHER_ID, height, round, block_hash);
    let sign = |key: &SigningKey| {
        let made = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
        RecoverableSignature::from(Signature::from(made))
    };
    let signatures = keys.iter().map(sign).collect();
    LightBlock {
        header: alloy_rlp::encode(header).into(),
        certificate: CommitCertificate { height, round, block_hash, signatures },
        validators: set(keys),
        next_validators: next.map(set),
    }
}

/// A block as an object of a submission.
pub fn object(header: &Header, keys: &[SigningKey]) -> Bytes {
    grid_object(&block(header, keys, None)).into()
}
