use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn exposure(share: Ratio, value: u64, max_loss: u64) -> Exposure {
    Exposure { value, max_loss, share }
}

fn ratio(text: &str) -> Ratio {
    text.parse().expect("a ratio")
}

#[test]
fn the_papers_figures_come_out() {
    let cases = [
        // The Bitcoin paper, section 11, has the Nakamoto column.
        ("0.1", 5, "0.0009137", "0.0017818"),
        ("0.1", 6, "0.0002428", "0.0005914"),
        ("0.1", 10, "0.0000012", "0.0000079"),
        ("0.3", 5, "0.1773523", "0.1976173"),
        ("0.3", 6, "0.1321112", "0.1564496"),
        ("0.3", 50, "0.0000006", "0.0000311"),
        ("0.45", 340, "0.0009947", "0.0089679"),
    ];
    for (q, z, by_nakamoto, by_rosenfeld) in cases {
        let q = ratio(q);
        assert_eq!(format!("{:.7}", nakamoto(q, z)), by_nakamoto, "{q} {z}");
        assert_eq!(format!("{:.7}", rosenfeld(q, z)), by_rosenfeld, "{q} {z}");
    }
}

#[test]
fn edges_are_exact() {
    let (zero, third, half) = (Ratio::ZERO, ratio("0.333333333333"), ratio("0.5"));
    let nearly = ratio("0.499999999999");
    for by in [rosenfeld, nakamoto] {
        assert_eq!(by(third, 0), Probability::ONE);
        assert_eq!(by(zero, 0), Probability::ONE);
        assert_eq!(by(zero, 1), Probability::ZERO);
        for q in [half, ratio("0.7"), Ratio::ONE, Ratio::of(u64::MAX, 1)] {
            assert_eq!(by(q, 1_000), Probability::ONE, "{q}");
        }
        assert!(by(nearly, u64::MAX) < Probability::ONE);
        assert_eq!(by(third, u64::MAX), by(third, MAX_DEPTH));
    }
    // No time: the attacker has nothing yet and must catch up from z blocks behind.
    assert_eq!(time_conditioned(ratio("0.25"), 3, zero).to_string(), "0.0370370370");
    let forever = Ratio::of(u64::MAX, 1);
    for z in [1, 100, u64::MAX] {
        assert_eq!(time_conditioned(third, z, forever), Probability::ONE);
        assert_eq!(time_conditioned(zero, z, forever), Probability::ZERO);
    }
}

#[test]
fn the_bound_of_the_mean_is_where_nothing_is_left() {
    // Just below the mean from which on 1 is returned, the sum gives 1 to 2^-88 as well.
    for (z, kappa) in [(1, "131.99"), (10, "16.79"), (100, "5.27"), (1_000, "4.12")] {
        let q = ratio("0.499999999999");
        let left = ONE - ONE.min(raw(time_conditioned(q, z, ratio(kappa))));
        assert!(left < U256::ONE << 24, "z {z}: {left}");
    }
}

fn raw(probability: Probability) -> U256 {
    // The format's thirty decimals hold all of it that the tests need.
    let text = format!("{probability:.30}").replace('.', "");
    let decimal: U256 = text.parse().expect("digits");
    (decimal << 112) / U256::from(10).pow(U256::from(30))
}

#[test]
fn the_loss_that_is_accepted_sets_the_confirmations() {
    let coins = 100_000_000u64;
    let cases = [
        ("0.1", 100 * coins, coins / 10, Some(6)),
        ("0.1", 1, 1, Some(0)),
        ("0", coins, 0, Some(1)),
        ("0.3", coins, coins / 1_000, Some(32)),
        ("0.49", 21_000_000 * coins, 1, None),
        ("0.5", 2, 1, None),
    ];
    for (q, value, max_loss, expected) in cases {
        let found = exposure(ratio(q), value, max_loss).confirmations();
        assert_eq!(found, expected, "{q} {value} {max_loss}");
    }
}

