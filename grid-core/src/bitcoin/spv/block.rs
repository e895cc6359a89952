//! Proofs from a whole block.

use alloy_primitives::{B256, Bytes};
use bitcoin::{Block, consensus};

use super::{
    SpvError, TxProof, TxTree, WitnessProof,
    witness::{check_commitment, reserved_value},
};
use crate::bitcoin::{header::Header, tx::Tx};

/// The most bytes of a serialised block (Core `MAX_BLOCK_SERIALIZED_SIZE`).
pub const MAX_BLOCK_BYTES: usize = 4_000_000;

/// All transactions of a block, for proving any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTxs {
    stripped: Vec<Bytes>,
    full: Vec<Bytes>,
    tree: TxTree,
}

impl BlockTxs {
    /// Takes the transactions of a block in their order, each with or without witness.
    ///
    /// # Errors
    /// [`SpvError`] where the transactions are not those of a block.
    pub fn new<T: AsRef<[u8]>>(raw_txs: &[T]) -> Result<Self, SpvError> {
        let (mut txids, mut stripped, mut full) = (Vec::new(), Vec::new(), Vec::new());
        for raw in raw_txs {
            let raw = raw.as_ref();
            let (id, tx) = Tx::id_and_stripped(raw).map_err(SpvError::Transaction)?;
            let tx = Bytes::from(tx);
            txids.push(id);
            // Without witness both forms are one: the bytes are shared.
            full.push(if *tx == *raw { tx.clone() } else { Bytes::copy_from_slice(raw) });
            stripped.push(tx);
        }
        Ok(Self { stripped, full, tree: TxTree::new(txids)? })
    }

    /// The tree over the transaction ids.
    #[must_use]
    pub const fn tree(&self) -> &TxTree {
        &self.tree
    }

    /// Ids, in internal byte order, and bytes without witness of all transactions, in their order.
    pub fn stripped(&self) -> impl Iterator<Item = (&B256, &Bytes)> {
        self.tree.txids().iter().zip(&self.stripped)
    }

    /// The position of a transaction; its id in internal byte order.
    #[must_use]
    pub fn position(&self, txid: &B256) -> Option<u64> {
        let at = self.tree.txids().iter().position(|id| id == txid)?;
        u64::try_from(at).ok()
    }

    /// The proof of transaction `index`.
    ///
    /// # Errors
    /// [`SpvError::Count`] where there is no such transaction.
    pub fn prove(&self, index: u64) -> Result<TxProof, SpvError> {
        let (branch, coinbase_branch) = (self.tree.branch(index)?, self.tree.branch(0)?);
        let raw = self.at(&self.stripped, index)?;
        let coinbase = self.at(&self.stripped, 0)?;
        Ok(TxProof { raw, index, branch, coinbase, coinbase_branch })
    }

    fn at(&self, list: &[Bytes], index: u64) -> Result<Bytes, SpvError> {
        let count = u64::try_from(self.stripped.len()).unwrap_or(u64::MAX);
        let found = usize::try_from(index).ok().and_then(|at| list.get(at)).cloned();
        found.ok_or(SpvError::Count { index, count })
    }

    /// The tree over the witness transaction ids, checked against the coinbase's commitment.
    ///
    /// # Errors
    /// [`SpvError`] where the block commits to no witness, or its transactions were given without.
    pub fn witness(&self) -> Result<BlockWitness<'_>, SpvError> {
        let coinbase = self.at(&self.full, 0)?;
        let coinbase = Tx::with_witness(&coinbase).map_err(SpvError::Coinbase)?;
        super::witness::commitment(&coinbase).ok_or(SpvError::NoCommitment)?;
        let reserved_value = reserved_value(&coinbase)?;
        let others = self.full.iter().skip(1).map(|raw| crate::bitcoin::header::sha256d(raw));
        let tree = TxTree::new(core::iter::once(B256::ZERO).chain(others).collect())?;
        check_commitment(&coinbase, &tree.root(), &reserved_value)?;
        Ok(BlockWitness { txs: self, tree, reserved_value })
    }
}

/// The witness tree of a block.
#[derive(Debug, Clone)]
pub struct BlockWitness<'a> {
    txs: &'a BlockTxs,
    tree: TxTree,
    reserved_value: B256,
}

impl BlockWitness<'_> {
    /// The proof of transaction `index` with its witness.
    ///
    /// # Errors
    /// [`SpvError::Count`] where there is no such transaction, [`SpvError::CoinbaseWitness`] for the coinbase.
    pub fn prove(&self, index: u64) -> Result<WitnessProof, SpvError> {
        if index == 0 {
            return Err(SpvError::CoinbaseWitness);
        }
        let TxProof { branch, coinbase, coinbase_branch, .. } = self.txs.prove(index)?;
        Ok(WitnessProof {
            raw: self.txs.at(&self.txs.full, index)?,
            index,
            branch,
            witness_branch: self.tree.branch(index)?,
            coinbase,
            coinbase_branch,
            reserved_value: self.reserved_value,
        })
    }
}

/// Builds the proof of transaction `index` from all transactions of a block.
///
/// # Errors
/// As [`BlockTxs::new`] and [`BlockTxs::prove`].
pub fn prove<T: AsRef<[u8]>>(raw_txs: &[T], index: u64) -> Result<TxProof, SpvError> {
    BlockTxs::new(raw_txs)?.prove(index)
}

/// A block as the network serialises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawBlock {
    /// The header.
    pub header: [u8; Header::SIZE],
    /// The transactions, which lead to the header's root.
    pub txs: BlockTxs,
}

impl RawBlock {
    /// Reads a block. The header's proof of work is not judged.
    ///
    /// # Errors
    /// [`SpvError::Block`] where the bytes are not a block, [`SpvError::Root`] where its transactions are not those
    /// of the header, [`SpvError::Mutated`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SpvError> {
        if bytes.len() > MAX_BLOCK_BYTES {
            let reason = format!("{} bytes, a block has at most {MAX_BLOCK_BYTES}", bytes.len());
            return Err(SpvError::Block(reason));
        }
        let block: Block =
            consensus::deserialize(bytes).map_err(|error| SpvError::Block(error.to_string()))?;
        let header =
            *bytes.first_chunk().ok_or_else(|| SpvError::Block(String::from("no header")))?;
        let raw: Vec<Vec<u8>> = block.txdata.iter().map(consensus::serialize).collect();
        let txs = BlockTxs::new(&raw)?;
        let (found, expected) = (txs.tree.root(), Header::parse(&header).merkle_root);
        if found != expected {
            return Err(SpvError::Root { index: 0, found, expected });
        }
        Ok(Self { header, txs })
    }
}
