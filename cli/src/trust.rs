//! `trust.json`: the Grid chain and validators that `grid verify` trusts.

use std::{fs, path::Path};

use eyre::{Result, WrapErr as _};
use grid_core::{
    grid::{Validator, ValidatorSet},
    proof::{Trust, TrustAnchor},
};
use serde::{Deserialize, Serialize};

/// Content of a trust file. Hand it to an auditor by a way that you trust: everything that `grid verify`
/// says rests on it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TrustFile {
    /// Number in `eip155:<n>` of the Grid chain.
    pub(crate) chain_id: u64,
    /// Its validators, by increasing address.
    pub(crate) validators: Vec<Validator>,
}

impl TrustFile {
    /// Reads a trust file.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).wrap_err_with(|| {
            format!(
                "cannot read the trust file {} (give another with --trust, or --block-hash)",
                file.display()
            )
        })?;
        serde_json::from_str(&text).wrap_err_with(|| {
            format!("{} is not a trust file (chainId, validators)", file.display())
        })
    }

    /// Writes a trust file.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, serde_json::to_string_pretty(self)? + "\n")
            .wrap_err_with(|| format!("cannot write {}", file.display()))
    }

    /// What to verify against.
    pub(crate) fn trust(&self) -> Result<Trust> {
        Ok(Trust {
            chain_id: self.chain_id,
            anchor: TrustAnchor::Validators(ValidatorSet::new(self.validators.clone())?),
        })
    }
}
