//! The main chain's client of a chain that proves its finality, without the cryptography: which runs it
//! takes, and in which order headers enter the tree.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolValue as _;
use grid_core::{
    ChainId, CompatHeader, Family, Level, Security,
    api::{BlockRef, ChainInfo, SyncStatus},
    ethereum::sync::{NetworkConfig, SyncData},
};

use super::blocks::block_ref;

/// The refusal of what has nothing new.
pub(super) const KNOWN: &str = "already known";

/// Headers that enter the tree with one block.
const SETTLED: usize = 9;

/// Anchors, headers that wait, and the tree.
#[derive(Debug, Clone)]
pub(super) struct FinalClient {
    base: BlockRef,
    tip: BlockRef,
    slot: u64,
    anchors: Vec<B256>,
    pending: BTreeMap<u64, CompatHeader>,
}

impl FinalClient {
    pub(super) const fn new(base: BlockRef) -> Self {
        let slot = base.height;
        Self { base, tip: base, slot, anchors: Vec::new(), pending: BTreeMap::new() }
    }

    pub(super) const fn tip(&self) -> BlockRef {
        self.tip
    }

    pub(super) const fn base(&self) -> BlockRef {
        self.base
    }

    fn lowest(&self) -> Option<&CompatHeader> {
        self.pending.first_key_value().map(|(_, header)| header)
    }

    fn linked(&self) -> bool {
        self.lowest().is_some_and(|lowest| lowest.parentHash == self.tip.hash)
    }

    fn wanted(&self) -> Vec<B256> {
        let under = self.lowest().filter(|_| !self.linked()).map(|lowest| lowest.parentHash);
        under.into_iter().chain(self.anchors.iter().copied()).collect()
    }

    /// Takes a call's objects and headers; the number of new things, or why none is taken.
    pub(super) fn accept(&mut self, data: &[Bytes], headers: &[Bytes]) -> Result<usize, String> {
        let mut new = 0;
        for bytes in data {
            let data = SyncData::decode(&NetworkConfig::mainnet(), bytes);
            let SyncData::FinalityUpdate(update) = data.map_err(|error| error.to_string())? else {
                return Err("not an update of the simulation".into());
            };
            let header = update.finalized_header;
            if header.beacon.slot > self.slot {
                self.slot = header.beacon.slot;
                self.anchors.push(header.execution_block_hash);
                new += 1;
            }
        }
        let decode = |raw: &Bytes| CompatHeader::abi_decode(raw).map_err(|error| error.to_string());
        let mut run: Vec<_> = headers.iter().map(decode).collect::<Result<_, _>>()?;
        run.retain(|header| header.height > self.tip.height);
        run.retain(|header| !self.pending.contains_key(&header.height));
        if let Some(last) = run.last() {
            new += run.len();
            self.check(&run, last.blockHash)?;
            for header in run {
                self.anchors.retain(|anchor| *anchor != header.blockHash);
                self.pending.insert(header.height, header);
            }
        }
        if new == 0 { Err(KNOWN.into()) } else { Ok(new) }
    }

    /// Whether a call tells nothing new.
    pub(super) fn knows(&self, data: &[Bytes], headers: &[Bytes]) -> bool {
        self.clone().accept(data, headers).is_err_and(|error| error == KNOWN)
    }

    fn check(&self, run: &[CompatHeader], last: B256) -> Result<(), String> {
        let linked = |pair: &[CompatHeader]| pair[1].parentHash == pair[0].blockHash;
        let first = run.first().ok_or("no headers")?;
        let wanted = self.wanted();
        if !run.windows(2).all(linked) || !wanted.contains(&last) {
            return Err(format!("a run up to {last} that nobody waits for"));
        }
        let top = self.pending.last_key_value().map(|(_, top)| top.blockHash);
        let stands =
            first.parentHash == self.tip.hash || (self.linked() && Some(first.parentHash) == top);
        if !stands && (wanted.first() != Some(&last) || self.linked()) {
            return Err("a gap below a run that is not the lowest".into());
        }
        Ok(())
    }

    /// Moves headers into the tree; what enters out of order is a violation.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        for _ in 0..SETTLED {
            if !self.linked() {
                break;
            }
            let Some((_, header)) = self.pending.pop_first() else { break };
            if header.height != self.tip.height + 1 {
                return Err(format!("{} entered above {}", header.height, self.tip.height));
            }
            self.tip = block_ref(&header);
        }
        Ok(())
    }

    pub(super) fn info(&self, id: &ChainId, submitters: Vec<Address>) -> ChainInfo {
        ChainInfo {
            id: id.clone(),
            key: id.key().0,
            family: Family::Ethereum,
            security: Security::SyncCommittee,
            level: Level::L1,
            measured: false,
            median_interval: None,
            status: "active".into(),
            rule: "final".into(),
            first_height: self.base.height,
            base: self.base,
            tracked: self.tip,
            confirmed: Some(self.tip),
            tracked_headers: 1,
            tracked_bytes: 0,
            attesters: None,
            submitters,
            sync: Some(SyncStatus {
                started: true,
                checkpoint: B256::ZERO,
                finalized_slot: self.slot,
                finalized_root: B256::ZERO,
                finalized_time: 1_700_000_000 + self.slot,
                expires_at: 0,
                period: 0,
                next_committee_known: true,
                wanted: self.wanted(),
                pending: u64::try_from(self.pending.len()).unwrap_or(u64::MAX),
                missing_above: self.tip,
                lowest_pending: self.lowest().map(block_ref),
                loosened: Vec::new(),
            }),
        }
    }
}
