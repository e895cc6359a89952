//! The light client over mined and real headers, rule by rule.

mod reference;

use alloy_primitives::{B256, U256, hex};
use proptest::prelude::*;

use super::{
    BitcoinClient, Checkpoint, CheckpointError, Header, HeaderError, NetworkParams, NetworkSpec,
    client::DEFAULT_MAX_BEHIND,
    network::NetworkError,
    rules::PeriodStart,
    target,
    testing::{child, mine, run},
};
use crate::{
    header_tree::{HeaderTree, TipChange},
    light_client::ClientError,
};

/// Later than any header that these tests mine.
const NOW_MS: u64 = 2_000_000_000_000;

/// Mainnet headers 1 to 3.
const MAINNET: [[u8; 80]; 3] = [
    hex!(
        "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299"
    ),
    hex!(
        "010000004860eb18bf1b1620e37e9490fc8a427514416fd75159ab86688e9a8300000000d5fdcc541e25de1c7a5addedf24858b8bb665c9f36ef744ee42c316022c90f9bb0bc6649ffff001d08d2bd61"
    ),
    hex!(
        "01000000bddd99ccfda39da1b108ce1a5d70038d0a967bacb68b6b63065f626a0000000044f672226090d85db9a9f2fbfe5f0f9609b387af7be5b7fbb7a1767c831c9e995dbe6649ffff001d05e0ed6d"
    ),
];

fn regtest() -> BitcoinClient {
    BitcoinClient::from_genesis(NetworkParams::regtest()).expect("built in")
}

fn genesis(params: &NetworkParams) -> Header {
    Header::parse(&params.genesis.0)
}

fn bytes(headers: &[Header]) -> Vec<[u8; 80]> {
    headers.iter().map(Header::to_bytes).collect()
}

/// A network of its own: ten blocks of 6 s a period, some 256 tries a block.
fn fast(bip94: bool, allow_min_difficulty: bool) -> NetworkParams {
    let genesis =
        mine(Header { bits: 0x2000_ffff, nonce: 0, ..genesis(&NetworkParams::regtest()) });
    NetworkParams {
        name: "fast".into(),
        genesis: genesis.to_bytes().into(),
        pow_limit: U256::MAX >> 8,
        timespan: 60,
        spacing: 6,
        no_retargeting: false,
        allow_min_difficulty,
        bip94,
        ..NetworkParams::regtest()
    }
}

