//! Proof of work of one header, without its branch.

use alloy_primitives::{B256, U256};

use super::{header::Header, rules::HeaderError, target};

/// Target and work of the bits seen last: headers of a period share them, and a 256-bit division
/// costs as much as the rest of the check.
#[derive(Debug, Clone, Copy)]
struct Difficulty {
    bits: u32,
    target: U256,
    work: U256,
}

/// Checks hashes against the targets that their headers claim.
#[derive(Debug, Clone)]
pub struct ProofOfWork {
    limit: U256,
    last: Option<Difficulty>,
}

impl ProofOfWork {
    /// A check against a network's greatest target.
    #[must_use]
    pub const fn new(limit: U256) -> Self {
        Self { limit, last: None }
    }

    /// The work of `header`, whose hash is `hash`.
    ///
    /// # Errors
    /// [`HeaderError::HighHash`] where the target is not a valid one or the hash is above it.
    pub fn check(&mut self, header: &Header, hash: &B256) -> Result<U256, HeaderError> {
        let bits = header.bits;
        let high = HeaderError::HighHash { hash: *hash, bits };
        let difficulty = match self.last {
            Some(difficulty) if difficulty.bits == bits => difficulty,
            _ => {
                let Some(target) = target::valid(bits, &self.limit) else { return Err(high) };
                Difficulty { bits, target, work: target::work(&target) }
            }
        };
        self.last = Some(difficulty);
        if target::hash_number(hash) > difficulty.target {
            return Err(high);
        }
        Ok(difficulty.work)
    }
}
