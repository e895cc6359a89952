//! Who signed the transactions of a block.
//!
//! Recovering a sender from its signature costs more than everything else about a transfer. Most transactions of a block have
//! waited in this node's own mempool, where it was done; the rest is done by all processors at once.

use std::{collections::HashMap, num::NonZero, thread};

use alloy_consensus::TxEnvelope;
use alloy_primitives::{Address, B256};
use grid_core::transition;

/// The most threads that recover senders.
const MAX_THREADS: usize = 8;
/// The fewest transactions for which a thread pays off.
const MIN_PER_THREAD: usize = 32;

/// The senders by transaction hash: from `known`, else recovered. One whose signature is bad is left out; executing the
/// block then meets the error at its place.
pub(super) fn senders(
    transactions: &[TxEnvelope],
    known: impl Fn(&B256) -> Option<Address>,
) -> HashMap<B256, Address> {
    let mut senders = HashMap::with_capacity(transactions.len());
    let mut unknown = Vec::new();
    for transaction in transactions {
        match known(transaction.tx_hash()) {
            Some(sender) => drop(senders.insert(*transaction.tx_hash(), sender)),
            None => unknown.push(transaction),
        }
    }
    let processors = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    let chunk = unknown.len().div_ceil(processors).max(MIN_PER_THREAD);
    thread::scope(|scope| {
        let mut chunks = unknown.chunks(chunk);
        let first = chunks.next();
        let others = chunks.map(|chunk| scope.spawn(|| recover(chunk))).collect::<Vec<_>>();
        senders.extend(first.map(recover).unwrap_or_default());
        for other in others {
            // What a thread lost is recovered again when the block is executed.
            senders.extend(other.join().unwrap_or_default());
        }
    });
    senders
}

fn recover(transactions: &[&TxEnvelope]) -> Vec<(B256, Address)> {
    let recover = |one: &&TxEnvelope| Some((*one.tx_hash(), transition::signer(one)?));
    transactions.iter().filter_map(recover).collect()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Bytes, Signature, U256};

    use super::*;
    use crate::tests::support::{address, sign};

    #[test]
    fn every_sender_is_found_once_and_a_bad_signature_has_none() {
        let to = Address::repeat_byte(1);
        let mut block: Vec<TxEnvelope> =
            (0..200).map(|nonce| sign(nonce, to, 1, Bytes::new(), 21_000)).collect();
        let first = *block[0].tx_hash();
        let elsewhere = Address::repeat_byte(9);
        let (mut bad, _, _) = block[3].as_eip1559().unwrap().clone().into_parts();
        bad.nonce = 7_777;
        let zero = Signature::new(U256::ZERO, U256::ZERO, false);
        block[3] = alloy_consensus::Signed::new_unhashed(bad, zero).into();
        let found = senders(&block, |hash| (*hash == first).then_some(elsewhere));
        assert_eq!(found.len(), 199);
        for (at, transaction) in block.iter().enumerate() {
            let expected = match at {
                0 => Some(elsewhere),
                3 => None,
                _ => Some(address(2)),
            };
            assert_eq!(found.get(transaction.tx_hash()).copied(), expected, "{at}");
        }
        assert_eq!(senders(&[], |_| None), HashMap::new());
    }
}
