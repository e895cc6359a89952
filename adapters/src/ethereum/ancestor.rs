//! Facts of a block below the index, through the state of a later block.

use grid_core::{
    CompatHeader,
    proof::{
        Inclusion,
        ethereum::{
            EthereumEvidence, EthereumFact, EthereumProof,
            ancestor::{AncestorError, AncestorProof, HISTORY_CONTRACT, history_slot, is_named},
        },
    },
};

use super::{EthereumSource, state::StateQuery};
use crate::{AdapterError, Material};

impl EthereumSource {
    /// The facts of the block `ancestor`, shown under the header of the block at height `via`.
    pub(super) async fn through(
        &self,
        via: u64,
        ancestor: &CompatHeader,
        facts: EthereumProof,
    ) -> Result<Material, AdapterError> {
        let (height, hash) = (ancestor.height, ancestor.blockHash);
        if !is_named(height, via) {
            let error = AncestorError::Window { height, indexed: via };
            return Err(AdapterError::Invalid(error.to_string()));
        }
        let Some(raw) = self.by_hash(hash).await?.map(|header| header.raw) else {
            return Err(self.not_found(format!("block {hash}"), "; it was reorganised away"));
        };
        let header = self.state_header(Some(via)).await?;
        let slot = history_slot(height);
        let query = StateQuery::of(&[EthereumFact::Storage { address: HISTORY_CONTRACT, slot }]);
        let mut evidence = EthereumEvidence::default();
        self.state_evidence(query, &header, &mut evidence).await?;
        let proof = AncestorProof::build(&header, raw, &evidence.nodes, facts).map_err(
            |error| match error {
                AncestorError::Trie(error) => self.unproven(&header, &error),
                other => AdapterError::Invalid(other.to_string()),
            },
        )?;
        Ok(Material { header, inclusion: Inclusion::EthereumAncestor(proof) })
    }
}
