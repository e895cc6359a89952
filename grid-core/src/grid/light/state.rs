//! What a light client trusts, and the verification of what follows.

use core::cmp::Ordering;

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};

use super::{block::LightBlock, error::LightError};
use crate::grid::{ValidatorSet, header::GridHeader};

/// How long and how far a client trusts. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LightPolicy {
    /// A trusted header older than this counts no more. Must be shorter than the chain's unbonding period: until
    /// then those who signed can still be slashed.
    pub trusting_period_ms: u64,
    /// How far a header may be ahead of the clock.
    pub clock_drift_ms: u64,
    /// The most headers that a [`Bisection`](super::Bisection) asks for.
    pub max_headers: u32,
}

impl Default for LightPolicy {
    /// One week, ten seconds, 1,024 headers.
    fn default() -> Self {
        Self {
            trusting_period_ms: 7 * 24 * 60 * 60 * 1000,
            clock_drift_ms: 10_000,
            max_headers: 1024,
        }
    }
}

/// A header that is trusted, reduced to what the next one is checked against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustedState {
    /// Number in `eip155:<n>` of the Grid chain: votes are signed for it.
    pub chain_id: u64,
    /// Height of the header.
    pub height: u64,
    /// Its hash.
    pub block_hash: B256,
    /// Its time, milliseconds since 1970.
    pub time_ms: u64,
    /// Who decides the next block.
    pub validators: ValidatorSet,
}

impl TrustedState {
    /// Trusts a header because somebody says so: the start of every chain of verification, for example genesis.
    /// `validators` decide the block above it.
    ///
    /// # Errors
    /// [`LightError::Header`], or [`LightError::ValidatorsHash`] where the header promises another set.
    pub fn new(chain_id: u64, rlp: &[u8], validators: ValidatorSet) -> Result<Self, LightError> {
        let header = GridHeader::decode(rlp)?;
        expect_set(&validators, header.extension.nextValidatorsHash)?;
        Ok(Self::of(chain_id, &header, validators))
    }

    const fn of(chain_id: u64, header: &GridHeader, validators: ValidatorSet) -> Self {
        Self {
            chain_id,
            height: header.header.number,
            block_hash: header.hash,
            time_ms: header.extension.timeMs,
            validators,
        }
    }

    /// `keccak256(abi.encode(uint64 chainId, uint64 height, bytes32 blockHash, uint64 timeMs, bytes32
    /// validatorsHash))`: all that a contract has to store.
    #[must_use]
    pub fn commitment(&self) -> B256 {
        let validators = self.validators.hash();
        let words = (self.chain_id, self.height, self.block_hash, self.time_ms, validators);
        keccak256(words.abi_encode())
    }

    /// Checks a later block against this state and the clock (`now_ms`, milliseconds since 1970).
    ///
    /// # Errors
    /// The first [`LightError`] met; [`LightError::Overlap`] asks for a block in between.
    pub fn verify(
        &self,
        block: &LightBlock,
        policy: &LightPolicy,
        now_ms: u64,
    ) -> Result<GridHeader, LightError> {
        self.check_age(policy, now_ms)?;
        let header = GridHeader::decode(&block.header)?;
        self.check_place(&header, policy, now_ms)?;
        let expected = header.extension.validatorsHash;
        let adjacent = self.height.checked_add(1) == Some(header.header.number);
        if adjacent {
            self.check_link(&header)?;
        }
        expect_set(&block.validators, expected)?;
        let signers = check_certificate(&header, block, self.chain_id)?;
        // Right above, the promised set is the set that signed: it was just counted.
        if !adjacent {
            self.check_overlap(&signers)?;
        }
        if let Some(next) = &block.next_validators {
            expect_set(next, header.extension.nextValidatorsHash)?;
        }
        Ok(header)
    }

    /// Checks an earlier block: signers with more than a third of the trusted power are among those that decided
    /// it. One of them is honest, and an honest validator never signs two blocks of a height, so that no
    /// headers in between are needed.
    ///
    /// # Errors
    /// The first [`LightError`] met.
    pub fn verify_below(
        &self,
        block: &LightBlock,
        policy: &LightPolicy,
        now_ms: u64,
    ) -> Result<GridHeader, LightError> {
        self.check_age(policy, now_ms)?;
        let header = GridHeader::decode(&block.header)?;
        let (found, found_ms) = (header.header.number, header.extension.timeMs);
        if found >= self.height || found_ms >= self.time_ms {
            let (trusted, trusted_ms) = (self.height, self.time_ms);
            return Err(LightError::NotBelow { trusted, trusted_ms, found, found_ms });
        }
        expect_set(&block.validators, header.extension.validatorsHash)?;
        let signers = check_certificate(&header, block, self.chain_id)?;
        self.check_overlap(&signers)?;
        Ok(header)
    }

