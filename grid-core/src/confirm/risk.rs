//! How much work is enough against a double spend.

use alloy_primitives::U256;

use super::work::{self, Reach};
use crate::{
    header_tree::HeaderTree,
    risk::{Exposure, Ratio},
};

/// How far below the tip a branch that lost may end and still be a warning: a difficulty period.
const STALE_WINDOW: u64 = 2_016;

/// The height from which on a branch beside the best one competes: two headers are no accident.
const COMPETING: u64 = 2;

/// The greatest height of the best branch at which the expected loss is accepted, `now` in seconds since 1970.
///
/// 1. As many blocks as [`Exposure::requirement`] says, from the work of the deepest branch that lost within the last
///    2,016 blocks and from how long the blocks took until now.
/// 2. They are counted by work, as [`work::reach`] does.
/// 3. Nothing above the fork of a competing branch, of two headers or more, before the best branch leads
///    by the work of as many blocks: what the other branch has, an attacker need not find any more.
pub(super) fn confirmed_height(
    tree: &HeaderTree,
    now: u64,
    exposure: &Exposure,
    spacing: u32,
) -> Option<u64> {
    let kappa = |blocks: u64| {
        let Reach { begun, .. } = work::reach(tree, blocks)?;
        let expected = blocks.saturating_mul(spacing.into());
        Some(Ratio::of(now.saturating_sub(begun), expected))
    };
    let blocks = exposure.requirement(stale_depth(tree), kappa).needed?;
    let Reach { height, block, .. } = work::reach(tree, blocks)?;
    let lead = block.saturating_mul(U256::from(blocks));
    Some(held_back(tree, &lead).map_or(height, |fork| fork.min(height)))
}

/// The work of the deepest branch that lost lately, in blocks like the tip, rounded up.
fn stale_depth(tree: &HeaderTree) -> u64 {
    let tip = tree.tip();
    let block = tip.real_work().max(tip.own_weight());
    let lost = tree
        .side_headers()
        .filter(|side| side.header.height().saturating_add(STALE_WINDOW) > tip.height())
        .map(|side| side.header.weight().saturating_sub(side.fork.weight()))
        .max();
    let blocks = lost.unwrap_or_default().saturating_add(block.saturating_sub(U256::ONE));
    u64::try_from(blocks.checked_div(block).unwrap_or_default()).unwrap_or(u64::MAX)
}

/// The lowest fork of a branch over which the best one leads by less than `lead`.
fn held_back(tree: &HeaderTree, lead: &U256) -> Option<u64> {
    let tip = tree.tip().weight();
    tree.side_headers()
        .filter(|side| {
            side.header.height().saturating_sub(side.fork.height()) >= COMPETING
                && tip.saturating_sub(side.header.weight()) < *lead
        })
        .map(|side| side.fork.height())
        .min()
}
