//! What each stage of a block costs: the blocks of a run once more, in a store of their own, one stage after the other on one
//! processor.

use std::time::{Duration, Instant};

use alloy_consensus::{
    TxEnvelope,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256};
use eyre::{Result, WrapErr as _, eyre};
use grid_core::{
    genesis::{self, Genesis},
    state::tree,
    transition::{self, Block, Parent},
};
use grid_node::{
    NodeConfig, NodeMetrics,
    chain::GridChain,
    mempool::{Mempool, MempoolLimits},
    store::Store,
};
use serde::Serialize;

/// The most transactions whose way into the mempool is timed.
const MAX_ADMITTED: usize = 2_000;

/// Time of each stage, all blocks together.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stages {
    /// Blocks with transactions.
    pub(super) blocks: u64,
    /// Their transactions.
    pub(super) transactions: u64,
    /// Time of the replayed blocks by their headers, milliseconds.
    pub(super) real_time_ms: u64,
    /// Way into the mempool without recovery, microseconds a transaction.
    pub(super) admit_us: f64,
    /// Decoding bodies, milliseconds.
    pub(super) decode_ms: f64,
    /// Recovering senders on one processor, milliseconds.
    pub(super) recover_ms: f64,
    /// Executing transactions, milliseconds.
    pub(super) execute_ms: f64,
    /// The state's tree, milliseconds.
    pub(super) state_root_ms: f64,
    /// Roots of transactions and receipts, milliseconds.
    pub(super) other_roots_ms: f64,
    /// Committing to the store, milliseconds.
    pub(super) commit_ms: f64,
}

impl Stages {
    /// Everything that a node does for a block that it did not make, milliseconds.
    pub(super) fn total_ms(&self) -> f64 {
        self.decode_ms
            + self.recover_ms
            + self.execute_ms
            + self.state_root_ms
            + self.other_roots_ms
            + self.commit_ms
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Times `work`, adds it up, and hands on what it gives.
fn timed<T>(sum: &mut f64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    *sum += ms(started.elapsed());
    result
}

fn signer(transaction: &TxEnvelope) -> Result<Address> {
    transition::signer(transaction).ok_or_else(|| eyre!("{} has no signer", transaction.tx_hash()))
}

/// Replays every block of a chain whose node has stopped.
pub(super) fn replay(genesis: &Genesis, chain: &GridChain) -> Result<Stages> {
    let directory = tempfile::tempdir().wrap_err("cannot make a folder for the profile")?;
    let first = genesis::build(genesis)?;
    let store = Store::open(directory.path(), &first, NodeConfig::DEFAULT_CACHE_BYTES)?;
    let mut stages = Stages::default();
    let (old, head) = (chain.store().view()?, chain.store().view()?.height());
    let copy = admission(genesis, &old, store, &mut stages)?;
    let store = copy.store();
    let mut previous_ms = None;
    for height in 1..=head {
        let body = old.block_rlp(height)?.ok_or_else(|| eyre!("block {height} is missing"))?;
        let certificate =
            old.certificate(height)?.ok_or_else(|| eyre!("block {height} has no certificate"))?;
        let block: Block = timed(&mut stages.decode_ms, || alloy_rlp::decode_exact(&body))
            .wrap_err_with(|| format!("block {height} does not decode"))?;
        let transactions = &block.body.transactions;
        let senders = timed(&mut stages.recover_ms, || {
            transactions
                .iter()
                .map(|one| Ok((*one.tx_hash(), signer(one)?)))
                .collect::<Result<std::collections::HashMap<_, _>>>()
        })?;
        let view = store.view()?;
        let parent = view.header(height - 1)?.ok_or_else(|| eyre!("no block {}", height - 1))?;
        let known = |hash: &B256| senders.get(hash).copied();
        let mut all = 0.0;
        let executed = timed(&mut all, || {
            transition::validate_with(&Parent::new(parent), &view, &block, &known)
        })?;
        let (mut tree_ms, mut roots_ms) = (0.0, 0.0);
        timed(&mut tree_ms, || tree::update(&view, &executed.diff, height))?;
        timed(&mut roots_ms, || {
            let receipts = calculate_receipt_root(&executed.receipts);
            (calculate_transaction_root(transactions), receipts)
        });
        stages.state_root_ms += tree_ms;
        stages.other_roots_ms += roots_ms;
        stages.execute_ms += (all - tree_ms - roots_ms).max(0.0);
        timed(&mut stages.commit_ms, || store.commit(&executed, &certificate))?;
        if !transactions.is_empty() {
            stages.blocks += 1;
            stages.transactions += transactions.len() as u64;
        }
        let time_ms = grid_core::grid::Extension::of(&block.header).map_or(0, |own| own.timeMs);
        stages.real_time_ms += time_ms.saturating_sub(previous_ms.unwrap_or(time_ms));
        previous_ms = Some(time_ms);
    }
    Ok(stages)
}

/// Times the way of the first transactions into an empty mempool.
fn admission(
    genesis: &Genesis,
    old: &grid_node::store::View,
    store: Store,
    stages: &mut Stages,
) -> Result<GridChain> {
    let metrics = NodeMetrics::register(&prometheus::Registry::new())?;
    let mempool = Mempool::new(MempoolLimits::default());
    let chain = GridChain::new(genesis.chain_id, store, mempool, metrics)?;
    let (mut admit_ms, mut recover_ms, mut count) = (0.0, 0.0, 0u32);
    'blocks: for height in 1..=old.height() {
        let Some(block) = old.block(height)? else { break };
        for transaction in &block.body.transactions {
            let raw = transaction.encoded_2718();
            timed(&mut recover_ms, || signer(transaction))?;
            timed(&mut admit_ms, || chain.submit(&raw))?;
            count += 1;
            if count as usize >= MAX_ADMITTED {
                break 'blocks;
            }
        }
    }
    stages.admit_us = (admit_ms - recover_ms).max(0.0) * 1_000.0 / f64::from(count.max(1));
    Ok(chain)
}
