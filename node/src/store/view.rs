//! A snapshot of the database.

use std::fmt;

use alloy_consensus::Header;
use alloy_primitives::B256;
use alloy_rlp::Decodable as _;
use alloy_sol_types::SolValue as _;
use grid_core::{
    ChainKey, CompatHeader,
    ethereum::sync::SharedKeys,
    grid::{CommitCertificate, ValidatorSet},
    state::{ChainState, StateRead, StateTreeRead, StorageError},
    transition::Block,
};
use redb::{ReadOnlyTable, ReadTransaction};

use super::{AccumulatorNodes, StoreError, StoredReceipts, tables};

/// Everything as of one committed block, unmoved by later commits.
///
/// The chain's state behind it ([`ChainState`]) is that of the newest block; older states are not kept.
pub struct View {
    height: u64,
    values: ReadOnlyTable<&'static [u8], &'static [u8]>,
    nodes: ReadOnlyTable<&'static [u8], &'static [u8]>,
    read: ReadTransaction,
    keys: SharedKeys,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("height", &self.height).finish_non_exhaustive()
    }
}

impl View {
    pub(super) fn new(read: ReadTransaction, keys: SharedKeys) -> Result<Self, StoreError> {
        let height = {
            let meta = read.open_table(tables::META)?;
            meta.get(tables::META_HEAD)?
                .and_then(|value| value.value().try_into().ok().map(u64::from_be_bytes))
                .ok_or_else(|| StoreError::value("meta", "no head height"))?
        };
        let values = read.open_table(tables::VALUES)?;
        let nodes = read.open_table(tables::TREE_NODES)?;
        Ok(Self { height, values, nodes, read, keys })
    }

    /// Height of the newest block.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.height
    }

    /// A block.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn block(&self, height: u64) -> Result<Option<Block>, StoreError> {
        let blocks = self.read.open_table(tables::BLOCKS)?;
        blocks.get(height)?.map(|bytes| decode("blocks", bytes.value())).transpose()
    }

    /// A block as RLP: the body that consensus decided.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn block_rlp(&self, height: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let blocks = self.read.open_table(tables::BLOCKS)?;
        Ok(blocks.get(height)?.map(|bytes| bytes.value().to_vec()))
    }

    /// A block's header, without decoding its transactions.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn header(&self, height: u64) -> Result<Option<Header>, StoreError> {
        let blocks = self.read.open_table(tables::BLOCKS)?;
        let Some(bytes) = blocks.get(height)? else { return Ok(None) };
        let mut rest = bytes.value();
        let header = alloy_rlp::Header::decode(&mut rest)
            .and_then(|_| Header::decode(&mut rest))
            .map_err(|error| StoreError::value("blocks", error))?;
        Ok(Some(header))
    }

    /// Height of a block.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn block_height(&self, hash: &B256) -> Result<Option<u64>, StoreError> {
        let heights = self.read.open_table(tables::BLOCK_HEIGHTS)?;
        Ok(heights.get(&hash.0)?.map(|height| height.value()))
    }

    /// Receipts and senders of a block; empty for a block without transactions.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn receipts(&self, height: u64) -> Result<StoredReceipts, StoreError> {
        let receipts = self.read.open_table(tables::RECEIPTS)?;
        match receipts.get(height)? {
            Some(bytes) => tables::decode_receipts(bytes.value())
                .map_err(|error| StoreError::value("receipts", error)),
            None => Ok(StoredReceipts::default()),
        }
    }

    /// Height and index of a transaction.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn transaction(&self, hash: &B256) -> Result<Option<(u64, u32)>, StoreError> {
        let transactions = self.read.open_table(tables::TRANSACTIONS)?;
        Ok(transactions.get(&hash.0)?.map(|place| place.value()))
    }

    /// The certificate of a block; `None` for genesis.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn certificate(&self, height: u64) -> Result<Option<CommitCertificate>, StoreError> {
        let certificates = self.read.open_table(tables::CERTIFICATES)?;
        let Some(bytes) = certificates.get(height)? else { return Ok(None) };
        tables::decode_certificate(bytes.value())
            .map(Some)
            .ok_or_else(|| StoreError::value("certificates", "not a certificate"))
    }

    /// Who decides `height`: known up to the height after the newest block.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn validators(&self, height: u64) -> Result<Option<ValidatorSet>, StoreError> {
        if height > self.height.saturating_add(1) {
            return Ok(None);
        }
        let validators = self.read.open_table(tables::VALIDATORS)?;
        let Some(row) = validators.range(..=height)?.next_back() else { return Ok(None) };
        let set = serde_json::from_slice(row?.1.value())
            .map_err(|error| StoreError::value("validators", error))?;
        Ok(Some(set))
    }

    /// First height and number of confirmed headers of a chain.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn range(&self, chain: ChainKey) -> Result<Option<(u64, u64)>, StoreError> {
        let ranges = self.read.open_table(tables::RANGES)?;
        Ok(ranges.get(&chain.0.0)?.map(|range| range.value()))
    }

    /// A confirmed header of a chain.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn confirmed(
        &self,
        chain: ChainKey,
        height: u64,
    ) -> Result<Option<CompatHeader>, StoreError> {
        let headers = self.read.open_table(tables::HEADERS)?;
        let Some(bytes) = headers.get((&chain.0.0, height))? else { return Ok(None) };
        CompatHeader::abi_decode(bytes.value())
            .map(Some)
            .map_err(|error| StoreError::value("headers", error))
    }

    /// Height of a confirmed header of a chain.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn confirmed_height(
        &self,
        chain: ChainKey,
        hash: &B256,
    ) -> Result<Option<u64>, StoreError> {
        let heights = self.read.open_table(tables::HEADER_HEIGHTS)?;
        Ok(heights.get((&chain.0.0, &hash.0))?.map(|height| height.value()))
    }

    /// The nodes of a chain's accumulator.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn accumulator(&self, chain: ChainKey) -> Result<AccumulatorNodes, StoreError> {
        Ok(AccumulatorNodes::new(chain, self.read.open_table(tables::MMR_NODES)?))
    }
}

#[cfg(test)]
impl View {
    /// All values and all nodes of the state's tree.
    pub(crate) fn contents(&self) -> (Pairs, Pairs) {
        use redb::ReadableTable as _;

        let pairs = |table: &ReadOnlyTable<&'static [u8], &'static [u8]>| -> Pairs {
            let rows = table.iter().unwrap().map(Result::unwrap);
            rows.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())).collect()
        };
        (pairs(&self.values), pairs(&self.nodes))
    }
}

#[cfg(test)]
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn decode<T: alloy_rlp::Decodable>(table: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    alloy_rlp::decode_exact(bytes).map_err(|error| StoreError::value(table, error))
}

fn storage_error(error: impl fmt::Display) -> StorageError {
    StorageError::new(error.to_string())
}

impl StateRead for View {
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let value = self.values.get(key).map_err(storage_error)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn committee_keys(&self) -> Option<&SharedKeys> {
        Some(&self.keys)
    }
}

impl StateTreeRead for View {
    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let node = self.nodes.get(key).map_err(storage_error)?;
        Ok(node.map(|node| node.value().to_vec()))
    }
}

impl ChainState for View {
    fn version(&self) -> u64 {
        self.height
    }
}
