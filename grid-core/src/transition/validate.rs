//! Judging a block.

use alloy_consensus::transaction::Recovered;
use alloy_primitives::{Address, B256};

use super::{
    Block, ExecutedBlock, MAX_BLOCK_TRANSACTIONS, Parent, TransitionError, TxReject,
    block::difference, execute::Run, next_base_fee, signer,
};
use crate::{grid::Extension, state::ChainState};

/// Executes a block after `parent` and compares every field of its header.
///
/// Nothing but the block and the parent's state decides: no clock, no view of another chain.
///
/// # Errors
/// [`TransitionError::Storage`] where the state cannot be read (no verdict); any other variant says why the block is
/// invalid.
pub fn validate(
    parent: &Parent,
    state: &dyn ChainState,
    block: &Block,
) -> Result<ExecutedBlock, TransitionError> {
    validate_with(parent, state, block, &|_| None)
}

/// [`validate`] with senders that the caller recovered before, by transaction hash: recovering one
/// costs more than everything else about a transfer. The hash covers the signature, so a sender that
/// was recovered once holds for ever; the caller answers for it.
///
/// # Errors
/// As [`validate`].
pub fn validate_with(
    parent: &Parent,
    state: &dyn ChainState,
    block: &Block,
    known_sender: &dyn Fn(&B256) -> Option<Address>,
) -> Result<ExecutedBlock, TransitionError> {
    precheck(parent, block)?;
    let extension = Extension::of(&block.header).map_err(|error| TransitionError::Extension {
        which: "block",
        reason: error.to_string(),
    })?;
    let mut run = Run::begin(parent, state, extension.timeMs, block.header.beneficiary)?;
    for (index, tx) in block.body.transactions.iter().enumerate() {
        let hash = *tx.tx_hash();
        let refuse =
            |reason| TransitionError::Transaction { index, hash, reason: Box::new(reason) };
        let sender = match known_sender(&hash) {
            Some(sender) => sender,
            None => signer(tx).ok_or_else(|| refuse(TxReject::Signature))?,
        };
        match run.include(Recovered::new_unchecked(tx.clone(), sender), false) {
            Ok(()) => (),
            Err(TxReject::Storage(error)) => return Err(error.into()),
            Err(reason) => return Err(refuse(reason)),
        }
    }
    let executed = run.finish()?;
    match difference(&executed.block.header, &block.header) {
        None => Ok(executed),
        Some((field, found, expected)) => Err(TransitionError::Header { field, expected, found }),
    }
}

/// What costs nothing to see.
fn precheck(parent: &Parent, block: &Block) -> Result<(), TransitionError> {
    if !block.body.ommers.is_empty() || block.body.withdrawals.is_some() {
        return Err(TransitionError::Body("a Grid block has no ommers and no withdrawals".into()));
    }
    let count = block.body.transactions.len();
    if count > MAX_BLOCK_TRANSACTIONS {
        return Err(TransitionError::Body(format!(
            "{count} transactions, at most {MAX_BLOCK_TRANSACTIONS} are allowed"
        )));
    }
    let mut expected = block.header.clone();
    expected.parent_hash = parent.hash;
    expected.number = parent.header.number.saturating_add(1);
    expected.gas_limit = parent.header.gas_limit;
    expected.base_fee_per_gas = Some(next_base_fee(&parent.header));
    match difference(&expected, &block.header) {
        None => Ok(()),
        Some((field, found, expected)) => Err(TransitionError::Header { field, expected, found }),
    }
}
