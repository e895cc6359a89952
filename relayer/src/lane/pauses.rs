//! Chains that an operator has paused.

use grid_core::ChainId;

use super::Shared;
use crate::store::{ChainState, StoreError};

impl Shared {
    /// Reads the operators' pauses anew; other processes on the same database may have changed them.
    pub(crate) async fn refresh_pauses(&self) -> Result<(), StoreError> {
        self.board.pauses_seen(self.store.pauses().await?);
        Ok(())
    }

    /// Whether an operator has paused a chain; then its round is over.
    pub(crate) fn paused(&self, id: &ChainId) -> bool {
        let Some(pause) = self.board.pause(id) else { return false };
        self.board.chain_state(id, ChainState::Paused, pause.reason.as_deref(), 0);
        true
    }
}
