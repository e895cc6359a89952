//! Guarantees through whole blocks.

use alloy_consensus::TxReceipt;
use alloy_primitives::{Address, B256, Bytes, U128, U256, hex};
use alloy_sol_types::{SolCall, SolEvent};
use grid_core::{
    ChainKey,
    bitcoin::spv::BlockTxs,
    guarantee::{GuaranteeGenesis, GuaranteeParams, Terms, TermsOf},
    modules::abi::{GUARANTEE, Guarantee},
    transition::{self, ExecutedBlock, IndexEvent, TxReject},
};

use crate::{depth, read, support::*};

const FIRST: u64 = 1_296_688_602;

/// The block of height 8, with a payment.
fn block_txs() -> BlockTxs {
    let coinbase = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff025800ffffffff0100f2052a01000000015100000000";
    let payment = "01000000010101010101010101010101010101010101010101010101010101010101010101000000000151ffffffff010700000000000000015100000000";
    BlockTxs::new(&[coinbase, payment].map(|text| hex::decode(text).unwrap())).unwrap()
}

fn payment() -> Guarantee::BitcoinTx {
    block_txs().prove(1).unwrap().into()
}

struct Fixture {
    chain: Chain,
    key: ChainKey,
    headers: Vec<[u8; 80]>,
    underwriter: Wallet,
    payer: Wallet,
    beneficiary: Address,
    id: B256,
    premium: U256,
}

/// A guarantee of 50 GRID for the payment in block 8, whose deadline is 14.
fn requested() -> Fixture {
    let (underwriter, payer) = (Wallet::new(1), Wallet::new(2));
    let (network, key) = regtest();
    let record = bitcoin_record(&network, depth(3), 64);
    let terms =
        Terms { attacker_share: 100_000, spacing: 600, block_value: U128::from(100 * GRID) };
    let mut description = genesis(vec![record.clone()], &[&underwriter, &payer]);
    description.time_ms = (FIRST + 600 * 8) * 1_000;
    description.guarantee = Some(GuaranteeGenesis {
        params: GuaranteeParams {
            min_term: 3,
            max_term: 12,
            grace: 2,
            min_age_secs: 0,
            ..GuaranteeParams::default()
        },
        chains: vec![TermsOf { chain: record.id, terms }],
    });
    let mut chain = Chain::new(&description);
    let supply = chain.supply();
    let mut headers = mine(&network.genesis.0, 7, 1);
    headers.push(mine_root(&headers[6], block_txs().tree().root()));
    let deposit: Bytes = Guarantee::depositCall {}.abi_encode().into();
    let block = chain.step(vec![
        underwriter.submit(0, key, &headers),
        underwriter.tx(1, GUARANTEE, 500 * GRID, 1_000_000, deposit),
    ]);
    assert!(block.receipts.iter().all(TxReceipt::status));
    let beneficiary = Address::repeat_byte(0xbe);
    let hash = grid_core::bitcoin::Header::parse(&headers[7]).hash();
    let cover = U256::from(50 * GRID);
    let quote = Guarantee::quoteCall { chain: key.0, blockHash: hash, cover }.abi_encode();
    let quote = read(&chain, GUARANTEE, quote);
    let quote = Guarantee::quoteCall::abi_decode_returns(&quote.output).unwrap();
    assert_eq!((quote.confirmations, quote.available), (1, U256::from(100 * GRID)));
    let input = Guarantee::requestCall {
        chain: key.0,
        blockHash: hash,
        payment: payment(),
        cover,
        beneficiary,
        deadline: 14,
    };
    let input: Bytes = input.abi_encode().into();
    let request = |nonce, value| payer.tx(nonce, GUARANTEE, value, 1_000_000, input.clone());
    let block = chain.step(vec![request(0, 50 * GRID), request(1, 50 * GRID)]);
    let statuses: Vec<_> = block.receipts.iter().map(TxReceipt::status).collect();
    assert_eq!(statuses, [true, false], "one for each transaction, beneficiary and payer");
    let event = Guarantee::Requested::decode_log(&block.receipts[0].logs()[0]).unwrap();
    assert_eq!((event.height, event.deadline, event.cover), (8, 14, cover));
    assert_eq!(event.txid, block_txs().tree().txids()[1]);
    assert_eq!(chain.supply(), supply);
    let (id, premium) = (event.id, event.premium);
    Fixture { chain, key, headers, underwriter, payer, beneficiary, id, premium }
}

/// Free and locked GRID of the pool, which the contract's account holds.
fn pool(chain: &Chain) -> (U256, U256) {
    let pool = read(chain, GUARANTEE, Guarantee::poolCall {}.abi_encode());
    let pool = Guarantee::poolCall::abi_decode_returns(&pool.output).unwrap();
    assert_eq!(chain.account(GUARANTEE).balance, pool.free + pool.locked);
    (pool.free, pool.locked)
}

