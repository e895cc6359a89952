//! A block's writes over the committed state, with checkpoints.

use std::{collections::BTreeMap, fmt};

use super::{StateDiff, StateRead, StorageError};
use crate::ethereum::sync::SharedKeys;

/// The state as a transaction of a block sees it: committed values under the block's own writes.
pub struct Overlay<'a> {
    base: &'a dyn StateRead,
    writes: StateDiff,
    /// What each write replaced in `writes`, oldest first.
    journal: Vec<(Vec<u8>, Replaced)>,
}

/// The write that another one replaced: none, a removal, or a value.
type Replaced = Option<Option<Vec<u8>>>;

/// A point to go back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Checkpoint(usize);

impl fmt::Debug for Overlay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").field("writes", &self.writes.len()).finish_non_exhaustive()
    }
}

impl StateRead for Overlay<'_> {
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.get(key)
    }

    fn committee_keys(&self) -> Option<&SharedKeys> {
        self.base.committee_keys()
    }
}

impl<'a> Overlay<'a> {
    /// An overlay without writes.
    #[must_use]
    pub fn new(base: &'a dyn StateRead) -> Self {
        Self { base, writes: BTreeMap::new(), journal: Vec::new() }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`StorageError`] where the storage fails.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        match self.writes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.base.read(key),
        }
    }

    /// Writes a value.
    pub fn set(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.write(key, Some(value));
    }

    /// Removes a key.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.write(key, None);
    }

    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let replaced = self.writes.insert(key.clone(), value);
        self.journal.push((key, replaced));
    }

    /// Marks this point.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint(self.journal.len())
    }

    /// Undoes every write since the checkpoint.
    pub fn rollback(&mut self, to: Checkpoint) {
        while self.journal.len() > to.0 {
            match self.journal.pop() {
                Some((key, Some(replaced))) => {
                    self.writes.insert(key, replaced);
                }
                Some((key, None)) => {
                    self.writes.remove(&key);
                }
                None => break,
            }
        }
    }

    /// The block's changes, without writes that leave a value as it was.
    ///
    /// # Errors
    /// [`StorageError`] where the storage fails.
    pub fn into_diff(self) -> Result<StateDiff, StorageError> {
        let mut diff = self.writes;
        let mut unchanged = Vec::new();
        for (key, value) in &diff {
            if self.base.read(key)? == *value {
                unchanged.push(key.clone());
            }
        }
        for key in unchanged {
            diff.remove(&key);
        }
        Ok(diff)
    }
}
