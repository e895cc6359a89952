//! Who brought headers lately: what relayers with stores of their own take turns by.
//!
//! Kept in memory from committed blocks. It is a hint and no part of the chain's state: a node that was just
//! started has looked at its newest blocks only, and two nodes may name different accounts for a while.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use alloy_consensus::{Transaction as _, TxEnvelope, TxReceipt};
use alloy_primitives::{Address, BloomInput};
use alloy_sol_types::SolCall as _;
use grid_core::{
    ChainKey,
    modules::abi::{LIGHT_CLIENTS, LightClients},
};

use super::ChainFailure;
use crate::store::View;

/// Times that another account brought headers of a chain: one that is not among the last so many is not waited
/// for any more.
const RECENT: usize = 32;

/// Blocks after which a submission is forgotten: a day or so.
const FORGOTTEN: u64 = 86_400;

/// Most accounts that are named for a chain.
const NAMED: usize = 8;

/// Blocks that are looked at when a node starts.
const LOOKED_BACK: u64 = 256;

/// The newest submissions by chain: who, and at which height last. Several in a row are one.
#[derive(Debug, Default)]
pub(super) struct Submitters(Mutex<BTreeMap<ChainKey, VecDeque<(Address, u64)>>>);

impl Submitters {
    /// Those of a database's newest blocks.
    pub(super) fn read(view: &View) -> Result<Self, ChainFailure> {
        let all = Self::default();
        let newest = view.height();
        for height in newest.saturating_sub(LOOKED_BACK).saturating_add(1)..=newest {
            let Some(header) = view.header(height)? else { continue };
            // Submissions with news leave a log, and reading other blocks takes time.
            let at = BloomInput::Raw(LIGHT_CLIENTS.as_slice());
            if !header.logs_bloom.contains_input(at) {
                continue;
            }
            let Some(block) = view.block(height)? else { continue };
            let stored = view.receipts(height)?;
            all.note(height, &block.body.transactions, &stored.receipts, &stored.senders);
        }
        Ok(all)
    }

    /// Takes in a block's transactions with what came of them and who sent them.
    pub(super) fn note<R: TxReceipt>(
        &self,
        height: u64,
        transactions: &[TxEnvelope],
        receipts: &[R],
        senders: &[Address],
    ) {
        for ((transaction, receipt), sender) in transactions.iter().zip(receipts).zip(senders) {
            let Some(chain) = target(transaction).filter(|_| receipt.status()) else { continue };
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let recent = all.entry(chain).or_default();
            match recent.front_mut() {
                Some((newest, last)) if newest == sender => *last = height,
                _ => recent.push_front((*sender, height)),
            }
            recent.truncate(RECENT);
        }
    }

    /// The accounts that brought a chain's headers lately, as of a height; newest first, each once.
    pub(super) fn of(&self, chain: ChainKey, now: u64) -> Vec<Address> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut named = Vec::new();
        for (account, height) in all.get(&chain).into_iter().flatten() {
            if !named.contains(account) && now.saturating_sub(*height) < FORGOTTEN {
                named.push(*account);
            }
        }
        named.truncate(NAMED);
        named
    }
}

/// The chain that a transaction brings headers of.
fn target(transaction: &TxEnvelope) -> Option<ChainKey> {
    use LightClients::{submitAttestedHeadersCall, submitBitcoinHeadersCall, submitFinalityCall};
    let input = transaction.input();
    let (selector, rest) = input.split_first_chunk::<4>()?;
    let submits = [
        submitBitcoinHeadersCall::SELECTOR,
        submitAttestedHeadersCall::SELECTOR,
        submitFinalityCall::SELECTOR,
    ];
    let meant = transaction.to() == Some(LIGHT_CLIENTS) && submits.contains(selector);
    // The chain is the first argument of each.
    let (chain, _) = rest.split_first_chunk::<32>()?;
    meant.then(|| ChainKey((*chain).into()))
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{Receipt, SignableTransaction as _, TxEip1559};
    use alloy_primitives::{B256, Bytes, Log, Signature, TxKind};

    use super::*;

    fn submission(to: Address, chain: u8) -> TxEnvelope {
        let call = LightClients::submitBitcoinHeadersCall {
            chain: B256::repeat_byte(chain),
            headers: Bytes::from_static(&[7; 80]),
        };
        let body = TxEip1559 {
            to: TxKind::Call(to),
            input: call.abi_encode().into(),
            ..TxEip1559::default()
        };
        body.into_signed(Signature::test_signature()).into()
    }

    fn receipt(success: bool) -> Receipt<Log> {
        Receipt { status: success.into(), ..Receipt::default() }
    }

    #[test]
    fn those_who_delivered_are_named_newest_first_and_forgotten_in_time() {
        let submitters = Submitters::default();
        let chain = ChainKey(B256::repeat_byte(1));
        let account = Address::repeat_byte;
        let note = |chain, success, sender| {
            let one = [submission(LIGHT_CLIENTS, chain)];
            submitters.note(7, &one, &[receipt(success)], &[account(sender)]);
        };
        note(1, true, 1);
        note(1, true, 2);
        note(1, true, 1);
        note(1, false, 3);
        note(2, true, 4);
        submitters.note(7, &[submission(account(9), 1)], &[receipt(true)], &[account(5)]);
        assert_eq!(submitters.of(chain, 7), [account(1), account(2)]);
        assert_eq!(submitters.of(ChainKey(B256::repeat_byte(2)), 7), [account(4)]);
        assert!(submitters.of(ChainKey(B256::ZERO), 7).is_empty());
        assert!(submitters.of(chain, 7 + FORGOTTEN).is_empty(), "a day later");
        (0..RECENT).for_each(|_| note(1, true, 1));
        assert_eq!(submitters.of(chain, 7), [account(1), account(2)], "a long turn is one");
        for number in 10..10 + u8::try_from(RECENT).unwrap() {
            note(1, true, number);
        }
        let named = submitters.of(chain, 7);
        assert_eq!((named.len(), named[0]), (NAMED, account(9 + u8::try_from(RECENT).unwrap())));
    }
}
