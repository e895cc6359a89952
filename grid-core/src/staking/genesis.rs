//! Staking from block 0.

use alloy_primitives::{Address, U128, U256};
use serde::{Deserialize, Serialize};

use super::{
    error::StakingError,
    ops::{Enrolment, enrol},
    params::{self, MAX_CANDIDATES, StakingParams, WHOLE},
    records::{store_reserve, store_set},
};
use crate::{
    grid::ValidatorSet,
    modules::abi::STAKING,
    state::{Account, Overlay},
};

/// Turns staking on. Amounts are in the smallest unit of GRID, and beside those of `alloc`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StakingGenesis {
    /// The rules; each has a default.
    #[serde(default)]
    pub params: StakingParams,
    /// What block rewards are paid from.
    #[serde(default)]
    pub reserve: U128,
    /// The first delegates, in increasing order of account. Every validator of genesis is one of them.
    pub delegates: Vec<GenesisDelegate>,
}

/// A delegate from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenesisDelegate {
    /// The address of its signing key.
    pub account: Address,
    /// Who owns the self-bond and gets the commission.
    pub owner: Address,
    /// The owner's part of what the delegate earns, of 10,000.
    pub commission: u16,
    /// The self-bond.
    pub bond: U128,
}

impl StakingGenesis {
    /// Checks rules and delegates.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(&self, validators: &ValidatorSet) -> Result<(), String> {
        self.params.validate()?;
        if self.delegates.len() > MAX_CANDIDATES {
            return Err(format!("at most {MAX_CANDIDATES} delegates"));
        }
        if !self.delegates.is_sorted_by(|a, b| a.account < b.account) {
            return Err("delegates must be in strictly increasing order of account".into());
        }
        for delegate in &self.delegates {
            let account = delegate.account;
            if delegate.commission > WHOLE {
                return Err(format!("commission of {account} must be at most {WHOLE}"));
            }
            if delegate.owner.is_zero() {
                return Err(format!("{account} must have an owner"));
            }
            if delegate.bond < self.params.min_self_bond {
                return Err(format!(
                    "bond of {account} must be at least {}",
                    self.params.min_self_bond
                ));
            }
        }
        for validator in validators.as_slice() {
            let find = |delegate: &GenesisDelegate| delegate.account.cmp(&validator.account);
            if self.delegates.binary_search_by(find).is_err() {
                return Err(format!("validator {} must be a delegate", validator.account));
            }
        }
        self.total().map(drop).ok_or_else(|| "the sum of bonds must be below 2^128".into())
    }

    /// Reserve and bonds.
    #[must_use]
    pub fn total(&self) -> Option<U256> {
        let mut bonds = self.delegates.iter().map(|delegate| delegate.bond);
        let sum = bonds.try_fold(self.reserve, |sum, bond| sum.checked_add(bond))?;
        Some(U256::from(u128::try_from(sum).ok()?))
    }
}

/// Writes a valid description.
pub(crate) fn apply(
    overlay: &mut Overlay<'_>,
    genesis: &StakingGenesis,
    validators: &ValidatorSet,
) -> Result<(), StakingError> {
    params::store(overlay, &genesis.params)?;
    let balance = genesis.total().ok_or(StakingError::Amount)?;
    Account { nonce: 0, balance }.store(overlay, &STAKING);
    let amount = |amount: U128| u128::try_from(amount).map_err(|_| StakingError::Amount);
    store_reserve(overlay, amount(genesis.reserve)?);
    for delegate in &genesis.delegates {
        let GenesisDelegate { account, owner, commission, bond } = *delegate;
        let enrolment = Enrolment { owner, commission, tokens: amount(bond)? };
        enrol(overlay, &genesis.params, &account, &enrolment)?;
    }
    store_set(overlay, 0, validators);
    Ok(())
}
