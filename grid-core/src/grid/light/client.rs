//! A client that follows a chain: what it verified, and whether the chain contradicted itself.

use std::collections::VecDeque;

use alloy_primitives::B256;

use super::{
    block::LightBlock,
    conflict::Conflict,
    error::LightError,
    state::{LightPolicy, TrustedState},
};
use crate::grid::header::GridHeader;

/// How many verified headers a client keeps, each one with the block that showed it: 3 kB with 21 validators, about
/// 20 kB with 100. A contradiction is seen at these heights, and above the oldest of them.
pub const MAX_KEPT: usize = 16;

/// What a block did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Accepted {
    /// It is the newest one now.
    Advanced,
    /// It was known.
    Known,
    /// It is verified, but lies below or between what is kept: nothing changed.
    Older,
    /// It contradicts a verified block: the client is frozen.
    Conflict,
}

/// A verified header with what showed it.
#[derive(Debug, Clone)]
struct Kept {
    state: TrustedState,
    /// `None` for the oldest.
    block: Option<LightBlock>,
}

/// Follows a Grid chain.
///
/// Skipping leaves heights out, and a fork at a height that was left out shows only when a block of it meets a
/// kept one: a client sees a contradiction only between blocks that it is shown.
#[derive(Debug, Clone)]
pub struct GridClient {
    policy: LightPolicy,
    /// By increasing height; never empty but for a moment.
    kept: VecDeque<Kept>,
    newest: TrustedState,
    conflict: Option<Conflict>,
}

impl GridClient {
    /// A client that starts at a trusted header.
    #[must_use]
    pub fn new(start: TrustedState, policy: LightPolicy) -> Self {
        let kept = VecDeque::from([Kept { state: start.clone(), block: None }]);
        Self { policy, kept, newest: start, conflict: None }
    }

    /// The rules.
    #[must_use]
    pub const fn policy(&self) -> &LightPolicy {
        &self.policy
    }

    /// Whether a block of this hash is kept.
    #[must_use]
    pub fn knows(&self, hash: &B256) -> bool {
        self.kept.iter().any(|kept| kept.state.block_hash == *hash)
    }

    /// The oldest state that is kept, and the blocks above it, ascending: all that is to be stored.
    pub(crate) fn kept(&self) -> (&TrustedState, impl Iterator<Item = &LightBlock>) {
        let first = self.kept.front().map_or(&self.newest, |kept| &kept.state);
        (first, self.kept.iter().filter_map(|kept| kept.block.as_ref()))
    }

    /// Takes a stored block that was verified before it was stored; the next one of [`Self::kept`].
    pub(crate) fn restore(&mut self, block: LightBlock) -> Result<(), LightError> {
        let header = GridHeader::decode(&block.header)?;
        let state = TrustedState::after(self.newest.chain_id, &header, &block)?;
        self.keep(Kept { state, block: Some(block) });
        Ok(())
    }

    /// The newest verified state.
    #[must_use]
    pub const fn newest(&self) -> &TrustedState {
        &self.newest
    }

    /// The contradiction that froze this client.
    #[must_use]
    pub const fn conflict(&self) -> Option<&Conflict> {
        self.conflict.as_ref()
    }

    /// Takes a block.
    ///
    /// # Errors
    /// Why it can't be trusted; nothing has changed then.
    pub fn accept(&mut self, block: LightBlock, now_ms: u64) -> Result<Accepted, LightError> {
        if let Some(conflict) = &self.conflict {
            return Err(LightError::Frozen(conflict.height()));
        }
        let header = GridHeader::decode(&block.header)?;
        let height = header.header.number;
        if height > self.newest.height {
            let state = self.newest.follow(&block, &self.policy, now_ms)?;
            self.keep(Kept { state, block: Some(block) });
            return Ok(Accepted::Advanced);
        }
        let at = self.kept.partition_point(|kept| kept.state.height < height);
        if self.kept.get(at).is_some_and(|kept| kept.state.block_hash == header.hash) {
            return Ok(Accepted::Known);
        }
        let below = at.checked_sub(1).and_then(|below| self.kept.get(below));
        let Some(below) = below else {
            let oldest = self.kept.front().map_or(0, |kept| kept.state.height);
            return Err(LightError::Old { oldest, found: height });
        };
        let rival = self.kept.get(at).filter(|kept| kept.state.height == height);
        let Some(rival) = rival.and_then(|kept| kept.block.clone()) else {
            below.state.verify(&block, &self.policy, now_ms)?;
            return Ok(Accepted::Older);
        };
        self.conflict = Some(below.state.conflict(rival, block, &self.policy, now_ms)?);
        Ok(Accepted::Conflict)
    }

    fn keep(&mut self, kept: Kept) {
        self.newest = kept.state.clone();
        self.kept.push_back(kept);
        while self.kept.len() > MAX_KEPT {
            self.kept.pop_front();
        }
        // Nothing below it could contradict it.
        if let Some(oldest) = self.kept.front_mut() {
            oldest.block = None;
        }
    }
}
