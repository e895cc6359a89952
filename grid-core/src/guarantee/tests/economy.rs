//! What the pool and attackers win and lose, and from which parameters on it breaks: the tables and the plot of
//! `docs/guarantee.md`. `GRID_WRITE_DOCS=1` writes them instead of comparing.

use std::{fmt::Write as _, fs, path::Path};

use super::{
    game::{BLOCK, best_gain, greatest_safe},
    *,
};
use crate::risk::{Ratio, rosenfeld};

const PAGE: &str = "docs/guarantee.md";
const PLOT: &str = "docs/guarantee.svg";
const BEGIN: &str = "<!-- written by a test from here on: GRID_WRITE_DOCS=1 -->\n";
const END: &str = "<!-- to here -->\n";
/// The share that the default terms assume, parts per million.
const ASSUMED: u32 = 100_000;
const DEFAULT: u32 = 15_000;
const SHARES: [u32; 9] =
    [50_000, 100_000, 150_000, 200_000, 250_000, 300_000, 350_000, 400_000, 450_000];
const LOADINGS: [u32; 3] = [10_000, DEFAULT, 30_000];
/// The greatest limit that is looked at, thousandths of a block's value.
const MOST: u32 = 10_000;

/// What a thousand covers of `z` block values bring the pool, asked for by those who do not know how it ends.
fn blind(share: u32, z: u64, loading: u32) -> i128 {
    let rules = GuaranteeParams { loading_parts: loading, base_premium: U128::ZERO, ..params() };
    let cover = z as u128 * BLOCK as u128;
    let price = premium(&rules, rosenfeld(Ratio::from_ppm(ASSUMED), z), cover).unwrap();
    let paid = rosenfeld(Ratio::from_ppm(share), z).of(cover);
    1_000 * (price as i128 - paid as i128)
}

/// The greatest limit at which nobody with that share gains, thousandths of a block's value.
fn safe_limit(share: u32, loading: u32) -> u32 {
    greatest_safe(MOST, |limit| best_gain(share, ASSUMED, loading, limit))
}

/// The greatest share, in tenths of a percent, that gains nothing at a limit.
fn safe_share(limit: u32, loading: u32) -> u32 {
    greatest_safe(499, |tenths| best_gain(tenths * 1_000, ASSUMED, loading, limit))
}

/// The greatest share, in tenths of a percent, against which blind covers cost the pool nothing.
fn blind_share(z: u64, loading: u32) -> u32 {
    greatest_safe(499, |tenths| -blind(tenths * 1_000, z, loading))
}

fn tenths(number: i128) -> String {
    let sign = if number < 0 { "−" } else { "+" };
    let number = number.abs() / (BLOCK / 10);
    format!("{sign}{}.{}", number / 10, number % 10)
}

fn decimal(thousandths: u32) -> String {
    format!("{}.{:02}", thousandths / 1_000, thousandths % 1_000 / 10)
}

fn percent(tenths: u32) -> String {
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn table(head: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        writeln!(text, "| {} |", row.join(" | ")).unwrap();
    }
    text + "\n"
}

fn head(first: &str, rest: impl Iterator<Item = String>) -> Vec<String> {
    core::iter::once(first.to_owned()).chain(rest).collect()
}

fn loading(parts: u32) -> String {
    format!("{}.{:02}", parts / 10_000, parts % 10_000 / 100)
}

fn blind_tables() -> String {
    let depths = [1u64, 2, 3, 5];
    let mut text = String::from(
        "**Who asks without knowing how it ends**, while somebody with that share attacks every block: what 1,000 covers of \
         `z · blockValue` bring the pool, in values of a block.\n\n",
    );
    text += &table(
        &head("real share", depths.iter().map(|z| format!("z = {z}"))),
        [20_000, 50_000, 100_000, 150_000, 200_000, 300_000].into_iter().map(|share| {
            head(&percent(share / 1_000), depths.iter().map(|z| tenths(blind(share, *z, DEFAULT))))
        }),
    );
    text += "The greatest real share at which the pool does not lose:\n\n";
    text += &table(
        &head("loading", depths.iter().map(|z| format!("z = {z}"))),
        [10_000, 12_500, DEFAULT, 20_000, 30_000].into_iter().map(|parts| {
            head(&loading(parts), depths.iter().map(|z| percent(blind_share(*z, parts))))
        }),
    );
    text
}

