//! The verified light client in a file, so that a restart goes on where it was.
//!
//! The file is replaced as a whole: a crash leaves the old or the new one. It ends with a checksum, so
//! that a damaged file is told from a false one; and what it says is not believed either: proofs and
//! signatures in it are verified again when it is read, and its age is checked. What cannot be proven
//! by a file alone is that its committee is the chain's. That rests on the checkpoint in it, which must
//! be the one that is configured, and on whoever can write the file.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use alloy_primitives::{B256, keccak256};
use grid_core::ethereum::sync::{NetworkConfig, Policy, SyncClient, SyncData, SyncError};

use super::{BeaconError, history::History};

/// How a file begins: what it is, and the version of its form.
const MAGIC: &[u8; 16] = b"grid-lightclient";
const VERSION: u8 = 1;

/// The longest file that is read. A client has 120 KB, and so have the updates kept beside it.
const MAX_FILE: u64 = 8 << 20;

/// A light client as it is kept.
#[derive(Debug)]
pub struct Kept {
    /// Root of the trusted block from which it started.
    pub checkpoint: B256,
    /// The client.
    pub client: SyncClient,
    /// What it took, for those who are behind.
    pub(super) history: History,
}

impl Kept {
    /// A client that has just started from `checkpoint`.
    #[must_use]
    pub fn new(checkpoint: B256, client: SyncClient) -> Self {
        Self { checkpoint, client, history: History::default() }
    }

    /// Keeps what the client took, for clients that are behind it.
    pub fn note(&mut self, item: SyncData) {
        self.history.note(self.client.network(), item);
    }
}

/// The file.
#[derive(Debug, Clone)]
pub struct StoreFile {
    path: PathBuf,
}

impl StoreFile {
    /// A file that need not exist yet. One program at a time should use it.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn fault(&self, reason: String) -> BeaconError {
        BeaconError::Store { path: self.path.clone(), reason }
    }

    /// Reads the file and verifies it; `None` where there is none yet.
    ///
    /// # Errors
    /// [`BeaconError::Store`] saying what is wrong, [`BeaconError::Stale`] where it is too old.
    pub fn load(
        &self,
        network: &NetworkConfig,
        policy: &Policy,
        now: u64,
    ) -> Result<Option<Kept>, BeaconError> {
        let mut bytes = Vec::new();
        let read =
            File::open(&self.path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.fault(error.to_string())),
        }
        let mut kept = decode(network, policy, &bytes).map_err(|reason| self.fault(reason))?;
        let unproven = |error: SyncError| match error {
            SyncError::StaleCheckpoint { slot, age, most } => {
                BeaconError::Stale { network: network.name.clone(), slot, age, most }
            }
            error @ SyncError::ClockBehind { .. } => {
                BeaconError::Halted { network: network.name.clone(), source: Box::new(error) }
            }
            error => self.fault(format!("it does not verify: {error}")),
        };
        kept.client.verify_stored().map_err(unproven)?;
        kept.client.check_time(now).map_err(unproven)?;
        kept.client.check_age(now).map_err(unproven)?;
        Ok(Some(kept))
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// [`BeaconError::Store`] with the system's reason; the file before is untouched then.
    pub fn save(&self, kept: &Kept) -> Result<(), BeaconError> {
        self.draft(kept).save()
    }

    /// What is to be written, taken now and written wherever writing may wait.
    pub(super) fn draft(&self, kept: &Kept) -> Draft {
        Draft { file: self.clone(), bytes: encode(kept) }
    }

    /// Moves a file that cannot be used aside, so that the next save does not lose it.
    pub(super) fn set_aside(&self) -> PathBuf {
        let aside = with_suffix(&self.path, ".refused");
        if let Err(error) = fs::rename(&self.path, &aside) {
            tracing::warn!(path = %self.path.display(), %error, "cannot be moved aside");
        }
        aside
    }
}

/// A file's next content.
#[derive(Debug)]
pub(super) struct Draft {
    file: StoreFile,
    bytes: Vec<u8>,
}

impl Draft {
    /// As [`StoreFile::save`].
    pub(super) fn save(&self) -> Result<(), BeaconError> {
        replace(&self.file.path, &self.bytes).map_err(|error| self.file.fault(error.to_string()))
    }
}

fn encode(kept: &Kept) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.push(VERSION);
    out.extend(kept.client.network().genesis_validators_root);
    out.extend(kept.checkpoint);
    let items = kept.history.items().map(|item| item.encode());
    for part in core::iter::once(kept.client.encode()).chain(items) {
        out.extend((part.len() as u64).to_le_bytes());
        out.extend(part);
    }
    let checksum = keccak256(&out);
    out.extend(checksum);
    out
}

/// Everything but the proofs and the time; the error is the reason.
fn decode(network: &NetworkConfig, policy: &Policy, bytes: &[u8]) -> Result<Kept, String> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return Err("it is no store of a light client; correct `store` or move it away".into());
    };
    let damaged =
        || "it is damaged (its checksum does not fit); move it away to start from the checkpoint";
    let (content, checksum) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
    if keccak256(content) != *checksum {
        return Err(damaged().into());
    }
    let short = || "it is too short";
    let rest = rest.get(..rest.len().saturating_sub(32)).ok_or_else(short)?;
    let (version, rest) = rest.split_first().ok_or_else(short)?;
    if *version != VERSION {
        return Err(format!("it has version {version}, this program reads {VERSION}"));
    }
    let (genesis, rest) = rest.split_first_chunk::<32>().ok_or_else(short)?;
    let expected = network.genesis_validators_root;
    if *genesis != expected {
        return Err(format!(
            "it is of another network: genesis_validators_root {}, configured is {expected} ({})",
            B256::from(*genesis),
            network.name
        ));
    }
    let (checkpoint, mut rest) = rest.split_first_chunk::<32>().ok_or_else(short)?;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<8>().ok_or_else(short)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (part, after) = after.split_at_checked(length).ok_or_else(short)?;
        parts.push(part);
        rest = after;
    }
    let (client, items) = parts.split_first().ok_or_else(short)?;
    let client = SyncClient::decode(network.clone(), policy.clone(), client)
        .map_err(|error| error.to_string())?;
    let mut kept = Kept::new(B256::from(*checkpoint), client);
    for item in items {
        kept.note(SyncData::decode(network, item).map_err(|error| error.to_string())?);
    }
    Ok(kept)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Writes a file beside the old one, makes sure that it is on the disk, and puts it in its place.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = with_suffix(path, ".new");
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    // The name is on the disk once its folder is.
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
