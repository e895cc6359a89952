//! Work on top of a header.

use alloy_primitives::U256;

use crate::header_tree::HeaderTree;

/// Where enough work lies on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// The greatest such height of the best branch.
    pub(super) height: u64,
    /// The work of one block by which it was counted.
    pub(super) block: U256,
    /// When the blocks counted were begun, seconds since 1970: the earliest time of them and of the block below, because
    /// times of single headers run backwards.
    pub(super) begun: u64,
}

/// The last header of the best branch that has that many blocks' work on top, its own included. `None` if not even
/// the base has.
pub(super) fn reach(tree: &HeaderTree, blocks: u64) -> Option<Reach> {
    let blocks = U256::from(blocks.max(1));
    let (tip, base) = (tree.tip(), tree.base());
    let mut block = tip.real_work();
    // Most of what cannot be reached is seen without a walk.
    let all = tip.weight().saturating_sub(base.weight()).saturating_add(base.own_weight());
    if all < block.saturating_mul(blocks) {
        return None;
    }
    let (mut header, mut on_top, mut begun) = (tip, U256::ZERO, tip.time());
    loop {
        let work = header.own_weight();
        on_top = on_top.saturating_add(work);
        block = block.max(work);
        let parent = header.parent();
        begun = begun.min(parent.map_or(begun, |parent| parent.time()));
        if on_top >= block.saturating_mul(blocks) {
            return Some(Reach { height: header.height(), block, begun });
        }
        header = parent?;
    }
}