    /// Checks a block of any height: above the trusted one, below it, or the trusted one itself.
    ///
    /// # Errors
    /// The first [`LightError`] met.
    pub fn verify_any(
        &self,
        block: &LightBlock,
        policy: &LightPolicy,
        now_ms: u64,
    ) -> Result<GridHeader, LightError> {
        let header = GridHeader::decode(&block.header)?;
        match header.header.number.cmp(&self.height) {
            Ordering::Greater => self.verify(block, policy, now_ms),
            Ordering::Less => self.verify_below(block, policy, now_ms),
            Ordering::Equal if header.hash == self.block_hash => Ok(header),
            Ordering::Equal => {
                Err(LightError::Other { trusted: self.block_hash, found: header.hash })
            }
        }
    }

    /// [`verify`](Self::verify), and the state after the block.
    ///
    /// # Errors
    /// As [`verify`](Self::verify), and [`LightError::MissingNext`] where the validators change and the block
    /// does not carry the new ones.
    pub fn follow(
        &self,
        block: &LightBlock,
        policy: &LightPolicy,
        now_ms: u64,
    ) -> Result<Self, LightError> {
        let header = self.verify(block, policy, now_ms)?;
        Self::after(self.chain_id, &header, block)
    }

    /// The state after a block whose parts fit together: its certificate is good under its own set. Whoever trusts its
    /// hash trusts this state.
    ///
    /// # Errors
    /// The first [`LightError`] met.
    pub fn certified(chain_id: u64, block: &LightBlock) -> Result<Self, LightError> {
        let header = GridHeader::decode(&block.header)?;
        expect_set(&block.validators, header.extension.validatorsHash)?;
        check_certificate(&header, block, chain_id)?;
        if let Some(next) = &block.next_validators {
            expect_set(next, header.extension.nextValidatorsHash)?;
        }
        Self::after(chain_id, &header, block)
    }

    /// The state after a block that was verified.
    pub(super) fn after(
        chain_id: u64,
        header: &GridHeader,
        block: &LightBlock,
    ) -> Result<Self, LightError> {
        let next = match &block.next_validators {
            Some(next) => next,
            None if header.extension.nextValidatorsHash == header.extension.validatorsHash => {
                &block.validators
            }
            None => return Err(LightError::MissingNext(header.header.number)),
        };
        Ok(Self::of(chain_id, header, next.clone()))
    }

    /// Whether this state may still be built on.
    ///
    /// # Errors
    /// [`LightError::Expired`].
    pub fn check_age(&self, policy: &LightPolicy, now_ms: u64) -> Result<(), LightError> {
        let period_ms = policy.trusting_period_ms;
        if self.time_ms.saturating_add(period_ms) > now_ms {
            return Ok(());
        }
        Err(LightError::Expired { trusted_ms: self.time_ms, period_ms, now_ms })
    }

    fn check_place(
        &self,
        header: &GridHeader,
        policy: &LightPolicy,
        now_ms: u64,
    ) -> Result<(), LightError> {
        let (height, time_ms) = (header.header.number, header.extension.timeMs);
        if height <= self.height {
            return Err(LightError::Height { trusted: self.height, found: height });
        }
        if time_ms <= self.time_ms {
            return Err(LightError::Time { trusted: self.time_ms, found: time_ms });
        }
        let drift_ms = policy.clock_drift_ms;
        if time_ms > now_ms.saturating_add(drift_ms) {
            return Err(LightError::Future { time_ms, now_ms, drift_ms });
        }
        Ok(())
    }

    fn check_link(&self, header: &GridHeader) -> Result<(), LightError> {
        let found = header.header.parent_hash;
        if found != self.block_hash {
            return Err(LightError::Parent { expected: self.block_hash, found });
        }
        let (expected, found) = (self.validators.hash(), header.extension.validatorsHash);
        if found != expected {
            return Err(LightError::HandOver { expected, found });
        }
        Ok(())
    }

    /// More than a third of the trusted power must be among the signers.
    fn check_overlap(&self, signers: &[Address]) -> Result<(), LightError> {
        let total = self.validators.total_power();
        // Signers are distinct, so the sum stays within the total.
        let signed = signers
            .iter()
            .filter_map(|signer| self.validators.power(signer))
            .fold(0u64, u64::saturating_add);
        if u128::from(signed).saturating_mul(3) > u128::from(total) {
            return Ok(());
        }
        Err(LightError::Overlap { signed, total })
    }
}

fn expect_set(set: &ValidatorSet, expected: B256) -> Result<(), LightError> {
    let found = set.hash();
    if found == expected { Ok(()) } else { Err(LightError::ValidatorsHash { expected, found }) }
}

/// Checks that the certificate is for this header and good under the block's own set; returns the signers.
fn check_certificate(
    header: &GridHeader,
    block: &LightBlock,
    chain_id: u64,
) -> Result<Vec<Address>, LightError> {
    let certificate = &block.certificate;
    if certificate.height != header.header.number || certificate.block_hash != header.hash {
        return Err(LightError::CertificateBlock {
            height: header.header.number,
            hash: header.hash,
            found_height: certificate.height,
            found_hash: certificate.block_hash,
        });
    }
    Ok(certificate.signers(chain_id, &block.validators)?)
}
