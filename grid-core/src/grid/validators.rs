//! Validator sets.

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::{SolValue, sol};
use serde::{Deserialize, Serialize};
use thiserror::Error;

sol! {
    /// One validator: the address of its secp256k1 key and its voting power.
    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Validator {
        /// Address of the signing key.
        address account;
        /// Voting power; the sum over a set stays below 2^64 / 3.
        uint64 power;
    }
}

/// The most validators that a set can have.
pub const MAX_VALIDATORS: usize = 256;

/// A non-empty list of validators in strictly increasing address order with positive powers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Validator>", into = "Vec<Validator>")]
pub struct ValidatorSet {
    validators: Vec<Validator>,
    total: u64,
}

/// Why a list is not a [`ValidatorSet`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValidatorSetError {
    /// No validator.
    #[error("a validator set has at least one validator")]
    Empty,
    /// More than [`MAX_VALIDATORS`].
    #[error("a validator set has at most {MAX_VALIDATORS} validators, found {0}")]
    TooMany(usize),
    /// Not strictly increasing by address.
    #[error("validators must be in strictly increasing address order; {0} is not")]
    Order(Address),
    /// A power of zero.
    #[error("validator {0} has no voting power")]
    NoPower(Address),
    /// The powers' sum reaches 2^64 / 3.
    #[error("the sum of voting powers must stay below 2^64 / 3")]
    PowerOverflow,
}

impl ValidatorSet {
    /// Checks order, powers and size.
    ///
    /// # Errors
    /// A [`ValidatorSetError`] naming the first fault.
    pub fn new(validators: Vec<Validator>) -> Result<Self, ValidatorSetError> {
        if validators.is_empty() {
            return Err(ValidatorSetError::Empty);
        }
        if validators.len() > MAX_VALIDATORS {
            return Err(ValidatorSetError::TooMany(validators.len()));
        }
        let mut total = 0u64;
        let mut previous = None;
        for validator in &validators {
            if previous.is_some_and(|address| address >= validator.account) {
                return Err(ValidatorSetError::Order(validator.account));
            }
            if validator.power == 0 {
                return Err(ValidatorSetError::NoPower(validator.account));
            }
            previous = Some(validator.account);
            total = total
                .checked_add(validator.power)
                .filter(|sum| *sum < u64::MAX / 3)
                .ok_or(ValidatorSetError::PowerOverflow)?;
        }
        Ok(Self { validators, total })
    }

    /// The validators, by increasing address.
    #[must_use]
    pub fn as_slice(&self) -> &[Validator] {
        &self.validators
    }

    /// The sum of all powers.
    #[must_use]
    pub const fn total_power(&self) -> u64 {
        self.total
    }

    /// The power of an address, if it is a validator.
    #[must_use]
    pub fn power(&self, account: &Address) -> Option<u64> {
        self.validators
            .binary_search_by_key(account, |validator| validator.account)
            .ok()
            .and_then(|at| self.validators.get(at))
            .map(|validator| validator.power)
    }

    /// `keccak256(abi.encode(validators))`: what a header's extension commits to.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256(self.validators.abi_encode())
    }

    /// Whether a power is more than two thirds of the whole.
    #[must_use]
    pub fn is_quorum(&self, power: u64) -> bool {
        u128::from(power).saturating_mul(3) > u128::from(self.total).saturating_mul(2)
    }
}

impl TryFrom<Vec<Validator>> for ValidatorSet {
    type Error = ValidatorSetError;

    fn try_from(validators: Vec<Validator>) -> Result<Self, Self::Error> {
        Self::new(validators)
    }
}

impl From<ValidatorSet> for Vec<Validator> {
    fn from(set: ValidatorSet) -> Self {
        set.validators
    }
}
