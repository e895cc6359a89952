//! The headers that were verified here: a light client for the branches near the tip, and the plain
//! bytes of the settled part below it.

use alloy_primitives::{B256, Bytes, U256};
use grid_core::{
    ChainKey,
    bitcoin::{BitcoinClient, Checkpoint, CheckpointError, HeaderError, NetworkParams},
    light_client::ClientError,
};

use crate::{
    SourceHeader, SourceTip,
    bitcoin::header::{self, LEN},
};

/// Headers kept with all their branches: two reorganisations of two retargeting periods, the deepest
/// that any network has had being far less.
const KEPT: u64 = 8_064;

/// Branches are stored up to this many blocks' work behind the tip. A reorganisation of two retargeting
/// periods arrives in answers of 2,000 headers, so its first ones are that far behind.
const MAX_BEHIND: u64 = 4_032 + 144;

/// A chain from a trusted start, every header checked by the network's rules.
#[derive(Debug)]
pub(super) struct VerifiedChain {
    key: ChainKey,
    client: BitcoinClient,
    /// Height of the first settled header.
    first: u64,
    /// Headers below the light client's base, ascending: no branch forks off below it.
    settled: Vec<[u8; LEN]>,
}

impl VerifiedChain {
    pub(super) fn new(params: NetworkParams, start: &Checkpoint) -> Result<Self, CheckpointError> {
        let key = params.chain_id().key();
        let client = BitcoinClient::new(params, start)?.with_max_behind(MAX_BEHIND);
        Ok(Self { key, client, first: start.height, settled: Vec::new() })
    }

    /// Height of the trusted start.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// Height of the lowest header that a branch can fork off.
    pub(super) fn base(&self) -> u64 {
        self.client.tree().base().height()
    }

    /// The header of most work among all that were ever shown.
    pub(super) fn top(&self) -> SourceTip {
        let top = self.client.tree().tip();
        SourceTip { height: top.height(), hash: top.hash() }
    }

    /// Height and cumulative work of a header near the tip.
    pub(super) fn get(&self, hash: &B256) -> Option<(u64, U256)> {
        let found = self.client.tree().get(hash)?;
        Some((found.height(), found.weight()))
    }

    /// Verifies headers, each the child of the one before, and stores them up to the first bad one.
    /// `now_ms`: milliseconds since 1970.
    pub(super) fn accept(&mut self, raws: &[[u8; LEN]], now_ms: u64) -> Result<(), HeaderError> {
        let rejected = self.client.accept_all(raws, now_ms).rejected;
        self.settle();
        match rejected {
            None => Ok(()),
            Some(ClientError::Header(error)) => Err(error),
            // Never more than an answer may have, and always Bitcoin's.
            Some(_) => Err(HeaderError::NotContinuous { index: raws.len() }),
        }
    }

    /// Moves what no reorganisation reaches any more out of the light client.
    fn settle(&mut self) {
        let (base, top) = (self.base(), self.top().height);
        if top.saturating_sub(base) < 2 * KEPT {
            return;
        }
        let keep = top.saturating_sub(KEPT);
        let tree = self.client.tree();
        self.settled.extend((base..keep).filter_map(|height| tree.best_at(height)?.bytes()));
        self.client.tree_mut().prune(keep);
    }

    /// The highest header on both branches.
    pub(super) fn fork(&self, one: &B256, other: &B256) -> Option<SourceTip> {
        let (height, hash) = self.client.tree().path(one, other)?.common;
        Some(SourceTip { height, hash })
    }

    /// The header at a height of the branch that ends in `tip`.
    pub(super) fn ancestor(&self, tip: &B256, height: u64) -> Option<SourceTip> {
        let found = self.client.tree().ancestor(tip, height)?;
        Some(SourceTip { height, hash: found.hash() })
    }

    /// Headers of the branch that ends in `tip`, ascending from a height at or above the trusted start.
    pub(super) fn headers(&self, tip: &SourceTip, from: u64, count: usize) -> Vec<SourceHeader> {
        let settled = from.saturating_sub(self.first);
        let above = tip.height.saturating_add(1).saturating_sub(from);
        let count = usize::try_from(above).unwrap_or(usize::MAX).min(count);
        let settled = usize::try_from(settled).unwrap_or(usize::MAX).min(self.settled.len());
        let below = self.settled.iter().skip(settled).take(count);
        let mut headers: Vec<SourceHeader> = (from..u64::MAX)
            .zip(below)
            .map(|(height, raw)| header::normalise(self.key, height, raw))
            .collect();
        headers.extend(self.branch(tip, self.base().max(from), count - headers.len()));
        headers
    }

    /// As [`headers`](Self::headers), of the part that is in the light client.
    fn branch(&self, tip: &SourceTip, from: u64, count: usize) -> Vec<SourceHeader> {
        let tree = self.client.tree();
        let end = from.saturating_add(count as u64).min(tip.height.saturating_add(1));
        let mut headers = Vec::with_capacity(count);
        // Downwards, so that a branch beside the best one is walked once.
        let mut cursor = end.checked_sub(1).and_then(|top| tree.ancestor(&tip.hash, top));
        while let Some(at) = cursor.filter(|at| at.height() >= from && headers.len() < count) {
            headers.extend(at.bytes().map(|raw| SourceHeader {
                compat: at.compat(),
                raw: Bytes::copy_from_slice(&raw),
            }));
            cursor = at.parent();
        }
        headers.reverse();
        headers
    }
}
