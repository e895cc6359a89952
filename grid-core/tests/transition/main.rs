//! The state transition from outside: blocks, fees, light clients, the index.
#![allow(missing_docs, clippy::result_large_err, clippy::cast_possible_truncation)]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod blocks;
mod chains;
mod committee;
mod contracts;
mod covered;
mod deep;
mod fair;
mod grid_chain;
mod guarantee;
mod levels;
mod messages;
mod properties;
mod staking;

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolCall;
use grid_core::{
    ChainKey, confirm::ConfirmationRule, modules::ChainStatus, modules::abi::Registry, transition,
    transition::CallContext,
};
use support::*;

fn two() -> (Wallet, Wallet, Chain) {
    let (a, b) = (Wallet::new(1), Wallet::new(2));
    let chain = Chain::new(&genesis(vec![], &[&a, &b]));
    (a, b, chain)
}

fn with_bitcoin(rule: ConfirmationRule, window: u64) -> (Wallet, ChainKey, Chain, [u8; 80]) {
    let wallet = Wallet::new(1);
    let (params, key) = regtest();
    let chain = Chain::new(&genesis(vec![bitcoin_record(&params, rule, window)], &[&wallet]));
    (wallet, key, chain, params.genesis.0)
}

fn depth(blocks: u64) -> ConfirmationRule {
    ConfirmationRule::Depth { blocks }
}

fn read(chain: &Chain, to: Address, input: Vec<u8>) -> transition::CallOutcome {
    let context = CallContext { to: Some(to), input: input.into(), ..CallContext::default() };
    transition::call(&chain.state, &context, &chain.parent.header).unwrap()
}

fn status(key: ChainKey, status: ChainStatus) -> Bytes {
    Registry::setStatusCall { chain: key.0, status: status.code() }.abi_encode().into()
}
