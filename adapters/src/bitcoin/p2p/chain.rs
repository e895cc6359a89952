//! The verified headers: a light client over the newest ones, and the best chain down to its start.
//!
//! The light client's tree holds every branch of the last [`WINDOW`] heights, so a reorganisation
//! may be that deep; below it only the best chain is kept, 80 bytes a header.

#[cfg(test)]
mod tests;

use alloy_primitives::{B256, U256, map::B256Set};
use grid_core::{
    bitcoin::{
        BitcoinClient, Checkpoint, CheckpointError, Header, NetworkParams,
        client::DEFAULT_MAX_BEHIND,
        presync::{Presync, PresyncLimits, PresyncStart},
    },
    header_tree::SideHeader,
    light_client::Accepted,
};

use super::store::HeaderFile;
use crate::{AdapterError, Branch, SourceHeader, SourceTip, bitcoin::header, source::MAX_HEADERS};

/// Heights below the tip whose branches are kept: five retargeting periods of mainnet.
pub(super) const WINDOW: u64 = 10_080;

/// How far below the tip a branch may leave the best one to be told of, a day of blocks.
const BRANCH_DEPTH: u64 = 144;
/// Most branches told of.
const MOST_BRANCHES: usize = 8;

/// Hashes in a locator before its steps double.
const LOCATOR_STEPS: u64 = 10;

/// Headers from a start to the tip of most work.
#[derive(Debug)]
pub(super) struct Chain {
    client: BitcoinClient,
    /// Height of the first of `best`.
    start: u64,
    best: Vec<[u8; header::LEN]>,
    min_work: U256,
    file: Option<HeaderFile>,
}

impl Chain {
    /// A chain of only its start, which is trusted.
    pub(super) fn new(
        params: NetworkParams,
        start: &Checkpoint,
        min_work: Option<U256>,
        file: Option<HeaderFile>,
    ) -> Result<Self, CheckpointError> {
        let min_work = min_work.unwrap_or(params.minimum_chain_work);
        // Whether a branch is worth its memory is decided here, before the client sees it.
        let client = BitcoinClient::new(params, start)?.with_max_behind(u64::MAX);
        Ok(Self { client, start: start.height, best: vec![start.header.0], min_work, file })
    }

