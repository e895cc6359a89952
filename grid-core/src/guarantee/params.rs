//! The rules of guarantees, and the terms of a chain.

use core::ops::RangeInclusive;

use alloy_primitives::U128;
use serde::{Deserialize, Serialize};

use super::error::GuaranteeError;
use crate::state::{Fields, Overlay, StateRead, StorageError, keys};

/// The whole, in parts.
pub(crate) const WHOLE: u16 = 10_000;
/// The longest time from a request to its deadline, and the longest grace: a difficulty period of Bitcoin.
const MAX_BLOCKS: u64 = 2_016;
/// The longest delay of a withdrawal: a year.
const MAX_DELAY_SECS: u64 = 366 * 86_400;
/// The greatest loading: a hundred times the expected loss.
const MAX_LOADING: u64 = 1_000_000;

/// The rules of guarantees, fixed at genesis. Amounts are in the smallest unit of GRID, parts are of 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct GuaranteeParams {
    /// What the expected loss is multiplied by, in parts.
    pub loading_parts: u32,
    /// Added to every premium.
    pub base_premium: U128,
    /// The least cover.
    pub min_cover: U128,
    /// The least deposit.
    pub min_deposit: U128,
    /// The part of the pool that one chain's guarantees may cover.
    pub chain_cap_parts: u16,
    /// The part of the pool that one reorganisation may hit.
    pub reorg_cap_parts: u16,
    /// The least number of blocks from the source's tip to a deadline.
    pub min_term: u64,
    /// The greatest.
    pub max_term: u64,
    /// Blocks after the deadline in which a guarantee can be settled only.
    pub grace: u64,
    /// How long a block must have been tracked, seconds.
    pub min_age_secs: u64,
    /// How long before a withdrawal it must be announced, seconds.
    pub withdraw_delay_secs: u64,
    /// For how long it is possible then, seconds.
    pub withdraw_window_secs: u64,
}

impl Default for GuaranteeParams {
    /// For Bitcoin: one and a half times the expected loss, half of the pool for a chain, a quarter for a reorganisation; deadlines
    /// from one hour to two days; underwriters stay for a week.
    fn default() -> Self {
        Self {
            loading_parts: 15_000,
            base_premium: U128::from(100_000_000_000_000_000_u128),
            min_cover: U128::from(1_000_000_000_000_000_000_u128),
            min_deposit: U128::from(1_000_000_000_000_000_000_u128),
            chain_cap_parts: 5_000,
            reorg_cap_parts: 2_500,
            min_term: 6,
            max_term: 288,
            grace: 12,
            min_age_secs: 30,
            withdraw_delay_secs: 7 * 86_400,
            withdraw_window_secs: 86_400,
        }
    }
}

impl GuaranteeParams {
    /// Checks the bounds.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(&self) -> Result<(), String> {
        let whole = u64::from(WHOLE);
        let checks = [
            ("loadingParts", self.loading_parts.into(), whole, MAX_LOADING),
            ("chainCapParts", self.chain_cap_parts.into(), 1, whole),
            ("reorgCapParts", self.reorg_cap_parts.into(), 1, self.chain_cap_parts.into()),
            ("minTerm", self.min_term, 1, self.max_term),
            ("maxTerm", self.max_term, 1, MAX_BLOCKS),
            ("grace", self.grace, 1, MAX_BLOCKS),
            ("minAgeSecs", self.min_age_secs, 0, 3_600),
            ("withdrawDelaySecs", self.withdraw_delay_secs, 1, MAX_DELAY_SECS),
            ("withdrawWindowSecs", self.withdraw_window_secs, 1, MAX_DELAY_SECS),
        ];
        for (name, found, least, most) in checks {
            if !(least..=most).contains(&found) {
                return Err(format!("{name} {found} must be {least} to {most}"));
            }
        }
        if self.min_cover.is_zero() || self.min_deposit.is_zero() {
            return Err("minCover and minDeposit must be above 0".into());
        }
        Ok(())
    }

    /// The heights that a deadline may have for a block at `height`, with the tracked tip at `tip`. What decides the end
    /// must still be tracked then, so half of the chain's window is the limit; the other half is for reorganisations and
    /// for who is late.
    #[must_use]
    pub fn deadlines(&self, tip: u64, height: u64, window: u64) -> RangeInclusive<u64> {
        let kept = height.saturating_add(window / 2).saturating_sub(self.grace);
        tip.saturating_add(self.min_term)..=tip.saturating_add(self.max_term).min(kept)
    }
}

/// On which terms transactions of a chain are guaranteed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// The attacker's assumed share of the hash rate, parts per million.
    pub attacker_share: u32,
    /// The network's seconds between blocks.
    pub spacing: u32,
    /// What a miner loses with a block that no longer counts, in GRID: subsidy and fees. Zero closes the chain.
    pub block_value: U128,
}

impl Terms {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`GuaranteeError::Terms`].
    pub fn validate(&self) -> Result<(), GuaranteeError> {
        if !(1..=499_999).contains(&self.attacker_share) {
            return Err(GuaranteeError::Terms(format!(
                "attackerShare {} must be 1 to 499999 parts per million",
                self.attacker_share
            )));
        }
        if self.spacing == 0 {
            return Err(GuaranteeError::Terms("spacing must be above 0 seconds".into()));
        }
        Ok(())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = u64::from(self.attacker_share).to_be_bytes().to_vec();
        value.extend_from_slice(&u64::from(self.spacing).to_be_bytes());
        value.extend_from_slice(&self.block_value.to_be_bytes::<16>());
        value
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StorageError> {
        let mut fields = Fields::new(bytes, "terms of a chain");
        let short = |number: u64| {
            u32::try_from(number).map_err(|_| StorageError::corrupt("terms of a chain"))
        };
        let terms = Self {
            attacker_share: short(fields.u64()?)?,
            spacing: short(fields.u64()?)?,
            block_value: U128::from(fields.u128()?),
        };
        fields.end()?;
        Ok(terms)
    }
}

/// The rules, where the chain has a guarantee.
pub(crate) fn read(state: &dyn StateRead) -> Result<Option<GuaranteeParams>, StorageError> {
    let Some(bytes) = state.read(&keys::guarantee_params())? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|_| StorageError::corrupt("rules of guarantees"))
}

/// The rules, or a refusal.
pub(super) fn need(state: &dyn StateRead) -> Result<GuaranteeParams, GuaranteeError> {
    read(state)?.ok_or(GuaranteeError::Disabled)
}

pub(super) fn store(
    overlay: &mut Overlay<'_>,
    params: &GuaranteeParams,
) -> Result<(), StorageError> {
    let bytes = serde_json::to_vec(params)
        .map_err(|error| StorageError::new(format!("rules of guarantees: {error}")))?;
    overlay.set(keys::guarantee_params(), bytes);
    Ok(())
}

/// An amount of the rules: all fit 128 bits.
pub(super) fn amount(number: U128) -> u128 {
    u128::try_from(number).unwrap_or(u128::MAX)
}