#[test]
fn built_in_networks_have_their_published_genesis() {
    let shown = [
        ("mainnet", "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
        ("testnet3", "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"),
        ("testnet4", "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
        ("signet", "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
        ("regtest", "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
    ];
    for (name, hash) in shown {
        let params = NetworkParams::by_name(name).expect("built in");
        let mut genesis = params.genesis_hash();
        genesis.0.reverse();
        assert_eq!(hex::encode(genesis), hash, "{name}");
        assert_eq!(params.name, name);
        assert_eq!(params.validate(), Ok(()));
        let client = BitcoinClient::from_genesis(params.clone()).expect("genesis is valid");
        assert_eq!(client.chain(), params.chain_id().key());
        let json = serde_json::to_string(&params).expect("serialises");
        assert_eq!(serde_json::from_str::<NetworkParams>(&json).ok(), Some(params));
    }
    let unknown = NetworkParams::by_name("testnet5").expect_err("no such network");
    assert!(unknown.to_string().contains("testnet5"));
    let cut_off = NetworkParams { no_retargeting: false, ..NetworkParams::regtest() };
    assert_eq!(cut_off.validate(), Err(NetworkError::PowLimit));
    let uneven = NetworkParams { spacing: 601, ..NetworkParams::mainnet() };
    assert!(matches!(uneven.validate(), Err(NetworkError::Interval { .. })));
    let intervals: Vec<u64> = NetworkParams::all().iter().map(NetworkParams::interval).collect();
    assert_eq!(intervals, [2016, 2016, 2016, 2016, 144]);
    let limits: Vec<u32> = NetworkParams::all().iter().map(NetworkParams::limit_bits).collect();
    assert_eq!(limits, [0x1d00ffff, 0x1d00ffff, 0x1d00ffff, 0x1e0377ae, 0x207fffff]);
}

#[test]
fn a_signet_s_magic_follows_from_its_challenge() {
    let default = hex!(
        "512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be430210359ef5021964fe22d6f8e05b2463c9540ce96883fe3b278760f048f5189f2e6c452ae"
    );
    assert_eq!(NetworkParams::signet_of(&default).p2p_magic, NetworkParams::signet().p2p_magic);
    let other = NetworkParams::signet_of(&[0x51]);
    assert_eq!(other.p2p_magic, hex!("54d26fbd"));
    assert_eq!(other.chain_id(), NetworkParams::signet().chain_id());
    assert!(BitcoinClient::from_genesis(other).is_ok());
}

#[test]
fn a_network_is_named_or_written_out() {
    for params in NetworkParams::all() {
        let spec = NetworkSpec::from(params.clone());
        assert_eq!(spec, NetworkSpec::BuiltIn(params.name.clone()));
        assert_eq!(spec.params(), Ok(params));
    }
    let own = fast(true, true);
    let spec = NetworkSpec::from(own.clone());
    let json = serde_json::to_string(&spec).expect("serialises");
    assert_eq!(serde_json::from_str::<NetworkSpec>(&json).ok(), Some(spec));
    assert_eq!(NetworkSpec::from(own.clone()).params(), Ok(own.clone()));
    // A built-in network's name does not make other rules that network's.
    let disguised = NetworkParams { name: "mainnet".into(), ..own };
    assert_eq!(NetworkSpec::from(disguised.clone()), NetworkSpec::Custom(Box::new(disguised)));
    let refuse = |text: &str| serde_json::from_str::<NetworkSpec>(text).expect_err("refused");
    let missing = json.replace("\"timespan\":60,", "");
    assert!(refuse(&missing).to_string().contains("timespan"), "the error names the field");
    assert!(refuse("7").to_string().contains("name of a Bitcoin network"));
    let uneven = json.replace("\"timespan\":60,", "\"timespan\":61,");
    let uneven: NetworkSpec = serde_json::from_str(&uneven).expect("well formed");
    assert!(matches!(uneven.params(), Err(NetworkError::Interval { .. })));
}

#[test]
fn the_first_mainnet_headers_are_accepted_with_their_work() {
    let mut client = BitcoinClient::from_genesis(NetworkParams::mainnet()).expect("built in");
    let accepted = client.accept_all(&MAINNET, NOW_MS);
    assert_eq!((accepted.added, &accepted.rejected), (3, &None));
    assert_eq!(accepted.change, TipChange::Extended);
    let tip = client.tree().tip();
    assert_eq!((tip.height(), tip.time()), (3, 1_231_470_173));
    // Each of the four headers has 2^32 + 2^16 + 1 expected hashes.
    assert_eq!(tip.weight(), U256::from(4u64 * 0x1_0001_0001));
    let again = client.accept_all(&MAINNET, NOW_MS);
    assert_eq!((again.added, again.known, again.change), (0, 3, TipChange::Known));
}

#[test]
fn a_checkpoint_continues_where_genesis_would() {
    let params = NetworkParams::mainnet();
    let first = genesis(&params);
    let start = Checkpoint {
        height: 2,
        header: MAINNET[1].into(),
        chain_work: U256::from(3u64 * 0x1_0001_0001),
        previous_times: vec![first.time, Header::parse(&MAINNET[0]).time],
        period_start: PeriodStart { time: first.time, bits: first.bits },
        last_real_bits: None,
    };
    let mut client = BitcoinClient::new(params.clone(), &start).expect("consistent");
    assert_eq!(client.accept(&MAINNET[2], NOW_MS), Ok(TipChange::Extended));
    let mut whole = BitcoinClient::from_genesis(params.clone()).expect("built in");
    assert_eq!(whole.accept_all(&MAINNET, NOW_MS).added, 3);
    assert_eq!(client.tree().tip(), whole.tree().tip());

    let json = serde_json::to_string(&start).expect("serialises");
    assert_eq!(serde_json::from_str::<Checkpoint>(&json).ok(), Some(start.clone()));
    let refuse = |change: &dyn Fn(&mut Checkpoint)| {
        let mut bad = start.clone();
        change(&mut bad);
        BitcoinClient::new(params.clone(), &bad).expect_err("refused")
    };
    assert!(matches!(
        refuse(&|start| start.previous_times.truncate(1)),
        CheckpointError::PreviousTimes { needed: 2, found: 1, .. }
    ));
    assert!(matches!(
        refuse(&|start| start.header.0[79] ^= 1),
        CheckpointError::ProofOfWork { .. }
    ));
    assert!(matches!(
        refuse(&|start| start.chain_work = U256::ONE),
        CheckpointError::ChainWork { .. }
    ));
    let at_zero = refuse(&|start| {
        start.height = 0;
        start.previous_times.clear();
    });
    assert!(matches!(at_zero, CheckpointError::Genesis { .. }));
    let at_start = refuse(&|start| {
        start.height = 2016;
        start.previous_times = vec![1; 11];
    });
    assert_eq!(at_start, CheckpointError::PeriodStart { height: 2016 });
}

#[test]
fn a_minimum_difficulty_checkpoint_needs_the_difficulty_that_resumes() {
    let params = fast(false, true);
    let first = genesis(&params);
    let header = run(&first, 1, 50, 1)[0];
    let mut start = Checkpoint {
        height: 1,
        header: header.to_bytes().into(),
        chain_work: U256::from(512),
        previous_times: vec![first.time],
        period_start: PeriodStart { time: first.time, bits: first.bits },
        last_real_bits: None,
    };
    let error = BitcoinClient::new(params.clone(), &start).expect_err("ambiguous");
    assert_eq!(error, CheckpointError::LastRealBits { height: 1 });
    start.last_real_bits = Some(0x2000_7fff);
    let client = BitcoinClient::new(params.clone(), &start).expect("complete");
    let tree = client.tree();
    let hash = header.hash();
    assert_eq!(child(&params, tree, &hash, header.time + 12, 1).bits, 0x2000_7fff);
    assert_eq!(child(&params, tree, &hash, header.time + 13, 1).bits, 0x2000_ffff);
}

#[test]
fn a_checkpoint_at_any_height_continues_like_genesis() {
    for (bip94, min_difficulty) in [(false, false), (false, true), (true, true)] {
        let params = fast(bip94, min_difficulty);
        let mut whole = BitcoinClient::from_genesis(params.clone()).expect("usable");
        let mut chain = vec![genesis(&params)];
        for step in 0..64u64 {
            let last = chain[chain.len() - 1];
            let gap = if step % 3 == 1 { 13 } else { 4 };
            let next = child(&params, whole.tree(), &last.hash(), last.time + gap, step);
            assert_eq!(whole.accept(&next.to_bytes(), NOW_MS), Ok(TipChange::Extended));
            chain.push(next);
        }
        for height in 1..64usize {
            let first = chain[height - height % 10];
            let below = chain[..height].iter().rev().take(11).rev();
            let real = (0..=height)
                .rev()
                .find(|at| at % 10 == 0 || chain[*at].bits != params.limit_bits())
                .expect("genesis at the latest");
            let start = Checkpoint {
                height: height as u64,
                header: chain[height].to_bytes().into(),
                chain_work: whole.tree().best_at(height as u64).expect("tracked").weight(),
                previous_times: below.map(|header| header.time).collect(),
                period_start: PeriodStart { time: first.time, bits: first.bits },
                last_real_bits: Some(chain[real].bits),
            };
            let mut client = BitcoinClient::new(params.clone(), &start).expect("consistent");
            let accepted = client.accept_all(&bytes(&chain[height + 1..]), NOW_MS);
            assert_eq!(accepted.rejected, None, "from height {height}");
            assert_eq!(client.tree().tip(), whole.tree().tip());
        }
    }
}

#[test]
fn every_rule_refuses_with_the_reason_that_bitcoin_core_gives() {
    let mut client = regtest();
    let start = genesis(client.params());
    let good = run(&start, 12, 600, 1);
    assert_eq!(client.accept_all(&bytes(&good), NOW_MS).added, 12);
    let last = good[11];
    let median = good[6].time;
    let next = Header { prev: last.hash(), time: last.time + 600, nonce: 0, ..last };
    let mut high = mine(next);
    while target::hash_number(&high.hash()) <= target::decode(high.bits).target {
        high.nonce += 1;
    }
    let now = u32::try_from(NOW_MS / 1000).expect("fits");
    let cases = [
        ("high-hash", high),
        ("high-hash", Header { bits: 0x2080_0000, ..next }),
        ("high-hash", Header { bits: 0x2100_ffff, ..next }),
        ("high-hash", Header { bits: 0, ..next }),
        ("prev-blk-not-found", mine(Header { prev: B256::ZERO, ..next })),
        ("bad-diffbits", mine(Header { bits: 0x207f_fffe, ..next })),
        ("time-too-old", mine(Header { time: median, ..next })),
        ("time-too-new", mine(Header { time: now + 7_201, ..next })),
        ("bad-version(0x00000003)", mine(Header { version: 3, ..next })),
        ("bad-version(0xffffffff)", mine(Header { version: -1, ..next })),
    ];
    let before = client.tree().len();
    for (name, header) in cases {
        let error = client.accept(&header.to_bytes(), NOW_MS).expect_err(name);
        assert!(error.to_string().starts_with(name), "{error}, expected {name}");
        assert_eq!(client.tree().len(), before);
    }
    for edge in [Header { time: median + 1, ..next }, Header { time: now + 7_200, ..next }] {
        let edge = mine(edge).to_bytes();
        assert!(client.accept(&edge, NOW_MS).is_ok(), "the limit itself is allowed");
        assert_eq!(client.accept(&edge, NOW_MS), Ok(TipChange::Known));
    }
}

#[test]
fn too_new_is_not_for_ever() {
    let mut client = regtest();
    let start = genesis(client.params());
    let header = run(&start, 1, 600, 1)[0];
    let early = u64::from(header.time - 7_200) * 1000 - 1;
    let error = client.accept(&header.to_bytes(), early).expect_err("too new");
    assert!(error.is_transient() && matches!(error, HeaderError::TimeTooNew { .. }));
    assert_eq!(client.accept(&header.to_bytes(), early + 1), Ok(TipChange::Extended));
}

#[test]
fn old_versions_are_refused_only_from_their_soft_fork() {
    let params = NetworkParams {
        bip34_height: 2,
        bip66_height: 4,
        bip65_height: 6,
        ..NetworkParams::regtest()
    };
    let mut client = BitcoinClient::from_genesis(params.clone()).expect("usable");
    for height in 1..8u64 {
        let tip = client.tree().tip().compat();
        let time = u32::try_from(tip.time + 600).expect("fits");
        let header = child(&params, client.tree(), &tip.blockHash, time, height);
        for version in [i32::MIN, 0, 1, 2, 3, 4, 0x2000_0000] {
            let needed = [(2, 2), (4, 3), (6, 4)];
            let allowed = needed.iter().all(|(from, least)| height < *from || version >= *least);
            let header = mine(Header { version, nonce: 0, ..header });
            let result = client.clone().accept(&header.to_bytes(), NOW_MS);
            assert_eq!(result.is_ok(), allowed, "version {version} at {height}");
        }
        assert!(client.accept(&header.to_bytes(), NOW_MS).is_ok());
    }
}

#[test]
fn bip94_bounds_the_first_time_of_a_period_and_scales_its_first_bits() {
    for bip94 in [true, false] {
        let params = fast(bip94, false);
        let mut client = BitcoinClient::from_genesis(params.clone()).expect("usable");
        let blocks = run(&genesis(&params), 9, 600, 1);
        assert_eq!(client.accept_all(&bytes(&blocks), NOW_MS).added, 9);
        let last = blocks[8];
        for (back, allowed) in [(600, true), (601, !bip94)] {
            let tree = client.tree();
            let header = child(&params, tree, &last.hash(), last.time - back, 9);
            let result = client.clone().accept(&header.to_bytes(), NOW_MS);
            assert_eq!(result.is_ok(), allowed, "bip94 {bip94}, {back} s back");
            if let Err(error) = result {
                assert!(error.to_string().starts_with("time-timewarp-attack"), "{error}");
            }
        }
    }
}

#[test]
fn a_period_end_changes_the_difficulty() {
    let params = fast(false, false);
    let mut client = BitcoinClient::from_genesis(params.clone()).expect("usable");
    // Nine intervals of 3 s where ten of 6 s are wanted: 27 / 60 of the target.
    let blocks = run(&genesis(&params), 9, 3, 1);
    assert_eq!(client.accept_all(&bytes(&blocks), NOW_MS).added, 9);
    let last = blocks[8];
    let header = child(&params, client.tree(), &last.hash(), last.time + 6, 1);
    assert_eq!(header.bits, 0x1f73_32c0);
    let lazy = mine(Header { bits: last.bits, nonce: 0, ..header });
    let error = client.accept(&lazy.to_bytes(), NOW_MS).expect_err("too easy");
    let expected =
        HeaderError::BadDifficulty { height: 10, found: 0x2000_ffff, expected: 0x1f73_32c0 };
    assert_eq!(error, expected);
    assert_eq!(client.accept(&header.to_bytes(), NOW_MS), Ok(TipChange::Extended));
}

#[test]
fn a_run_is_stored_up_to_its_first_bad_header() {
    let mut client = regtest();
    let start = genesis(client.params());
    let mut headers = bytes(&run(&start, 6, 600, 1));
    headers[4][68] ^= 1; // its time, and so its hash
    while client.clone().accept_all(&headers[4..5], NOW_MS).rejected.is_some_and(|error| {
        matches!(error, ClientError::Header(HeaderError::ParentNotFound { .. }))
    }) {
        headers[4][76] = headers[4][76].wrapping_add(1);
    }
    let accepted = client.accept_all(&headers, NOW_MS);
    assert_eq!((accepted.added, accepted.change), (4, TipChange::Extended));
    assert!(matches!(
        accepted.rejected,
        Some(ClientError::Header(HeaderError::HighHash { .. } | HeaderError::NotContinuous { .. }))
    ));
    let gap = [headers[0], headers[2]];
    let error = regtest().accept_all(&gap, NOW_MS).into_result().expect_err("a gap");
    assert_eq!(error, ClientError::Header(HeaderError::NotContinuous { index: 1 }));
}

#[test]
fn more_headers_than_a_submission_holds_are_not_looked_at() {
    let mut client = regtest();
    let start = genesis(client.params());
    let headers = bytes(&run(&start, 6_049, 600, 1));
    let accepted = client.accept_all(&headers, NOW_MS);
    assert_eq!(accepted.added, 6_048);
    assert_eq!(accepted.rejected, Some(ClientError::TooMany { found: 6_049, most: 6_048 }));
}

#[test]
fn the_branch_of_most_work_wins_even_if_it_is_shorter() {
    let params = fast(false, false);
    let mut client = BitcoinClient::from_genesis(params.clone()).expect("usable");
    let shared = run(&genesis(&params), 8, 3, 1);
    assert_eq!(client.accept_all(&bytes(&shared), NOW_MS).added, 8);
    let fork = shared[7];
    // One branch ends its period late and stays easy, the other one early and becomes hard.
    let grow = |client: &mut BitcoinClient, first_gap: u32, count: u64, salt: u64| {
        let (mut at, mut time) = (fork.hash(), fork.time + first_gap);
        let mut changes = Vec::new();
        for step in 0..count {
            let header = child(&params, client.tree(), &at, time, salt + step);
            changes.push(client.accept(&header.to_bytes(), NOW_MS).expect("valid"));
            (at, time) = (header.hash(), time + 6);
        }
        changes
    };
    grow(&mut client, 2_000, 4, 100);
    assert_eq!(client.tree().tip().height(), 12);
    let changes = grow(&mut client, 1, 3, 200);
    assert_eq!(changes[..2], [TipChange::Side, TipChange::Side]);
    let TipChange::Reorg(reorg) = &changes[2] else { panic!("a reorganisation: {changes:?}") };
    assert_eq!((reorg.common, reorg.removed.len(), reorg.added.len()), ((8, fork.hash()), 4, 3));
    assert_eq!(client.tree().tip().height(), 11);
    assert!(client.tree().best_at(12).is_none());
}

#[test]
fn a_branch_far_behind_is_stored_only_if_all_of_it_catches_up() {
    let mut client = regtest();
    let start = genesis(client.params());
    let depth = usize::try_from(DEFAULT_MAX_BEHIND).expect("fits") + 10;
    assert_eq!(client.accept_all(&bytes(&run(&start, depth, 600, 1)), NOW_MS).added, depth);
    let side = bytes(&run(&start, depth + 1, 601, 2));
    let before = client.tree().len();
    let error = client.accept_all(&side[..9], NOW_MS).into_result().expect_err("too little work");
    assert!(!error.is_transient(), "the tip only moves further away");
    assert!(matches!(error, ClientError::Header(HeaderError::TooLittleWork { .. })));
    assert!(client.accept(&side[0], NOW_MS).is_err());
    assert_eq!(client.tree().len(), before, "nothing of it is stored");
    assert_eq!(client.accept_all(&side[..10], NOW_MS).change, TipChange::Side);
    let accepted = client.accept_all(&side, NOW_MS);
    assert_eq!((accepted.known, accepted.added), (10, depth - 9));
    assert!(matches!(accepted.change, TipChange::Reorg(reorg) if reorg.common.0 == 0));
}

#[test]
fn pruned_and_stored_clients_go_on_like_the_whole_one() {
    let params = fast(true, true);
    let mut whole = BitcoinClient::from_genesis(params.clone()).expect("usable");
    let mut pruned = whole.clone();
    let mut store = std::collections::BTreeMap::new();
    let mut time = genesis(&params).time;
    for step in 0..260u64 {
        // Gaps over 12 s allow the least difficulty, so both ways of walking back are taken.
        time += if step % 7 == 3 { 13 } else { 5 };
        let tip = whole.tree().tip().hash();
        let header = child(&params, whole.tree(), &tip, time, step).to_bytes();
        assert_eq!(whole.accept(&header, NOW_MS), Ok(TipChange::Extended));
        assert_eq!(pruned.accept(&header, NOW_MS), Ok(TipChange::Extended));
        assert_eq!(whole.tree().tip(), pruned.tree().tip(), "step {step}");
        if step % 13 == 12 {
            pruned.tree_mut().prune((step + 1).saturating_sub(20));
            for (number, chunk) in pruned.tree_mut().dirty_chunks() {
                match chunk {
                    Some(bytes) => store.insert(number, bytes),
                    None => store.remove(&number),
                };
            }
            let meta = pruned.tree().meta();
            pruned = BitcoinClient::load(params.clone(), &meta, store.clone()).expect("readable");
        }
    }
    assert!(pruned.tree().len() < 40 && whole.tree().len() == 261);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_headers_never_panic(
        raw in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 80), 0..5),
        on_genesis in any::<bool>(),
        now_ms in any::<u64>(),
    ) {
        let mut client = regtest();
        let genesis = client.params().genesis_hash();
        let mut raw: Vec<[u8; 80]> =
            raw.into_iter().map(|bytes| bytes.try_into().expect("80 bytes")).collect();
        if let (true, Some(first)) = (on_genesis, raw.first_mut()) {
            first[4..36].copy_from_slice(genesis.as_slice());
            first[72..76].copy_from_slice(&0x207f_ffffu32.to_le_bytes());
        }
        let accepted = client.accept_all(&raw, now_ms);
        prop_assert_eq!(accepted.added + 1, client.tree().len());
    }

    #[test]
    fn stored_bitcoin_trees_read_back_equal(
        gaps in proptest::collection::vec((1..20u32, any::<proptest::sample::Index>()), 1..80),
    ) {
        let params = fast(false, true);
        let mut client = BitcoinClient::from_genesis(params.clone()).expect("usable");
        client = client.with_max_behind(1_000);
        let mut hashes = vec![client.params().genesis_hash()];
        for (salt, (gap, at)) in gaps.into_iter().enumerate() {
            // Mostly the newest header, so that branches grow long.
            let parent = if gap % 4 == 0 { *at.get(&hashes) } else { hashes[hashes.len() - 1] };
            let below = client.tree().get(&parent).expect("stored").time();
            let time = u32::try_from(below).expect("fits") + gap;
            let header = child(&params, client.tree(), &parent, time, salt as u64);
            client.accept(&header.to_bytes(), NOW_MS).expect("valid");
            hashes.push(header.hash());
        }
        let chunks = client.tree_mut().dirty_chunks();
        let chunks = chunks.into_iter().filter_map(|(number, bytes)| Some((number, bytes?)));
        let meta = client.tree().meta();
        let again = BitcoinClient::load(params, &meta, chunks).expect("readable");
        let all = |tree: &HeaderTree| -> Vec<_> {
            hashes.iter().map(|hash| tree.get(hash).map(|found| found.compat())).collect()
        };
        prop_assert_eq!(all(again.tree()), all(client.tree()));
        prop_assert_eq!(again.tree().tip(), client.tree().tip());
    }
}
