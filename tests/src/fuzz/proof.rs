//! Proofs, in both of their forms.

use alloy_primitives::B256;
use grid_core::proof::{Anchor, BlockProof, CrossChainProof, Trust, TrustAnchor, verify};

/// Reads bytes as a proof in binary form. What is taken has no other spelling, survives the JSON form
/// and can be judged.
pub fn proof_binary(data: &[u8]) {
    let Ok(proof) = CrossChainProof::from_abi(data) else { return };
    assert_eq!(proof.to_abi().as_ref(), data, "another spelling was taken");
    let json = proof.to_json().expect("a proof can be written");
    assert_eq!(CrossChainProof::from_json(json.as_bytes()).as_ref().ok(), Some(&proof));
    judge(&proof);
}

/// Reads bytes as a proof in JSON form, with the same demands.
pub fn proof_json(data: &[u8]) {
    let Ok(proof) = CrossChainProof::from_json(data) else { return };
    assert_eq!(proof.to_json().expect("a proof can be written").as_bytes(), data);
    judge(&proof);
}

/// Reads bytes as a proof of facts in one Bitcoin block. Where it holds, its parts put together again
/// are the same proof.
pub fn block_proof(data: &[u8]) {
    let Ok(proof) = BlockProof::from_json(data) else { return };
    assert_eq!(proof.to_json().expect("a proof can be written").as_bytes(), data);
    if let Ok(proven) = proof.verify() {
        let BlockProof { source, header, inclusion, claim, .. } = proof.clone();
        assert_eq!(proven.claim, claim);
        assert_eq!(BlockProof::assemble(source, header.0, inclusion), Ok(proof));
    }
}

/// Verifies a proof against the block that it names itself. What is proven is what it claims.
fn judge(proof: &CrossChainProof) {
    let hash = match &proof.anchor {
        Anchor::BlockHash { hash } => *hash,
        _ => proof.grid_block().map_or(B256::ZERO, |(_, hash)| hash),
    };
    let trust = Trust { chain_id: 1, anchor: TrustAnchor::BlockHash(hash) };
    if let Ok(proven) = verify(proof, &trust) {
        assert_eq!(proven.get().claim, proof.claim);
    }
}