fn knowing_tables() -> String {
    let mut text = String::from(
        "**Who mines first**, by the best moves there are. What 1,000 attempts bring him, in values of a block, where a \
         block counts what it is worth or less; and the greatest `blockValue`, in parts of what a block is worth, at which he gains nothing:\n\n",
    );
    let limits = [500u32, 1_000, 2_000];
    let parts = LOADINGS.iter().map(|parts| format!("safe, loading {}", loading(*parts)));
    text += &table(
        &head("share", limits.iter().map(|one| format!("gain at {}", decimal(*one))).chain(parts)),
        SHARES.into_iter().map(|share| {
            let gains = limits.iter().map(|limit| {
                let gain = 1_000 * best_gain(share, ASSUMED, DEFAULT, *limit);
                if gain < BLOCK / 10 { "0".into() } else { tenths(gain) }
            });
            let safe = LOADINGS.iter().map(|parts| decimal(safe_limit(share, *parts)));
            head(&percent(share / 1_000), gains.chain(safe))
        }),
    );
    text += "The greatest share that gains nothing:\n\n";
    text += &table(
        &head("`blockValue`", LOADINGS.iter().map(|parts| format!("loading {}", loading(*parts)))),
        [250u32, 500, 750, 1_000, 1_250].into_iter().map(|limit| {
            let shares = LOADINGS.iter().map(|parts| percent(safe_share(limit, *parts)));
            head(&decimal(limit), shares)
        }),
    );
    text
}

/// The safe limits by share, a line for each loading.
fn plot() -> String {
    let (wide, high, left, top) = (640u32, 360u32, 56u32, 24u32);
    let x = |share: u32| left + share / 1_000 * wide / 500;
    let y = |limit: u32| top + high - limit.min(3_000) * high / 3_000;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        left + wide + 24,
        top + high + 56
    );
    for share in (0..=500_000).step_by(100_000) {
        let at = x(share);
        writeln!(svg, "<line x1=\"{at}\" y1=\"{top}\" x2=\"{at}\" y2=\"{}\" stroke=\"#dddddd\"/><text x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{} %</text>", top + high, top + high + 18, share / 10_000).unwrap();
    }
    for limit in (0..=3_000).step_by(500) {
        let at = y(limit);
        writeln!(svg, "<line x1=\"{left}\" y1=\"{at}\" x2=\"{}\" y2=\"{at}\" stroke=\"#dddddd\"/><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", left + wide, left - 6, at + 4, decimal(limit)).unwrap();
    }
    for (at, (parts, colour)) in
        (0u32..).zip(LOADINGS.into_iter().zip(["#d95f02", "#1b6ca8", "#2a9d3a"]))
    {
        let points: Vec<_> = (10_000..=490_000)
            .step_by(20_000)
            .map(|share| format!("{},{}", x(share), y(safe_limit(share, parts))))
            .collect();
        writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{}\" y=\"{}\" fill=\"{colour}\">loading {}</text>", points.join(" "), left + wide - 90, top + 16 + 16 * at, loading(parts)).unwrap();
    }
    writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">attacker's share of the hash rate</text>",
        left + wide / 2,
        top + high + 40
    )
    .unwrap();
    writeln!(svg, "<text x=\"14\" y=\"{}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {})\">safe blockValue, in values of a block</text>\n</svg>", top + high / 2, top + high / 2).unwrap();
    svg
}

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Compares what stands between the marks of the page with what is computed, or writes it.
fn compare(name: &str, computed: &str, marks: Option<(&str, &str)>) {
    let old = fs::read_to_string(file(name)).unwrap_or_default();
    let new = match marks {
        None => computed.to_owned(),
        Some((begin, end)) => {
            let (before, rest) = old.split_once(begin).expect("the mark of the beginning");
            let (_, after) = rest.split_once(end).expect("the mark of the end");
            format!("{before}{begin}\n{computed}{end}{after}")
        }
    };
    if std::env::var_os("GRID_WRITE_DOCS").is_some() {
        fs::write(file(name), new).unwrap();
        return;
    }
    assert!(old == new, "{name} is old: run this test with GRID_WRITE_DOCS=1");
}

#[test]
fn the_page_says_what_attackers_win_and_where_it_breaks() {
    let text = blind_tables() + &knowing_tables() + &long_run::table();
    compare(PAGE, &text, Some((BEGIN, END)));
    compare(PLOT, &plot(), None);
}

#[test]
fn at_the_defaults_the_pool_does_not_lose_and_nobody_gains() {
    for z in 1..6 {
        for share in [1_000, 20_000, 50_000, 100_000] {
            assert!(blind(share, z, DEFAULT) > 0, "{share} {z}");
        }
    }
    // A quarter of all hash rate at the full worth of a block, a third at half of it.
    for (share, limit) in [(10_000, 1_000), (100_000, 1_000), (250_000, 1_000), (340_000, 500)] {
        assert_eq!(best_gain(share, ASSUMED, DEFAULT, limit), 0, "{share} {limit}");
    }
    // Where it breaks.
    assert!(best_gain(300_000, ASSUMED, DEFAULT, 1_000) > 0);
    assert!(best_gain(100_000, ASSUMED, DEFAULT, 1_500) > 0);
    assert!(blind(200_000, 1, DEFAULT) < 0);
}
