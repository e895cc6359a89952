//! The last line against signing twice: every vote and proposal of this node's key, on disk before it is signed.
//!
//! The engine's log serves the same end, but it can be lost or put back, and it is young. This file can only refuse.
//! A record is 49 bytes: height (u64), round (u32), kind (u8), block hash, and the first four bytes of the keccak256 of
//! these; big endian. Records are appended and synced one by one, so a crash can damage only the last one, whose vote
//! was not signed then. Once there are many, the file is replaced by one with the newest height's.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use alloy_primitives::{B256, keccak256};
use arc_malachitebft_signing::Error as SignError;
use grid_core::grid::{Step, VoteKind};
use tracing::error;

use crate::home::{private, replace};

/// Bytes of one record.
const RECORD: usize = 49;

/// Records after which the file is written anew; about two a height.
const MOST_RECORDS: usize = 4096;

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) height: u64,
    pub(crate) round: u32,
    pub(crate) kind: VoteKind,
    /// The block voted for (zero for none), or the content of the proposal.
    pub(crate) hash: B256,
}

impl Signed {
    fn to_bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..8].copy_from_slice(&self.height.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.round.to_be_bytes());
        bytes[12] = self.kind as u8;
        bytes[13..45].copy_from_slice(self.hash.as_slice());
        let check = keccak256(&bytes[..45]);
        bytes[45..].copy_from_slice(&check[..4]);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (content, check) = bytes.split_at_checked(45)?;
        if keccak256(content)[..4] != *check {
            return None;
        }
        let (height, rest) = content.split_first_chunk()?;
        let (round, rest) = rest.split_first_chunk()?;
        let (code, hash) = rest.split_first()?;
        Some(Self {
            height: u64::from_be_bytes(*height),
            round: u32::from_be_bytes(*round),
            kind: VoteKind::from_code(*code)?,
            hash: B256::try_from(hash).ok()?,
        })
    }
}

/// What was signed, and the file that says so.
#[derive(Debug)]
struct Record {
    path: PathBuf,
    /// Made at the first signature.
    file: Option<File>,
    records: usize,
    height: u64,
    /// What was signed at that height.
    signed: BTreeMap<(u32, Step), (VoteKind, B256)>,
}

/// Asked before every signature; clones ask the same file.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    record: Arc<Mutex<Record>>,
    refusal: Arc<OnceLock<String>>,
}

impl Guard {
    /// Reads what was signed; `None` where this node never signed with this home.
    pub(crate) fn last_height(path: &Path) -> io::Result<Option<u64>> {
        Ok(path.exists().then_some(Record::open(path)?.height))
    }

    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let record = Arc::new(Mutex::new(Record::open(path)?));
        Ok(Self { record, refusal: Arc::default() })
    }

    /// Allows a signature, durably, or refuses it: then the node must not go on.
    pub(crate) async fn allow(&self, signed: Signed) -> Result<(), SignError> {
        let record = Arc::clone(&self.record);
        let asked = move || record.lock().unwrap_or_else(PoisonError::into_inner).allow(signed);
        let reason = match tokio::task::spawn_blocking(asked).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(reason)) => reason,
            Err(panic) => panic.to_string(),
        };
        error!(reason, "refused to sign");
        // The first refusal is told at the end of the run.
        let _told_before = self.refusal.set(reason.clone());
        Err(SignError::from_source(reason))
    }

    /// Why a signature was refused.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.refusal.get().map(String::as_str)
    }
}

impl Record {
    fn open(path: &Path) -> io::Result<Self> {
        let mut record = Self {
            path: path.to_owned(),
            file: None,
            records: 0,
            height: 0,
            signed: BTreeMap::new(),
        };
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(record),
            Err(error) => return Err(error),
        };
        let chunks = bytes.chunks(RECORD);
        let last = chunks.len().saturating_sub(1);
        for (at, chunk) in chunks.enumerate() {
            match Signed::from_bytes(chunk) {
                Some(signed) => record.note(signed),
                // Not complete when the power failed: nothing was signed for it.
                None if at == last => {}
                None => {
                    let message =
                        format!("record {at} of {} is damaged; restore the file", last + 1);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
            }
        }
        let file = File::options().write(true).open(path)?;
        file.set_len((record.records * RECORD) as u64)?;
        drop(file);
        record.file = Some(File::options().append(true).open(path)?);
        Ok(record)
    }

    fn note(&mut self, signed: Signed) {
        if signed.height > self.height {
            self.height = signed.height;
            self.signed.clear();
        }
        if signed.height == self.height {
            let key = (signed.round, signed.kind.step());
            self.signed.insert(key, (signed.kind, signed.hash));
        }
        self.records += 1;
    }

    fn allow(&mut self, signed: Signed) -> Result<(), String> {
        let Signed { height, round, kind, hash } = signed;
        let step = kind.step();
        if height < self.height {
            return Err(format!(
                "asked to sign at height {height}, but this key has signed at height {}",
                self.height
            ));
        }
        if height == self.height {
            if let Some(before) = self.signed.get(&(round, step)) {
                let same = *before == (kind, hash);
                return same.then_some(()).ok_or_else(|| {
                    format!(
                        "asked to sign {kind:?} for {hash} at height {height} in round {round}, but this key has signed {:?} for {}",
                        before.0, before.1
                    )
                });
            }
            let newest = self.signed.keys().rfind(|(_, step)| *step != Step::Propose);
            if step != Step::Propose && newest.is_some_and(|newest| *newest > (round, step)) {
                return Err(format!(
                    "asked to sign {kind:?} at height {height} in round {round}, but this key has signed later votes"
                ));
            }
        }
        self.write(signed).map_err(|error| {
            format!("cannot write {}: {error}; nothing is signed without it", self.path.display())
        })?;
        self.note(signed);
        Ok(())
    }

    fn write(&mut self, signed: Signed) -> io::Result<()> {
        if self.records >= MOST_RECORDS || self.file.is_none() {
            let height = self.height;
            let kept: Vec<u8> = self
                .signed
                .iter()
                .map(|((round, _), (kind, hash))| Signed {
                    height,
                    round: *round,
                    kind: *kind,
                    hash: *hash,
                })
                .flat_map(Signed::to_bytes)
                .collect();
            replace(&self.path, &kept)?;
            self.records = self.signed.len();
            self.file = Some(File::options().append(true).open(&self.path)?);
        }
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.write_all(&signed.to_bytes())?;
        file.sync_data()
    }
}

/// Makes the file, empty, where it is missing: this node may sign from now on.
pub(crate) fn mark(path: &Path) -> io::Result<()> {
    if path.exists() { Ok(()) } else { private(path)?.sync_all() }
}

#[cfg(test)]
mod tests;
