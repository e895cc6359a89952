//! Difficulty and times against Bitcoin Core's code written down as plainly as possible.

use proptest::prelude::*;

use super::{BranchContext, Parent, PeriodStart, next_work_required, retarget};
use crate::bitcoin::{Header, NetworkParams, target};

#[test]
fn retargets_of_bitcoin_core_s_tests_and_of_mainnet() {
    // First time, last time, old bits, new bits: Core's pow_tests.cpp.
    let cases = [
        (1261130161, 1262152739, 0x1d00ffff, 0x1d00d86a),
        (1231006505, 1233061996, 0x1d00ffff, 0x1d00ffff),
        (1279008237, 1279297671, 0x1c05a3f4, 0x1c0168fd),
        (1263163443, 1269211443, 0x1c387f6f, 0x1d00e1fd),
        // Times that run backwards count as the shortest period.
        (1300000000, 1200000000, 0x1c05a3f4, 0x1c0168fd),
    ];
    for (first, last, old, new) in cases {
        let found = retarget(&NetworkParams::mainnet(), first, last, old);
        assert_eq!(found, new, "{first} {last} {old:08x}: {found:08x}");
    }
}

#[test]
fn the_hardest_signet_product_does_not_leave_256_bits() {
    let params = NetworkParams::signet();
    let bits = params.limit_bits();
    assert_eq!(retarget(&params, 0, u32::MAX, bits), bits);
}

#[test]
fn the_median_is_core_s_for_every_length() {
    let mut context = BranchContext::start(&[], 70, 0, PeriodStart::default());
    assert_eq!(context.median_time(), 70);
    let params = NetworkParams::regtest();
    let times = [50, 90, 10, 30, 20, 40, 60, 80, 100, 120, 110, 130, 140];
    let medians = [70, 70, 70, 50, 50, 40, 50, 50, 60, 60, 60, 80, 80];
    for ((time, median), height) in times.into_iter().zip(medians).zip(1u64..) {
        context = context.extend(&params, height, time, 0);
        assert_eq!((context.time(), context.median_time()), (time, median), "height {height}");
    }
}

#[test]
fn the_stored_context_has_one_form() {
    let start = PeriodStart { time: 7, bits: 8 };
    for count in 0..13u32 {
        let times: Vec<u32> = (100..100 + count).collect();
        let context = BranchContext::start(&times, 99, 5, start);
        assert_eq!(BranchContext::from_bytes(&context.to_bytes()), Some(context));
    }
    let mut bytes = BranchContext::start(&[], 99, 5, start).to_bytes();
    bytes[4] = 1;
    assert_eq!(BranchContext::from_bytes(&bytes), None, "an unused time is not zero");
    assert_eq!(BranchContext::from_bytes(&[0; BranchContext::SIZE]), None, "no time at all");
    assert_eq!(BranchContext::from_bytes(&[12; BranchContext::SIZE]), None, "too many times");
}

/// Core's `GetNextWorkRequired`, walking a plain list of (time, bits) from genesis.
fn naive(params: &NetworkParams, chain: &[(u32, u32)], time: u32) -> u32 {
    let interval = params.timespan as usize / params.spacing as usize;
    let limit = target::encode(&params.pow_limit);
    let last = chain.len() - 1;
    if !chain.len().is_multiple_of(interval) {
        if !params.allow_min_difficulty {
            return chain[last].1;
        }
        if i64::from(time) > i64::from(chain[last].0) + i64::from(params.spacing) * 2 {
            return limit;
        }
        let mut at = last;
        while at > 0 && !at.is_multiple_of(interval) && chain[at].1 == limit {
            at -= 1;
        }
        return chain[at].1;
    }
    if params.no_retargeting {
        return chain[last].1;
    }
    let first = chain[last + 1 - interval];
    let base = if params.bip94 { first.1 } else { chain[last].1 };
    retarget(params, first.0, chain[last].0, base)
}

fn naive_median(chain: &[(u32, u32)]) -> u32 {
    let mut times: Vec<u32> = chain.iter().rev().take(11).map(|(time, _)| *time).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

proptest! {
    #[test]
    fn the_carried_context_equals_a_walk_over_the_whole_chain(
        flags in any::<[bool; 3]>(),
        intervals in 2..15u32,
        gaps in proptest::collection::vec(-300..3_000i64, 1..120),
    ) {
        let [allow_min_difficulty, no_retargeting, bip94] = flags;
        let params = NetworkParams {
            timespan: 600 * intervals,
            spacing: 600,
            allow_min_difficulty,
            no_retargeting,
            bip94,
            ..NetworkParams::testnet3()
        };
        let genesis = Header::parse(&params.genesis.0);
        // Half the limit, so that the least difficulty is an exception.
        let bits = 0x1c7f_ff80;
        let mut chain = vec![(genesis.time, bits)];
        let start = PeriodStart { time: genesis.time, bits };
        let mut context = BranchContext::start(&[], genesis.time, bits, start);
        for gap in gaps {
            let (last, bits) = chain[chain.len() - 1];
            let height = chain.len() as u64 - 1;
            let time = u32::try_from(i64::from(last) + gap).expect("fits");
            let parent = Parent { height, bits, context: &context };
            let found = next_work_required(&params, &parent, time);
            prop_assert_eq!(found, naive(&params, &chain, time), "height {}", height + 1);
            prop_assert_eq!(context.median_time(), naive_median(&chain));
            chain.push((time, found));
            context = context.extend(&params, height + 1, time, found);
        }
    }
}
