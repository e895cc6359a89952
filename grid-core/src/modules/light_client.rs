//! Light clients between the state and memory.
//!
//! In state a client is a small record and its header tree in chunks of 64 heights. A block that
//! touches a chain loads the tree once; after each successful call only the changed chunks are written back, so
//! what is in memory never runs ahead of what a later call could load.

use std::collections::BTreeMap;

use alloy_primitives::keccak256;

use super::{
    record::{ChainRecord, ClientParams},
    work::Work,
};
use crate::{
    ChainKey,
    bitcoin::{BitcoinClient, Checkpoint, header::sha256d},
    committee::{CommitteeClient, CommitteeParams, StoredError},
    ethereum::{AttestedClient, attest::AttesterSet, sync::SharedKeys},
    header_tree::TreeMeta,
    light_client::{Evidence, LightClient},
    state::{Overlay, StateRead, StorageError, keys},
};

/// The clients that a block has loaded.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    loaded: BTreeMap<ChainKey, LightClient>,
    /// What the block has done for foreign chains.
    pub(crate) work: Work,
}

impl Clients {
    /// Takes a chain's client out, from the cache or the state.
    pub(crate) fn take(
        &mut self,
        overlay: &Overlay<'_>,
        record: &ChainRecord,
    ) -> Result<LightClient, StorageError> {
        match self.loaded.remove(&record.key()) {
            Some(client) => Ok(client),
            None => load(overlay, record),
        }
    }

    /// Puts a client back after its changes were [saved](save).
    pub(crate) fn put(&mut self, chain: ChainKey, client: LightClient) {
        self.loaded.insert(chain, client);
    }
}

/// Starts a client at its trusted header.
pub(crate) fn start(record: &ChainRecord) -> Result<LightClient, String> {
    match &record.client {
        ClientParams::Bitcoin { network, checkpoint } => {
            let params = network.params().map_err(|error| error.to_string())?;
            if params.chain_id() != record.id {
                let (name, id) = (&params.name, params.chain_id());
                return Err(format!("the id of Bitcoin's {name} is {id}, not {}", record.id));
            }
            let start = checkpoint.clone().unwrap_or_else(|| Checkpoint::genesis(&params));
            let client = BitcoinClient::new(params, &start).map_err(|error| error.to_string())?;
            Ok(LightClient::Bitcoin(client))
        }
        ClientParams::Attested { threshold, attesters, start } => {
            let set = AttesterSet::new(*threshold, attesters.clone())
                .map_err(|error| error.to_string())?;
            let client =
                AttestedClient::new(record.key(), set, start).map_err(|error| error.to_string())?;
            Ok(LightClient::Attested(client))
        }
        ClientParams::SyncCommittee { network, checkpoint, start, policy } => {
            let chain = record.key();
            let client = CommitteeClient::new(chain, network, policy, *checkpoint, start)
                .map_err(|error| error.to_string())?;
            Ok(LightClient::Committee(Box::new(client)))
        }
        ClientParams::Grid { start, .. } => {
            let params = committee_params(record)?;
            let client = CommitteeClient::start(record.key(), params, start)
                .map_err(|error| error.to_string())?;
            Ok(LightClient::Committee(Box::new(client)))
        }
    }
}

/// What proves the finality of a chain.
fn committee_params(record: &ChainRecord) -> Result<CommitteeParams<'_>, String> {
    match &record.client {
        ClientParams::SyncCommittee { network, checkpoint, policy, .. } => {
            Ok(CommitteeParams::Sync { network, policy, checkpoint: *checkpoint })
        }
        ClientParams::Grid { validators, policy, .. } => match record.id.eip155_number() {
            Some(chain_id) => Ok(CommitteeParams::Grid { chain_id, validators, policy }),
            None => Err(format!("the id of a Grid chain is eip155:<number>, not {}", record.id)),
        },
        _ => Err(format!("{} does not prove its finality", record.id)),
    }
}

