//! What escrows keep in the state.

use core::fmt;

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::SolValue;

use crate::{
    ChainKey,
    state::{Fields, Overlay, StateRead, StorageError, keys},
};

/// The most bytes of a script. The standard ones have up to 42.
pub const MAX_SCRIPT: usize = 100;

/// How an escrow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// It waits for its payment.
    Open = 1,
    /// The payee has it.
    Released = 2,
    /// Whoever locked it has it back.
    Refunded = 3,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Released, Self::Refunded];

    const fn from_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Open),
            2 => Some(Self::Released),
            3 => Some(Self::Refunded),
            _ => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Released => "released",
            Self::Refunded => "refunded",
        })
    }
}

/// An escrow. It stays when it is over, so that it ends once only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escrow {
    /// How it stands.
    pub status: Status,
    /// Who locked the GRID.
    pub owner: Address,
    /// Who gets it for the payment.
    pub payee: Address,
    /// How much, smallest unit of GRID.
    pub value: u128,
    /// Where the payment is to be.
    pub chain: ChainKey,
    /// `keccak256(scriptPubKey)` of the output that counts.
    pub script_hash: B256,
    /// The least that it pays, satoshis.
    pub amount: u64,
    /// The last second in which the payment may be shown, since 1970.
    pub deadline: u64,
    /// The least cover, for the owner, under which a payment counts that is not confirmed; 0 where none does.
    pub cover: u128,
    /// What is locked beside the value: the most of a guarantee's premium that is given back to who paid it.
    pub premium: u128,
}

/// `keccak256(abi.encode(address owner, uint64 number))`: the number counts all escrows, from 0.
#[must_use]
pub fn escrow_id(owner: &Address, number: u64) -> B256 {
    keccak256((*owner, number).abi_encode())
}

pub(crate) fn read(state: &dyn StateRead, id: &B256) -> Result<Option<Escrow>, StorageError> {
    let Some(bytes) = state.read(&keys::escrow(id))? else { return Ok(None) };
    let mut fields = Fields::new(&bytes, "escrow");
    let status = Status::from_code(fields.u64()?);
    let escrow = Escrow {
        status: status.ok_or_else(|| StorageError::corrupt("escrow"))?,
        owner: fields.address()?,
        payee: fields.address()?,
        value: fields.u128()?,
        chain: ChainKey(fields.b256()?),
        script_hash: fields.b256()?,
        amount: fields.u64()?,
        deadline: fields.u64()?,
        cover: fields.u128()?,
        premium: fields.u128()?,
    };
    fields.end()?;
    Ok(Some(escrow))
}

pub(super) fn store(overlay: &mut Overlay<'_>, id: &B256, escrow: &Escrow) {
    let mut value = u64::from(escrow.status as u8).to_be_bytes().to_vec();
    value.extend(escrow.owner);
    value.extend(escrow.payee);
    value.extend(escrow.value.to_be_bytes());
    value.extend(escrow.chain.0);
    value.extend(escrow.script_hash);
    value.extend(escrow.amount.to_be_bytes());
    value.extend(escrow.deadline.to_be_bytes());
    value.extend(escrow.cover.to_be_bytes());
    value.extend(escrow.premium.to_be_bytes());
    overlay.set(keys::escrow(id), value);
}

/// Counts an escrow; returns its number.
pub(super) fn count(overlay: &mut Overlay<'_>) -> Result<u64, StorageError> {
    let mut number = 0;
    if let Some(bytes) = overlay.get(&keys::escrow_count())? {
        let mut fields = Fields::new(&bytes, "number of escrows");
        number = fields.u64()?;
        fields.end()?;
    }
    overlay.set(keys::escrow_count(), number.saturating_add(1).to_be_bytes().to_vec());
    Ok(number)
}
