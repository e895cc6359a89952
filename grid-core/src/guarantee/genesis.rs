//! Guarantees from block 0.

use serde::{Deserialize, Serialize};

use super::{
    params::{self, GuaranteeParams, Terms},
    records::store_terms,
};
use crate::{
    ChainId, Security,
    modules::ChainRecord,
    state::{Overlay, StorageError},
};

/// Turns guarantees on. The pool starts empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuaranteeGenesis {
    /// The rules; each has a default.
    #[serde(default)]
    pub params: GuaranteeParams,
    /// The chains of genesis whose transactions are guaranteed. Later the governor adds others.
    #[serde(default)]
    pub chains: Vec<TermsOf>,
}

/// The terms of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TermsOf {
    /// CAIP-2 id.
    pub chain: ChainId,
    /// Its terms.
    pub terms: Terms,
}

impl GuaranteeGenesis {
    /// Checks rules and terms against the chains of genesis.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn validate(&self, chains: &[ChainRecord]) -> Result<(), String> {
        self.params.validate()?;
        for (at, TermsOf { chain, terms }) in self.chains.iter().enumerate() {
            terms.validate().map_err(|error| format!("{chain}: {error}"))?;
            match chains.iter().find(|record| record.id == *chain) {
                Some(record) if record.security == Security::ProofOfWork => {}
                Some(_) => return Err(format!("{chain} has no proof of work")),
                None => return Err(format!("{chain} is not a chain of this genesis")),
            }
            if self.chains.iter().take(at).any(|other| other.chain == *chain) {
                return Err(format!("{chain} has terms twice"));
            }
        }
        Ok(())
    }
}

/// Writes a valid description.
pub(crate) fn apply(
    overlay: &mut Overlay<'_>,
    genesis: &GuaranteeGenesis,
) -> Result<(), StorageError> {
    params::store(overlay, &genesis.params)?;
    for TermsOf { chain, terms } in &genesis.chains {
        store_terms(overlay, chain.key(), terms);
    }
    Ok(())
}
