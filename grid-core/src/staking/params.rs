//! The rules of one chain's staking, fixed at genesis.

use alloy_primitives::U128;
use serde::{Deserialize, Serialize};

use super::error::StakingError;
use crate::{
    grid::validators::MAX_VALIDATORS,
    state::{Overlay, StateRead, StorageError, keys},
};

/// The most candidates for a seat. Each has its self-bond at stake, so the list can't be filled for free.
pub const MAX_CANDIDATES: usize = 512;
/// Parts of a whole.
pub(super) const WHOLE: u16 = 10_000;
/// The most epochs of an unbonding period: evidence looks at one value for each.
pub const MAX_UNBONDING_EPOCHS: u16 = 512;
/// The most blocks of an epoch, about half a year at one a second.
const MAX_EPOCH: u64 = 1 << 24;

/// The rules. Amounts are in the smallest unit of GRID, parts are of 10,000.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StakingParams {
    /// Blocks of an epoch.
    pub epoch_length: u64,
    /// The most validators.
    pub max_validators: u16,
    /// The least stake that an owner must have in its own delegate.
    pub min_self_bond: U128,
    /// Whole epochs that a stake waits after the one in which it left. Evidence counts as long.
    pub unbonding_epochs: u16,
    /// Paid to the validators for each block of an epoch, from the reserve while it lasts.
    pub block_reward: U128,
    /// Part of the stake that an equivocation costs.
    pub slash_parts: u16,
    /// Part of a slashed sum that the reporter gets; the rest is burned.
    pub reporter_parts: u16,
    /// Whole epochs that a jailed delegate must wait.
    pub jail_epochs: u16,
    /// Part of the counted blocks that a validator must have signed.
    pub min_signed_parts: u16,
    /// Blocks that must have been counted in an epoch before anybody is jailed for absence.
    pub min_counted: u32,
}

impl Default for StakingParams {
    /// Blocks of one second: epochs of six hours, 21 validators, fourteen days of unbonding; 5 % for an equivocation.
    fn default() -> Self {
        Self {
            epoch_length: 21_600,
            max_validators: 21,
            min_self_bond: U128::from(10_000_000_000_000_000_000_000_u128),
            unbonding_epochs: 56,
            block_reward: U128::ZERO,
            slash_parts: 500,
            reporter_parts: 500,
            jail_epochs: 4,
            min_signed_parts: 5_000,
            min_counted: 100,
        }
    }
}

impl StakingParams {
    /// Checks the bounds.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(&self) -> Result<(), String> {
        let most = u16::try_from(MAX_VALIDATORS).unwrap_or(u16::MAX);
        let checks = [
            ("epochLength", self.epoch_length, 1, MAX_EPOCH),
            ("maxValidators", self.max_validators.into(), 1, most.into()),
            ("unbondingEpochs", self.unbonding_epochs.into(), 1, MAX_UNBONDING_EPOCHS.into()),
            ("slashParts", self.slash_parts.into(), 0, WHOLE.into()),
            ("reporterParts", self.reporter_parts.into(), 0, WHOLE.into()),
            ("minSignedParts", self.min_signed_parts.into(), 0, WHOLE.into()),
        ];
        for (name, found, least, most) in checks {
            if !(least..=most).contains(&found) {
                return Err(format!("{name} {found} must be {least} to {most}"));
            }
        }
        if self.min_self_bond.is_zero() {
            return Err("minSelfBond must be above 0: a seat must cost something".into());
        }
        Ok(())
    }

    /// The epoch of a block: block 1 is the first of epoch 0.
    #[must_use]
    pub fn epoch_of(&self, height: u64) -> u64 {
        height.saturating_sub(1).checked_div(self.epoch_length).unwrap_or(0)
    }

    /// First and last block of an epoch.
    #[must_use]
    pub fn heights_of(&self, epoch: u64) -> (u64, u64) {
        let before = epoch.saturating_mul(self.epoch_length);
        (before.saturating_add(1), before.saturating_add(self.epoch_length))
    }

    /// Whether an epoch ends with this block.
    #[must_use]
    pub fn ends(&self, height: u64) -> bool {
        height > 0 && height.checked_rem(self.epoch_length) == Some(0)
    }

    /// The oldest epoch that can still be slashed for.
    #[must_use]
    pub fn oldest(&self, epoch: u64) -> u64 {
        epoch.saturating_sub(self.unbonding_epochs.into())
    }

    /// The least self-bond.
    pub(super) fn least_bond(&self) -> u128 {
        u128::try_from(self.min_self_bond).unwrap_or(u128::MAX)
    }
}

/// The rules, where the chain has staking.
pub(crate) fn read(state: &dyn StateRead) -> Result<Option<StakingParams>, StorageError> {
    let Some(bytes) = state.read(&keys::staking_params())? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|_| StorageError::corrupt("staking rules"))
}

/// The rules, or a refusal.
pub(super) fn need(state: &dyn StateRead) -> Result<StakingParams, StakingError> {
    read(state)?.ok_or(StakingError::Disabled)
}

pub(super) fn store(overlay: &mut Overlay<'_>, params: &StakingParams) -> Result<(), StorageError> {
    let bytes = serde_json::to_vec(params)
        .map_err(|error| StorageError::new(format!("staking rules: {error}")))?;
    overlay.set(keys::staking_params(), bytes);
    Ok(())
}
