//! The engine's home directory: one node's alone.
//!
//! ```text
//! lock          held while an engine lives
//! proposals     the blocks this node proposed for its last height
//! votes         what this node signed at its last heights
//! wal/          the engine's write-ahead log
//! network.key   libp2p identity (ed25519), bound to the validator's key by a signed proof
//! ```

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::B256;
use borsh::{BorshDeserialize, BorshSerialize};
use tokio::time::{Instant, sleep};

use crate::{error::EngineError, guard::Guard};

/// How long a starting engine waits for the parts of a stopped one in the same process (its log
/// thread, a commit under way) to let go of the directory.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// File name of the libp2p identity.
pub(crate) const NETWORK_KEY: &str = "network.key";

/// File name of the engine's log.
const WAL: &str = "consensus.wal";

/// The most rounds of one height that are remembered; later rounds are reached after many minutes
/// of failed ones and push out the earliest.
const REMEMBERED_ROUNDS: usize = 64;

/// What this node proposed at its last height.
#[derive(Debug, Default, Clone, BorshSerialize, BorshDeserialize)]
struct Proposals {
    height: u64,
    rounds: Vec<(u32, [u8; 32])>,
}

/// Files of the home directory that others open.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// The engine's log.
    pub(crate) wal: PathBuf,
    /// The libp2p identity.
    pub(crate) network_key: PathBuf,
    /// What this node signed.
    pub(crate) votes: PathBuf,
}

/// What a node did with its key before, by its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Past {
    /// The last height it signed a vote for; `None` where it has no record of ever signing.
    pub(crate) signed: Option<u64>,
    /// The last height it signed anything for.
    pub(crate) last: u64,
    /// The height that the engine's log is about.
    pub(crate) log: Option<u64>,
}

/// The open and locked home directory.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    proposals: Proposals,
    _lock: File,
}

impl Home {
    /// Creates, locks and reads the directory.
    pub(crate) async fn open(path: &Path) -> Result<Self, EngineError> {
        let wal = path.join("wal");
        fs::create_dir_all(&wal).map_err(|source| failed(&wal, source))?;
        let lock = lock(&path.join("lock")).await?;
        // The engine locks its log itself, but does not wait for the thread of a dropped engine.
        let log = wal.join(WAL);
        if log.exists() {
            drop(self::lock(&log).await?);
        }
        let file = path.join("proposals");
        let proposals = match fs::read(&file) {
            Ok(bytes) => borsh::from_slice(&bytes).map_err(|source| failed(&file, source))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Proposals::default(),
            Err(source) => return Err(failed(&file, source)),
        };
        Ok(Self { path: path.to_owned(), proposals, _lock: lock })
    }

    /// Where the engine keeps its files.
    pub(crate) fn paths(&self) -> Paths {
        Paths {
            wal: self.path.join("wal").join(WAL),
            network_key: self.path.join(NETWORK_KEY),
            votes: self.path.join("votes"),
        }
    }

    /// What this node did with its key before.
    pub(crate) fn past(&self) -> Result<Past, EngineError> {
        let Paths { votes, wal, .. } = self.paths();
        let last = Guard::last_height(&votes).map_err(|source| failed(&votes, source))?;
        Ok(Past {
            signed: last,
            last: last.unwrap_or_default().max(self.proposals.height),
            log: log_height(&wal).map_err(|source| failed(&wal, source))?,
        })
    }

    /// What this node proposed for a height and round, in this process or an earlier one.
    pub(crate) fn proposed(&self, height: u64, round: u32) -> Option<B256> {
        if self.proposals.height != height {
            return None;
        }
        let found = self.proposals.rounds.iter().find(|(at, _)| *at == round)?;
        Some(B256::from(found.1))
    }

    /// Remembers a proposal durably: after a crash the engine asks again for the same height and
    /// round, and a second, different block would be an equivocation.
    pub(crate) fn remember(
        &mut self,
        height: u64,
        round: u32,
        hash: B256,
    ) -> Result<(), EngineError> {
        let mut proposals = if self.proposals.height == height {
            self.proposals.clone()
        } else {
            Proposals { height, rounds: Vec::new() }
        };
        if proposals.rounds.len() >= REMEMBERED_ROUNDS {
            proposals.rounds.remove(0);
        }
        proposals.rounds.push((round, hash.0));
        let file = self.path.join("proposals");
        let bytes = borsh::to_vec(&proposals).map_err(|source| failed(&file, source))?;
        replace(&file, &bytes).map_err(|source| failed(&file, source))?;
        self.proposals = proposals;
        Ok(())
    }
}

/// Replaces a file's content so that a crash leaves either the old or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = private(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    // The rename itself is durable once its directory is.
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// The height that a log of the engine is about: its header is a version (u32) and that height (u64), big endian.
fn log_height(path: &Path) -> io::Result<Option<u64>> {
    match fs::read(path) {
        Ok(bytes) => {
            let height = bytes.get(4..12).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            Ok(height.map(u64::from_be_bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates a file that only its owner reads: one of them is a key.
pub(crate) fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

async fn lock(path: &Path) -> Result<File, EngineError> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|source| failed(path, source))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                sleep(Duration::from_millis(20)).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(EngineError::HomeInUse(path.to_owned()));
            }
            Err(TryLockError::Error(source)) => return Err(failed(path, source)),
        }
    }
}

pub(crate) fn failed(path: &Path, source: io::Error) -> EngineError {
    EngineError::Home { path: path.to_owned(), source }
}
