//! Facts about Bitcoin transactions: what an inclusion shows, and how one is built.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    claim::Claim,
    types::{Inclusion, OutputRef},
};
use crate::bitcoin::{
    output::{self, OutputError, Payment},
    spv::{self, BlockContext, BlockTxs, PlacedTx, SpvError, TxProof, TxsProof},
    tx::Tx,
};

/// The most payments and payloads, taken together, that one proof claims: it bounds the size of the claim.
pub const MAX_OUTPUTS: usize = 4_096;

/// A fact to prove. Transaction ids are in internal byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum BitcoinFact {
    /// The transaction is in a block.
    Tx {
        /// Transaction id.
        txid: B256,
    },
    /// An output of it: script and amount.
    Payment {
        /// Transaction id.
        txid: B256,
        /// Number of the output, from 0.
        output: u32,
    },
    /// The payload of an `OP_RETURN` output of it.
    Data {
        /// Transaction id.
        txid: B256,
        /// Number of the output, from 0.
        output: u32,
    },
    /// The transaction is in a block with its witness.
    Witness {
        /// Transaction id.
        txid: B256,
    },
}

impl BitcoinFact {
    /// The transaction that the fact is about.
    #[must_use]
    pub const fn txid(&self) -> B256 {
        match *self {
            Self::Tx { txid }
            | Self::Payment { txid, .. }
            | Self::Data { txid, .. }
            | Self::Witness { txid } => txid,
        }
    }
}

/// Why Bitcoin facts are not shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FactError {
    /// The transactions are not shown to be in the block.
    #[error(transparent)]
    Spv(#[from] SpvError),
    /// An output does not say what is claimed.
    #[error("transaction {index}: {error}")]
    Output {
        /// Position of the transaction in the block.
        index: u64,
        /// Why.
        #[source]
        error: OutputError,
    },
    /// The outputs are not listed once each, by increasing position.
    #[error("output {} of transaction {} is out of order: outputs are listed once each, by increasing position", .0.output, .0.index)]
    Order(OutputRef),
    /// An output of a transaction that the proof does not carry.
    #[error("an output of transaction {0} is claimed, which is not among the proof's transactions")]
    NoTransaction(u64),
    /// Too many outputs.
    #[error("{0} outputs are claimed, one proof takes at most {MAX_OUTPUTS}")]
    TooMany(usize),
    /// Nothing is to be proven.
    #[error("no fact to prove is given")]
    Empty,
    /// The block has no such transaction.
    #[error("the block has no transaction {txid} (internal byte order)")]
    Unknown {
        /// The wanted transaction.
        txid: B256,
    },
    /// Witness facts stand alone, and need the whole block.
    #[error("a witness is proven alone and from a whole block: ask for one transaction only")]
    WitnessAlone,
}

impl FactError {
    /// The rule's name; see [`SpvError::rule`].
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Spv(error) => error.rule(),
            Self::Output { error: OutputError::Missing { .. }, .. } => "output-missing",
            Self::Output { error: OutputError::Amount { .. }, .. } => "bad-txns-vout-toolarge",
            Self::Output { .. } => "output-not-data",
            Self::Order(_) | Self::NoTransaction(_) | Self::TooMany(_) => "bad-output-list",
            Self::Empty | Self::Unknown { .. } | Self::WitnessAlone => "bad-request",
        }
    }
}

/// What a Bitcoin inclusion shows about a block.
///
/// # Errors
/// The first [`FactError`] met. [`SpvError::Block`] for an inclusion that is not Bitcoin's.
pub fn claim(inclusion: &Inclusion, block: &BlockContext) -> Result<Claim, FactError> {
    match inclusion {
        Inclusion::BitcoinTx(proof) => {
            Ok(included(&PlacedTx { index: proof.index, tx: spv::verify(proof, block)? }))
        }
        Inclusion::BitcoinPayment { output, tx: proof } => {
            payment(&PlacedTx { index: proof.index, tx: spv::verify(proof, block)? }, *output)
        }
        Inclusion::BitcoinData { output, tx: proof } => {
            data(&PlacedTx { index: proof.index, tx: spv::verify(proof, block)? }, *output)
        }
        Inclusion::BitcoinWitness(proof) => {
            let tx = spv::verify_witness(proof, block)?;
            let (txid, wtxid) = (tx.id(), tx.wtxid());
            Ok(Claim::BitcoinWitness { txid, wtxid, index: proof.index })
        }
        Inclusion::BitcoinTxs { txs, payments, data } => several(txs, payments, data, block),
        other => {
            let reason = format!("an inclusion of kind {} is not about one", other.kind());
            Err(SpvError::Block(reason).into())
        }
    }
}

fn included(PlacedTx { index, tx }: &PlacedTx) -> Claim {
    Claim::BitcoinTx { txid: tx.id(), index: *index }
}