/// Loads a client from the state.
pub(crate) fn load(
    state: &dyn StateRead,
    record: &ChainRecord,
) -> Result<LightClient, StorageError> {
    let chain = record.key();
    let stored = state.read(&keys::client_meta(chain))?;
    let bytes = stored.ok_or_else(|| StorageError::corrupt("light client record"))?;
    let meta =
        TreeMeta::decode(&bytes).map_err(|_| StorageError::corrupt("light client record"))?;
    let mut chunks = Vec::new();
    for chunk in meta.chunks() {
        if let Some(bytes) = state.read(&keys::client_chunk(chain, chunk))? {
            chunks.push((chunk, bytes));
        }
    }
    let broken = |error: &dyn core::fmt::Display| {
        StorageError::new(format!("stored light client of {}: {error}", record.id))
    };
    match &record.client {
        ClientParams::Bitcoin { network, .. } => {
            let params = network.params().map_err(|error| broken(&error))?;
            let client =
                BitcoinClient::load(params, &meta, chunks).map_err(|error| broken(&error))?;
            Ok(LightClient::Bitcoin(client))
        }
        ClientParams::Attested { threshold, attesters, .. } => {
            let set =
                AttesterSet::new(*threshold, attesters.clone()).map_err(|error| broken(&error))?;
            let client =
                AttestedClient::load(chain, set, &meta, chunks).map_err(|error| broken(&error))?;
            Ok(LightClient::Attested(client))
        }
        ClientParams::SyncCommittee { .. } | ClientParams::Grid { .. } => {
            let params = committee_params(record).map_err(|error| broken(&error))?;
            let mut read = |name: &[u8]| Ok(state.read(&keys::client_value(chain, name))?);
            let client =
                CommitteeClient::load::<LoadError>(chain, params, (&meta, chunks), &mut read)
                    .map_err(|error| match error {
                        LoadError::Storage(error) => error,
                        LoadError::Stored(error) => broken(&error),
                    })?;
            let keys = state.committee_keys().map(SharedKeys::get).unwrap_or_default();
            Ok(LightClient::Committee(Box::new(client.with_keys(keys))))
        }
    }
}

/// Why a sync-committee client cannot be loaded.
enum LoadError {
    Storage(StorageError),
    Stored(StoredError),
}

impl From<StorageError> for LoadError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<StoredError> for LoadError {
    fn from(error: StoredError) -> Self {
        Self::Stored(error)
    }
}

/// Whether a client holds every header of some evidence.
pub(crate) fn knows(client: &LightClient, evidence: &Evidence) -> bool {
    let tree = client.tree();
    match evidence {
        Evidence::BitcoinHeaders(headers) => {
            headers.iter().rev().all(|header| tree.get(&sha256d(header)).is_some())
        }
        Evidence::AttestedHeaders { headers, .. } => {
            headers.iter().rev().all(|header| tree.get(&keccak256(header)).is_some())
        }
        Evidence::Committee { data, headers } => match client {
            LightClient::Committee(client) => client.knows(data, headers),
            _ => false,
        },
    }
}

/// Writes what changed since the client was loaded or last saved.
pub(crate) fn save(
    overlay: &mut Overlay<'_>,
    chain: ChainKey,
    client: &mut LightClient,
) -> Result<(), StorageError> {
    for (chunk, bytes) in client.dirty_chunks() {
        let key = keys::client_chunk(chain, chunk);
        match bytes {
            Some(bytes) => overlay.set(key, bytes),
            None => overlay.remove(key),
        }
    }
    overlay.set(keys::client_meta(chain), client.meta().encode());
    let LightClient::Committee(client) = client else { return Ok(()) };
    if let Some(shared) = overlay.committee_keys() {
        shared.put(client.keys().clone());
    }
    let values = client.values(&mut |name| overlay.get(&keys::client_value(chain, name)))?;
    for (name, value) in values {
        let key = keys::client_value(chain, &name);
        match value {
            Some(value) => overlay.set(key, value),
            None => overlay.remove(key),
        }
    }
    Ok(())
}
