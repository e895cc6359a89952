//! What holds for any input.

use alloy_consensus::{Transaction, TxReceipt};
use alloy_primitives::U256;
use alloy_sol_types::SolCall;
use grid_core::{
    modules::abi::{
        Escrow, Guarantee, LightClients, Mailbox, Proofs, Registry, SYSTEM_CONTRACTS, Staking,
    },
    transition,
    transition::CallContext,
};
use proptest::prelude::*;

use crate::{depth, support::*, with_bitcoin};

fn junk() -> impl Strategy<Value = Vec<u8>> {
    let selectors = [
        LightClients::submitBitcoinHeadersCall::SELECTOR,
        LightClients::submitAttestedHeadersCall::SELECTOR,
        LightClients::tipCall::SELECTOR,
        Registry::registerCall::SELECTOR,
        Registry::setStatusCall::SELECTOR,
        Proofs::verifyCall::SELECTOR,
        Proofs::submitCall::SELECTOR,
        Proofs::standingCall::SELECTOR,
        Registry::levelCall::SELECTOR,
        Mailbox::sendCall::SELECTOR,
        Mailbox::deliverCall::SELECTOR,
        Mailbox::deliverGuaranteedCall::SELECTOR,
        Mailbox::askOfCall::SELECTOR,
        Mailbox::reportCall::SELECTOR,
        Mailbox::setRouteCall::SELECTOR,
        Mailbox::messageOfCall::SELECTOR,
        Escrow::openCall::SELECTOR,
        Escrow::openGuaranteedCall::SELECTOR,
        Escrow::refundCall::SELECTOR,
        Guarantee::depositCall::SELECTOR,
        Guarantee::leaveCall::SELECTOR,
        Guarantee::requestCall::SELECTOR,
        Guarantee::settleInCall::SELECTOR,
        Guarantee::claimCall::SELECTOR,
        Guarantee::quoteCall::SELECTOR,
        Staking::registerCall::SELECTOR,
        Staking::delegateCall::SELECTOR,
        Staking::undelegateCall::SELECTOR,
        Staking::withdrawCall::SELECTOR,
        Staking::reportEquivocationCall::SELECTOR,
        Staking::recordCommitCall::SELECTOR,
        Staking::paramsCall::SELECTOR,
    ];
    let (_, key) = regtest();
    let word = prop_oneof![
        Just(key.0.0),
        (0u64..256).prop_map(|n| U256::from(n).to_be_bytes()),
        any::<[u8; 32]>(),
    ];
    let body = proptest::collection::vec(word, 0..12);
    let tail = proptest::collection::vec(any::<u8>(), 0..40);
    (proptest::sample::select(selectors.to_vec()), body, tail)
        .prop_map(|(selector, body, tail)| [&selector[..], &body.concat(), &tail].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn junk_never_panics_leaves_no_trace_and_conserves_supply(
        inputs in proptest::collection::vec((0..SYSTEM_CONTRACTS.len(), junk(), 0u128..3), 1..12)
    ) {
        let (wallet, _, mut chain, _) = with_bitcoin(depth(1), 64);
        let supply = chain.supply();
        let txs = (0..)
            .zip(&inputs)
            .map(|(nonce, (to, input, value))| {
                let to = SYSTEM_CONTRACTS[*to];
                wallet.tx(nonce, to, *value, 3_000_000, input.clone().into())
            })
            .collect::<Vec<_>>();
        for tx in &txs {
            let _ = transition::check(&chain.state, tx, 1);
            let context = CallContext {
                from: wallet.address,
                to: tx.to(),
                value: tx.value(),
                input: tx.input().clone(),
                gas: None,
            };
            transition::call(&chain.state, &context, &chain.parent.header).unwrap();
        }
        let block = chain.step(txs);
        prop_assert_eq!(chain.supply(), supply);
        for receipt in block.receipts.iter().filter(|receipt| !receipt.status()) {
            prop_assert!(receipt.logs().is_empty());
        }
        prop_assert_eq!(&block.entries.len(), &1);
    }

    #[test]
    fn transfers_conserve_supply_and_validation_agrees(
        moves in proptest::collection::vec((0usize..4, 0usize..4, 0u128..2_000), 0..40)
    ) {
        let wallets = [1, 2, 3, 4].map(Wallet::new);
        let mut chain = Chain::new(&genesis(vec![], &wallets.each_ref()));
        let supply = chain.supply();
        let mut nonces = [0u64; 4];
        let txs = moves
            .into_iter()
            .map(|(from, to, value)| {
                let nonce = nonces[from];
                nonces[from] += 1;
                wallets[from].transfer(nonce, wallets[to].address, value * GRID)
            })
            .collect::<Vec<_>>();
        // Some cannot pay: their later transactions wait.
        let proposal = chain.propose(txs);
        let validated =
            transition::validate(&chain.parent, &chain.state, &proposal.executed.block).unwrap();
        prop_assert_eq!(&validated, &proposal.executed);
        chain.commit(&validated);
        prop_assert_eq!(chain.supply(), supply);
    }
}
