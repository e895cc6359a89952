//! Our side: the light client.

use grid_core::bitcoin::{BitcoinClient, CheckpointError, NetworkParams};

use super::{Answer, Submission};

/// The light client behind the same questions as the oracle.
#[derive(Debug)]
pub struct Ours(BitcoinClient);

impl Ours {
    /// Starts a network at its genesis.
    ///
    /// The client's bound on how far behind the tip a branch may be is lifted: Core has such a bound
    /// too, but asks it of peers, not of `ProcessNewBlockHeaders`.
    ///
    /// # Errors
    /// [`CheckpointError`] where the parameters are unusable.
    pub fn network(params: &NetworkParams) -> Result<Self, CheckpointError> {
        Ok(Self(BitcoinClient::from_genesis(params.clone())?.with_max_behind(u64::MAX)))
    }

    /// Submits headers.
    pub fn submit(&mut self, submission: &Submission) -> Answer {
        let accepted = self.0.accept_all(&submission.headers, u64::from(submission.clock) * 1000);
        let tip = self.0.tree().tip();
        Answer {
            reject: accepted
                .rejected
                .map(|error| reject_name(&error.to_string()))
                .unwrap_or_default(),
            tip: tip.hash(),
            height: tip.height(),
            work: tip.weight(),
            stored: self.0.tree().len() as u64,
        }
    }
}

/// What an error starts with, by the promise of `HeaderError`.
fn reject_name(error: &str) -> String {
    error.split(": ").next().unwrap_or_default().to_owned()
}
