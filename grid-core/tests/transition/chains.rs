//! Evidence, confirmation, reorganisations.

use alloy_consensus::TxReceipt;
use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{Revert, SolCall, SolError, SolEvent};
use grid_core::{
    ChainId, ChainKey, Family, Level, Security,
    bitcoin::Header,
    confirm::ConfirmationRule,
    grid::{Extension, RecoverableSignature},
    index,
    mmr::Mmr,
    modules::abi::{LIGHT_CLIENTS, LightClients},
    modules::{ChainRecord, ChainStatus, ClientParams},
    state::{keys, query},
    transition,
    transition::{CallContext, IndexEvent, TxReject},
};

use crate::{depth, read, support::*, with_bitcoin};

#[test]
fn submitted_headers_are_tracked_confirmed_and_indexed_in_the_same_block() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(6), 64);
    let mut headers = vec![genesis];
    headers.extend(mine(&genesis, 20, 1));
    let block = chain.step(vec![wallet.submit(0, key, &headers[1..])]);
    assert!(block.receipts[0].status());
    let entry = &block.entries[0];
    assert_eq!((entry.firstHeight, entry.count), (0, 16), "heights 0 to 15 have six confirmations");
    assert_eq!(entry.tipHash, Header::parse(&headers[15]).hash());
    assert_eq!(entry.accumulatorRoot, reference_root(key, &headers, 16));
    let extension = Extension::of(&block.block.header).unwrap();
    assert_eq!(extension.indexRoot, index::index_root(&block.entries));
    let appended = block
        .index_events
        .iter()
        .filter_map(|event| match event {
            IndexEvent::Appended { header, .. } => Some(header.height),
            _ => None,
        })
        .collect::<Vec<_>>();
    assert_eq!(appended, (0..16).collect::<Vec<_>>());
    let logs = block.receipts[0].logs();
    assert_eq!(logs.len(), 2);
    let tip = LightClients::TipChanged::decode_log(&logs[0]).unwrap();
    assert_eq!((tip.chain, tip.height), (key.0, 20));
    let indexed = LightClients::Indexed::decode_log(&logs[1]).unwrap();
    assert_eq!((indexed.fromHeight, indexed.toHeight), (0, 15));
    // Views, as `cast call` would see them.
    let tip = read(&chain, LIGHT_CLIENTS, LightClients::tipCall { chain: key.0 }.abi_encode());
    let tip = LightClients::tipCall::abi_decode_returns(&tip.output).unwrap();
    assert_eq!((tip.height, tip.blockHash), (20, Header::parse(&headers[20]).hash()));
    let root = read(&chain, LIGHT_CLIENTS, LightClients::indexRootCall {}.abi_encode());
    assert_eq!(B256::from_slice(&root.output), extension.indexRoot);
}

#[test]
fn a_bad_header_reverts_the_whole_submission_with_the_reason() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(1), 64);
    chain.step(vec![]);
    let good = mine(&genesis, 10, 1);
    let mut bad = good.clone();
    // Still meets the target often enough; what breaks is the link of the next header.
    bad[6][40] ^= 1;
    let before = chain.state.clone();
    let block = chain.step(vec![wallet.submit(0, key, &bad)]);
    assert!(!block.receipts[0].status());
    assert!(block.receipts[0].logs().is_empty() && block.index_events.is_empty());
    let changed = block.diff.keys().filter(|key| key[0] == keys::LIGHT_CLIENTS).count();
    assert_eq!(changed, 0, "{:?}", block.diff);
    let reason = transition::call(
        &before,
        &CallContext {
            from: wallet.address,
            to: Some(LIGHT_CLIENTS),
            input: submit_input(key, &bad),
            ..CallContext::default()
        },
        &Chain::new(&crate::support::genesis(vec![], &[])).parent.header,
    )
    .unwrap();
    let text = reason.reverted.unwrap();
    assert_eq!(Revert::abi_decode(&reason.output).unwrap().reason, text);
    assert!(text.starts_with("bip122:"), "{text}");
    // The good ones are still welcome, in the same block as another bad try.
    let block = chain.step(vec![wallet.submit(1, key, &bad), wallet.submit(2, key, &good)]);
    assert_eq!(block.receipts.iter().map(TxReceipt::status).collect::<Vec<_>>(), [false, true]);
    assert_eq!(block.entries[0].count, 11);
}

