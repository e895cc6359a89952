//! `grid bitcoin risk`.

use std::str::FromStr;

use bitcoin::Amount;
use eyre::{Result, WrapErr as _, bail};
use grid_core::risk::{
    self, Exposure, MAX_DEPTH, Probability, Ratio, Requirement, rosenfeld_by_depth,
};
use serde::Serialize;

use crate::{
    args::RiskArgs,
    output::{Output, table},
};

/// What is accepted where nothing is said: this part of the value.
const DEFAULT_LOSS: u64 = 1_000;
/// Rows where no number of confirmations is enough.
const HOPELESS_ROWS: u64 = 12;
/// Rows that a person reads one by one; after them every tenth.
const SINGLE_ROWS: u64 = 20;

/// Amounts in satoshi, probabilities with ten decimals.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    value: u64,
    max_loss: u64,
    share: String,
    /// What the value alone asks for.
    by_value: Option<u64>,
    /// One more than the deepest stale branch.
    floor: u64,
    kappa: Option<String>,
    /// What is needed in the end.
    needed: Option<u64>,
    table: Vec<Row>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    confirmations: u64,
    nakamoto: String,
    rosenfeld: String,
    /// For blocks as slow as `kappa` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<String>,
    expected_loss: u64,
    enough: bool,
}

pub(super) fn run(args: &RiskArgs, out: Output) -> Result<()> {
    let value = amount(&args.value).wrap_err("--value")?;
    let max_loss = match &args.max_loss {
        Some(text) => amount(text).wrap_err("--max-loss")?,
        None => value.div_ceil(DEFAULT_LOSS),
    };
    let exposure = Exposure { value, max_loss, share: share(&args.share).wrap_err("--share")? };
    if args.depth.is_some_and(|depth| depth > MAX_DEPTH) {
        bail!("--depth must be at most {MAX_DEPTH}: more confirmations are not told apart");
    }
    let kappa = args.kappa.unwrap_or(Ratio::ZERO);
    let requirement = exposure.requirement(args.stale, |_| Some(kappa));
    out.show(&report(&exposure, &requirement, args), people)
}

/// An amount with its unit, in satoshi.
fn amount(text: &str) -> Result<u64> {
    let amount = Amount::from_str(text).wrap_err_with(|| {
        format!("{text:?}: expected an amount with its unit, such as 0.5btc or 50000sat")
    })?;
    if amount == Amount::ZERO || amount > Amount::MAX_MONEY {
        bail!("{text:?}: expected more than nothing and at most all 21 million bitcoins");
    }
    Ok(amount.to_sat())
}

/// A share of the hash rate: `10%` or `0.1`.
fn share(text: &str) -> Result<Ratio> {
    let expected = || {
        format!("{text:?}: expected a percentage such as 10%, or a fraction below 1 such as 0.1")
    };
    let share = match text.strip_suffix('%') {
        Some(percent) => {
            let percent: Ratio = percent.trim_end().parse().wrap_err_with(expected)?;
            Ratio::of(percent.parts(), 100 * Ratio::ONE.parts())
        }
        None => text.parse().wrap_err_with(expected)?,
    };
    if share == Ratio::ZERO || share >= Ratio::ONE {
        bail!(expected());
    }
    Ok(share)
}

fn report(exposure: &Exposure, requirement: &Requirement, args: &RiskArgs) -> Report {
    let last = requirement.needed.unwrap_or(HOPELESS_ROWS).max(args.depth.unwrap_or(0));
    let row = |(z, rosenfeld): (u64, Probability)| {
        let slow = args.kappa.map(|kappa| risk::time_conditioned(exposure.share, z, kappa));
        // What counts is the worse of both.
        let worst = slow.map_or(rosenfeld, |slow| slow.max(rosenfeld));
        Row {
            confirmations: z,
            nakamoto: risk::nakamoto(exposure.share, z).to_string(),
            rosenfeld: rosenfeld.to_string(),
            slow: slow.map(|slow| slow.to_string()),
            expected_loss: worst.expected_loss(exposure.value),
            enough: exposure.accepts(worst) && z >= requirement.floor,
        }
    };
    Report {
        value: exposure.value,
        max_loss: exposure.max_loss,
        share: exposure.share.to_string(),
        by_value: requirement.by_value,
        floor: requirement.floor,
        kappa: args.kappa.map(|kappa| kappa.to_string()),
        needed: requirement.needed,
        table: (0..=last).zip(rosenfeld_by_depth(exposure.share)).map(row).collect(),
    }
}

