//! The main chain's light client of an attested chain, without the cryptography: a tree of headers in which the
//! longest branch wins.

use std::collections::HashMap;

use alloy_primitives::{Address, B256};
use grid_core::{
    ChainId, CompatHeader, Family, Level, Security,
    api::{BlockRef, ChainInfo},
    ethereum::attest::AttesterSet,
};

use super::{blocks::block_ref, final_client::KNOWN};

/// Every header that was submitted.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    level: Level,
    base: BlockRef,
    tip: BlockRef,
    /// Hash → parent's hash and height.
    headers: HashMap<B256, (B256, u64)>,
}

impl Tree {
    pub(super) fn new(base: BlockRef, level: Level) -> Self {
        let headers = HashMap::from([(base.hash, (B256::ZERO, base.height))]);
        Self { level, base, tip: base, headers }
    }

    pub(super) const fn set_level(&mut self, level: Level) {
        self.level = level;
    }

    /// The tree at its beginning.
    pub(super) fn wiped(&self) -> Self {
        Self::new(self.base, self.level)
    }

    pub(super) const fn tip(&self) -> BlockRef {
        self.tip
    }

    pub(super) fn has(&self, hash: &B256) -> bool {
        self.headers.contains_key(hash)
    }

    /// Adds linked headers; the number of new ones, or why none is taken.
    pub(super) fn add(&mut self, headers: &[CompatHeader]) -> Result<usize, String> {
        let first = headers.first().ok_or("no headers")?;
        let Some((_, mut height)) = self.headers.get(&first.parentHash).copied() else {
            return Err(format!("parent of {} is unknown", first.height));
        };
        let mut parent = first.parentHash;
        // All or nothing, as one transaction.
        for header in headers {
            if header.parentHash != parent || header.height != height + 1 {
                return Err(format!("header {} is not linked", header.height));
            }
            (parent, height) = (header.blockHash, header.height);
        }
        let mut added = 0;
        for header in headers {
            let entry = (header.parentHash, header.height);
            added += usize::from(self.headers.insert(header.blockHash, entry).is_none());
            if header.height > self.tip.height {
                self.tip = block_ref(header);
            }
        }
        if added == 0 { Err(KNOWN.into()) } else { Ok(added) }
    }

    /// Tip first, steps that double after the first ten, the base last.
    pub(super) fn locator(&self) -> Vec<BlockRef> {
        let mut best = Vec::new();
        let (mut at, mut step) = (self.tip, 1_u64);
        loop {
            best.push(at);
            if at.height <= self.base.height {
                return best;
            }
            if best.len() > 10 {
                step *= 2;
            }
            for _ in 0..step {
                if at.height <= self.base.height {
                    break;
                }
                let parent = self.headers.get(&at.hash).map_or(self.base.hash, |(hash, _)| *hash);
                at = BlockRef { height: at.height - 1, hash: parent };
            }
        }
    }

    pub(super) fn info(
        &self,
        id: &ChainId,
        attesters: &AttesterSet,
        submitters: Vec<Address>,
    ) -> ChainInfo {
        ChainInfo {
            id: id.clone(),
            key: id.key().0,
            family: Family::Ethereum,
            security: Security::Attested,
            level: self.level,
            measured: false,
            median_interval: None,
            status: "active".into(),
            rule: "instant".into(),
            first_height: self.base.height,
            base: self.base,
            tracked: self.tip,
            confirmed: Some(self.base),
            tracked_headers: u64::try_from(self.headers.len()).unwrap_or(u64::MAX),
            tracked_bytes: 0,
            sync: None,
            attesters: Some(attesters.clone()),
            submitters,
        }
    }
}