fn status(fixture: &Fixture) -> u8 {
    let input = Guarantee::guaranteeOfCall { id: fixture.id }.abi_encode();
    let outcome = read(&fixture.chain, GUARANTEE, input);
    Guarantee::guaranteeOfCall::abi_decode_returns(&outcome.output).unwrap().status
}

/// Brings headers, then makes a call of the payer's.
fn after(fixture: &mut Fixture, headers: &[[u8; 80]], input: Vec<u8>) -> ExecutedBlock {
    let last = grid_core::bitcoin::Header::parse(headers.last().unwrap()).time;
    fixture.chain.time_ms = u64::from(last) * 1_000;
    let block = fixture.chain.step(vec![fixture.underwriter.submit(2, fixture.key, headers)]);
    assert!(block.receipts[0].status());
    let tx = fixture.payer.tx(2, GUARANTEE, 0, 1_000_000, input.into());
    fixture.chain.step(vec![tx])
}

#[test]
fn a_confirmed_payment_is_settled() {
    let mut fixture = requested();
    let (cover, premium) = (U256::from(50 * GRID), fixture.premium);
    assert_eq!(pool(&fixture.chain), (U256::from(450 * GRID), cover + premium));
    let supply = fixture.chain.supply();
    let more = mine(&fixture.headers[7], 2, 1);
    let settle = Guarantee::settleCall { id: fixture.id }.abi_encode();
    let block = after(&mut fixture, &more, settle);
    assert!(block.receipts[0].status());
    let event = Guarantee::Settled::decode_log(&block.receipts[0].logs()[0]).unwrap();
    assert_eq!((event.id, event.height, event.premium), (fixture.id, 8, premium));
    assert_eq!(pool(&fixture.chain), (U256::from(500 * GRID) + premium, U256::ZERO));
    assert_eq!((status(&fixture), fixture.chain.supply()), (2, supply));
}

#[test]
fn an_orphaned_payment_is_paid() {
    let mut fixture = requested();
    let supply = fixture.chain.supply();
    // Fourteen blocks in place of the one: the confirmed tip is 19, behind deadline and grace.
    let branch = mine(&fixture.headers[6], 14, 2);
    let claim = Guarantee::claimCall { id: fixture.id }.abi_encode();
    let block = after(&mut fixture, &branch, claim);
    assert!(block.receipts[0].status());
    let event = Guarantee::Defaulted::decode_log(&block.receipts[0].logs()[0]).unwrap();
    assert_eq!((event.id, event.beneficiary), (fixture.id, fixture.beneficiary));
    assert_eq!(fixture.chain.account(fixture.beneficiary).balance, U256::from(50 * GRID));
    let left = U256::from(450 * GRID) + fixture.premium;
    assert_eq!(pool(&fixture.chain), (left, U256::ZERO));
    assert_eq!((status(&fixture), fixture.chain.supply()), (3, supply));
}

#[test]
fn a_settled_guarantee_keeps_its_status_when_the_index_is_cut_back() {
    let mut fixture = requested();
    let more = mine(&fixture.headers[7], 2, 1);
    let settle = Guarantee::settleCall { id: fixture.id }.abi_encode();
    after(&mut fixture, &more, settle);
    assert_eq!(status(&fixture), 2);
    // A branch from below the payment's block, longer than deadline and grace.
    let branch = mine(&fixture.headers[6], 14, 2);
    fixture.chain.time_ms += 600_000 * 14;
    let block = fixture.chain.step(vec![fixture.underwriter.submit(3, fixture.key, &branch)]);
    let cut = IndexEvent::Reverted { chain: fixture.key, from: 8, depth: 1 };
    assert!(block.index_events.contains(&cut), "{:?}", block.index_events);
    let claim: Bytes = Guarantee::claimCall { id: fixture.id }.abi_encode().into();
    let claim = fixture.payer.tx(3, GUARANTEE, 0, 1_000_000, claim);
    let known = transition::check(&fixture.chain.state, &claim, 1);
    assert_eq!((status(&fixture), known), (2, Err(TxReject::AlreadyKnown)));
}

#[test]
fn the_governor_sets_terms() {
    let mut fixture = requested();
    let set = |value: u128| -> Bytes {
        let input = Guarantee::setTermsCall {
            chain: fixture.key.0,
            attackerShare: 200_000,
            spacing: 600,
            blockValue: U256::from(value),
        };
        input.abi_encode().into()
    };
    let calls = vec![
        fixture.payer.tx(2, GUARANTEE, 0, 200_000, set(1)),
        fixture.underwriter.tx(2, GUARANTEE, 0, 200_000, set(7)),
    ];
    let block = fixture.chain.step(calls);
    let statuses: Vec<_> = block.receipts.iter().map(TxReceipt::status).collect();
    assert_eq!(statuses, [false, true]);
    let input = Guarantee::termsCall { chain: fixture.key.0 }.abi_encode();
    let found = read(&fixture.chain, GUARANTEE, input);
    let found = Guarantee::termsCall::abi_decode_returns(&found.output).unwrap();
    assert_eq!((found.attackerShare, found.blockValue), (200_000, U256::from(7)));
}
