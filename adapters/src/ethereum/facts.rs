//! Facts about one block: what is asked of the node for them, and the proof that shows them.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{B256, keccak256};
use grid_core::{
    CompatHeader,
    ethereum::{mpt, receipt::Receipt},
    proof::ethereum::{
        EthereumEvidence, EthereumFact, EthereumFactError, EthereumProof, EthereumRef,
        EthereumRoots,
    },
};

use super::{EthereumSource, material::Body, state::StateQuery};
use crate::AdapterError;

/// Transactions that facts name, with their positions.
type Places = BTreeMap<B256, u64>;

impl EthereumSource {
    pub(super) async fn facts(
        &self,
        facts: &[EthereumFact],
        block: Option<u64>,
    ) -> Result<(CompatHeader, EthereumProof), AdapterError> {
        let (hash, places) = self.located(facts).await?;
        let named = match (hash, block) {
            (Some(hash), None) => Err(hash),
            _ => Ok(self.state_header(block).await?),
        };
        if let (Some(hash), Ok(header)) = (hash, &named)
            && header.blockHash != hash
        {
            return Err(AdapterError::Invalid(format!(
                "the transaction is in block {hash}, asked for is block {} {}",
                header.height, header.blockHash
            )));
        }
        let mut evidence = EthereumEvidence::default();
        let mut count = 0;
        let header = match named {
            Ok(header) if !facts.iter().any(needs_body) => header,
            named => {
                let hash = named.map_or_else(|hash| hash, |header| header.blockHash);
                let body = self.body(hash).await?;
                count = body.transactions.len() as u64;
                self.lists(facts, &places, &body, &mut evidence).await?;
                body.normalised.compat
            }
        };
        self.state_evidence(StateQuery::of(facts), &header, &mut evidence).await?;
        let refs = by_place(facts, &places, count);
        let proof = EthereumProof::build(refs, &EthereumRoots::from(&header), &evidence)
            .map_err(|error| self.unshown(&header, error))?;
        Ok((header, proof))
    }

    /// The one block of the transactions that the facts name, and their positions in it.
    async fn located(
        &self,
        facts: &[EthereumFact],
    ) -> Result<(Option<B256>, Places), AdapterError> {
        let hashes: BTreeSet<B256> = facts.iter().filter_map(EthereumFact::transaction).collect();
        let hashes: Vec<B256> = hashes.into_iter().collect();
        let placed = self.places(&hashes).await?;
        let block = placed.first().map(|(block, _)| *block);
        for (hash, (other, _)) in hashes.iter().zip(&placed) {
            if let Some(block) = block
                && *other != block
            {
                return Err(AdapterError::Invalid(format!(
                    "transaction {hash} is in block {other}, the others are in {block}: \
                     one proof is about one block"
                )));
            }
        }
        let indices = placed.into_iter().map(|(_, index)| index);
        Ok((block, hashes.into_iter().zip(indices).collect()))
    }

    /// Adds what shows transactions and receipts. Each list's trie is built once.
    async fn lists(
        &self,
        facts: &[EthereumFact],
        places: &Places,
        body: &Body,
        evidence: &mut EthereumEvidence,
    ) -> Result<(), AdapterError> {
        let Body { header, normalised, transactions } = body;
        for (hash, index) in places {
            let at = usize::try_from(*index).ok().and_then(|at| transactions.get(at));
            if at.map(keccak256) != Some(*hash) {
                let block = normalised.compat.blockHash;
                let reason = format!("{hash} is not at its claimed place {index} in {block}");
                return Err(self.bad_answer("eth_getTransactionByHash", reason));
            }
        }
        let refs = by_place(facts, places, transactions.len() as u64);
        let of_transactions = |fact: &EthereumRef| match *fact {
            EthereumRef::Transaction { index } => vec![index],
            EthereumRef::TransactionCount { count } => vec![count, count.saturating_sub(1)],
            _ => Vec::new(),
        };
        let indices: Vec<u64> = refs.iter().flat_map(of_transactions).collect();
        if !indices.is_empty() {
            let (root, nodes) = mpt::ordered_nodes(transactions, &indices);
            let roots = (header.transactions_root, root);
            self.require_root("transactions", header.number, roots, body.hint())?;
            evidence.nodes.extend(nodes);
        }
        let of_receipts = |fact: &EthereumRef| match *fact {
            EthereumRef::Receipt { index, .. } => Some(index),
            _ => None,
        };
        let indices: Vec<u64> = refs.iter().filter_map(of_receipts).collect();
        let all = facts.iter().any(|fact| matches!(fact, EthereumFact::Logs { .. }));
        if all || !indices.is_empty() {
            let receipts = self.receipts(normalised.compat.blockHash, transactions).await?;
            let (root, nodes) = mpt::ordered_nodes(&receipts, &indices);
            self.require_root("receipts", header.number, (header.receipts_root, root), "")?;
            has_logs(facts, places, &receipts)?;
            evidence.nodes.extend(nodes);
            evidence.receipts = receipts;
        }
        Ok(())
    }

    /// Why the evidence does not become a proof.
    fn unshown(&self, header: &CompatHeader, error: EthereumFactError) -> AdapterError {
        match error {
            EthereumFactError::Trie(error) => self.unproven(header, &error),
            EthereumFactError::Code { .. } => self.bad_answer("eth_getCode", error.to_string()),
            other => AdapterError::Invalid(other.to_string()),
        }
    }
}

/// Whether a fact needs the block's transactions.
const fn needs_body(fact: &EthereumFact) -> bool {
    matches!(fact, EthereumFact::TransactionCount {} | EthereumFact::Logs { .. })
        || fact.transaction().is_some()
}

/// The facts by their places. Every transaction that they name has been located.
fn by_place(facts: &[EthereumFact], places: &Places, count: u64) -> Vec<EthereumRef> {
    let at = |hash| places.get(&hash).copied();
    facts.iter().filter_map(|fact| fact.place(count, at)).collect()
}

/// A log that is not there is the caller's mistake, told in the caller's terms.
fn has_logs(
    facts: &[EthereumFact],
    places: &Places,
    receipts: &[alloy_primitives::Bytes],
) -> Result<(), AdapterError> {
    for fact in facts {
        let EthereumFact::Receipt { hash, log: Some(log) } = fact else { continue };
        let index = places.get(hash).and_then(|index| usize::try_from(*index).ok());
        let receipt = index.and_then(|index| receipts.get(index));
        let Some(receipt) = receipt else { continue };
        let logs = Receipt::read(receipt).and_then(|receipt| receipt.logs());
        let count = logs.map_or(0, Iterator::count);
        if *log >= count as u64 {
            return Err(AdapterError::Invalid(format!(
                "transaction {hash} has no log {log} in its receipt: it has {count} logs, counted from 0"
            )));
        }
    }
    Ok(())
}