#[test]
fn what_is_known_costs_nothing() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(6), 64);
    let headers = mine(&genesis, 12, 1);
    let again = wallet.submit(1, key, &headers[2..9]);
    assert_eq!(transition::check(&chain.state, &again, 1), Ok(()));
    chain.step(vec![wallet.submit(0, key, &headers)]);
    assert_eq!(transition::check(&chain.state, &again, 1), Err(TxReject::AlreadyKnown));
    let balance = chain.account(wallet.address);
    let proposal = chain.propose(vec![again.clone()]);
    assert_eq!(proposal.dropped, [(*again.tx_hash(), TxReject::AlreadyKnown)]);
    chain.commit(&proposal.executed);
    assert_eq!(chain.account(wallet.address), balance);
    // An overlapping submission adds what is new.
    let more = mine(headers.last().unwrap(), 3, 1);
    let overlapping = [&headers[5..], &more].concat();
    let block = chain.step(vec![wallet.submit(1, key, &overlapping)]);
    assert!(block.receipts[0].status());
    assert_eq!(block.entries[0].count, 16 - 6 + 1);
}

#[test]
fn a_reorganisation_below_the_confirmed_tip_cuts_back_and_grows_again() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(2), 64);
    let trunk = mine(&genesis, 300, 1);
    chain.step(vec![wallet.submit(0, key, &trunk)]);
    let before = query::accumulator(&chain.state, key).unwrap().unwrap();
    assert_eq!(before.tip_height(), Some(299));
    // The window moved in whole chunks: at least 64 headers are kept below height 299.
    let client = query::light_client(&chain.state, key).unwrap().unwrap();
    assert_eq!(client.tree().base().height(), 192);
    // Fork 20 below the tip, one header longer.
    let branch = mine(&trunk[279], 21, 2);
    let block = chain.step(vec![wallet.submit(1, key, &branch)]);
    let mut active = vec![genesis];
    active.extend(&trunk[..280]);
    active.extend(&branch);
    let entry = &block.entries[0];
    assert_eq!(entry.count, 301);
    assert_eq!(entry.accumulatorRoot, reference_root(key, &active, 301));
    let expected = IndexEvent::Reverted { chain: key, from: 281, depth: 19 };
    assert!(block.index_events.contains(&expected), "{:?}", block.index_events);
    let logs = block.receipts[0].logs();
    let reorged = LightClients::Reorged::decode_log(&logs[0]).unwrap();
    assert_eq!((reorged.commonHeight, reorged.removed, reorged.added), (280, 20, 21));
    let reverted = LightClients::IndexReverted::decode_log(&logs[2]).unwrap();
    assert_eq!((reverted.fromHeight, reverted.depth), (281, 19));
    // And back again, over the first branch.
    let longer = mine(trunk.last().unwrap(), 5, 1);
    let block = chain.step(vec![wallet.submit(2, key, &longer)]);
    let mut active = vec![genesis];
    active.extend(&trunk);
    active.extend(&longer);
    assert_eq!(block.entries[0].accumulatorRoot, reference_root(key, &active, 305));
}

#[test]
fn a_fork_below_the_window_is_refused_and_the_chain_goes_on() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(2), 64);
    let trunk = mine(&genesis, 400, 1);
    chain.step(vec![wallet.submit(0, key, &trunk)]);
    let branch = mine(&trunk[99], 400, 2);
    let block = chain.step(vec![wallet.submit(1, key, &branch)]);
    assert!(!block.receipts[0].status(), "the parent is no longer held");
    let block = chain.step(vec![wallet.submit(2, key, &mine(&trunk[399], 1, 1))]);
    assert!(block.receipts[0].status());
}

#[test]
fn time_alone_confirms_and_idle_blocks_leave_the_client_alone() {
    let rule = ConfirmationRule::Age { secs: 60 };
    let (wallet, key, mut chain, genesis) = with_bitcoin(rule, 64);
    // A header 30 s old now: confirmed in the block 30 s from now.
    let mut header = Header::parse(&mine(&genesis, 1, 1)[0]);
    header.time = u32::try_from(START_MS / 1_000).unwrap() - 30;
    while header.hash()[31] >= 0x7f {
        header.nonce += 1;
    }
    let block = chain.step(vec![wallet.submit(0, key, &[header.to_bytes()])]);
    assert_eq!(block.entries[0].count, 1, "genesis is old enough");
    let mut counts = Vec::new();
    for _ in 0..32 {
        let block = chain.step(vec![]);
        if !block.index_events.is_empty() {
            counts.push((block.block.header.number, block.entries[0].count));
        } else {
            assert_eq!(block.diff.len(), 1, "an idle block changes the ring of hashes only");
        }
    }
    assert_eq!(counts, [(30, 2)]);
}

