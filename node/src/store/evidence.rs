//! Evidence that waits for a block: kept until the chain knows it, whatever happens to the process.

use alloy_primitives::{Address, Bytes};
use redb::{ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableError};

use super::{Store, StoreError, tables::EVIDENCE};

/// The most that is kept. One piece a validator and epoch is all that counts, so this is never reached by
/// honest means.
const MOST: u64 = 1_024;

/// What proves that a validator voted twice in an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvidence {
    /// The validator.
    pub offender: Address,
    /// The epoch of its votes.
    pub epoch: u64,
    /// Call data for the staking contract.
    pub call: Bytes,
}

impl Store {
    /// Keeps evidence; `false` where that validator's of that epoch is kept already, or where there is no room.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn put_evidence(&self, evidence: &StoredEvidence) -> Result<bool, StoreError> {
        let write = self.begin_write()?;
        let is_new = {
            let mut table = write.open_table(EVIDENCE)?;
            let key = (&evidence.offender.0.0, evidence.epoch);
            let is_new = table.get(key)?.is_none() && table.len()? < MOST;
            if is_new {
                table.insert(key, evidence.call.as_ref())?;
            }
            is_new
        };
        write.commit()?;
        Ok(is_new)
    }

    /// All evidence that waits.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn evidence(&self) -> Result<Vec<StoredEvidence>, StoreError> {
        let read = self.db.begin_read()?;
        // The table comes with the first evidence: most databases never have any.
        let table = match read.open_table(EVIDENCE) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut list = Vec::new();
        for row in table.iter()? {
            let (key, call) = row?;
            let (offender, epoch) = key.value();
            let call = Bytes::copy_from_slice(call.value());
            list.push(StoredEvidence { offender: Address::from(offender), epoch, call });
        }
        Ok(list)
    }

    /// Forgets evidence.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub fn remove_evidence(&self, offender: &Address, epoch: u64) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        write.open_table(EVIDENCE)?.remove((&offender.0.0, epoch))?;
        write.commit()?;
        Ok(())
    }
}
