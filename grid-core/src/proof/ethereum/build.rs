//! Building a proof.

use super::{
    EthereumEvidence, EthereumFactError, EthereumProof, EthereumRef, EthereumRoots, show::Found,
};
use crate::ethereum::mpt::Recorder;

impl EthereumProof {
    /// The proof of `facts`, given in any order, from evidence that may hold more than it needs. It has been
    /// verified.
    ///
    /// # Errors
    /// As [`show`](Self::show); [`EthereumFactError::Missing`] and
    /// [`MptError::Truncated`](crate::ethereum::mpt::MptError::Truncated) where evidence is missing.
    pub fn build(
        mut facts: Vec<EthereumRef>,
        roots: &EthereumRoots,
        evidence: &EthereumEvidence,
    ) -> Result<Self, EthereumFactError> {
        facts.sort_unstable();
        facts.dedup();
        let all = facts.iter().any(EthereumRef::needs_receipts);
        let receipts = if all { evidence.receipts.clone() } else { Vec::new() };
        let mut codes = Vec::new();
        for fact in &facts {
            if let EthereumRef::Code { address, bytes: true } = fact {
                let code = evidence.codes.get(address);
                codes.push(code.ok_or(EthereumFactError::Missing("bytes of a code"))?.clone());
            }
        }
        let mut recorder = Recorder::new(&evidence.nodes);
        Found::look_up(&facts, &receipts, roots, &mut recorder)?;
        let proof = Self { facts, nodes: recorder.into_nodes(), receipts, codes };
        proof.show(roots)?;
        Ok(proof)
    }
}
