//! Making a block.

use alloy_primitives::Address;

use super::{Parent, Proposal, RecoveredTx, TransitionError, TxReject, execute::Run};
use crate::state::ChainState;

/// Makes the block after `parent` from candidates in the given order, each included if it is valid after
/// those before it and still fits.
///
/// # Errors
/// [`TransitionError::Time`] where `time_ms` is not above the parent's, [`TransitionError::Storage`]
/// where the state cannot be read. A bad candidate is never an error.
pub fn propose(
    parent: &Parent,
    state: &dyn ChainState,
    candidates: Vec<RecoveredTx>,
    time_ms: u64,
    proposer: Address,
) -> Result<Proposal, TransitionError> {
    let mut run = Run::begin(parent, state, time_ms, proposer)?;
    let mut dropped = Vec::new();
    for tx in candidates {
        if run.is_full() {
            break;
        }
        let hash = *tx.tx_hash();
        match run.include(tx, true) {
            Ok(()) => (),
            Err(TxReject::Storage(error)) => return Err(error.into()),
            Err(reason) if reason.is_transient() => (),
            Err(reason) => dropped.push((hash, reason)),
        }
    }
    Ok(Proposal { executed: run.finish()?, dropped })
}