fn payment(PlacedTx { index, tx }: &PlacedTx, output: u32) -> Result<Claim, FactError> {
    let (txid, index) = (tx.id(), *index);
    let Payment { script, amount } =
        output::payment(tx, output).map_err(|error| FactError::Output { index, error })?;
    Ok(Claim::BitcoinPayment { txid, index, output, script, amount })
}

fn data(PlacedTx { index, tx }: &PlacedTx, output: u32) -> Result<Claim, FactError> {
    let (txid, index) = (tx.id(), *index);
    let data = output::data(tx, output).map_err(|error| FactError::Output { index, error })?;
    Ok(Claim::BitcoinData { txid, index, output, data })
}

fn several(
    txs: &TxsProof,
    payments: &[OutputRef],
    payloads: &[OutputRef],
    block: &BlockContext,
) -> Result<Claim, FactError> {
    let outputs = payments.len().saturating_add(payloads.len());
    if outputs > MAX_OUTPUTS {
        return Err(FactError::TooMany(outputs));
    }
    for list in [payments, payloads] {
        let unsorted = list.windows(2).find_map(|pair| match pair {
            [left, right] if left >= right => Some(*right),
            _ => None,
        });
        if let Some(output) = unsorted {
            return Err(FactError::Order(output));
        }
    }
    let placed = spv::verify_several(txs, block)?;
    let at = |index: u64| {
        let found = placed.binary_search_by_key(&index, |tx| tx.index).ok();
        found.and_then(|at| placed.get(at)).ok_or(FactError::NoTransaction(index))
    };
    let mut claims: Vec<Claim> = placed.iter().map(included).collect();
    for OutputRef { index, output } in payments {
        claims.push(payment(at(*index)?, *output)?);
    }
    for OutputRef { index, output } in payloads {
        claims.push(data(at(*index)?, *output)?);
    }
    Ok(Claim::BitcoinTxs { claims })
}

/// The inclusion that shows the facts, from a whole block: the form for a single fact where there is one, otherwise
/// the form for several.
///
/// # Errors
/// [`FactError`]. Outputs are not read here; [`claim`] does.
pub fn from_block(block: &BlockTxs, facts: &[BitcoinFact]) -> Result<Inclusion, FactError> {
    let place = |txid: B256| block.position(&txid).ok_or(FactError::Unknown { txid });
    if let [BitcoinFact::Witness { txid }] = facts {
        return Ok(Inclusion::BitcoinWitness(block.witness()?.prove(place(*txid)?)?));
    }
    let mut txids: Vec<B256> = facts.iter().map(BitcoinFact::txid).collect();
    txids.sort_unstable();
    txids.dedup();
    let proofs = txids.into_iter().map(|txid| Ok(block.prove(place(txid)?)?));
    from_proofs(proofs.collect::<Result<_, FactError>>()?, facts)
}

/// The inclusion that shows the facts, from a proof of each of their transactions.
///
/// # Errors
/// As [`from_block`]; [`FactError::WitnessAlone`] for any witness.
pub fn from_proofs(proofs: Vec<TxProof>, facts: &[BitcoinFact]) -> Result<Inclusion, FactError> {
    let mut known = Vec::with_capacity(proofs.len());
    for proof in proofs {
        known.push((Tx::from_stripped(&proof.raw).map_err(SpvError::Transaction)?.id(), proof));
    }
    let find = |txid: B256| {
        known
            .iter()
            .find(|(id, _)| *id == txid)
            .map(|(_, proof)| proof)
            .ok_or(FactError::Unknown { txid })
    };
    match *facts {
        [] => return Err(FactError::Empty),
        [BitcoinFact::Tx { txid }] => return Ok(Inclusion::BitcoinTx(find(txid)?.clone())),
        [BitcoinFact::Payment { txid, output }] => {
            return Ok(Inclusion::BitcoinPayment { output, tx: find(txid)?.clone() });
        }
        [BitcoinFact::Data { txid, output }] => {
            return Ok(Inclusion::BitcoinData { output, tx: find(txid)?.clone() });
        }
        _ => {}
    }
    let (mut used, mut payments, mut data) = (Vec::new(), Vec::new(), Vec::new());
    for fact in facts {
        let proof = find(fact.txid())?;
        let index = proof.index;
        match *fact {
            BitcoinFact::Tx { .. } => {}
            BitcoinFact::Payment { output, .. } => payments.push(OutputRef { index, output }),
            BitcoinFact::Data { output, .. } => data.push(OutputRef { index, output }),
            BitcoinFact::Witness { .. } => return Err(FactError::WitnessAlone),
        }
        used.push(proof.clone());
    }
    for list in [&mut payments, &mut data] {
        list.sort_unstable();
        list.dedup();
    }
    Ok(Inclusion::BitcoinTxs { txs: TxsProof::join(&used)?, payments, data })
}
