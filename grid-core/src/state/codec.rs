//! Reading and writing fixed-width fields of stored values.

use alloy_primitives::{Address, B256, U256};

use super::StorageError;
use crate::mmr::Mmr;

/// Takes fields off the front of a stored value; every failure names the value.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], StorageError> {
        let (head, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| StorageError::corrupt(self.what))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StorageError> {
        self.take(N)?.try_into().map_err(|_| StorageError::corrupt(self.what))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, StorageError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Result<u128, StorageError> {
        Ok(u128::from_be_bytes(self.array()?))
    }

    pub(crate) fn u256(&mut self) -> Result<U256, StorageError> {
        Ok(U256::from_be_bytes(self.array::<32>()?))
    }

    pub(crate) fn b256(&mut self) -> Result<B256, StorageError> {
        Ok(B256::new(self.array()?))
    }

    pub(crate) fn address(&mut self) -> Result<Address, StorageError> {
        Ok(Address::new(self.array()?))
    }

    /// A Merkle mountain range: its count says how many peaks follow.
    pub(crate) fn range(&mut self) -> Result<Mmr, StorageError> {
        let count = self.u64()?;
        let mut peaks = Vec::new();
        for _ in 0..count.count_ones() {
            peaks.push(self.b256()?);
        }
        Mmr::from_peaks(count, peaks).map_err(|_| StorageError::corrupt(self.what))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn end(&self) -> Result<(), StorageError> {
        if self.rest.is_empty() { Ok(()) } else { Err(StorageError::corrupt(self.what)) }
    }
}
