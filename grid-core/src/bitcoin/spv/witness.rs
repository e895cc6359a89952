//! Witness data, which the transaction ids leave out: the coinbase commits to it (BIP141).
//!
//! The witness tree has the shape of the transaction tree; its leaves are the witness transaction ids (`wtxid`),
//! zero for the coinbase. `SHA-256d(root ‖ reserved value)` stands in the coinbase's last output whose
//! script begins with `6a24aa21a9ed`. The reserved value is the coinbase's own witness. No id covers that, but the
//! commitment does.

use alloy_primitives::{B256, Bytes, hex};
use serde::{Deserialize, Serialize};

use super::{BlockContext, SpvError, climb, tree::node};
use crate::bitcoin::tx::Tx;

/// How the script of a witness commitment begins: `OP_RETURN`, a push of 36 bytes, BIP141's mark.
const COMMITMENT_PREFIX: [u8; 6] = hex!("6a24aa21a9ed");

/// A transaction with its witness, and everything that shows both to be in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WitnessProof {
    /// The transaction with its witness, if it has one.
    pub raw: Bytes,
    /// Its position in the block, not 0.
    pub index: u64,
    /// Siblings from the transaction id upwards.
    pub branch: Vec<B256>,
    /// Siblings from the witness transaction id upwards.
    pub witness_branch: Vec<B256>,
    /// The coinbase transaction without witness.
    pub coinbase: Bytes,
    /// Siblings of the coinbase in the transaction tree.
    pub coinbase_branch: Vec<B256>,
    /// The one item of the coinbase's witness.
    pub reserved_value: B256,
}

/// The commitment in a coinbase: Bitcoin Core's `GetWitnessCommitmentIndex`.
pub(super) fn commitment(coinbase: &Tx) -> Option<B256> {
    coinbase.inner().output.iter().rev().find_map(|output| {
        let rest = output.script_pubkey.as_bytes().strip_prefix(&COMMITMENT_PREFIX)?;
        rest.first_chunk().map(B256::from)
    })
}

/// The reserved value of a coinbase with its witness.
pub(super) fn reserved_value(coinbase: &Tx) -> Result<B256, SpvError> {
    let witness = coinbase.inner().input.first().map(|input| &input.witness);
    witness
        .filter(|witness| witness.len() == 1)
        .and_then(|witness| witness.nth(0))
        .and_then(|item| B256::try_from(item).ok())
        .ok_or(SpvError::ReservedValue)
}

/// Checks that the witness root and the reserved value are what the coinbase commits to.
pub(super) fn check_commitment(
    coinbase: &Tx,
    root: &B256,
    reserved_value: &B256,
) -> Result<(), SpvError> {
    let expected = commitment(coinbase).ok_or(SpvError::NoCommitment)?;
    let found = node(root, reserved_value);
    if found == expected { Ok(()) } else { Err(SpvError::Commitment { found, expected }) }
}

/// Checks that the transaction with its witness is in the block, and returns it.
///
/// The transaction is shown to be in both trees at one index, and the coinbase fixes the depth of both. Where segwit
/// is not active yet, a coinbase may commit to anything, so such blocks are refused.
///
/// # Errors
/// The first [`SpvError`] met.
pub fn verify_witness(proof: &WitnessProof, block: &BlockContext) -> Result<Tx, SpvError> {
    let WitnessProof { raw, index, branch, witness_branch, coinbase, coinbase_branch, .. } = proof;
    if block.height < block.segwit_height {
        let BlockContext { height, segwit_height, .. } = *block;
        return Err(SpvError::BeforeSegwit { height, segwit_height });
    }
    if *index == 0 {
        return Err(SpvError::CoinbaseWitness);
    }
    if witness_branch.len() != branch.len() {
        let (branch, coinbase) = (witness_branch.len(), coinbase_branch.len());
        return Err(SpvError::Depth { branch, coinbase });
    }
    super::check_depths(branch, coinbase_branch)?;
    let tx = Tx::with_witness(raw).map_err(SpvError::Transaction)?;
    let coinbase = block.coinbase(coinbase)?;
    block.check_transaction(*index, &tx)?;
    block.check_root(*index, climb(tx.id(), *index, branch)?)?;
    block.check_root(0, climb(coinbase.id(), 0, coinbase_branch)?)?;
    let root = climb(tx.wtxid(), *index, witness_branch)?;
    check_commitment(&coinbase, &root, &proof.reserved_value)?;
    Ok(tx)
}
