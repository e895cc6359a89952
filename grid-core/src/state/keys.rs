//! Keys of the state. The first byte says which part of the protocol owns a value, the second (where
//! there is one) which kind of value; numbers are big-endian so that neighbours stay neighbours.

use alloy_primitives::{Address, B256};

use crate::ChainKey;

/// Accounts: `0x01 ‖ address`.
pub const ACCOUNTS: u8 = 0x01;
/// The chain's own constants and counters: `0x02 ‖ kind`.
pub const SYSTEM: u8 = 0x02;
/// The registry: `0x10 ‖ kind ‖ …`.
pub const REGISTRY: u8 = 0x10;
/// Light clients, accumulators and the index: `0x11 ‖ kind ‖ …`.
pub const LIGHT_CLIENTS: u8 = 0x11;
/// Proofs: `0x12 ‖ kind ‖ …`.
pub const PROOFS: u8 = 0x12;
/// Messages: `0x13 ‖ kind ‖ …`.
pub const MAILBOX: u8 = 0x13;
/// Escrows: `0x15 ‖ kind ‖ …`.
pub const ESCROW: u8 = 0x15;
/// Guarantees: `0x14 ‖ kind ‖ …`.
pub const GUARANTEE: u8 = 0x14;

/// Staking: `0x20 ‖ kind ‖ …`.
pub const STAKING: u8 = 0x20;

/// How many of the chain's own recent block hashes the state keeps: about two and a quarter hours of
/// blocks at one a second, so that a proof made against the index stays submittable for that long.
pub const RECENT_BLOCKS: u64 = 8_192;

