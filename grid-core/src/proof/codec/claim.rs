//! Claims in binary form.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolValue, sol};

use super::{CodecError, TaggedWire, invalid, optional, read};
use crate::{
    api::BlockRef,
    proof::claim::{AccountState, Claim, Outcome, PlacedLog, ProvenLog},
};

sol! {
    struct NamedClaim { bytes32 chain; uint64 height; bytes32 blockHash; uint8 kind; bytes body; }
    struct BitcoinTxClaim { bytes32 txid; uint64 index; }
    struct TransactionClaim { uint64 index; bytes32 hash; }
    struct LogWire { uint64 index; address account; bytes32[] topics; bytes data; }
    struct ReceiptClaim { uint64 index; uint8 outcome; bytes32 detail; LogWire[] logs; }
    struct AccountClaim {
        address account; bool exists; uint64 nonce; uint256 balance; bytes32 storageRoot; bytes32 codeHash;
    }
    struct StorageClaim { address account; bytes32 slot; bool exists; uint256 value; }
    struct BitcoinPaymentClaim { bytes32 txid; uint64 index; uint32 output; bytes script; uint64 amount; }
    struct BitcoinDataClaim { bytes32 txid; uint64 index; uint32 output; bytes data; }
    struct BitcoinWitnessClaim { bytes32 txid; bytes32 wtxid; uint64 index; }
    struct FactsClaim { TaggedWire[] claims; }
    struct CodeClaim { address account; bytes32 codeHash; bytes[] code; }
    struct TransactionCountClaim { uint64 count; }
    struct PlacedLogWire { uint64 transaction; LogWire log; }
    struct LogsClaim { address account; bytes32[] topic; PlacedLogWire[] logs; }
    struct AncestorClaim { uint64 height; bytes32 blockHash; uint64 time; TaggedWire claim; }
}

/// The kinds of single facts about an Ethereum block.
const ETHEREUM_FACTS: [u8; 7] = [1, 2, 3, 4, 10, 11, 12];

/// What [`Claim::hash`] hashes.
pub(in crate::proof) fn named_claim(claim: &Claim, chain: B256, block: BlockRef) -> Vec<u8> {
    let (kind, body) = encode(claim);
    let BlockRef { height, hash: block_hash } = block;
    NamedClaim { chain, height, blockHash: block_hash, kind, body }.abi_encode_params()
}

/// Kind and body of a claim.
pub(super) fn encode(claim: &Claim) -> (u8, Bytes) {
    let (kind, body) = match claim {
        Claim::BitcoinTx { txid, index } => {
            (0, BitcoinTxClaim { txid: *txid, index: *index }.abi_encode())
        }
        Claim::Transaction { index, hash } => {
            (1, TransactionClaim { index: *index, hash: *hash }.abi_encode())
        }
        Claim::Receipt { index, outcome, log } => {
            let (outcome, detail) = match *outcome {
                Outcome::Failure {} => (0, B256::ZERO),
                Outcome::Success {} => (1, B256::ZERO),
                Outcome::PostState { root } => (2, root),
                Outcome::Unknown { tx_type } => (3, B256::with_last_byte(tx_type)),
            };
            let logs = log.iter().map(LogWire::from).collect();
            (2, ReceiptClaim { index: *index, outcome, detail, logs }.abi_encode())
        }
        Claim::Account { address, account } => (3, account_claim(*address, *account).abi_encode()),
        Claim::Storage { address, slot, value } => {
            let (account, slot, exists) = (*address, *slot, value.is_some());
            let value = value.unwrap_or_default();
            (4, StorageClaim { account, slot, exists, value }.abi_encode())
        }
        Claim::Header {} => (5, Vec::new()),
        Claim::BitcoinPayment { txid, index, output, script, amount } => {
            let (txid, index, output, amount) = (*txid, *index, *output, *amount);
            let script = script.clone();
            (6, BitcoinPaymentClaim { txid, index, output, script, amount }.abi_encode())
        }
        Claim::BitcoinData { txid, index, output, data } => {
            let (txid, index, output, data) = (*txid, *index, *output, data.clone());
            (7, BitcoinDataClaim { txid, index, output, data }.abi_encode())
        }
        Claim::BitcoinWitness { txid, wtxid, index } => {
            let (txid, wtxid, index) = (*txid, *wtxid, *index);
            (8, BitcoinWitnessClaim { txid, wtxid, index }.abi_encode())
        }
        Claim::BitcoinTxs { claims } => (9, list(claims)),
        Claim::Code { address, code_hash, code } => {
            let (account, code) = (*address, code.iter().cloned().collect());
            (10, CodeClaim { account, codeHash: *code_hash, code }.abi_encode())
        }
        Claim::TransactionCount { count } => {
            (11, TransactionCountClaim { count: *count }.abi_encode())
        }
        Claim::Logs { address, topic, logs } => {
            let (account, topic) = (*address, topic.iter().copied().collect());
            let logs = logs.iter().map(PlacedLogWire::from).collect();
            (12, LogsClaim { account, topic, logs }.abi_encode())
        }
        Claim::EthereumFacts { claims } => (13, list(claims)),
        Claim::Ancestor { height, block_hash, time, claim } => {
            let (kind, body) = encode(claim);
            let claim = TaggedWire { kind, body };
            let (height, time) = (*height, *time);
            (14, AncestorClaim { height, blockHash: *block_hash, time, claim }.abi_encode())
        }
    };
    (kind, body.into())
}

