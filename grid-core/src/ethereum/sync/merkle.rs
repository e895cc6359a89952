//! SSZ Merkle trees over SHA-256, and the places of what a light client proves in them.

use alloy_primitives::B256;
use bitcoin_hashes::{Hash as _, HashEngine as _, sha256};

use super::network::Fork;

/// Depth of the deepest proof of a finalized root: Gloas.
pub const FINALITY_DEPTH: usize = 9;
/// Depth of the deepest proof of a sync committee: Gloas.
pub const COMMITTEE_DEPTH: usize = 11;
/// Depth of the deepest proof of an execution block's hash: Gloas.
pub const EXECUTION_DEPTH: usize = 11;

/// Proof of the finalized checkpoint's root, shallower ones filled with zeros at the front.
pub type FinalityBranch = [B256; FINALITY_DEPTH];
/// Proof of a sync committee, filled alike.
pub type CommitteeBranch = [B256; COMMITTEE_DEPTH];
/// Proof of an execution block's hash in the block's body, filled alike.
pub type ExecutionBranch = [B256; EXECUTION_DEPTH];

/// `finalized_root_gindex_at_slot`.
#[must_use]
pub const fn finalized_root_gindex(fork: Option<Fork>) -> u64 {
    match fork {
        Some(Fork::Gloas) => 735,
        Some(Fork::Electra | Fork::Fulu) => 169,
        _ => 105,
    }
}

/// `current_sync_committee_gindex_at_slot`.
#[must_use]
pub const fn current_committee_gindex(fork: Option<Fork>) -> u64 {
    match fork {
        Some(Fork::Gloas) => 2945,
        Some(Fork::Electra | Fork::Fulu) => 86,
        _ => 54,
    }
}

/// `next_sync_committee_gindex_at_slot`.
#[must_use]
pub const fn next_committee_gindex(fork: Option<Fork>) -> u64 {
    match fork {
        Some(Fork::Gloas) => 2946,
        Some(Fork::Electra | Fork::Fulu) => 87,
        _ => 55,
    }
}

/// `EXECUTION_BLOCK_HASH_GINDEX*`: the execution block's hash in a beacon block's body. None before
/// Capella, when light-client data had none.
#[must_use]
pub const fn block_hash_gindex(fork: Option<Fork>) -> Option<u64> {
    match fork {
        Some(Fork::Gloas) => Some(2856),
        Some(Fork::Deneb | Fork::Electra | Fork::Fulu) => Some(812),
        Some(Fork::Capella) => Some(412),
        _ => None,
    }
}

/// SHA-256 of two nodes.
#[must_use]
pub fn node(left: &B256, right: &B256) -> B256 {
    let mut engine = sha256::Hash::engine();
    engine.input(left.as_slice());
    engine.input(right.as_slice());
    B256::new(sha256::Hash::from_engine(engine).to_byte_array())
}

/// Root of a tree over the leaves, filled with zero leaves to the next power of two.
#[must_use]
pub fn root(leaves: &[B256]) -> B256 {
    layers(leaves).last().and_then(|top| top.first()).copied().unwrap_or_default()
}

/// The tree's layers, from the filled leaves to the root.
fn layers(leaves: &[B256]) -> Vec<Vec<B256>> {
    let mut layer = leaves.to_vec();
    layer.resize(leaves.len().max(1).next_power_of_two(), B256::ZERO);
    let mut layers = Vec::new();
    while layer.len() > 1 {
        let above =
            layer.as_chunks::<2>().0.iter().map(|[left, right]| node(left, right)).collect();
        layers.push(core::mem::replace(&mut layer, above));
    }
    layers.push(layer);
    layers
}

/// The siblings on the way from a leaf to the root, lowest first.
#[must_use]
pub fn branch(leaves: &[B256], index: usize) -> Vec<B256> {
    let layers = layers(leaves);
    let below_root = layers.len().saturating_sub(1);
    let mut at = index;
    let mut siblings = Vec::with_capacity(below_root);
    for layer in layers.iter().take(below_root) {
        siblings.push(layer.get(at ^ 1).copied().unwrap_or_default());
        at >>= 1;
    }
    siblings
}

/// The root that a leaf with its siblings leads to (`compute_merkle_branch_root`). Only the lowest
/// bits of `gindex`, one for each sibling, say on which side the leaf stands.
#[must_use]
pub fn branch_root(leaf: &B256, siblings: &[B256], gindex: u64) -> B256 {
    let mut at = gindex;
    let mut value = *leaf;
    for sibling in siblings {
        value = if at & 1 == 1 { node(sibling, &value) } else { node(&value, sibling) };
        at >>= 1;
    }
    value
}

/// `is_valid_normalized_merkle_branch`: the branch proves `leaf` at `gindex` under `root`, and what
/// is filled in front of it is zero.
#[must_use]
pub fn verify(leaf: &B256, branch: &[B256], gindex: u64, root: &B256) -> bool {
    let Some(depth) = gindex.checked_ilog2().and_then(|depth| usize::try_from(depth).ok()) else {
        return false;
    };
    let Some(extra) = branch.len().checked_sub(depth) else { return false };
    let (filled, siblings) = branch.split_at(extra);
    filled.iter().all(B256::is_zero) && branch_root(leaf, siblings, gindex) == *root
}

/// A branch filled with zeros at the front (`normalize_merkle_branch`); none if it is too deep.
#[must_use]
pub fn fill<const DEPTH: usize>(branch: &[B256]) -> Option<[B256; DEPTH]> {
    let mut filled = [B256::ZERO; DEPTH];
    let extra = DEPTH.checked_sub(branch.len())?;
    filled.iter_mut().skip(extra).zip(branch).for_each(|(to, from)| *to = *from);
    Some(filled)
}

/// The leaf of a number: little endian, filled with zeros.
#[must_use]
pub fn uint(number: u64) -> B256 {
    bytes(&number.to_le_bytes())
}

/// The leaf of at most 32 bytes, filled with zeros. More bytes are cut off.
#[must_use]
pub fn bytes(value: &[u8]) -> B256 {
    let mut leaf = B256::ZERO;
    leaf.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
    leaf
}

/// Root of a vector of bytes longer than a leaf.
#[must_use]
pub fn byte_vector(value: &[u8]) -> B256 {
    root(&value.chunks(32).map(bytes).collect::<Vec<_>>())
}