fn people(report: &Report) -> String {
    let sat = |sat| Amount::from_sat(sat).to_string();
    let share = report.share.parse::<Ratio>().unwrap_or(Ratio::ZERO);
    let percent = Ratio::of(share.parts(), Ratio::ONE.parts() / 100);
    let mut text = format!(
        "{} at stake against {percent}% of the hash rate; an expected loss of {} is accepted\n\n",
        sat(report.value),
        sat(report.max_loss)
    );
    text.push_str(&rows(report));
    text.push('\n');
    text.push_str(&match report.by_value {
        Some(z) => format!("by value       {z} (Rosenfeld's probability times the value)\n"),
        None => format!("by value       more than {MAX_DEPTH}\n"),
    });
    text.push_str(&format!("floor          {} (1 + the deepest stale branch)\n", report.floor));
    if let Some(kappa) = &report.kappa {
        let why = format!("the blocks took {kappa} times the expected time");
        text.push_str(&match report.needed {
            Some(needed) => format!("slow arrival   {needed} ({why})\n"),
            None => format!("slow arrival   no number of confirmations is enough ({why})\n"),
        });
    }
    match report.needed {
        Some(needed) => text.push_str(&format!("needed         {needed} confirmations")),
        None if report.by_value.is_some() => {
            text.push_str(
                "needed         nothing is enough: the attacker mines faster than the blocks come",
            );
        }
        None => text
            .push_str("needed         nothing is enough: lower the value or accept a greater loss"),
    }
    text
}

fn rows(report: &Report) -> String {
    let shown = report.table.iter().filter(|row| {
        let z = row.confirmations;
        z <= SINGLE_ROWS || z % 10 == 0 || Some(z) == report.needed
    });
    table(
        ["CONFIRMATIONS", "NAKAMOTO", "ROSENFELD", "THIS SLOW", "EXPECTED LOSS", "ENOUGH"],
        shown.map(|row| {
            [
                row.confirmations.to_string(),
                row.nakamoto.clone(),
                row.rosenfeld.clone(),
                row.slow.clone().unwrap_or_else(|| "-".into()),
                format!("{} sat", row.expected_loss),
                if row.enough { "yes".into() } else { "no".into() },
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_name_their_unit() {
        let cases = [("1btc", 100_000_000), ("0.5 BTC", 50_000_000), ("50000sat", 50_000)];
        for (text, sat) in cases {
            assert_eq!(amount(text).expect("an amount"), sat, "{text}");
        }
        for text in ["1", "0.5", "btc", "-1btc", "0sat", "0.123456789btc", "21000001btc", ""] {
            assert!(amount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_percentages_or_fractions() {
        for text in ["10%", "10 %", "0.1", "10.0%"] {
            assert_eq!(share(text).expect("a share"), Ratio::from_ppm(100_000), "{text}");
        }
        for text in ["10", "0", "0%", "100%", "1", "-0.1", "ten", ""] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    fn reported(kappa: Option<&str>, stale: u64) -> Report {
        let kappa = kappa.map(|text| text.parse().expect("a ratio"));
        let exposure = Exposure { value: 1_000, max_loss: 1, share: Ratio::from_ppm(100_000) };
        let requirement = exposure.requirement(stale, |_| Some(kappa.unwrap_or(Ratio::ZERO)));
        let args = RiskArgs {
            value: "1000sat".into(),
            share: "10%".into(),
            max_loss: None,
            kappa,
            stale,
            depth: None,
        };
        report(&exposure, &requirement, &args)
    }

    #[test]
    fn the_last_row_is_the_first_that_is_enough() {
        for (kappa, stale, needed) in [(None, 0, 6), (None, 8, 9), (Some("3"), 0, 13)] {
            let report = reported(kappa, stale);
            assert_eq!(report.needed, Some(needed));
            let enough: Vec<_> = report.table.iter().filter(|row| row.enough).collect();
            assert_eq!(enough.len(), 1, "{report:?}");
            assert_eq!(enough[0].confirmations, needed);
        }
        let hopeless = reported(Some("9"), 0);
        assert_eq!(hopeless.needed, None);
        assert!(people(&hopeless).contains("nothing is enough"));
    }

    #[test]
    fn the_numbers_are_explained() {
        let text = people(&reported(None, 0));
        for part in [
            "0.00001000 BTC at stake against 10% of",
            "0.0002428",
            "0.0005914122",
            "needed         6 confirmations",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
