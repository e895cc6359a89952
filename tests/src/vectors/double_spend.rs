//! Tables of the probability that a double spend succeeds.

use std::path::Path;

use grid_core::risk::{self, Probability, Ratio};

use super::{Outcome, hexes};

/// Columns `q,z,nakamoto_poisson,rosenfeld_negbinomial`, or `q,z,kappa,P` for the probability given how
/// slowly the blocks came. Compared to the last decimal that is listed.
pub(super) fn tables(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    for row in hexes::rows(path)? {
        let (q, z) = (row.number::<Ratio>("q")?, row.number("z")?);
        let mut compare = |name: &str, label: String, found: Probability| {
            // Tables made in floating point have minus zero where hardly anything is left.
            let expected = row.get(name)?.trim_start_matches('-');
            let decimals = expected.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            outcome.equal(label, &format!("{found:.decimals$}").as_str(), &expected);
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
