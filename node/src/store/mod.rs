//! The node's database.
//!
//! One redb file holds everything of a chain: blocks, certificates, receipts, state, confirmed foreign
//! headers and their accumulators. Everything that a decided block changes is one write transaction
//! ([`Store::commit`]), durable when the call returns, so a process may be killed at any moment: after a
//! restart the database is exactly at some committed block. A database is created under a temporary name
//! and renamed once its genesis block is durable, so a half-created one is never opened.

mod accumulator;
mod commit;
mod error;
mod evidence;
mod open;
mod tables;
#[cfg(test)]
mod tests;
mod view;

use std::path::{Path, PathBuf};

use alloy_primitives::{B256, Bytes};
use grid_core::{ethereum::sync::SharedKeys, grid::CommitCertificate};
use redb::{Database, ReadableDatabase as _, ReadableTable as _};

pub use accumulator::AccumulatorNodes;
pub use error::StoreError;
pub use evidence::StoredEvidence;
pub use open::FILE;
pub use tables::StoredReceipts;
pub use view::View;

/// The database of one chain. Reads see a snapshot ([`View`]) and never wait for a write.
#[derive(Debug)]
pub struct Store {
    db: Database,
    path: PathBuf,
    genesis: B256,
    keys: SharedKeys,
}

impl Store {
    /// A snapshot of the newest committed state.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn view(&self) -> Result<View, StoreError> {
        View::new(self.db.begin_read()?, self.keys.clone())
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hash of the genesis block.
    #[must_use]
    pub const fn genesis(&self) -> B256 {
        self.genesis
    }

    /// Size of the database file in bytes; 0 where it can't be read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// Makes the body of a proposal durable.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn put_body(&self, height: u64, hash: B256, body: &[u8]) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        write.open_table(tables::BODIES)?.insert((height, &hash.0), body)?;
        write.commit()?;
        Ok(())
    }

    /// The body of a proposal or of a committed block.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn body(&self, height: u64, hash: B256) -> Result<Option<Bytes>, StoreError> {
        let read = self.db.begin_read()?;
        let bodies = read.open_table(tables::BODIES)?;
        if let Some(body) = bodies.get((height, &hash.0))? {
            return Ok(Some(Bytes::copy_from_slice(body.value())));
        }
        if read.open_table(tables::BLOCK_HEIGHTS)?.get(&hash.0)?.map(|found| found.value())
            != Some(height)
        {
            return Ok(None);
        }
        let blocks = read.open_table(tables::BLOCKS)?;
        Ok(blocks.get(height)?.map(|block| Bytes::copy_from_slice(block.value())))
    }

    /// Replaces the certificate of a committed block.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails or the block is not the committed one.
    pub fn replace_certificate(&self, certificate: &CommitCertificate) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        {
            let heights = write.open_table(tables::BLOCK_HEIGHTS)?;
            let found = heights.get(&certificate.block_hash.0)?.map(|found| found.value());
            if found != Some(certificate.height) {
                return Err(StoreError::NotNext {
                    height: certificate.height,
                    hash: certificate.block_hash,
                    reason: "the certificate is for a block that is not committed".into(),
                });
            }
            let bytes = tables::encode_certificate(certificate);
            write.open_table(tables::CERTIFICATES)?.insert(certificate.height, bytes.as_slice())?;
        }
        write.commit()?;
        Ok(())
    }

    fn begin_write(&self) -> Result<redb::WriteTransaction, StoreError> {
        let mut write = self.db.begin_write()?;
        // Costs a little at each commit and makes opening after a crash instant, however large the
        // file is; without it the whole file is walked.
        write.set_quick_repair(true);
        Ok(write)
    }
}
