//! What a proof proves, in words.

use core::fmt::Write as _;

use alloy_primitives::B256;
use grid_core::{
    ChainId, Family,
    bitcoin::output,
    proof::{AccountState, Claim, Outcome, Proven, ProvenLog},
};

use super::chains::display_hash;

/// One line a fact, hashes as the source chain's own tools display them.
pub(super) fn describe(proven: &Proven) -> String {
    let family = family(proven);
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        writeln!(text, "  {name:<13} {value}").unwrap_or_default();
    };
    for (name, value) in claim(&proven.source, &proven.claim) {
        line(name, value);
    }
    line("chain", proven.source.to_string());
    line("block", format!("{} {}", proven.height, display_hash(family, proven.block_hash)));
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

fn claim(chain: &ChainId, claim: &Claim) -> Vec<(&'static str, String)> {
    match claim {
        Claim::Transaction { index, hash } => vec![
            ("proven", "this transaction is in the block".into()),
            ("transaction", hash.to_string()),
            ("position", index.to_string()),
        ],
        Claim::Receipt { index, outcome, log } => receipt(*index, *outcome, log.as_ref()),
        Claim::Account { address, account } => {
            account_lines(&address.to_string(), account.as_ref())
        }
        Claim::Storage { address, slot, value } => vec![
            ("proven", "this storage slot had this value after the block".into()),
            ("account", address.to_string()),
            ("slot", slot.to_string()),
            ("value", format!("{value} ({value:#x})")),
        ],
        Claim::Header {} => {
            vec![("proven", "this block is the chain's block at its height".into())]
        }
        bitcoin_fact => bitcoin(chain, bitcoin_fact),
    }
}

fn receipt(index: u64, outcome: Outcome, log: Option<&ProvenLog>) -> Vec<(&'static str, String)> {
    let outcome = match outcome {
        Outcome::Success {} => "succeeded".to_owned(),
        Outcome::Failure {} => "failed".to_owned(),
        Outcome::PostState { root } => format!("left state {root} (before EIP-658: no status)"),
        other => format!("{other:?}"),
    };
    let mut lines = vec![
        ("proven", format!("the transaction at this position {outcome}")),
        ("position", index.to_string()),
    ];
    if let Some(log) = log {
        lines.push(("log", format!("{} of the receipt, emitted by {}", log.index, log.address)));
        lines.extend(log.topics.iter().map(|topic| ("topic", topic.to_string())));
        lines.push(("data", log.data.to_string()));
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
