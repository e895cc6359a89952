//! The headers that carry trust from one header to a later one, as a file.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    bisection::{Bisection, Step},
    block::LightBlock,
    error::LightError,
    state::{LightPolicy, TrustedState},
};

/// A way from a trusted header to a later one: the headers in between, ascending, each verified from the one before.
/// It says nothing by itself; [`Self::follow`] checks every step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HandOver {
    /// Number in `eip155:<n>` of the Grid chain.
    pub chain_id: u64,
    /// The headers. The last one is where the way leads.
    pub blocks: Vec<LightBlock>,
}

/// Why a way does not lead on from a trusted header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandOverError {
    /// The headers of another chain.
    #[error("the hand-over is of grid chain {found}, trusted is chain {trusted}")]
    Chain {
        /// The trusted chain.
        trusted: u64,
        /// The chain of the headers.
        found: u64,
    },
    /// More headers than the policy allows.
    #[error("{found} headers hand the trust over, at most {most} are taken")]
    TooMany {
        /// Headers found.
        found: usize,
        /// The most.
        most: u32,
    },
    /// A header on the way does not follow.
    #[error("hand-over at height {height}: {reason}")]
    Block {
        /// Height of the certificate that was shown.
        height: u64,
        /// Why.
        reason: Box<LightError>,
    },
}

impl HandOver {
    /// Finds a short way from `start` to the block of height `target`. `fetch` gives the blocks of a chain that
    /// the caller trusts already: no clock is asked, and at most `most` blocks are fetched.
    ///
    /// # Errors
    /// What `fetch` fails with, or the [`LightError`] of a chain on which there is no such way.
    pub fn find<E: From<LightError>>(
        start: TrustedState,
        target: u64,
        most: u32,
        mut fetch: impl FnMut(u64) -> Result<LightBlock, E>,
    ) -> Result<Self, E> {
        let chain_id = start.chain_id;
        let (trusting_period_ms, clock_drift_ms) = (u64::MAX, u64::MAX);
        let policy = LightPolicy { trusting_period_ms, clock_drift_ms, max_headers: most };
        let (mut machine, mut step) = Bisection::new(start, target, policy)?;
        while let Step::Fetch(height) = step {
            step = machine.supply(fetch(height)?, 0)?;
        }
        Ok(Self { chain_id, blocks: machine.into_way() })
    }

    /// The state at the end of the way from `start`, at the clock's `now_ms` (milliseconds since 1970).
    ///
    /// # Errors
    /// The first [`HandOverError`] met.
    pub fn follow(
        &self,
        start: &TrustedState,
        policy: &LightPolicy,
        now_ms: u64,
    ) -> Result<TrustedState, HandOverError> {
        let (trusted, found) = (start.chain_id, self.chain_id);
        if trusted != found {
            return Err(HandOverError::Chain { trusted, found });
        }
        let most = policy.max_headers;
        if u32::try_from(self.blocks.len()).map_or(true, |count| count > most) {
            return Err(HandOverError::TooMany { found: self.blocks.len(), most });
        }
        self.blocks.iter().try_fold(start.clone(), |trusted, block| {
            trusted.follow(block, policy, now_ms).map_err(|reason| HandOverError::Block {
                height: block.certificate.height,
                reason: Box::new(reason),
            })
        })
    }
}
