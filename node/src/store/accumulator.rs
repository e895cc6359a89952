//! The prover's side of the accumulators: every node, at its append-only position.

use std::{collections::BTreeMap, fmt};

use alloy_primitives::B256;
use alloy_sol_types::SolValue as _;
use grid_core::{
    ChainKey, CompatHeader,
    index::ChainEntry,
    mmr::{self, Mmr, NodeStore},
};
use redb::{ReadOnlyTable, ReadableTable, Table, WriteTransaction};

use super::{
    StoreError,
    tables::{self, Key32},
};

/// The nodes of one chain's accumulator, in a snapshot.
pub struct AccumulatorNodes {
    chain: ChainKey,
    table: ReadOnlyTable<(Key32, u64), Key32>,
}

impl fmt::Debug for AccumulatorNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccumulatorNodes").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl AccumulatorNodes {
    pub(super) const fn new(chain: ChainKey, table: ReadOnlyTable<(Key32, u64), Key32>) -> Self {
        Self { chain, table }
    }
}

impl NodeStore for AccumulatorNodes {
    fn node(&self, position: u64) -> Option<B256> {
        node(&self.table, self.chain, position)
    }
}

/// A node under a write transaction, with what the transaction wrote so far.
struct Written<'a, T> {
    chain: ChainKey,
    table: &'a T,
}

impl<T: ReadableTable<(Key32, u64), Key32>> NodeStore for Written<'_, T> {
    fn node(&self, position: u64) -> Option<B256> {
        node(self.table, self.chain, position)
    }
}

fn node(
    table: &impl ReadableTable<(Key32, u64), Key32>,
    chain: ChainKey,
    position: u64,
) -> Option<B256> {
    match table.get((&chain.0.0, position)) {
        Ok(node) => node.map(|node| B256::from(node.value())),
        Err(error) => {
            // The seam knows no failure: what can't be read is missing, and the prover says so.
            tracing::error!(%error, %chain, position, "reading an accumulator node failed");
            None
        }
    }
}

/// The write side: the tables that index events change, opened once per block.
pub(super) struct Writer<'t> {
    headers: Table<'t, (Key32, u64), &'static [u8]>,
    heights: Table<'t, (Key32, Key32), u64>,
    nodes: Table<'t, (Key32, u64), Key32>,
    ranges: Table<'t, Key32, (u64, u64)>,
    /// First height and range of the chains that changed.
    open: BTreeMap<ChainKey, (u64, Mmr)>,
}

impl<'t> Writer<'t> {
    pub(super) fn new(write: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            headers: write.open_table(tables::HEADERS)?,
            heights: write.open_table(tables::HEADER_HEIGHTS)?,
            nodes: write.open_table(tables::MMR_NODES)?,
            ranges: write.open_table(tables::RANGES)?,
            open: BTreeMap::new(),
        })
    }

    fn take(&mut self, chain: ChainKey) -> Result<Option<(u64, Mmr)>, StoreError> {
        if let Some(open) = self.open.remove(&chain) {
            return Ok(Some(open));
        }
        let row = self.ranges.get(&chain.0.0)?.map(|range| range.value());
        let Some((first, count)) = row else { return Ok(None) };
        Ok(Some((first, self.cut(chain, count)?)))
    }

    fn cut(&self, chain: ChainKey, count: u64) -> Result<Mmr, StoreError> {
        mmr::cut_back(&Written { chain, table: &self.nodes }, count)
            .map_err(|error| StoreError::value("mmr_nodes", error))
    }

    /// Appends a confirmed header to its chain's accumulator; the first one starts it.
    pub(super) fn append(&mut self, header: &CompatHeader) -> Result<(), StoreError> {
        let chain = header.chain_key();
        let key = &chain.0.0;
        let (first, mut range) = self.take(chain)?.unwrap_or_else(|| (header.height, Mmr::new()));
        if first.checked_add(range.count()) != Some(header.height) {
            let reason = format!(
                "header {} of chain {chain} does not continue {} headers from {first}",
                header.height,
                range.count()
            );
            return Err(StoreError::value("ranges", reason));
        }
        for (position, node) in mmr::append_with_nodes(&mut range, header.leaf()) {
            self.nodes.insert((key, position), &node.0)?;
        }
        self.headers.insert((key, header.height), header.abi_encode().as_slice())?;
        self.heights.insert((key, &header.blockHash.0), header.height)?;
        self.open.insert(chain, (first, range));
        Ok(())
    }

    /// Forgets a chain's confirmed headers from height `from` upwards.
    pub(super) fn cut_back(&mut self, chain: ChainKey, from: u64) -> Result<(), StoreError> {
        let key = &chain.0.0;
        let Some((first, range)) = self.take(chain)? else { return Ok(()) };
        let count = range.count();
        let kept = from.saturating_sub(first).min(count);
        let range = self.cut(chain, kept)?;
        self.nodes.retain_in((key, mmr::size(kept))..(key, mmr::size(count)), |_, _| false)?;
        for height in first.saturating_add(kept)..first.saturating_add(count) {
            let Some(header) = self.headers.remove((key, height))? else { continue };
            let header = CompatHeader::abi_decode(header.value())
                .map_err(|error| StoreError::value("headers", error))?;
            self.heights.remove((key, &header.blockHash.0))?;
        }
        self.open.insert(chain, (first, range));
        Ok(())
    }

    /// Records the new ranges and checks that they lead to the roots that the block commits to: if they
    /// did not, every later proof would be worthless, so the block is then not committed. A chain that
    /// left the index in this block has no root to compare with.
    pub(super) fn finish(mut self, entries: &[ChainEntry]) -> Result<(), StoreError> {
        for (chain, (first, range)) in std::mem::take(&mut self.open) {
            let differs = |entry: &&ChainEntry| {
                entry.firstHeight != first
                    || entry.count != range.count()
                    || entry.accumulatorRoot != range.root()
            };
            let entry = entries.iter().find(|entry| entry.chain == chain.0);
            if let Some(entry) = entry.filter(differs) {
                let reason = format!(
                    "the {} stored headers of chain {chain} from {first} do not lead to the root of {} from {}",
                    range.count(),
                    entry.count,
                    entry.firstHeight
                );
                return Err(StoreError::value("mmr_nodes", reason));
            }
            self.ranges.insert(&chain.0.0, (first, range.count()))?;
        }
        Ok(())
    }
}
