//! Who proposes the block of a height.

use alloy_primitives::{Address, B256, Keccak256};

use super::validators::{Validator, ValidatorSet};

/// Domain of a draw, with its version.
pub const PROPOSER_DOMAIN: &[u8] = b"GRID/proposer/1";

/// The validator that proposes in a round of a height: a pure function of set, height and round, the same on
/// every machine.
///
/// Round 0 is a draw among all validators with chances in proportion to power. Each further round draws among those
/// that had no turn at this height yet, again by power, so a validator that is away costs one round. Once all had a
/// turn, the draws begin anew with everybody.
///
/// A draw is `keccak256("GRID/proposer/1" ‖ height (u64 BE) ‖ round (u32 BE))`: its first 16 bytes as a big-endian
/// number, modulo the power of those in the draw, falls into one validator's share when shares are laid end to end in
/// address order. (The remainder of 2^128 favours no share by more than 2^-64 of its size.)
///
/// The order is public for all heights to come as long as the set stays the same. A validator can't be kept from
/// voting by that, but whoever wants to silence proposers knows whom to silence; later rounds answer that.
#[must_use]
pub fn proposer(validators: &ValidatorSet, height: u64, round: u32) -> &Validator {
    let all = validators.as_slice();
    let count = u32::try_from(all.len()).unwrap_or(u32::MAX).max(1);
    // The first round of this pass over the set.
    let first = round.saturating_sub(round.checked_rem(count).unwrap_or(0));
    let mut waiting: Vec<&Validator> = all.iter().collect();
    let mut power = validators.total_power();
    for earlier in first..round {
        let turn = draw(&waiting, power, height, earlier);
        power = power.saturating_sub(waiting.get(turn).map_or(0, |validator| validator.power));
        if turn < waiting.len() {
            waiting.remove(turn);
        }
    }
    let turn = draw(&waiting, power, height, round);
    // A set is never empty, and a pass ends before everybody was removed.
    waiting.get(turn).copied().unwrap_or(const { &NOBODY })
}

/// Stands for what can't be: a set without validators.
const NOBODY: Validator = Validator { account: Address::ZERO, power: 0 };

/// The position of the share that the draw of `round` falls into.
fn draw(waiting: &[&Validator], power: u64, height: u64, round: u32) -> usize {
    let mut hasher = Keccak256::new();
    hasher.update(PROPOSER_DOMAIN);
    hasher.update(height.to_be_bytes());
    hasher.update(round.to_be_bytes());
    let mut left = number(hasher.finalize()).checked_rem(u128::from(power)).unwrap_or(0);
    for (at, validator) in waiting.iter().enumerate() {
        match left.checked_sub(u128::from(validator.power)) {
            Some(rest) => left = rest,
            None => return at,
        }
    }
    0
}

/// The first 16 bytes of a hash as a big-endian number.
fn number(hash: B256) -> u128 {
    hash.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