#[test]
fn slow_blocks_raise_the_confirmations() {
    let payment = exposure(ratio("0.1"), 1_000_000, 1_000);
    assert_eq!(payment.confirmations(), Some(6));
    let cases = [("0.5", Some(6)), ("1", Some(6)), ("1.5", Some(7)), ("3", Some(13)), ("9", None)];
    for (kappa, expected) in cases {
        let found = payment.confirmations_by_time(6, |_| Some(ratio(kappa)));
        assert_eq!(found, expected, "{kappa}");
    }
    // Not so many blocks are there.
    assert_eq!(payment.confirmations_by_time(6, |z| (z < 10).then_some(ratio("3"))), None);
    assert_eq!(payment.confirmations_by_time(6, |_| None), None);
}

#[test]
fn a_requirement_says_why() {
    let payment = exposure(ratio("0.1"), 1_000_000, 1_000);
    let ask = |stale, kappa| {
        let Requirement { by_value, floor, needed } =
            payment.requirement(stale, |_| Some(ratio(kappa)));
        (by_value, floor, needed)
    };
    assert_eq!(ask(0, "1"), (Some(6), 1, Some(6)));
    assert_eq!(ask(8, "1"), (Some(6), 9, Some(9)));
    assert_eq!(ask(8, "3"), (Some(6), 9, Some(13)));
    assert_eq!(ask(20, "3"), (Some(6), 21, Some(21)));
    assert_eq!(ask(0, "9"), (Some(6), 1, None));
    // A floor above what is told apart is a floor all the same.
    assert_eq!(ask(5_000, "1"), (Some(6), 5_001, Some(5_001)));
    let hopeless = exposure(ratio("0.5"), 2, 1).requirement(0, |_| Some(Ratio::ONE));
    assert_eq!(hopeless, Requirement { by_value: None, floor: 1, needed: None });
}

#[test]
fn losses_round_up_and_never_overflow() {
    assert_eq!(Probability::ONE.expected_loss(u64::MAX), u64::MAX);
    assert_eq!(Probability::ZERO.expected_loss(u64::MAX), 0);
    // Less than what is known of a probability is nothing; a little more is something.
    assert_eq!(Probability::from_raw(U256::ONE << 24).expected_loss(u64::MAX), 0);
    assert_eq!(Probability::from_raw(U256::ONE << 25).expected_loss(u64::MAX), 1);
    // Exactly a fifth.
    assert_eq!(rosenfeld(ratio("0.1"), 1).expected_loss(100_000_000), 20_000_000);
    assert_eq!(exposure(ratio("0.1"), 100, 20).confirmations(), Some(1));
    assert_eq!(Probability::from_raw(ONE >> 1).expected_loss(3), 2);
}

#[test]
fn probabilities_are_shown_rounded() {
    let third = Probability::from_raw(ONE / U256::from(3));
    assert_eq!(third.to_string(), "0.3333333333");
    assert_eq!(format!("{third:.0} {third:.1} {:.3}", Probability::ONE), "0 0.3 1.000");
    let half = Probability::from_raw(ONE >> 1);
    assert_eq!(format!("{half:.0} {half:.99}"), format!("1 0.5{}", "0".repeat(29)));
}

#[test]
fn ratios_are_read_and_shown_exactly() {
    for text in ["0", "0.1", "2", "0.000000000001", "18446744.073709551615"] {
        assert_eq!(ratio(text).to_string(), text);
    }
    assert_eq!(ratio("0.50"), Ratio::from_ppm(500_000));
    assert_eq!(Ratio::of(1, 3).to_string(), "0.333333333333");
    assert_eq!(Ratio::of(0, 0).parts(), u64::MAX);
    for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "0.0000000000001", "18446744.073709551616"]
    {
        assert_eq!(text.parse::<Ratio>(), Err(RatioError(text.into())));
    }
}

