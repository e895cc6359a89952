//! Validators as the engine sees them.

use arc_malachitebft_core_types::{self as engine, VotingPower};

use super::{Address, Grid};

/// One validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Validator {
    pub(crate) address: Address,
    pub(crate) power: VotingPower,
}

/// A non-empty set in increasing address order: the order of a chain's own set, from which it is
/// always made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValidatorSet {
    validators: Vec<Validator>,
    total: VotingPower,
}

impl ValidatorSet {
    /// The validator whose turn it is.
    pub(crate) fn by_turn(&self, turn: u128) -> &Validator {
        let count = self.validators.len() as u128;
        let at = usize::try_from(turn % count).unwrap_or(0);
        &self.validators[at]
    }
}

impl From<&grid_core::grid::ValidatorSet> for ValidatorSet {
    fn from(set: &grid_core::grid::ValidatorSet) -> Self {
        let validators = set
            .as_slice()
            .iter()
            .map(|validator| Validator {
                address: Address(validator.account),
                power: validator.power,
            })
            .collect();
        Self { validators, total: set.total_power() }
    }
}

impl engine::Validator<Grid> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &Address {
        &self.address
    }

    fn voting_power(&self) -> VotingPower {
        self.power
    }
}

impl engine::ValidatorSet<Grid> for ValidatorSet {
    fn count(&self) -> usize {
        self.validators.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.total
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        let at = self.validators.binary_search_by_key(address, |v| v.address).ok()?;
        self.validators.get(at)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.validators.get(index)
    }
}
