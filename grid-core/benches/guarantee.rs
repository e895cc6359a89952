//! What a quote costs: the judgement of a block alone, and the whole call as a node answers it, with the light client read
//! from the state and as many open guarantees as there can be. The aim is a millisecond.
#![allow(missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use alloy_consensus::TxReceipt;
use alloy_primitives::{Address, B256, Bytes, U128, U256, hex};
use alloy_sol_types::SolCall;
use criterion::{Criterion, criterion_group, criterion_main};
use grid_core::{
    ChainKey,
    bitcoin::{BitcoinClient, Header, NetworkParams, spv::BlockTxs},
    confirm::ConfirmationRule,
    guarantee::{self, GuaranteeGenesis, GuaranteeParams, MAX_OPEN, Terms, TermsOf},
    modules::{
        abi::{GUARANTEE, Guarantee},
        record::DEFAULT_WINDOW,
    },
    transition::{self, CallContext},
};
use support::{Chain, GRID, Wallet, bitcoin_record, genesis, mine, mine_root, regtest};

/// A difficulty period; the last header is of the block with the payment.
const HEADERS: usize = 2_016;
/// Requests that fit into a block by their gas limits.
const REQUESTS: usize = 50;

fn terms(share: u32) -> Terms {
    Terms { attacker_share: share, spacing: 600, block_value: U128::from(1_000_000 * GRID) }
}

/// The block of height 2,016.
fn block_txs() -> BlockTxs {
    let coinbase = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff0602e007000000ffffffff0100f2052a01000000015100000000";
    let payment = "01000000010101010101010101010101010101010101010101010101010101010101010101000000000151ffffffff010700000000000000015100000000";
    BlockTxs::new(&[coinbase, payment].map(|text| hex::decode(text).unwrap())).unwrap()
}

/// One branch whose last header is over the payment's block.
fn headers(network: &NetworkParams) -> Vec<[u8; 80]> {
    let mut headers = mine(&network.genesis.0, HEADERS - 1, 1);
    headers.push(mine_root(headers.last().unwrap(), block_txs().tree().root()));
    headers
}

fn judgement(c: &mut Criterion) {
    let network = NetworkParams::regtest();
    let headers = headers(&network);
    let now = u64::from(Header::parse(headers.last().unwrap()).time) * 1_000 + 600_000;
    let mut client = BitcoinClient::from_genesis(network).unwrap();
    assert_eq!(client.accept_all(&headers, now).added, HEADERS);
    // Stale branches just below the tip.
    for below in &headers[HEADERS - 20..HEADERS - 2] {
        assert_eq!(client.accept_all(&mine(below, 1, 2), now).added, 1);
    }
    let params = GuaranteeParams::default();
    let mut group = c.benchmark_group("judgement");
    for (confirmations, share) in [(1, 100_000), (6, 100_000), (144, 100_000), (1_000, 499_999)] {
        let hash = Header::parse(&headers[HEADERS - confirmations]).hash();
        let (tree, terms) = (client.tree(), terms(share));
        group.bench_function(format!("{confirmations} confirmations"), |b| {
            b.iter(|| {
                let header = tree.get(black_box(&hash)).unwrap();
                let risk = guarantee::assess(tree, header, now, &terms).unwrap();
                black_box(guarantee::premium(&params, risk.probability, 1_000 * GRID))
            });
        });
    }
    group.finish();
}

/// A chain whose list of open guarantees is full.
fn full(network: &NetworkParams, key: ChainKey, headers: &[[u8; 80]]) -> Chain {
    let (underwriter, payer) = (Wallet::new(1), Wallet::new(2));
    let record = bitcoin_record(network, ConfirmationRule::bitcoin(), DEFAULT_WINDOW);
    let mut description = genesis(vec![record.clone()], &[&underwriter, &payer]);
    description.time_ms = u64::from(Header::parse(headers.last().unwrap()).time) * 1_000;
    let params = GuaranteeParams {
        chain_cap_parts: 10_000,
        reorg_cap_parts: 10_000,
        min_age_secs: 0,
        ..GuaranteeParams::default()
    };
    let chains = vec![TermsOf { chain: record.id, terms: terms(100_000) }];
    description.guarantee = Some(GuaranteeGenesis { params, chains });
    let mut chain = Chain::new(&description);
    for (nonce, headers) in (0..).zip(headers.chunks(HEADERS / 2)) {
        chain.step(vec![underwriter.submit(nonce, key, headers)]);
    }
    let deposit: Bytes = Guarantee::depositCall {}.abi_encode().into();
    chain.step(vec![underwriter.tx(2, GUARANTEE, 900 * GRID, 1_000_000, deposit)]);
    let numbers: Vec<u64> = (0..).take(MAX_OPEN).collect();
    for numbers in numbers.chunks(REQUESTS) {
        let request = |n: &u64| {
            let call = Guarantee::requestCall {
                chain: key.0,
                blockHash: tip(headers),
                payment: block_txs().prove(1).unwrap().into(),
                cover: U256::from(GRID),
                beneficiary: Address::left_padding_from(&(n + 1).to_be_bytes()),
                deadline: HEADERS as u64 + 12,
            };
            payer.tx(*n, GUARANTEE, 2 * GRID, 1_000_000, call.abi_encode().into())
        };
        let block = chain.step(numbers.iter().map(request).collect());
        assert!(block.receipts.iter().all(TxReceipt::status));
    }
    chain
}

fn tip(headers: &[[u8; 80]]) -> B256 {
    Header::parse(headers.last().unwrap()).hash()
}

fn call(c: &mut Criterion) {
    let (network, key) = regtest();
    let headers = headers(&network);
    let chain = full(&network, key, &headers);
    let call =
        Guarantee::quoteCall { chain: key.0, blockHash: tip(&headers), cover: U256::from(GRID) };
    let context = CallContext {
        to: Some(GUARANTEE),
        input: call.abi_encode().into(),
        ..CallContext::default()
    };
    let ask = || transition::call(&chain.state, &context, &chain.parent.header).unwrap();
    let quote = Guarantee::quoteCall::abi_decode_returns(&ask().output).unwrap();
    assert_eq!(quote.confirmations, 1);
    c.bench_function("quote, as a call", |b| b.iter(|| black_box(ask())));
}

criterion_group!(benches, judgement, call);
criterion_main!(benches);
