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
    /// The chain's own set.
    own: grid_core::grid::ValidatorSet,
    /// The same validators in the same order.
    validators: Vec<Validator>,
}

impl ValidatorSet {
    /// The validator whose turn it is.
    pub(crate) fn proposer(&self, height: u64, round: u32) -> &Validator {
        let chosen = Address(grid_core::grid::proposer(&self.own, height, round).account);
        let at = self.validators.binary_search_by_key(&chosen, |validator| validator.address);
        // Found always, as the proposer is one of the set.
        &self.validators[at.unwrap_or(0)]
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
        Self { own: set.clone(), validators }
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
        self.own.total_power()
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        let at = self.validators.binary_search_by_key(address, |v| v.address).ok()?;
        self.validators.get(at)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.validators.get(index)
    }
}