    /// Reads the kept headers, verifying all of them. `note` is told the height now and then.
    pub(super) fn replay(&mut self, now_ms: u64, mut note: impl FnMut(u64)) -> std::io::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.replay(MAX_HEADERS, |headers| {
            let accepted = self.accept(headers, now_ms);
            self.follow();
            note(self.tip().height);
            accepted.added.saturating_add(accepted.known)
        })?;
        self.file = Some(file);
        Ok(())
    }

    pub(super) fn tip(&self) -> SourceTip {
        let tip = self.client.tree().tip();
        SourceTip { height: tip.height(), hash: tip.hash() }
    }

    /// The tip's time, seconds.
    pub(super) fn tip_time(&self) -> u64 {
        self.client.tree().tip().time()
    }

    /// Cumulative work of the tip.
    pub(super) fn work(&self) -> U256 {
        self.client.tree().tip().weight()
    }

    /// Whether the network's known work has been reached.
    pub(super) fn has_minimum_work(&self) -> bool {
        self.work() >= self.min_work
    }

    /// The work that a branch has to have to be stored: the network's known work, and that of the
    /// tip but for a day of blocks.
    fn required_work(&self) -> U256 {
        let tip = self.client.tree().tip();
        let day = tip.own_weight().saturating_mul(U256::from(DEFAULT_MAX_BEHIND));
        tip.weight().saturating_sub(day).max(self.min_work)
    }

    /// Whether the headers after this one are worth storing unseen: it has enough work itself.
    /// `None` if it is not known.
    pub(super) fn is_paid(&self, parent: &B256) -> Option<bool> {
        let parent = self.client.tree().get(parent)?;
        Some(parent.weight() >= self.required_work())
    }

    /// Whether these headers, each with proof of work and following a known one, lead to enough
    /// work.
    pub(super) fn is_worth(&self, headers: &[[u8; header::LEN]]) -> bool {
        let parent = headers.first().map(header::parent);
        let Some(parent) = parent.and_then(|hash| self.client.tree().get(&hash)) else {
            return false;
        };
        let limit = self.client.params().pow_limit;
        let mut pow = grid_core::bitcoin::pow::ProofOfWork::new(limit);
        let mut work = parent.weight();
        for raw in headers {
            let Ok(more) = pow.check(&Header::parse(raw), &header::hash(raw)) else { break };
            work = work.saturating_add(more);
        }
        work >= self.required_work()
    }

    /// A two-phase download of the branch that starts with a child of `parent`.
    pub(super) fn presync(&self, parent: &B256, now: u64) -> Option<Presync> {
        let tracked = self.client.tree().get(parent)?;
        let start = PresyncStart {
            height: tracked.height(),
            hash: *parent,
            bits: tracked.bitcoin()?.bits,
            chain_work: tracked.weight(),
            median_time: tracked.context()?.median_time(),
        };
        let params = self.client.params().clone();
        let limits = PresyncLimits::default();
        Some(Presync::new(params, limits, &start, self.required_work(), now, rand::random()))
    }

    /// Verifies and stores headers, at most [`MAX_HEADERS`], each the child of the one before.
    pub(super) fn extend(&mut self, headers: &[[u8; header::LEN]], now_ms: u64) -> Accepted {
        let accepted = self.accept(headers, now_ms);
        if let Some(keep) = self.follow()
            && let Some(file) = &mut self.file
        {
            let new = self.best.get(keep..).unwrap_or_default();
            if let Err(error) = file.splice(keep as u64, new) {
                // The chain is whole in memory; only the next start will take longer.
                tracing::warn!(%error, "headers file is not written any more");
                self.file = None;
            }
        }
        accepted
    }

    fn accept(&mut self, headers: &[[u8; header::LEN]], now_ms: u64) -> Accepted {
        let accepted = self.client.accept_all(headers, now_ms);
        let tree = self.client.tree();
        let window = tree.tip().height().saturating_sub(tree.base().height());
        if window > 2 * WINDOW {
            let base = tree.tip().height().saturating_sub(WINDOW);
            self.client.tree_mut().prune(base);
        }
        accepted
    }

    /// Makes `best` the tree's best branch again; the number of headers that stayed, if any
    /// changed.
    fn follow(&mut self) -> Option<usize> {
        let tree = self.client.tree();
        let tip = tree.tip().height();
        let old = self.best.len();
        let mut keep = old.min(self.index(tip)?.saturating_add(1));
        while let Some(last) = keep.checked_sub(1) {
            let height = self.start.saturating_add(last as u64);
            let same = match tree.best_at(height).and_then(|header| header.bytes()) {
                Some(bytes) => self.best.get(last) == Some(&bytes),
                // Below the tree nothing changes.
                None => true,
            };
            if same {
                break;
            }
            keep = last;
        }
        let from = self.start.saturating_add(keep as u64);
        if keep == old && from > tip {
            return None;
        }
        self.best.truncate(keep);
        let new =
            (from..=tip).map_while(|height| tree.best_at(height).and_then(|header| header.bytes()));
        self.best.extend(new);
        Some(keep)
    }

    fn index(&self, height: u64) -> Option<usize> {
        usize::try_from(height.checked_sub(self.start)?).ok()
    }

    /// The lowest height.
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// Headers of the best chain from a height on; empty above the tip and below the start.
    pub(super) fn headers(&self, from: u64, count: usize) -> &[[u8; header::LEN]] {
        let above = self.index(from).and_then(|from| self.best.get(from..)).unwrap_or_default();
        above.get(..count.min(above.len())).unwrap_or_default()
    }

    /// Height of a block and whether it is on the best chain. Of branches below the window nothing
    /// is known.
    pub(super) fn find(&self, hash: &B256) -> Option<(u64, bool)> {
        let tree = self.client.tree();
        if let Some(tracked) = tree.get(hash) {
            return Some((tracked.height(), tree.is_best(hash)));
        }
        // Each header names its parent, so nothing needs to be hashed.
        let children = self.best.iter().skip(1);
        let at = children.into_iter().position(|child| header::parent(child) == *hash)?;
        Some((self.start.saturating_add(at as u64), true))
    }

    /// Branches beside the best one that leave it near its tip, most work first.
    pub(super) fn branches(&self) -> Vec<Branch> {
        let tree = self.client.tree();
        let near = tree.tip().height().saturating_sub(BRANCH_DEPTH);
        let side: Vec<SideHeader<'_>> =
            tree.side_headers().filter(|side| side.fork.height() >= near).collect();
        let parents: B256Set = side.iter().map(|side| side.header.parent_hash()).collect();
        let mut leaves: Vec<&SideHeader<'_>> =
            side.iter().filter(|side| !parents.contains(&side.header.hash())).collect();
        leaves.sort_by_key(|leaf| core::cmp::Reverse(leaf.header.weight()));
        let branch = |leaf: &&SideHeader<'_>| {
            let (mut headers, mut at) = (Vec::new(), leaf.header);
            while at.hash() != leaf.fork.hash() {
                headers.push(SourceHeader { compat: at.compat(), raw: at.bytes()?.into() });
                at = at.parent()?;
            }
            headers.reverse();
            let fork = SourceTip { height: leaf.fork.height(), hash: leaf.fork.hash() };
            Some(Branch { fork, headers, members: Vec::new() })
        };
        leaves.iter().take(MOST_BRANCHES).filter_map(branch).collect()
    }

    /// Hashes to tell a peer where this chain is: densely from `from` downward, then ever sparser,
    /// the start at the end.
    pub(super) fn locator(&self, from: u64) -> Vec<B256> {
        let mut hashes = Vec::with_capacity(32);
        let (mut height, mut step) = (from.min(self.tip().height), 1);
        loop {
            hashes.extend(self.headers(height, 1).first().map(|raw| header::hash(raw)));
            if height <= self.start {
                return hashes;
            }
            if hashes.len() as u64 >= LOCATOR_STEPS {
                step *= 2;
            }
            height = height.saturating_sub(step).max(self.start);
        }
    }
}

impl From<CheckpointError> for AdapterError {
    fn from(error: CheckpointError) -> Self {
        Self::Invalid(error.to_string())
    }
}
