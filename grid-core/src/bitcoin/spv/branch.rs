//! From leaves and their siblings up to the root.

use alloy_primitives::B256;

use super::{MAX_DEPTH, MAX_TRANSACTIONS, SpvError, tree::node};

/// The root that a branch leads to.
///
/// # Errors
/// [`SpvError::TooDeep`], [`SpvError::Index`], [`SpvError::Duplicate`].
pub fn climb(leaf: B256, index: u64, branch: &[B256]) -> Result<B256, SpvError> {
    fold(branch.len(), vec![(index, leaf)], branch)
}

/// Whether a tree of this depth has this leaf.
pub(super) fn check_index(depth: usize, index: u64) -> Result<(), SpvError> {
    if depth > MAX_DEPTH {
        return Err(SpvError::TooDeep(depth));
    }
    let above = index.checked_shr(u32::try_from(depth).unwrap_or(u32::MAX));
    if index >= MAX_TRANSACTIONS || above != Some(0) {
        return Err(SpvError::Index { index, depth });
    }
    Ok(())
}

/// The root over `leaves`, which are sorted by strictly increasing index. `siblings` holds what the leaves do
/// not give: level by level from the leaves upwards, from left to right, a node that is paired with itself
/// included. Every one is used.
pub(super) fn fold(
    depth: usize,
    leaves: Vec<(u64, B256)>,
    siblings: &[B256],
) -> Result<B256, SpvError> {
    // Before anything is hashed: all leaves are in the tree, and the siblings are not absurdly many.
    for (index, _) in &leaves {
        check_index(depth, *index)?;
    }
    let most = depth.saturating_mul(leaves.len());
    if siblings.len() > most {
        return Err(SpvError::Nodes { needed: most, found: siblings.len() });
    }
    let mut fold = Fold { siblings: siblings.iter(), found: siblings.len(), last: false };
    let mut nodes = leaves;
    for level in 0..depth {
        nodes = fold.level(level, &nodes)?;
    }
    let unused = fold.siblings.len();
    match nodes.as_slice() {
        [(0, root)] if unused == 0 => Ok(*root),
        _ => {
            let found = siblings.len();
            Err(SpvError::Nodes { needed: found.saturating_sub(unused), found })
        }
    }
}

struct Fold<'a> {
    siblings: core::slice::Iter<'a, B256>,
    found: usize,
    /// The rightmost known node is the last of its level.
    last: bool,
}

impl Fold<'_> {
    fn sibling(&mut self) -> Result<B256, SpvError> {
        let missing = SpvError::Nodes { needed: self.found.saturating_add(1), found: self.found };
        self.siblings.next().copied().ok_or(missing)
    }

    /// The known nodes one level up.
    fn level(&mut self, level: usize, nodes: &[(u64, B256)]) -> Result<Vec<(u64, B256)>, SpvError> {
        let mut up = Vec::with_capacity(nodes.len());
        let mut known = nodes.iter().copied().peekable();
        while let Some((position, hash)) = known.next() {
            let parent = if position & 1 == 1 {
                let left = self.sibling()?;
                if left == hash {
                    return Err(SpvError::Duplicate { level });
                }
                node(&left, &hash)
            } else if let Some((_, right)) = known.next_if(|(next, _)| *next == position | 1) {
                if right == hash {
                    return Err(SpvError::Duplicate { level });
                }
                node(&hash, &right)
            } else {
                let right = self.sibling()?;
                let rightmost = known.peek().is_none();
                self.check_right(position, right == hash, rightmost)
                    .ok_or(SpvError::Duplicate { level })?;
                node(&hash, &right)
            };
            up.push((position >> 1, parent));
        }
        Ok(up)
    }

    /// A left node is paired with itself only as the last of its level, and never alone on it; its
    /// ancestors are then the last of theirs.
    fn check_right(&mut self, position: u64, equal: bool, rightmost: bool) -> Option<()> {
        let was_last = self.last && rightmost;
        let allowed = if equal { rightmost && position > 0 } else { !was_last };
        self.last |= equal;
        allowed.then_some(())
    }
}
