use alloy_primitives::uint;
use proptest::prelude::*;

use super::*;
use crate::bitcoin::{Checkpoint, testing::mine};

const NOW_MS: u64 = 4_000_000_000_000;

/// Like testnet4, with 16 blocks of two seconds a period and some 256 hashes a block.
fn params(allow_min_difficulty: bool, bip94: bool) -> NetworkParams {
    NetworkParams {
        timespan: 32,
        spacing: 2,
        allow_min_difficulty,
        no_retargeting: false,
        bip94,
        pow_limit: uint!(1_U256) << 248,
        genesis: Checkpoint::genesis(&NetworkParams::regtest()).header,
        bip34_height: 20,
        bip66_height: 25,
        bip65_height: 30,
        ..NetworkParams::regtest()
    }
}

/// A valid chain from genesis whose times follow `gaps`, seconds, as far as the median allows.
fn chain(params: &NetworkParams, gaps: &[i64]) -> Vec<[u8; 80]> {
    let mut parent = Header::parse(&params.genesis.0);
    let own = PeriodStart { time: parent.time, bits: parent.bits };
    let mut context = BranchContext::start(&[], parent.time, parent.bits, own);
    let mut out = vec![params.genesis.0];
    for (height, gap) in (1u64..).zip(gaps) {
        let least = context.median_time() + 1;
        let time = u32::try_from(i64::from(parent.time) + gap).expect("in range").max(least);
        let below = Parent { height: height - 1, bits: parent.bits, context: &context };
        let bits = rules::next_work_required(params, &below, time);
        let prev = parent.hash();
        let merkle_root = crate::hash::leaf(&height.to_be_bytes());
        parent = mine(Header { version: 4, prev, merkle_root, time, bits, nonce: 0 });
        context = context.extend(params, height, time, bits);
        out.push(parent.to_bytes());
    }
    out
}

/// The parameters of [`params`] with a genesis header that has the least difficulty of them.
fn network(allow_min_difficulty: bool, bip94: bool) -> NetworkParams {
    let mut params = params(allow_min_difficulty, bip94);
    let mut genesis = Header::parse(&params.genesis.0);
    genesis.bits = params.limit_bits();
    params.genesis = mine(genesis).to_bytes().into();
    params
}

fn verify(
    params: &NetworkParams,
    from: usize,
    headers: &[[u8; 80]],
) -> (HeaderVerifier, Option<BadHeader>) {
    let mut verifier = HeaderVerifier::new(params.clone(), from as u64, NOW_MS);
    let bad = verifier.verify(headers).err().map(|bad| *bad);
    (verifier, bad)
}

#[test]
fn a_chain_from_genesis_leaves_nothing_unchecked() {
    let params = network(false, false);
    let headers = chain(&params, &[1; 50]);
    let (verifier, bad) = verify(&params, 0, &headers);
    assert_eq!(bad, None);
    assert_eq!((verifier.count(), verifier.retargets()), (51, 3));
    assert_eq!(verifier.unchecked(), Unchecked::default());
    let work =
        headers.iter().map(|raw| target::work(&target::decode(Header::parse(raw).bits).target));
    assert_eq!(verifier.work(), work.sum::<U256>());
    assert_eq!(verifier.tip(), Some((50, Header::parse(&headers[50]).hash())));
}

#[test]
fn a_run_from_above_counts_what_it_cannot_decide() {
    let params = network(false, false);
    let headers = chain(&params, &[1; 50]);
    let (verifier, bad) = verify(&params, 20, &headers[20..]);
    assert_eq!(bad, None);
    // The retarget at 32 needs the header at 16; that at 48 has all it needs. Rising times are after
    // a median as soon as six of them are known: for 21 to 25 they are not.
    assert_eq!(verifier.retargets(), 1);
    let expected = Unchecked { parent: 1, bits: 2, median_time: 6, timewarp: 0 };
    assert_eq!(verifier.unchecked(), expected);
}

#[test]
fn another_genesis_is_refused() {
    let params = NetworkParams::regtest();
    let other = mine(Header { time: 7, ..Header::parse(&params.genesis.0) });
    let (_, bad) = verify(&params, 0, &[other.to_bytes()]);
    let bad = bad.expect("refused");
    assert_eq!(bad.error.reject_name(), "prev-blk-not-found");
    assert!(bad.expected.contains(&shown(&params.genesis_hash())), "{}", bad.expected);
}

