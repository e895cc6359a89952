//! What a proof proves, in words.

use core::fmt::Write as _;

use alloy_primitives::{Address, B256, Bytes};
use grid_core::{
    ChainId, Family,
    bitcoin::output,
    proof::{AccountState, Claim, Outcome, PlacedLog, Proven, ProvenLog},
};

use super::chains::display_hash;
use crate::abi::Abi;

/// One line a fact, hashes as the source chain's own tools display them.
pub(super) fn describe(proven: &Proven, abi: Option<&Abi>) -> String {
    let family = family(proven);
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        writeln!(text, "  {name:<13} {value}").unwrap_or_default();
    };
    for (name, value) in claim(&proven.source, &proven.claim, abi) {
        line(name, value);
    }
    line("chain", proven.source.to_string());
    line("block", format!("{} {}", proven.height, display_hash(family, proven.block_hash)));
    if let Some(indexed) = &proven.ancestor_of {
        let (height, hash) = (indexed.height, display_hash(family, indexed.hash));
        let block = proven.height;
        line(
            "shown by",
            format!("block {block}, an ancestor of indexed block {height} by EIP-2935 ({hash})"),
        );
    }
    line("block time", proven.time.to_string());
    line("security", proven.security.describe().to_owned());
    line("confirmed", format!("{} header(s) of the index stand above it", proven.index_depth));
    line("grid block", format!("{} {}", proven.grid_height, proven.grid_block_hash));
    text
}

/// A Bitcoin fact in lines; an address is worked out from the proven script.
pub(super) fn bitcoin(chain: &ChainId, claim: &Claim) -> Vec<(&'static str, String)> {
    let shown = |txid: &B256| display_hash(Family::Bitcoin, *txid);
    match claim {
        Claim::BitcoinTx { txid, index } => vec![
            ("proven", "this Bitcoin transaction is in the block".into()),
            ("txid", shown(txid)),
            ("position", index.to_string()),
        ],
        Claim::BitcoinPayment { txid, index, output, script, amount } => {
            let mut lines = vec![
                ("proven", "this Bitcoin transaction is in the block and has this output".into()),
                ("txid", shown(txid)),
                ("position", index.to_string()),
                ("output", output.to_string()),
                ("amount", format!("{amount} satoshis")),
                ("script", script.to_string()),
            ];
            let address = output::address(chain, script);
            lines.extend(address.map(|address| ("address", address)));
            lines
        }
        Claim::BitcoinData { txid, index, output, data } => vec![
            ("proven", "this Bitcoin transaction is in the block and carries this data".into()),
            ("txid", shown(txid)),
            ("position", index.to_string()),
            ("output", output.to_string()),
            ("data", data.to_string()),
        ],
        Claim::BitcoinWitness { txid, wtxid, index } => vec![
            ("proven", "this Bitcoin transaction is in the block with its witness".into()),
            ("txid", shown(txid)),
            ("wtxid", shown(wtxid)),
            ("position", index.to_string()),
        ],
        Claim::BitcoinTxs { claims } => {
            claims.iter().flat_map(|claim| bitcoin(chain, claim)).collect()
        }
        other => vec![("proven", format!("{other:?}"))],
    }
}

