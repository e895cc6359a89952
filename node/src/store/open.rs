//! Creating and opening the database file, with a reason for everything that can be wrong with it.

use std::{
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use alloy_primitives::B256;
use grid_core::{ethereum::sync::SharedKeys, transition::ExecutedBlock};
use redb::{Builder, Database, DatabaseError, ReadableDatabase as _};

use super::{Store, StoreError, tables};

/// Name of the database file in the data directory.
pub const FILE: &str = "chain.redb";
/// Name while a new database is being created.
const NEW_FILE: &str = "chain.redb.new";

/// Up to this size every page's checksum is verified at each start: about 0.1 s. Larger files are
/// checked as they are read.
const CHECK_UP_TO: u64 = 16 * 1024 * 1024;

impl Store {
    /// Opens the database in `directory`, or creates it with its genesis block.
    /// `cache` bounds the memory for cached pages, in bytes.
    ///
    /// # Errors
    /// [`StoreError`] saying what is wrong with the file and what to do.
    pub fn open(
        directory: &Path,
        genesis: &ExecutedBlock,
        cache: usize,
    ) -> Result<Self, StoreError> {
        fs::create_dir_all(directory).map_err(|source| io_error(directory, source))?;
        let path = directory.join(FILE);
        let exists = path.try_exists().map_err(|source| io_error(&path, source))?;
        if !exists {
            create(directory, &path, genesis, cache)?;
        }
        let db = open_file(&path, cache)?;
        let store = Self { db, path, genesis: genesis.hash, keys: SharedKeys::default() };
        store.check_identity()?;
        Ok(store)
    }

    fn check_identity(&self) -> Result<(), StoreError> {
        let corrupt = |reason: String| StoreError::Corrupt { path: self.path.clone(), reason };
        let read = self.db.begin_read()?;
        let meta = read
            .open_table(tables::META)
            .map_err(|error| corrupt(format!("it is no Grid database ({error})")))?;
        let schema = meta
            .get(tables::META_SCHEMA)?
            .and_then(|value| value.value().try_into().ok().map(u32::from_be_bytes))
            .ok_or_else(|| corrupt("it has no schema version".into()))?;
        let path = self.path.clone();
        if schema > tables::SCHEMA {
            return Err(StoreError::NewerSchema { path, found: schema, known: tables::SCHEMA });
        }
        if schema < tables::SCHEMA {
            return Err(StoreError::OlderSchema { path, found: schema, known: tables::SCHEMA });
        }
        let found = meta
            .get(tables::META_GENESIS)?
            .and_then(|value| B256::try_from(value.value()).ok())
            .ok_or_else(|| corrupt("it has no genesis hash".into()))?;
        if found != self.genesis {
            return Err(StoreError::OtherGenesis { path, found, expected: self.genesis });
        }
        drop(meta);
        // Every table must be there with its types, and the head's block with them.
        let view = self.view().map_err(|error| corrupt(error.to_string()))?;
        view.block(view.height())
            .map_err(|error| corrupt(error.to_string()))?
            .ok_or_else(|| corrupt(format!("it lacks its newest block {}", view.height())))?;
        Ok(())
    }
}

/// Creates the database under another name and renames it when it is whole.
fn create(
    directory: &Path,
    path: &Path,
    genesis: &ExecutedBlock,
    cache: usize,
) -> Result<(), StoreError> {
    let new = directory.join(NEW_FILE);
    match fs::remove_file(&new) {
        Ok(()) => tracing::info!("removed a database whose creation was interrupted"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(io_error(&new, source)),
    }
    let db = builder(cache).create(&new).map_err(|error| database_error(&new, error))?;
    let store = Store { db, path: new.clone(), genesis: genesis.hash, keys: SharedKeys::default() };
    store.commit_genesis(genesis)?;
    drop(store);
    fs::rename(&new, path).map_err(|source| io_error(path, source))?;
    // The rename itself must survive a power cut.
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| io_error(directory, source))
}

fn builder(cache: usize) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(cache);
    builder
}

fn open_file(path: &Path, cache: usize) -> Result<Database, StoreError> {
    let size = fs::metadata(path).map_err(|source| io_error(path, source))?.len();
    if size == 0 {
        return Err(StoreError::Corrupt { path: path.into(), reason: "it is empty".into() });
    }
    let open = || builder(cache).set_check_integrity_on_open(size <= CHECK_UP_TO).open(path);
    // redb documents that a file altered from outside may make it panic instead of fail.
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(result) => result.map_err(|error| database_error(path, error)),
        Err(_) => Err(StoreError::Corrupt {
            path: path.into(),
            reason: "the database engine could not make sense of it".into(),
        }),
    }
}

fn io_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { path: path.into(), source }
}

fn database_error(path: &Path, error: DatabaseError) -> StoreError {
    let path = PathBuf::from(path);
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path),
        DatabaseError::UpgradeRequired(version) => StoreError::Corrupt {
            path,
            reason: format!("it has the unknown file format {version}"),
        },
        DatabaseError::Storage(redb::StorageError::Io(source))
            if source.kind() != io::ErrorKind::InvalidData
                && source.kind() != io::ErrorKind::UnexpectedEof =>
        {
            StoreError::Io { path, source }
        }
        other => StoreError::Corrupt { path, reason: other.to_string() },
    }
}
