//! Tables of the probability that a double spend succeeds.

use std::path::Path;

use alloy_primitives::U256;
use grid_core::risk::{self, Probability, Ratio};

use super::{Outcome, hexes};

/// Decimals that are compared: more than any table lists.
const DECIMALS: usize = 25;

/// Columns `q,z,nakamoto_poisson,rosenfeld_negbinomial`, or `q,z,kappa,P` for the probability given how
/// slowly the blocks came. Compared to the last decimal that is listed.
pub(super) fn tables(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    for row in hexes::rows(path)? {
        let (q, z) = (row.number::<Ratio>("q")?, row.number("z")?);
        let mut compare = |name: &str, label: String, found: Probability| {
            outcome.case(label, rounds_to(found, row.get(name)?));
            Ok::<_, String>(())
        };
        if row.get("kappa").is_ok() {
            let kappa = row.number("kappa")?;
            let found = risk::time_conditioned(q, z, kappa);
            compare("P", format!("q {q} z {z} kappa {kappa}"), found)?;
        } else {
            let nakamoto = risk::nakamoto(q, z);
            compare("nakamoto_poisson", format!("q {q} z {z} Nakamoto"), nakamoto)?;
            let rosenfeld = risk::rosenfeld(q, z);
            compare("rosenfeld_negbinomial", format!("q {q} z {z} Rosenfeld"), rosenfeld)?;
        }
    }
    Ok(())
}

/// Whether the listed number is the found one, correctly rounded. The middle between two listed numbers may be
/// rounded either way: Rosenfeld's are finite decimals, and tables made in floating point go either way there.
fn rounds_to(found: Probability, listed: &str) -> Result<(), String> {
    // Such tables also have minus zero where hardly anything is left.
    let number = listed.trim_start_matches('-');
    let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let rest = DECIMALS.checked_sub(decimals).ok_or_else(|| format!("too long: {listed}"))?;
    let unit = U256::from(10).pow(U256::from(rest));
    let digits = |text: &str| {
        text.replace('.', "").parse::<U256>().map_err(|_| format!("is not a number: {text}"))
    };
    let (listed_at, found_at) = (digits(number)? * unit, digits(&format!("{found:.DECIMALS$}"))?);
    if listed_at.abs_diff(found_at) * U256::from(2) <= unit {
        Ok(())
    } else {
        Err(format!("found {found:.DECIMALS$}, listed {listed}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_last_decimal_is_found() {
        // 0.00059141216 exactly
        let found = risk::rosenfeld(Ratio::from_ppm(100_000), 6);
        for listed in ["0.0005914122", "0.000591", "0.00059141216", "0"] {
            assert_eq!(rounds_to(found, listed), Ok(()), "{listed}");
        }
        for listed in ["0.0005914121", "0.0005914123", "0.000592", "0.00059141217", "1", "x"] {
            assert!(rounds_to(found, listed).is_err(), "{listed}");
        }
    }
}
