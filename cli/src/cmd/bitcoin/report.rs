//! What a proof about one Bitcoin block shows, for programs and for people.

use core::fmt::Write as _;

use alloy_primitives::{Bytes, U256};
use grid_core::{
    ChainId,
    bitcoin::{Header, output, spv::MerkleBlock, tx::Tx},
    proof::{BlockProof, BlockProven, Claim, Inclusion},
};
use serde::Serialize;

use crate::{btc, cmd::proven};

/// A proof that holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    verified: bool,
    /// `transactions`, or `ids` for a merkle block without transactions and coinbase.
    strength: &'static str,
    network: String,
    /// As displayed.
    block_hash: String,
    /// As the coinbase states it.
    height: Option<u64>,
    /// Seconds since 1970, by the header.
    time: u32,
    /// Compact target, hexadecimal.
    bits: String,
    /// Expected number of hashes behind the header.
    work: U256,
    transactions: Vec<TxReport>,
    /// What the proof claims, in internal byte order.
    claim: Option<Claim>,
    /// What was not checked.
    not_checked: Vec<&'static str>,
    #[serde(skip)]
    source: Option<ChainId>,
}

/// A transaction in the block.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TxReport {
    /// As displayed.
    txid: String,
    /// Position in the block.
    index: u64,
    /// As displayed, where the witness is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    wtxid: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<OutputReport>,
}

/// One output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputReport {
    output: usize,
    /// Satoshis.
    amount: u64,
    script: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// What is pushed after `OP_RETURN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Bytes>,
}

/// A proof that does not hold.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    verified: bool,
    pub(super) rule: &'static str,
    reason: String,
}

const BEST_CHAIN: &str = "that the block is in the chain with the most work: compare its hash with a chain of headers that you have checked";
const TARGET: &str = "that the header's target is the one its chain asks for";
const BLOCK: &str = "that the block is valid: scripts, signatures, amounts";
const HEIGHT: &str = "the height: a coinbase from before BIP34 states none";
const IDS: &str = "that the ids are those of transactions: without the coinbase the depth of the tree is unknown, and an inner node can pass for one (CVE-2017-12842)";

impl Report {
    /// What a proof shows, which has been verified.
    pub(super) fn of_proof(proof: &BlockProof, proven: BlockProven) -> Self {
        let BlockProven { network, block_hash, header, work, height, claim } = proven;
        let mut not_checked = vec![BEST_CHAIN, TARGET, BLOCK];
        not_checked.extend(height.is_none().then_some(HEIGHT));
        Self {
            verified: true,
            strength: "transactions",
            network,
            block_hash: btc::display(block_hash),
            height,
            time: header.time,
            bits: format!("{:08x}", header.bits),
            work,
            transactions: transactions(&proof.source, &proof.inclusion),
            claim: Some(claim),
            not_checked,
            source: Some(proof.source.clone()),
        }
    }

    /// What a merkle block shows by itself.
    pub(super) fn of_ids(
        network: String,
        header: &Header,
        work: U256,
        block: &MerkleBlock,
    ) -> Self {
        let transactions = block.matches().iter().map(|found| TxReport {
            txid: btc::display(found.txid),
            index: found.index,
            wtxid: None,
            outputs: Vec::new(),
        });
        Self {
            verified: true,
            strength: "ids",
            network,
            block_hash: btc::display(header.hash()),
            height: None,
            time: header.time,
            bits: format!("{:08x}", header.bits),
            work,
            transactions: transactions.collect(),
            claim: None,
            not_checked: vec![IDS, BEST_CHAIN, TARGET, BLOCK],
            source: None,
        }
    }

    /// The report in lines.
    pub(super) fn people(&self) -> String {
        let head = if self.claim.is_some() { "VERIFIED" } else { "IDS ONLY" };
        let mut text = format!("{head}\n");
        // Writing to a string cannot fail.
        let mut line = |name: &str, value: &str| {
            writeln!(text, "  {name:<13} {value}").unwrap_or_default();
        };
        line("network", &self.network);
        line("block", &self.block_hash);
        line("height", &self.height.map_or_else(|| "not stated".into(), |at| at.to_string()));
        line("block time", &self.time.to_string());
        line("work", &format!("{} hashes (bits {})", self.work, self.bits));
        for tx in &self.transactions {
            line("transaction", &format!("{} at {}", tx.txid, tx.index));
            for OutputReport { output, amount, script, address, data } in &tx.outputs {
                let to = match (address, data) {
                    (Some(address), _) => address.clone(),
                    (None, Some(data)) => format!("OP_RETURN {data}"),
                    (None, None) => format!("script {script}"),
                };
                line("", &format!("output {output}: {amount} satoshis to {to}"));
            }
        }
        if let (Some(source), Some(claim)) = (&self.source, &self.claim) {
            for (name, value) in proven::bitcoin(source, claim) {
                line(name, &value);
            }
        }
        for what in &self.not_checked {
            line("not checked", what);
        }
        text
    }
}

/// The transactions of an inclusion, with all their outputs.
fn transactions(chain: &ChainId, inclusion: &Inclusion) -> Vec<TxReport> {
    let (list, with_witness) = match inclusion {
        Inclusion::BitcoinTx(tx)
        | Inclusion::BitcoinPayment { tx, .. }
        | Inclusion::BitcoinData { tx, .. } => (vec![(tx.index, &tx.raw)], false),
        Inclusion::BitcoinWitness(proof) => (vec![(proof.index, &proof.raw)], true),
        Inclusion::BitcoinTxs { txs, .. } => {
            (txs.transactions.iter().map(|tx| (tx.index, &tx.raw)).collect(), false)
        }
        _ => (Vec::new(), false),
    };
    let parsed = list.into_iter().filter_map(|(index, raw)| {
        // Verified before, so it parses.
        Some((index, Tx::with_witness(raw).ok()?))
    });
    parsed
        .map(|(index, tx)| TxReport {
            txid: btc::display(tx.id()),
            index,
            wtxid: with_witness.then(|| btc::display(tx.wtxid())),
            outputs: outputs(chain, &tx),
        })
        .collect()
}

fn outputs(chain: &ChainId, tx: &Tx) -> Vec<OutputReport> {
    let all = tx.inner().output.iter().enumerate();
    all.map(|(number, out)| {
        let script = Bytes::copy_from_slice(out.script_pubkey.as_bytes());
        OutputReport {
            output: number,
            amount: out.value.to_sat(),
            address: output::address(chain, &script),
            data: output::pushed_data(&script).map(Into::into),
            script,
        }
    })
    .collect()
}

impl Refusal {
    /// Refused by a rule.
    pub(super) fn new(rule: &'static str, reason: &dyn core::fmt::Display) -> Self {
        Self { verified: false, rule, reason: reason.to_string() }
    }

    /// The refusal in lines.
    pub(super) fn people(&self, file: &str) -> String {
        format!("REFUSED  {file}\n  {}: {}", self.rule, self.reason)
    }
}
