//! Locking, releasing, taking back. Whoever calls a function here that fails undoes what it wrote.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

use super::{
    error::EscrowError,
    records::{self, Escrow, MAX_SCRIPT, Status, escrow_id},
};
use crate::{
    ChainKey, Family,
    bitcoin::tx::Tx,
    message::Message,
    modules::{
        self,
        abi::{ESCROW, SYSTEM_CONTRACTS},
    },
    state::{Account, Overlay, StateRead, StorageError, keys},
};

/// What is locked, and for what.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) owner: Address,
    pub(crate) payee: Address,
    pub(crate) value: U256,
    pub(crate) chain: ChainKey,
    pub(crate) script: Bytes,
    pub(crate) amount: u64,
    pub(crate) deadline: u64,
}

impl Terms {
    fn validate(&self, state: &dyn StateRead, now: u64) -> Result<u128, EscrowError> {
        let value = u128::try_from(self.value).map_err(|_| EscrowError::Amount)?;
        if value == 0 || self.amount == 0 {
            return Err(EscrowError::Nothing);
        }
        if self.payee.is_zero() || SYSTEM_CONTRACTS.contains(&self.payee) {
            return Err(EscrowError::Payee(self.payee));
        }
        if self.script.is_empty() || self.script.len() > MAX_SCRIPT {
            return Err(EscrowError::Script(self.script.len()));
        }
        if self.deadline <= now {
            return Err(EscrowError::Deadline { deadline: self.deadline, now });
        }
        let record = modules::read_record(state, self.chain)?;
        match record.filter(|record| record.family == Family::Bitcoin) {
            Some(_) => Ok(value),
            None => Err(EscrowError::Chain(self.chain.0)),
        }
    }
}

/// Locks GRID; returns the escrow's id.
pub(crate) fn open(
    overlay: &mut Overlay<'_>,
    terms: &Terms,
    now: u64,
) -> Result<B256, EscrowError> {
    let value = terms.validate(overlay, now)?;
    let owner = terms.owner;
    if !Account::transfer(overlay, &owner, &ESCROW, terms.value)? {
        return Err(EscrowError::Funds { account: owner, amount: value });
    }
    let id = escrow_id(&owner, records::count(overlay)?);
    let escrow = Escrow {
        status: Status::Open,
        owner,
        payee: terms.payee,
        value,
        chain: terms.chain,
        script_hash: keccak256(&terms.script),
        amount: terms.amount,
        deadline: terms.deadline,
    };
    records::store(overlay, &id, &escrow);
    Ok(id)
}

fn need_open(state: &dyn StateRead, id: &B256) -> Result<Escrow, EscrowError> {
    let escrow = records::read(state, id)?.ok_or(EscrowError::Unknown(*id))?;
    match escrow.status {
        Status::Open => Ok(escrow),
        status => Err(EscrowError::Ended { id: *id, status }),
    }
}

/// Ends an escrow, once.
fn end(
    overlay: &mut Overlay<'_>,
    id: &B256,
    escrow: &Escrow,
    status: Status,
) -> Result<(), EscrowError> {
    let to = if status == Status::Released { escrow.payee } else { escrow.owner };
    if !Account::transfer(overlay, &ESCROW, &to, U256::from(escrow.value))? {
        return Err(StorageError::new("the escrow contract holds less than it owes").into());
    }
    records::store(overlay, id, &Escrow { status, ..*escrow });
    Ok(())
}

/// Takes a message, in the transaction that it came with: releases the escrow that it names.
pub(crate) fn receive(
    overlay: &mut Overlay<'_>,
    message: &Message,
    tx: Option<&Tx>,
    now: u64,
) -> Result<(B256, Escrow), EscrowError> {
    let id = B256::try_from(message.payload.as_ref())
        .map_err(|_| EscrowError::Payload(message.payload.len()))?;
    let escrow = need_open(overlay, &id)?;
    if escrow.chain.0 != message.source {
        return Err(EscrowError::Source { expected: escrow.chain.0, found: message.source });
    }
    if now > escrow.deadline {
        return Err(EscrowError::Deadline { deadline: escrow.deadline, now });
    }
    let unpaid = EscrowError::Unpaid { amount: escrow.amount };
    let tx = tx.ok_or_else(|| unpaid.clone())?;
    let output = payment(overlay, &escrow, tx)?.ok_or(unpaid)?;
    overlay.set(keys::escrow_spent(escrow.chain, &tx.id(), output), vec![1]);
    end(overlay, &id, &escrow, Status::Released)?;
    Ok((id, escrow))
}

/// The first output that pays for an escrow and has released none.
fn payment(state: &dyn StateRead, escrow: &Escrow, tx: &Tx) -> Result<Option<u32>, StorageError> {
    for (output, paid) in (0u32..).zip(&tx.inner().output) {
        let enough = paid.value.to_sat() >= escrow.amount;
        if enough && keccak256(paid.script_pubkey.as_bytes()) == escrow.script_hash {
            let key = keys::escrow_spent(escrow.chain, &tx.id(), output);
            if state.read(&key)?.is_none() {
                return Ok(Some(output));
            }
        }
    }
    Ok(None)
}

/// Gives an escrow back to whoever locked it.
pub(crate) fn refund(
    overlay: &mut Overlay<'_>,
    id: &B256,
    now: u64,
) -> Result<Escrow, EscrowError> {
    let escrow = need_open(overlay, id)?;
    if now <= escrow.deadline {
        return Err(EscrowError::NotOver { deadline: escrow.deadline, now });
    }
    end(overlay, id, &escrow, Status::Refunded)?;
    Ok(escrow)
}