fn list(claims: &[Claim]) -> Vec<u8> {
    let claims = claims.iter().map(encode);
    let claims = claims.map(|(kind, body)| TaggedWire { kind, body }).collect();
    FactsClaim { claims }.abi_encode()
}

fn account_claim(address: Address, account: Option<AccountState>) -> AccountClaim {
    let (exists, state) = account.map_or_else(
        || {
            let zero = B256::ZERO;
            let balance = U256::ZERO;
            (false, AccountState { nonce: 0, balance, storage_root: zero, code_hash: zero })
        },
        |state| (true, state),
    );
    let AccountState { nonce, balance, storage_root, code_hash } = state;
    AccountClaim {
        account: address,
        exists,
        nonce,
        balance,
        storageRoot: storage_root,
        codeHash: code_hash,
    }
}

pub(super) fn decode(TaggedWire { kind, body }: &TaggedWire) -> Result<Claim, CodecError> {
    let part = "claim";
    Ok(match kind {
        0 => {
            let BitcoinTxClaim { txid, index } = read(part, body)?;
            Claim::BitcoinTx { txid, index }
        }
        1 => {
            let TransactionClaim { index, hash } = read(part, body)?;
            Claim::Transaction { index, hash }
        }
        2 => {
            let ReceiptClaim { index, outcome, detail, logs } = read(part, body)?;
            let outcome = match outcome {
                0 => Outcome::Failure {},
                1 => Outcome::Success {},
                2 => Outcome::PostState { root: detail },
                3 => Outcome::Unknown { tx_type: detail.0[31] },
                kind => return Err(CodecError::Kind { part: "outcome", kind }),
            };
            let log = optional("logs of the claim", logs)?.map(ProvenLog::from);
            Claim::Receipt { index, outcome, log }
        }
        3 => {
            let wire: AccountClaim = read(part, body)?;
            let account = wire.exists.then_some(AccountState {
                nonce: wire.nonce,
                balance: wire.balance,
                storage_root: wire.storageRoot,
                code_hash: wire.codeHash,
            });
            Claim::Account { address: wire.account, account }
        }
        4 => {
            let StorageClaim { account, slot, exists, value } = read(part, body)?;
            Claim::Storage { address: account, slot, value: exists.then_some(value) }
        }
        6 => {
            let BitcoinPaymentClaim { txid, index, output, script, amount } = read(part, body)?;
            Claim::BitcoinPayment { txid, index, output, script, amount }
        }
        7 => {
            let BitcoinDataClaim { txid, index, output, data } = read(part, body)?;
            Claim::BitcoinData { txid, index, output, data }
        }
        8 => {
            let BitcoinWitnessClaim { txid, wtxid, index } = read(part, body)?;
            Claim::BitcoinWitness { txid, wtxid, index }
        }
        9 => Claim::BitcoinTxs { claims: members(body, &[0, 6, 7])? },
        10 => {
            let CodeClaim { account, codeHash, code } = read(part, body)?;
            let code = optional("code of the claim", code)?;
            Claim::Code { address: account, code_hash: codeHash, code }
        }
        11 => {
            let TransactionCountClaim { count } = read(part, body)?;
            Claim::TransactionCount { count }
        }
        12 => {
            let LogsClaim { account, topic, logs } = read(part, body)?;
            let topic = optional("topic of the claim", topic)?;
            let logs = logs.into_iter().map(PlacedLog::from).collect();
            Claim::Logs { address: account, topic, logs }
        }
        13 => Claim::EthereumFacts { claims: members(body, &ETHEREUM_FACTS)? },
        14 => {
            let AncestorClaim { height, blockHash, time, claim } = read(part, body)?;
            let claim = match claim.kind {
                kind if kind == 13 || ETHEREUM_FACTS.contains(&kind) => Box::new(decode(&claim)?),
                kind => return Err(CodecError::Kind { part: "claim of an ancestor", kind }),
            };
            Claim::Ancestor { height, block_hash: blockHash, time, claim }
        }
        5 if body.is_empty() => Claim::Header {},
        5 => return Err(invalid(part, &"a header claim has no body")),
        kind => return Err(CodecError::Kind { part, kind: *kind }),
    })
}

/// The members of a list, which are of one chain's kinds: lists do not hold lists.
fn members(body: &[u8], kinds: &[u8]) -> Result<Vec<Claim>, CodecError> {
    let FactsClaim { claims } = read("claim", body)?;
    let member = |wire: &TaggedWire| match wire.kind {
        kind if kinds.contains(&kind) => decode(wire),
        kind => Err(CodecError::Kind { part: "listed claim", kind }),
    };
    claims.iter().map(member).collect()
}

impl From<&PlacedLog> for PlacedLogWire {
    fn from(PlacedLog { transaction, log }: &PlacedLog) -> Self {
        Self { transaction: *transaction, log: log.into() }
    }
}

impl From<PlacedLogWire> for PlacedLog {
    fn from(PlacedLogWire { transaction, log }: PlacedLogWire) -> Self {
        Self { transaction, log: log.into() }
    }
}

impl From<&ProvenLog> for LogWire {
    fn from(log: &ProvenLog) -> Self {
        let ProvenLog { index, address, topics, data } = log.clone();
        Self { index, account: address, topics, data }
    }
}

impl From<LogWire> for ProvenLog {
    fn from(LogWire { index, account, topics, data }: LogWire) -> Self {
        Self { index, address: account, topics, data }
    }
}