#[test]
fn the_first_bad_header_is_named_with_what_was_expected() {
    let params = network(false, false);
    let headers = chain(&params, &[1; 40]);
    let with = |change: fn(&mut Header)| {
        let mut header = Header::parse(&headers[35]);
        change(&mut header);
        let mut headers = headers.clone();
        headers[35] = mine(header).to_bytes();
        let (verifier, bad) = verify(&params, 0, &headers);
        assert_eq!(verifier.count(), 35);
        bad.expect("refused")
    };
    let name = |bad: &BadHeader| (bad.height, bad.error.reject_name());
    assert_eq!(name(&with(|header| header.prev.0[3] ^= 1)), (35, "prev-blk-not-found"));
    let old = with(|header| header.time -= 20);
    assert_eq!(
        (name(&old), old.expected.starts_with("a time after ")),
        ((35, "time-too-old"), true)
    );
    assert_eq!(name(&with(|header| header.time = 4_000_007_201)), (35, "time-too-new"));
    let bits = with(|header| header.bits += 1);
    let right = format!("{:08x}", Header::parse(&headers[35]).bits);
    assert_eq!((name(&bits), bits.expected), ((35, "bad-diffbits"), right));
    let version = with(|header| header.version = 3);
    assert_eq!(
        (name(&version), version.expected),
        ((35, "bad-version"), "version 4 or above".into())
    );

    let mut broken = headers.clone();
    broken[35][70] ^= 1;
    let (_, bad) = verify(&params, 0, &broken);
    assert_eq!(bad.map(|bad| name(&bad)), Some((35, "high-hash")));
}

#[test]
fn six_known_times_are_enough_to_call_a_header_too_old() {
    let params = network(false, false);
    let headers = chain(&params, &[1; 40]);
    let with_time = |index: usize, time: u32| {
        let mut last = Header::parse(&headers[index]);
        last.time = time;
        let mut run = headers[33..index].to_vec();
        run.push(mine(last).to_bytes());
        verify(&params, 33, &run)
    };
    let first = Header::parse(&headers[33]).time;
    assert!(with_time(39, first).1.is_some_and(|bad| bad.error.reject_name() == "time-too-old"));
    let (verifier, bad) = with_time(38, first);
    assert_eq!((bad, verifier.unchecked().median_time), (None, 6));
}

#[test]
fn an_unknown_period_start_still_bounds_the_retarget() {
    let params = network(false, false);
    // Each period took half its time: the limit's difficulty is eight times less after three.
    let headers = chain(&params, &[1; 64]);
    let mut easy = Header::parse(&headers[64]);
    easy.bits = params.limit_bits();
    let run = [headers[62], headers[63], mine(easy).to_bytes()];
    let bad = verify(&params, 62, &run).1.expect("more than a factor of four");
    assert_eq!(bad.error.reject_name(), "bad-diffbits");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Cutting off the beginning hides faults, but never makes one, and never changes a verdict's rule.
    #[test]
    fn a_suffix_never_contradicts_the_whole(
        gaps in proptest::collection::vec(-4i64..8, 20..45),
        cut in 1usize..40,
        (min_difficulty, bip94) in any::<(bool, bool)>(),
        (at, field, delta) in (0usize..45, 0u8..4, any::<u32>()),
    ) {
        let params = network(min_difficulty, bip94);
        let valid = chain(&params, &gaps);
        let cut = cut % valid.len();
        prop_assert_eq!(verify(&params, 0, &valid).1, None);
        let (verifier, bad) = verify(&params, cut, &valid[cut..]);
        prop_assert_eq!(bad, None);
        prop_assert!(verifier.unchecked().median_time <= 11);

        let mut changed = valid;
        let at = at % changed.len();
        let mut header = Header::parse(&changed[at]);
        match field {
            0 => header.time = header.time.wrapping_add(delta % 40).wrapping_sub(20),
            1 => header.bits = header.bits.wrapping_add(delta % 5).wrapping_sub(2),
            2 => header.bits = params.limit_bits(),
            _ => header.version = (delta % 5) as i32,
        }
        if target::valid(header.bits, &params.pow_limit).is_some_and(|target| target > U256::ONE << 236) {
            changed[at] = mine(header).to_bytes();
        }
        let whole = verify(&params, 0, &changed).1;
        let part = verify(&params, cut, &changed[cut..]).1;
        if let Some(part) = part {
            let whole = whole.expect("a fault of a part is one of the whole");
            prop_assert!(whole.height <= part.height);
            if whole.height == part.height {
                prop_assert_eq!(whole.error.reject_name(), part.error.reject_name());
            }
        }
    }
}