#[test]
fn the_worst_input_takes_a_bounded_time() {
    // Without optimisation, on a busy machine: the bench has the figures.
    let q = ratio("0.499999999999");
    let started = Instant::now();
    assert!(rosenfeld(q, u64::MAX) < Probability::ONE);
    assert!(time_conditioned(q, u64::MAX, ratio("4.12")) <= Probability::ONE);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// The formulas as they are written in the papers, in floating point: good for some twelve digits
/// at small depths.
mod papers {
    pub(super) fn nakamoto(q: f64, z: u32, kappa: f64) -> f64 {
        let ratio = q / (1.0 - q);
        let mean = f64::from(z) * ratio * kappa;
        let mut poisson = (-mean).exp();
        let mut sum = 0.0;
        for k in 0..=z {
            sum += poisson * (1.0 - ratio.powi((z - k) as i32));
            poisson *= mean / f64::from(k + 1);
        }
        1.0 - sum
    }

    pub(super) fn rosenfeld(q: f64, z: u32) -> f64 {
        let p = 1.0 - q;
        let mut binomial = 1.0;
        let mut sum = 0.0;
        for m in 0..=z {
            let (z, m) = (z as i32, m as i32);
            sum += binomial * (p.powi(z) * q.powi(m) - p.powi(m) * q.powi(z));
            binomial *= f64::from(m + z) / f64::from(m + 1);
        }
        1.0 - sum
    }
}

fn float(probability: Probability) -> f64 {
    format!("{probability:.20}").parse().expect("a number")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn they_equal_the_papers_formulas(ppm in 0..499_999u32, z in 1..60u32, kappa in 0..4_000u64) {
        let (q, kappa) = (Ratio::from_ppm(ppm), Ratio::of(kappa, 1_000));
        let (real_q, real_kappa) = (f64::from(ppm) / 1e6, kappa.parts() as f64 / 1e12);
        let cases = [
            (rosenfeld(q, z.into()), papers::rosenfeld(real_q, z)),
            (nakamoto(q, z.into()), papers::nakamoto(real_q, z, 1.0)),
            (time_conditioned(q, z.into(), kappa), papers::nakamoto(real_q, z, real_kappa)),
        ];
        for (found, expected) in cases {
            prop_assert!((float(found) - expected).abs() < 1e-11, "{found} {expected}");
        }
    }

    #[test]
    fn they_fall_with_depth_and_rise_with_share_and_slowness(
        parts in 0..600_000u32,
        more in 0..100_000u32,
        z in 0..1_100u64,
        kappa in 0..5_000_000u64,
    ) {
        let (q, stronger) = (Ratio::from_ppm(parts), Ratio::from_ppm(parts + more));
        // Both are rounded: by less than 2^-88.
        let slack = |p: Probability| raw(p) + (U256::ONE << 24);
        for by in [rosenfeld, nakamoto] {
            prop_assert!(by(q, z) <= Probability::ONE);
            prop_assert!(raw(by(q, z + 1)) <= slack(by(q, z)));
            prop_assert!(raw(by(q, z)) <= slack(by(stronger, z)));
        }
        let slow = |kappa| time_conditioned(q, z, Ratio::of(kappa, 1_000_000));
        prop_assert!(raw(slow(kappa)) <= slack(slow(kappa + 1)));
    }

    #[test]
    fn the_confirmations_needed_are_the_least(
        ppm in 0..450_000u32,
        value in 1..u64::MAX,
        max_loss in 1..u64::MAX,
    ) {
        let q = Ratio::from_ppm(ppm);
        let exposure = exposure(q, value, max_loss);
        if let Some(z) = exposure.confirmations() {
            prop_assert!(exposure.accepts(rosenfeld(q, z)));
            prop_assert!(z == 0 || !exposure.accepts(rosenfeld(q, z - 1)));
        } else {
            prop_assert!(!exposure.accepts(rosenfeld(q, MAX_DEPTH)));
        }
    }

    #[test]
    fn slow_blocks_need_the_least_that_is_enough(
        ppm in 1..300_000u32,
        max_loss in 1..10_000u64,
        least in 0..20u64,
        kappa in 0..2_500u64,
    ) {
        let (q, kappa) = (Ratio::from_ppm(ppm), Ratio::of(kappa, 1_000));
        let exposure = exposure(q, 1_000_000, max_loss);
        let enough = |z| exposure.accepts(time_conditioned(q, z, kappa));
        match exposure.confirmations_by_time(least, |_| Some(kappa)) {
            // With blocks that slow the attacker finds more than the others.
            None => prop_assert!(!enough(MAX_DEPTH)),
            Some(found) => prop_assert_eq!(Some(found), (least..=found).find(|z| enough(*z))),
        }
    }
}
