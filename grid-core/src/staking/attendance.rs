//! Who signed: counted from commit certificates that anybody brings.
//!
//! Nodes hold different certificates of one block, so none of them is part of the chain by itself. A block's height
//! counts once one certificate for it was brought; a fuller one, brought later, adds the signers that the first one lacked.

use alloy_primitives::{Address, U256};

use super::{
    error::StakingError,
    params::{StakingParams, need, read},
    records::read_set,
};
use crate::{
    grid::{CommitCertificate, ValidatorSet},
    state::{Fields, Overlay, StateRead, StorageError, keys, system},
};

/// How many blocks a certificate may be late.
pub const RECENT: u64 = 256;

/// Counts of the current epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Attendance {
    /// Blocks that count.
    pub(crate) counted: u64,
    /// Of these, how many each validator signed, in the order of the set.
    pub(crate) signed: Vec<u64>,
}

/// The counts since the epoch began.
pub(crate) fn attendance(state: &dyn StateRead) -> Result<Attendance, StorageError> {
    let Some(bytes) = state.read(&keys::staking_attendance())? else {
        return Ok(Attendance::default());
    };
    let mut fields = Fields::new(&bytes, "attendance");
    let mut attendance = Attendance { counted: fields.u64()?, signed: Vec::new() };
    while !fields.is_empty() {
        attendance.signed.push(fields.u64()?);
    }
    Ok(attendance)
}

fn store(overlay: &mut Overlay<'_>, attendance: &Attendance) {
    let numbers = std::iter::once(&attendance.counted).chain(&attendance.signed);
    overlay.set(keys::staking_attendance(), numbers.flat_map(|n| n.to_be_bytes()).collect());
}

/// Starts counting anew.
pub(super) fn reset(overlay: &mut Overlay<'_>) {
    overlay.remove(keys::staking_attendance());
}

/// Which validators of the set are known to have signed a block, as bits; `None` where it was not counted.
fn read_seen(state: &dyn StateRead, height: u64) -> Result<Option<U256>, StorageError> {
    let Some(bytes) = state.read(&keys::staking_seen(slot(height)))? else { return Ok(None) };
    let mut fields = Fields::new(&bytes, "signers of a block");
    let (of, bits) = (fields.u64()?, fields.u256()?);
    fields.end()?;
    Ok((of == height).then_some(bits))
}

fn store_seen(overlay: &mut Overlay<'_>, height: u64, bits: U256) {
    let mut value = height.to_be_bytes().to_vec();
    value.extend_from_slice(&bits.to_be_bytes::<32>());
    overlay.set(keys::staking_seen(slot(height)), value);
}

fn slot(height: u64) -> u64 {
    height.checked_rem(RECENT).unwrap_or(0)
}

/// The signers as bits, by their place in the set.
fn bits_of(set: &ValidatorSet, signers: &[Address]) -> U256 {
    let mut bits = U256::ZERO;
    for (at, validator) in set.as_slice().iter().enumerate() {
        if signers.binary_search(&validator.account).is_ok() {
            bits.set_bit(at, true);
        }
    }
    bits
}

/// Who is known to have signed a block, by increasing address.
pub(crate) fn counted_signers(
    state: &dyn StateRead,
    height: u64,
) -> Result<Vec<Address>, StorageError> {
    let Some(params) = read(state)? else { return Ok(Vec::new()) };
    let Some(seen) = read_seen(state, height)? else { return Ok(Vec::new()) };
    let Some(set) = read_set(state, params.epoch_of(height))? else { return Ok(Vec::new()) };
    let validators = set.as_slice().iter().enumerate();
    Ok(validators.filter(|(at, _)| seen.bit(*at)).map(|(_, one)| one.account).collect())
}

/// Whether a certificate would add nothing. Only what is stored of its height is looked at.
pub(crate) fn is_counted(
    state: &dyn StateRead,
    certificate: &CommitCertificate,
    chain_id: u64,
) -> Result<bool, StakingError> {
    let params = need(state)?;
    let Some(seen) = read_seen(state, certificate.height)? else { return Ok(false) };
    let Some(set) = read_set(state, params.epoch_of(certificate.height))? else { return Ok(false) };
    let signers = certificate.signers(chain_id, &set)?;
    Ok((seen | bits_of(&set, &signers)) == seen)
}

/// Counts a certificate of one of the last blocks of this epoch; returns how many signers were new.
pub(crate) fn record_commit(
    overlay: &mut Overlay<'_>,
    certificate: &CommitCertificate,
    chain_id: u64,
    height: u64,
) -> Result<u64, StakingError> {
    let params = need(overlay)?;
    let found = certificate.height;
    let (oldest, newest) = recent(&params, height);
    let is_own = system::block_hash(overlay, found)? == Some(certificate.block_hash);
    if !(oldest..=newest).contains(&found) || !is_own {
        return Err(StakingError::NotRecent { oldest, newest, found });
    }
    let set = read_set(overlay, params.epoch_of(height))?
        .ok_or_else(|| StorageError::corrupt("validator set of the epoch"))?;
    let signers = bits_of(&set, &certificate.signers(chain_id, &set)?);
    let seen = read_seen(overlay, found)?;
    let known = seen.unwrap_or(U256::ZERO);
    let new = signers & !known;
    if new.is_zero() {
        return Err(StakingError::Known);
    }
    let mut counts = attendance(overlay)?;
    counts.signed.resize(set.as_slice().len(), 0);
    counts.counted = counts.counted.saturating_add(u64::from(seen.is_none()));
    for (at, signed) in counts.signed.iter_mut().enumerate() {
        *signed = signed.saturating_add(u64::from(new.bit(at)));
    }
    store(overlay, &counts);
    store_seen(overlay, found, known | new);
    Ok(u64::try_from(new.count_ones()).unwrap_or(0))
}

/// First and last height whose certificates count in block `height`.
fn recent(params: &StakingParams, height: u64) -> (u64, u64) {
    let (first, _) = params.heights_of(params.epoch_of(height));
    (first.max(height.saturating_sub(RECENT)), height.saturating_sub(1))
}
