use proptest::prelude::*;

use super::*;
use crate::bitcoin::testing::{mine, run};

const MESSAGE: usize = MAX_HEADERS_PER_MESSAGE;
const SALT: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
const SMALL: PresyncLimits = PresyncLimits { commitment_period: 10, buffer: 300 };

/// Regtest's easy target, and no other is allowed.
fn strict() -> NetworkParams {
    NetworkParams { allow_min_difficulty: false, ..NetworkParams::regtest() }
}

fn genesis_of(params: &NetworkParams) -> (Header, PresyncStart) {
    let header = Header::parse(&params.genesis.0);
    let chain_work = target::work(&target::decode(header.bits).target);
    let (hash, bits) = (header.hash(), header.bits);
    (header, PresyncStart { height: 0, hash, bits, chain_work, median_time: header.time })
}

/// A download that asks for the work of genesis and `blocks` more, with a clock far ahead.
fn presync(params: &NetworkParams, limits: PresyncLimits, blocks: u64) -> Presync {
    let (header, start) = genesis_of(params);
    let required = start.chain_work * U256::from(blocks + 1);
    let now = u64::from(header.time) + 1_000_000_000;
    Presync::new(params.clone(), limits, &start, required, now, SALT)
}

fn branch(count: usize, salt: u64) -> Vec<[u8; 80]> {
    let (header, _) = genesis_of(&strict());
    run(&header, count, 600, salt).iter().map(Header::to_bytes).collect()
}

/// What a peer answers that has `chain` and is asked for the headers after `after`.
fn answer<'a>(chain: &'a [[u8; 80]], after: &B256) -> &'a [[u8; 80]] {
    let from = chain.iter().position(|bytes| Header::parse(bytes).prev == *after);
    let rest = from.map_or(&[][..], |from| &chain[from..]);
    &rest[..rest.len().min(MESSAGE)]
}

/// Downloads from a peer that shows `first` and then, for the second time, `second`.
fn download(
    presync: &mut Presync,
    first: &[[u8; 80]],
    second: &[[u8; 80]],
) -> (Vec<[u8; 80]>, Result<(), PresyncError>) {
    let (mut released, mut after) = (Vec::new(), genesis_of(&strict()).1.hash);
    loop {
        let shown = if presync.phase() == Phase::Presync { first } else { second };
        match presync.step(answer(shown, &after)) {
            Ok(step) => {
                released.extend(step.released);
                match step.next {
                    Next::Request { after: next } => after = next,
                    Next::Finished => return (released, Ok(())),
                }
            }
            Err(error) => return (released, Err(error)),
        }
    }
}

#[test]
fn an_honest_branch_is_released_whole_and_in_order() {
    let chain = branch(4_500, 1);
    for blocks in [1usize, 1_999, 2_000, 2_001, 4_499, 4_500] {
        let mut presync = presync(&strict(), SMALL, blocks as u64);
        let (released, end) = download(&mut presync, &chain, &chain);
        assert_eq!(end, Ok(()), "{blocks}");
        // All that the last message brought is released with it.
        let expected = chain.len().min(blocks.div_ceil(MESSAGE) * MESSAGE);
        assert_eq!(released.len(), expected, "{blocks}");
        assert!(released == chain[..expected], "{blocks}");
    }
}

#[test]
fn a_branch_that_grew_in_the_meantime_is_taken() {
    let chain = branch(4_500, 1);
    let mut presync = presync(&strict(), SMALL, 2_500);
    let (released, end) = download(&mut presync, &chain[..2_500], &chain);
    assert_eq!((released.len(), end), (4_000, Ok(())));
}

#[test]
fn nothing_is_released_before_the_work_is_shown() {
    let chain = branch(3_000, 1);
    let mut presync = presync(&strict(), SMALL, 3_001);
    let (released, end) = download(&mut presync, &chain, &chain);
    assert!(released.is_empty());
    assert!(matches!(end, Err(PresyncError::TooLittleWork { height: 3_000, .. })), "{end:?}");
    assert!(!end.unwrap_err().is_offence());
}

