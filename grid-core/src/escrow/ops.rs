//! Locking, releasing, taking back. Whoever calls a function here that fails undoes what it wrote.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};

use super::{
    error::EscrowError,
    records::{self, Escrow, MAX_SCRIPT, Status, escrow_id},
};
use crate::{
    ChainKey, Family,
    bitcoin::tx::Tx,
    guarantee::Guarantee,
    message::{Ask, Message},
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
    /// The least cover and the most of its premium, where a guarantee may stand in for confirmations.
    pub(crate) guaranteed: Option<(U256, U256)>,
}

/// What is locked: for the payee, and for a premium; and the least cover.
struct Locked {
    value: u128,
    premium: u128,
    cover: u128,
}

impl Terms {
    fn locked(&self) -> Result<Locked, EscrowError> {
        let narrow = |number: U256| u128::try_from(number).map_err(|_| EscrowError::Amount);
        let value = narrow(self.value)?;
        let Some((cover, premium)) = self.guaranteed else {
            return Ok(Locked { value, premium: 0, cover: 0 });
        };
        let (cover, premium) = (narrow(cover)?, narrow(premium)?);
        if cover == 0 {
            return Err(EscrowError::Cover);
        }
        let left = value.checked_sub(premium).filter(|left| *left > 0);
        Ok(Locked { value: left.ok_or(EscrowError::Premium { value, premium })?, premium, cover })
    }

    fn validate(&self, state: &dyn StateRead, now: u64) -> Result<Locked, EscrowError> {
        let locked = self.locked()?;
        if locked.value == 0 || self.amount == 0 {
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
            Some(_) => Ok(locked),
            None => Err(EscrowError::Chain(self.chain.0)),
        }
    }
}

/// Locks GRID; returns the escrow and its id.
pub(crate) fn open(
    overlay: &mut Overlay<'_>,
    terms: &Terms,
    now: u64,
) -> Result<(B256, Escrow), EscrowError> {
    let Locked { value, premium, cover } = terms.validate(overlay, now)?;
    let owner = terms.owner;
    if !Account::transfer(overlay, &owner, &ESCROW, terms.value)? {
        return Err(EscrowError::Funds { account: owner, amount: value.saturating_add(premium) });
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
        cover,
        premium,
    };
    records::store(overlay, &id, &escrow);
    Ok((id, escrow))
}

fn need_open(state: &dyn StateRead, id: &B256) -> Result<Escrow, EscrowError> {
    let escrow = records::read(state, id)?.ok_or(EscrowError::Unknown(*id))?;
    match escrow.status {
        Status::Open => Ok(escrow),
        status => Err(EscrowError::Ended { id: *id, status }),
    }
}

fn pay(overlay: &mut Overlay<'_>, to: &Address, amount: u128) -> Result<(), StorageError> {
    if Account::transfer(overlay, &ESCROW, to, U256::from(amount))? {
        return Ok(());
    }
    Err(StorageError::new("the escrow contract holds less than it owes"))
}

/// What an escrow pays when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payout {
    pub(crate) id: B256,
    /// Who gets the value.
    pub(crate) to: Address,
    pub(crate) value: u128,
    /// Who gets back a part of the premium that he paid for the guarantee, and how much.
    pub(crate) premium: Option<(Address, u128)>,
}

/// Ends an escrow, once.
fn end(
    overlay: &mut Overlay<'_>,
    id: &B256,
    escrow: &Escrow,
    status: Status,
    guarantee: Option<&Guarantee>,
) -> Result<Payout, EscrowError> {
    let Escrow { owner, payee, value, premium: aside, .. } = *escrow;
    let to = if status == Status::Released { payee } else { owner };
    let premium = guarantee.map(|found| (found.payer, found.premium.min(aside)));
    let back = premium.map_or(0, |(_, back)| back);
    pay(overlay, &to, value)?;
    if let Some((payer, back)) = premium {
        pay(overlay, &payer, back)?;
    }
    pay(overlay, &owner, aside.saturating_sub(back))?;
    records::store(overlay, id, &Escrow { status, ..*escrow });
    Ok(Payout { id: *id, to, value, premium: premium.filter(|(_, back)| *back > 0) })
}

/// An output of a transaction.
struct Spent {
    txid: B256,
    output: u32,
}

/// The open escrow that a message releases, and the output of its transaction that pays for it.
fn paid(
    state: &dyn StateRead,
    message: &Message,
    tx: Option<&Tx>,
    now: u64,
) -> Result<(B256, Escrow, Spent), EscrowError> {
    let id = B256::try_from(message.payload.as_ref())
        .map_err(|_| EscrowError::Payload(message.payload.len()))?;
    let escrow = need_open(state, &id)?;
    if escrow.chain.0 != message.source {
        return Err(EscrowError::Source { expected: escrow.chain.0, found: message.source });
    }
    if now > escrow.deadline {
        return Err(EscrowError::Deadline { deadline: escrow.deadline, now });
    }
    let unpaid = EscrowError::Unpaid { amount: escrow.amount };
    let tx = tx.ok_or_else(|| unpaid.clone())?;
    let output = payment(state, &escrow, tx)?.ok_or(unpaid)?;
    Ok((id, escrow, Spent { txid: tx.id(), output }))
}

/// The guarantee under which the escrow that a message names would take its payment before it is confirmed; `None` where it
/// takes it under none. Refused as by [`receive`].
pub(crate) fn ask(
    state: &dyn StateRead,
    message: &Message,
    tx: Option<&Tx>,
    now: u64,
) -> Result<Option<Ask>, EscrowError> {
    let (_, Escrow { cover, owner, premium, .. }, _) = paid(state, message, tx, now)?;
    Ok((cover > 0).then_some(Ask { cover, beneficiary: owner, premium }))
}

/// Takes a message, in the transaction that it came with, and the guarantee where it is not confirmed: releases the escrow that
/// it names.
pub(crate) fn receive(
    overlay: &mut Overlay<'_>,
    message: &Message,
    tx: Option<&Tx>,
    guarantee: Option<&Guarantee>,
    now: u64,
) -> Result<Payout, EscrowError> {
    let (id, escrow, spent) = paid(overlay, message, tx, now)?;
    overlay.set(keys::escrow_spent(escrow.chain, &spent.txid, spent.output), vec![1]);
    end(overlay, &id, &escrow, Status::Released, guarantee)
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
) -> Result<Payout, EscrowError> {
    let escrow = need_open(overlay, id)?;
    if now <= escrow.deadline {
        return Err(EscrowError::NotOver { deadline: escrow.deadline, now });
    }
    end(overlay, id, &escrow, Status::Refunded, None)
}