fn claim(chain: &ChainId, fact: &Claim, abi: Option<&Abi>) -> Vec<(&'static str, String)> {
    match fact {
        Claim::Transaction { index, hash } => vec![
            ("proven", "this transaction is in the block".into()),
            ("transaction", hash.to_string()),
            ("position", index.to_string()),
        ],
        Claim::TransactionCount { count } => vec![
            ("proven", "the block has exactly so many transactions".into()),
            ("transactions", count.to_string()),
        ],
        Claim::Receipt { index, outcome, log } => receipt(*index, *outcome, log.as_ref(), abi),
        Claim::Logs { address, topic, logs } => {
            let mut lines = vec![
                ("proven", "these are all logs of the contract in the block".into()),
                ("contract", address.to_string()),
            ];
            lines.extend(topic.map(|topic| ("first topic", topic.to_string())));
            lines.push(("logs", logs.len().to_string()));
            for PlacedLog { transaction, log } in logs {
                let place = format!("{} of the receipt of transaction {transaction}", log.index);
                lines.push(("log", place));
                lines.extend(log_lines(log, abi));
            }
            lines
        }
        Claim::Account { address, account } => {
            account_lines(&address.to_string(), account.as_ref())
        }
        Claim::Code { address, code_hash, code } => code_lines(*address, *code_hash, code.as_ref()),
        Claim::Storage { address, slot, value } => {
            let (proven, value) = match value {
                Some(value) => {
                    ("this storage slot had this value", format!("{value} ({value:#x})"))
                }
                None => ("this storage slot did not exist", "none: it reads as 0".into()),
            };
            vec![
                ("proven", format!("{proven} after the block")),
                ("account", address.to_string()),
                ("slot", slot.to_string()),
                ("value", value),
            ]
        }
        Claim::EthereumFacts { claims } => {
            claims.iter().flat_map(|fact| claim(chain, fact, abi)).collect()
        }
        Claim::Ancestor { claim: inner, .. } => claim(chain, inner, abi),
        Claim::Header {} => {
            vec![("proven", "this block is the chain's block at its height".into())]
        }
        bitcoin_fact => bitcoin(chain, bitcoin_fact),
    }
}

fn code_lines(
    address: Address,
    code_hash: B256,
    code: Option<&Bytes>,
) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("proven", "this account had this code after the block".to_owned()),
        ("account", address.to_string()),
        ("code hash", code_hash.to_string()),
    ];
    if code_hash.is_zero() {
        lines.push(("", "zero: the account did not exist or was empty".into()));
    }
    // The designation of EIP-7702.
    if let Some([0xef, 0x01, 0x00, delegate @ ..]) = code.map(AsRef::as_ref)
        && delegate.len() == Address::len_bytes()
    {
        lines.push(("delegates to", Address::from_slice(delegate).to_string()));
    }
    lines.extend(code.map(|code| ("code", format!("{} bytes: {code}", code.len()))));
    lines
}

fn receipt(
    index: u64,
    outcome: Outcome,
    log: Option<&ProvenLog>,
    abi: Option<&Abi>,
) -> Vec<(&'static str, String)> {
    let outcome = match outcome {
        Outcome::Success {} => "succeeded".to_owned(),
        Outcome::Failure {} => "failed".to_owned(),
        Outcome::PostState { root } => format!("left state {root} (before EIP-658: no status)"),
        Outcome::Unknown { tx_type } => {
            format!("has a receipt, of the unknown transaction type {tx_type:#04x}")
        }
        other => format!("{other:?}"),
    };
    let mut lines = vec![
        ("proven", format!("the transaction at this position {outcome}")),
        ("position", index.to_string()),
    ];
    if let Some(log) = log {
        lines.push(("log", format!("{} of the receipt, emitted by {}", log.index, log.address)));
        lines.extend(log_lines(log, abi));
    }
    lines
}

/// Topics and data, and what they say by the ABI.
fn log_lines(log: &ProvenLog, abi: Option<&Abi>) -> Vec<(&'static str, String)> {
    let mut lines: Vec<_> = log.topics.iter().map(|topic| ("topic", topic.to_string())).collect();
    lines.push(("data", log.data.to_string()));
    match abi.map(|abi| abi.decode(log)) {
        None => {}
        Some(None) => lines.push(("event", "none of the given ABI".into())),
        Some(Some(Err(error))) => lines.push(("event", format!("none: the log {error}"))),
        Some(Some(Ok(event))) => lines.extend(event.lines()),
    }
    lines
}

fn account_lines(address: &str, account: Option<&AccountState>) -> Vec<(&'static str, String)> {
    let Some(account) = account else {
        return vec![
            ("proven", "this account did not exist after the block".into()),
            ("account", address.to_owned()),
        ];
    };
    vec![
        ("proven", "this account had this state after the block".into()),
        ("account", address.to_owned()),
        ("nonce", account.nonce.to_string()),
        ("balance", account.balance.to_string()),
        ("storage root", account.storage_root.to_string()),
        ("code hash", account.code_hash.to_string()),
    ]
}

fn family(proven: &Proven) -> Family {
    match proven.source.namespace() {
        "bip122" => Family::Bitcoin,
        _ => Family::Ethereum,
    }
}