#[test]
fn another_branch_at_the_second_time_is_noticed_within_the_buffer() {
    let (first, second) = (branch(4_500, 1), branch(4_500, 2));
    let mut presync = presync(&strict(), SMALL, 4_400);
    let (released, end) = download(&mut presync, &first, &second);
    assert!(released.is_empty(), "{} released", released.len());
    let Err(PresyncError::Commitment { height }) = end else { panic!("{end:?}") };
    assert!(height <= SMALL.buffer as u64, "only noticed at {height}");
}

#[test]
fn a_branch_cut_off_at_the_second_time_is_given_up() {
    let chain = branch(4_500, 1);
    let mut presync = presync(&strict(), SMALL, 4_400);
    let (released, end) = download(&mut presync, &chain, &chain[..3_000]);
    assert_eq!(end, Err(PresyncError::Shortened { height: 3_000 }));
    assert_eq!(released.len(), MESSAGE - SMALL.buffer);
}

#[test]
fn broken_links_missing_work_and_free_difficulty_are_offences() {
    let chain = branch(5, 1);
    let mut swapped = chain.clone();
    swapped.swap(2, 3);
    let mut idle = chain.clone();
    let spoil = |bytes: &mut [u8; 80]| {
        while ProofOfWork::new(strict().pow_limit)
            .check(&Header::parse(bytes), &sha256d(bytes))
            .is_ok()
        {
            bytes[76] = bytes[76].wrapping_add(1);
        }
    };
    spoil(&mut idle[4]);
    let mut harder = chain.clone();
    let claim = Header { bits: 0x2070_0000, ..Header::parse(&chain[3]) };
    harder[3] = mine(claim).to_bytes();
    let cases = [(swapped, "non-continuous"), (idle, "high-hash"), (harder, "no retarget allows")];
    for (headers, words) in cases {
        let error = presync(&strict(), SMALL, 10).step(&headers).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.is_offence(), "{error}");
    }
}

/// Headers of next to no work on top of `tip`, and their last hash: one hash a header is enough.
fn worthless(tip: &mut [u8; 80]) -> Vec<[u8; 80]> {
    let mut message = Vec::with_capacity(MESSAGE);
    let mut prev = sha256d(tip.as_slice());
    while message.len() < MESSAGE {
        tip[4..36].copy_from_slice(prev.as_slice());
        prev = sha256d(tip.as_slice());
        // All but one in 65,536 meet the target; that one is made different.
        if prev.ends_with(&[0xff, 0xff]) {
            tip[68] = tip[68].wrapping_add(1);
            prev = sha256d(tip.as_slice());
        }
        message.push(*tip);
    }
    message
}

#[test]
fn a_peer_that_serves_low_work_for_ever_costs_bounded_memory() {
    let bits: u32 = 0x2100_ffff;
    let mut genesis = strict().genesis.0;
    genesis[72..76].copy_from_slice(&bits.to_le_bytes());
    let params = NetworkParams { pow_limit: U256::MAX, genesis: genesis.into(), ..strict() };
    let (header, start) = genesis_of(&params);
    let limits = PresyncLimits::default();
    // A chain of two days has at most a million headers.
    let now = u64::from(header.time) + 172_800 - MAX_FUTURE_BLOCK_TIME;
    let most = 172_800 * MAX_HEADERS_PER_SECOND;
    let mut presync = Presync::new(params, limits, &start, U256::MAX, now, SALT);
    let (mut tip, mut served, mut most_memory) = (genesis, 0, 0);
    let end = loop {
        let headers = worthless(&mut tip);
        served += headers.len() as u64;
        match presync.step(&headers) {
            Ok(step) => assert!(step.released.is_empty()),
            Err(error) => break error,
        }
        most_memory = most_memory.max(presync.memory_usage());
        assert!(served <= 2 * most, "{served} headers were taken");
    };
    assert!(matches!(end, PresyncError::TooManyHeaders { .. }), "{end}");
    assert!(served > 1_000_000, "given up after {served}");
    let bits = usize::try_from(most / limits.commitment_period / 8).unwrap();
    let bound = size_of::<Presync>() + 2 * bits + 8;
    assert!(most_memory <= bound, "{most_memory} bytes held, expected at most {bound}");
}