fn key(prefix: u8, kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(48);
    key.push(prefix);
    key.push(kind);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// An account.
#[must_use]
pub fn account(address: &Address) -> Vec<u8> {
    let mut key = Vec::with_capacity(21);
    key.push(ACCOUNTS);
    key.extend_from_slice(address.as_slice());
    key
}

/// The chain's constants: EIP-155 chain id and governor.
#[must_use]
pub fn constants() -> Vec<u8> {
    key(SYSTEM, 0x01, &[])
}

/// The validator set.
#[must_use]
pub fn validators() -> Vec<u8> {
    key(SYSTEM, 0x02, &[])
}

/// The sum of burned base fees.
#[must_use]
pub fn burned() -> Vec<u8> {
    key(SYSTEM, 0x03, &[])
}

/// The hash of one of the last [`RECENT_BLOCKS`] blocks: a ring, overwritten in turn.
#[must_use]
pub fn block_hash(height: u64) -> Vec<u8> {
    let slot = height.checked_rem(RECENT_BLOCKS).unwrap_or(0);
    key(SYSTEM, 0x04, &[&slot.to_be_bytes()])
}

/// The sorted keys of all registered chains.
#[must_use]
pub fn chain_list() -> Vec<u8> {
    key(REGISTRY, 0x01, &[])
}

/// A chain's record.
#[must_use]
pub fn chain_record(chain: ChainKey) -> Vec<u8> {
    key(REGISTRY, 0x02, &[chain.0.as_slice()])
}

/// What was measured of the pace of a chain whose level is not fixed.
#[must_use]
pub fn chain_pace(chain: ChainKey) -> Vec<u8> {
    key(REGISTRY, 0x03, &[chain.0.as_slice()])
}

/// What a chain's light client needs beside its headers.
#[must_use]
pub fn client_meta(chain: ChainKey) -> Vec<u8> {
    key(LIGHT_CLIENTS, 0x01, &[chain.0.as_slice()])
}

/// One chunk of a chain's tracked headers.
#[must_use]
pub fn client_chunk(chain: ChainKey, chunk: u64) -> Vec<u8> {
    key(LIGHT_CLIENTS, 0x02, &[chain.0.as_slice(), &chunk.to_be_bytes()])
}

/// A chain's accumulator.
#[must_use]
pub fn accumulator(chain: ChainKey) -> Vec<u8> {
    key(LIGHT_CLIENTS, 0x03, &[chain.0.as_slice()])
}

/// The index: root and entries.
#[must_use]
pub fn index() -> Vec<u8> {
    key(LIGHT_CLIENTS, 0x04, &[])
}

/// When each chain's confirmation rule must be looked at again.
#[must_use]
pub fn due() -> Vec<u8> {
    key(LIGHT_CLIENTS, 0x05, &[])
}

/// A chain's accumulator at the boundaries of the light client's chunks.
#[must_use]
pub fn checkpoints(chain: ChainKey) -> Vec<u8> {
    key(LIGHT_CLIENTS, 0x06, &[chain.0.as_slice()])
}

/// A value of a sync-committee client: its kind, and a number where there are several of a kind.
#[must_use]
pub fn client_value(chain: ChainKey, name: &[u8]) -> Vec<u8> {
    key(LIGHT_CLIENTS, 0x07, &[chain.0.as_slice(), name])
}

/// That a proof was accepted on this chain.
#[must_use]
pub fn proven(claim_hash: &B256) -> Vec<u8> {
    key(PROOFS, 0x01, &[claim_hash.as_slice()])
}

/// The rules of staking.
#[must_use]
pub fn staking_params() -> Vec<u8> {
    key(STAKING, 0x01, &[])
}

/// The delegates that may be elected.
#[must_use]
pub fn staking_candidates() -> Vec<u8> {
    key(STAKING, 0x02, &[])
}

/// A delegate.
#[must_use]
pub fn staking_delegate(account: &Address) -> Vec<u8> {
    key(STAKING, 0x03, &[account.as_slice()])
}

/// A holder's shares in a delegate's pool.
#[must_use]
pub fn staking_stake(delegate: &Address, holder: &Address) -> Vec<u8> {
    key(STAKING, 0x04, &[delegate.as_slice(), holder.as_slice()])
}

/// The pool of what left a delegate in an epoch.
#[must_use]
pub fn staking_waiting_pool(delegate: &Address, epoch: u64) -> Vec<u8> {
    key(STAKING, 0x05, &[delegate.as_slice(), &epoch.to_be_bytes()])
}

/// A holder's shares in such a pool.
#[must_use]
pub fn staking_waiting(delegate: &Address, epoch: u64, holder: &Address) -> Vec<u8> {
    key(STAKING, 0x06, &[delegate.as_slice(), &epoch.to_be_bytes(), holder.as_slice()])
}

/// The validators of an epoch.
#[must_use]
pub fn staking_set(epoch: u64) -> Vec<u8> {
    key(STAKING, 0x07, &[&epoch.to_be_bytes()])
}

/// Who was slashed for votes of an epoch.
#[must_use]
pub fn staking_offenders(epoch: u64) -> Vec<u8> {
    key(STAKING, 0x08, &[&epoch.to_be_bytes()])
}

/// Signed blocks of the current epoch.
#[must_use]
pub fn staking_attendance() -> Vec<u8> {
    key(STAKING, 0x09, &[])
}

/// Known signers of a recent block: a ring, overwritten in turn.
#[must_use]
pub fn staking_seen(slot: u64) -> Vec<u8> {
    key(STAKING, 0x0a, &[&slot.to_be_bytes()])
}

/// What rewards are paid from.
#[must_use]
pub fn staking_reserve() -> Vec<u8> {
    key(STAKING, 0x0b, &[])
}

/// The rules of guarantees.
#[must_use]
pub fn guarantee_params() -> Vec<u8> {
    key(GUARANTEE, 0x01, &[])
}

/// The pool behind all guarantees.
#[must_use]
pub fn guarantee_pool() -> Vec<u8> {
    key(GUARANTEE, 0x02, &[])
}

/// A holder's shares in that pool.
#[must_use]
pub fn guarantee_holding(holder: &Address) -> Vec<u8> {
    key(GUARANTEE, 0x03, &[holder.as_slice()])
}

/// On which terms a chain's transactions are guaranteed.
#[must_use]
pub fn guarantee_terms(chain: ChainKey) -> Vec<u8> {
    key(GUARANTEE, 0x04, &[chain.0.as_slice()])
}

/// A chain's open guarantees.
#[must_use]
pub fn guarantee_open(chain: ChainKey) -> Vec<u8> {
    key(GUARANTEE, 0x05, &[chain.0.as_slice()])
}

/// A guarantee.
#[must_use]
pub fn guarantee(id: &B256) -> Vec<u8> {
    key(GUARANTEE, 0x06, &[id.as_slice()])
}

/// What may pass from one chain to another.
#[must_use]
pub fn message_route(source: &B256, destination: &B256) -> Vec<u8> {
    key(MAILBOX, 0x01, &[source.as_slice(), destination.as_slice()])
}

/// That an account is on a route's list; the list is 2 for senders, 4 for recipients.
#[must_use]
pub fn message_listed(source: &B256, destination: &B256, list: u8, account: &B256) -> Vec<u8> {
    key(MAILBOX, 0x02, &[source.as_slice(), destination.as_slice(), &[list], account.as_slice()])
}

/// The number of a sender's next message.
#[must_use]
pub fn message_nonce(source: &B256, destination: &B256, sender: &B256, ordered: bool) -> Vec<u8> {
    let parts = [source.as_slice(), destination.as_slice(), sender.as_slice(), &[ordered.into()]];
    key(MAILBOX, 0x03, &parts)
}

/// A message.
#[must_use]
pub fn message(id: &B256) -> Vec<u8> {
    key(MAILBOX, 0x04, &[id.as_slice()])
}

/// Where a chain's index was cut back.
#[must_use]
pub fn message_cuts(chain: ChainKey) -> Vec<u8> {
    key(MAILBOX, 0x05, &[chain.0.as_slice()])
}

/// The message that a guarantee stands behind.
#[must_use]
pub fn message_cover(guarantee: &B256) -> Vec<u8> {
    key(MAILBOX, 0x06, &[guarantee.as_slice()])
}

/// An escrow.
#[must_use]
pub fn escrow(id: &B256) -> Vec<u8> {
    key(ESCROW, 0x01, &[id.as_slice()])
}

/// That an output has released an escrow.
#[must_use]
pub fn escrow_spent(chain: ChainKey, txid: &B256, output: u32) -> Vec<u8> {
    key(ESCROW, 0x02, &[chain.0.as_slice(), txid.as_slice(), &output.to_be_bytes()])
}

/// How many escrows were ever opened.
#[must_use]
pub fn escrow_count() -> Vec<u8> {
    key(ESCROW, 0x03, &[])
}