#[test]
fn one_block_indexes_a_bounded_number_of_headers_and_the_next_ones_the_rest() {
    let rule = ConfirmationRule::Age { secs: 1_000_000_000 };
    let (wallet, key, mut chain, genesis) = with_bitcoin(rule, 16_384);
    // 10,000 headers of 2011, confirmed by age only once the clock gets there.
    let headers = mine(&genesis, 10_000, 1);
    for (nonce, batch) in (0..).zip(headers.chunks(2_000)) {
        let block = chain.step(vec![wallet.submit(nonce, key, batch)]);
        assert!(block.receipts[0].status());
        assert_eq!(block.entries[0].count, 0);
    }
    let last = u64::from(Header::parse(headers.last().unwrap()).time);
    chain.time_ms = (last + 1_000_000_000) * 1_000;
    let counts = [(); 3].map(|()| chain.step(vec![]).entries[0].count);
    assert_eq!(counts, [8_192, 10_001, 10_001]);
}

/// Ethereum-like headers after `parent`.
fn eth_headers(
    parent: &alloy_consensus::Header,
    count: u64,
    salt: u8,
) -> Vec<alloy_consensus::Header> {
    let mut headers = vec![parent.clone()];
    for _ in 0..count {
        let below = headers.last().unwrap();
        headers.push(alloy_consensus::Header {
            parent_hash: below.hash_slow(),
            number: below.number + 1,
            timestamp: below.timestamp + 1,
            state_root: B256::repeat_byte(salt),
            base_fee_per_gas: Some(7),
            ..Default::default()
        });
    }
    headers.split_off(1)
}

pub(crate) fn attest(
    wallets: &[Wallet],
    key: ChainKey,
    headers: &[alloy_consensus::Header],
) -> Bytes {
    let last = headers.last().unwrap();
    let digest = grid_core::ethereum::attest::digest(key, last.number, &last.hash_slow());
    let signatures = wallets
        .iter()
        .map(|wallet| RecoverableSignature::from(wallet.sign_hash(&digest)).into())
        .collect();
    let headers = headers.iter().map(|header| alloy_rlp::encode(header).into()).collect();
    LightClients::submitAttestedHeadersCall { chain: key.0, headers, signatures }
        .abi_encode()
        .into()
}

#[test]
fn attested_headers_follow_the_longest_signed_branch() {
    let mut signers = [11, 12, 13].map(Wallet::new);
    signers.sort_by_key(|wallet| wallet.address);
    let start = alloy_consensus::Header { base_fee_per_gas: Some(7), ..Default::default() };
    let id = ChainId::eip155(31_337);
    let key = id.key();
    let record = ChainRecord {
        id,
        family: Family::Ethereum,
        security: Security::Attested,
        level: Level::L0,
        measured: false,
        rule: ConfirmationRule::Instant,
        status: ChainStatus::Active,
        client: ClientParams::Attested {
            threshold: 2,
            attesters: signers.iter().map(|wallet| wallet.address).collect(),
            start: alloy_rlp::encode(&start).into(),
        },
        window: 128,
    };
    let sender = Wallet::new(1);
    let mut chain = Chain::new(&genesis(vec![record], &[&sender]));
    let submit = |nonce, input: Bytes| sender.tx(nonce, LIGHT_CLIENTS, 0, 5_000_000, input);
    let first = eth_headers(&start, 30, 1);
    let block = chain.step(vec![
        submit(0, attest(&signers[..1], key, &first)),
        submit(1, attest(&signers[1..], key, &first)),
    ]);
    assert_eq!(
        block.receipts.iter().map(TxReceipt::status).collect::<Vec<_>>(),
        [false, true],
        "one of two signatures is not enough"
    );
    assert_eq!((block.entries[0].count, block.entries[0].security), (31, 4));
    // A longer branch from five below the tip.
    let second = eth_headers(&first[24], 6, 2);
    let block = chain.step(vec![submit(2, attest(&signers[..2], key, &second))]);
    assert_eq!(block.entries[0].tipHash, second[5].hash_slow());
    assert_eq!(block.entries[0].count, 32);
    let reverted = IndexEvent::Reverted { chain: key, from: 26, depth: 5 };
    assert!(block.index_events.contains(&reverted), "{:?}", block.index_events);
}

/// The accumulator's root over headers `0..count`, computed from nothing but the headers.
pub(crate) fn reference_root(key: ChainKey, headers: &[[u8; 80]], count: usize) -> B256 {
    let mut range = Mmr::new();
    for (height, raw) in (0..).zip(&headers[..count]) {
        let header = Header::parse(raw);
        range.append(header.compat(key, height, header.hash()).leaf());
    }
    range.root()
}
