//! Evidence of the engine: judged, and kept until it is in a block.

use alloy_sol_types::SolCall as _;
use grid_core::{modules::abi::Staking, staking::Equivocation, state};

use super::{ChainFailure, GridChain};
use crate::{metrics::gauge, store::StoredEvidence};

impl GridChain {
    /// Keeps what proves that validators voted twice. Whether they were validators then, and whether somebody
    /// else has reported it, is judged when it is sent.
    ///
    /// # Errors
    /// [`ChainFailure`] where the database fails.
    pub fn keep_evidence(&self, evidence: &[Equivocation]) -> Result<(), ChainFailure> {
        let view = self.store.view()?;
        let Some(params) = state::query::staking(&view)? else {
            tracing::warn!("this chain has no staking: nobody is punished for voting twice");
            return Ok(());
        };
        for one in evidence {
            let height = one.height;
            let offender = match one.verify(self.chain_id) {
                Ok(offender) => offender,
                Err(error) => {
                    tracing::warn!(height, %error, "the engine's evidence proves nothing");
                    continue;
                }
            };
            let epoch = params.epoch_of(height);
            // A node that runs twice signs many pairs; the first one is enough.
            if state::query::is_punished(&view, &offender, epoch)? {
                continue;
            }
            let call = Staking::reportEquivocationCall::from(one).abi_encode().into();
            if self.store.put_evidence(&StoredEvidence { offender, epoch, call })? {
                tracing::error!(%offender, height, epoch, "a validator voted twice; keeping the evidence");
            }
        }
        self.count_evidence()
    }

    /// Evidence that waits.
    ///
    /// # Errors
    /// [`ChainFailure`] where the database fails.
    pub fn evidence(&self) -> Result<Vec<StoredEvidence>, ChainFailure> {
        Ok(self.store.evidence()?)
    }

    /// Forgets evidence that the chain knows, or that is worth nothing.
    pub(crate) fn forget_evidence(&self, done: &StoredEvidence) -> Result<(), ChainFailure> {
        self.store.remove_evidence(&done.offender, done.epoch)?;
        self.count_evidence()
    }

    pub(super) fn count_evidence(&self) -> Result<(), ChainFailure> {
        let waiting = self.store.evidence()?.len() as u64;
        self.metrics.evidence_waiting.set(gauge(waiting));
        Ok(())
    }
}
