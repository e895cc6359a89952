//! How a tree loses what is old.

use super::{
    HeaderRef, HeaderTree, RawHeader, TrackedHeader, chunk_of,
    grow::Arrival,
    nodes::{Bodies, Body, NONE, Node},
};

impl HeaderTree {
    /// Makes the best branch's header at `new_base_height` the base and drops everything that does
    /// not descend from it. Nothing happens at or below the base, or above the tip.
    ///
    /// Costs time in the number of headers kept; callers prune by whole chunks, not by header.
    pub fn prune(&mut self, new_base_height: u64) {
        let above = self.above(new_base_height);
        let Some(new_base) = above.and_then(|above| self.best_node(above)).filter(|n| *n != 0)
        else {
            return;
        };
        let Some(mut tree) = self.rooted_at(new_base) else { return };
        let mut pruned = self.dirty();
        pruned.extend(chunk_of(self.base_height)..=chunk_of(new_base_height));
        let mut kept = vec![NONE; self.len()];
        for (number, node) in (0u32..).zip(self.nodes.iter()) {
            let place = if number == new_base {
                0
            } else {
                let parent = kept.get(node.parent as usize).copied().unwrap_or(NONE);
                self.copy_into(&mut tree, number, parent, &kept)
            };
            if let Some(slot) = kept.get_mut(number as usize) {
                *slot = place;
            }
            let height = self.height_of(node);
            if place == NONE && height >= new_base_height {
                pruned.insert(chunk_of(height));
            }
        }
        tree.best = self
            .best
            .iter()
            .filter_map(|node| kept.get(*node as usize).copied())
            .filter(|node| *node != NONE)
            .collect();
        tree.next_seq = self.next_seq;
        tree.clean = tree.len();
        tree.pruned = pruned;
        tree.most = self.most;
        *self = tree;
    }

    /// A tree of one of this tree's nodes alone.
    fn rooted_at(&self, node: u32) -> Option<Self> {
        let header = HeaderRef::new(self, node);
        let raw = match self.bodies {
            Bodies::Bitcoin { .. } => {
                RawHeader::Bitcoin { bytes: header.bytes()?, context: header.context()? }
            }
            Bodies::Ethereum(_) => RawHeader::Ethereum,
        };
        let base = TrackedHeader {
            header: header.compat(),
            weight: header.weight(),
            seen: header.seen(),
            raw,
        };
        Some(Self::with_base(base, self.seq_of(self.node(node)), self.len()))
    }

    /// Copies a node of this tree on top of `parent` in another; [`NONE`] where there is no parent.
    /// `kept` has the new numbers of the nodes before it.
    fn copy_into(&self, tree: &mut Self, number: u32, parent: u32, kept: &[u32]) -> u32 {
        let Some(mut body) = self.bodies.get(number).filter(|_| parent != NONE) else {
            return NONE;
        };
        if let Body::Bitcoin(body) = &mut body {
            body.period = if body.period == number {
                tree.next_node()
            } else {
                kept.get(body.period as usize).copied().unwrap_or(NONE)
            };
        }
        let node = self.node(number);
        let Node { hash, seen, .. } = *node;
        let (weight, seq) = (self.weight_of(node), self.seq_of(node));
        tree.push(parent, &Arrival { hash, weight, seen, seq }, body).unwrap_or(NONE)
    }
}