#[test]
fn the_buffer_is_bounded_in_the_second_download() {
    let chain = branch(8_000, 1);
    let mut presync = presync(&strict(), SMALL, 7_999);
    let mut after = genesis_of(&strict()).1.hash;
    loop {
        let step = presync.step(answer(&chain, &after)).unwrap();
        let bound = 2 * (SMALL.buffer + MESSAGE) * Header::SIZE;
        assert!(presync.memory_usage() < size_of::<Presync>() + bound + 1_024);
        match step.next {
            Next::Request { after: next } => after = next,
            Next::Finished => break,
        }
    }
}

#[test]
fn difficulty_may_move_fourfold_at_a_period_s_end_only() {
    let mainnet = NetworkParams::mainnet();
    // Core's pow_tests.cpp: one below and one above what a retarget can reach.
    let cases = [
        (2_016, 0x1c05_a3f4, 0x1c01_68fd, true),
        (2_016, 0x1c05_a3f4, 0x1c01_68fc, false),
        (2_016, 0x1c38_7f6f, 0x1d00_e1fd, true),
        (2_016, 0x1c38_7f6f, 0x1d00_e1fe, false),
        (2_015, 0x1c05_a3f4, 0x1c05_a3f4, true),
        (2_015, 0x1c05_a3f4, 0x1c05_a3f3, false),
        (4_032, 0x1d00_ffff, 0x1d00_ffff, true),
        (4_032, 0x1d00_ffff, 0x1d01_0000, false),
    ];
    for (height, from, to, permitted) in cases {
        let found = permitted_difficulty_transition(&mainnet, height, from, to);
        assert_eq!(found, permitted, "{height} {from:08x} {to:08x}");
    }
    // Ten blocks a period.
    let short = NetworkParams { timespan: 6_000, ..NetworkParams::mainnet() };
    assert!(permitted_difficulty_transition(&short, 10, 0x1c05_a3f4, 0x1c01_68fd));
    assert!(!permitted_difficulty_transition(&short, 2_015, 0x1c05_a3f4, 0x1c01_68fd));
    for free in [NetworkParams::testnet3(), NetworkParams::testnet4(), NetworkParams::regtest()] {
        assert!(permitted_difficulty_transition(&free, 5, 0x1c05_a3f4, 0x1d00_ffff));
    }
    let fixed = NetworkParams { no_retargeting: true, ..NetworkParams::mainnet() };
    assert!(!permitted_difficulty_transition(&fixed, 2_016, 0x1c05_a3f4, 0x1c01_68fd));
}

proptest! {
    #[test]
    fn every_retarget_is_permitted(first: u32, last: u32, size in 0x04u32..=0x1c, word in 0x8000u32..0x80_0000) {
        let mainnet = NetworkParams::mainnet();
        let from = size << 24 | word;
        let to = retarget(&mainnet, first, last, from);
        prop_assert!(permitted_difficulty_transition(&mainnet, 2_016, from, to), "{from:08x} {to:08x}");
    }

    #[test]
    fn bits_come_out_as_they_went_in(bits in proptest::collection::vec(any::<bool>(), 0..100)) {
        let mut queue = BitQueue::default();
        bits.iter().for_each(|bit| queue.push(*bit));
        let out: Vec<bool> = core::iter::from_fn(|| queue.pop()).collect();
        prop_assert_eq!(out, bits);
    }
}
