//! Light clients in memory, for questions about tracked headers.
//!
//! Loading one costs time in the number of its headers, so it is kept until a block changes it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::B256;
use grid_core::{
    ChainKey,
    ethereum::sync::SharedKeys,
    light_client::LightClient,
    state::{self, StateDiff, StateRead, StorageError, keys},
};

use crate::store::View;

/// Loaded light clients.
#[derive(Debug, Default)]
pub(super) struct Clients {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Client and the height of the state that it was loaded from.
    loaded: BTreeMap<ChainKey, (u64, Arc<LightClient>)>,
    /// Height of the last block that changed the client.
    changed: BTreeMap<ChainKey, u64>,
}

impl Clients {
    /// A chain's light client in the newest state.
    pub(super) fn get(
        &self,
        view: &View,
        chain: ChainKey,
    ) -> Result<Option<Arc<LightClient>>, StorageError> {
        {
            let inner = self.lock();
            let changed = inner.changed.get(&chain).copied().unwrap_or(0);
            if let Some((height, client)) = inner.loaded.get(&chain)
                && *height >= changed
            {
                return Ok(Some(client.clone()));
            }
        }
        let Some(client) = state::query::light_client(view, chain)? else { return Ok(None) };
        let client = Arc::new(client);
        self.lock().loaded.insert(chain, (view.height(), client.clone()));
        Ok(Some(client))
    }

    /// Notes which clients the block at `height` changed.
    pub(super) fn changed(&self, height: u64, diff: &StateDiff) {
        let mut inner = self.lock();
        for chain in diff.keys().filter_map(|key| client_of(key)) {
            inner.changed.insert(chain, height);
            inner.loaded.remove(&chain);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A snapshot with the light clients that are loaded: what the mempool's check reads, many times a block.
pub(super) struct Loaded<'a> {
    pub(super) view: &'a View,
    pub(super) clients: &'a Clients,
}

impl StateRead for Loaded<'_> {
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.view.read(key)
    }

    fn committee_keys(&self) -> Option<&SharedKeys> {
        self.view.committee_keys()
    }

    fn loaded_client(&self, chain: ChainKey) -> Option<Arc<LightClient>> {
        // Where loading fails the caller does it itself and meets the error.
        self.clients.get(self.view, chain).ok().flatten()
    }
}

/// The chain in whose part of the state a key lies: `prefix ‖ kind ‖ chain ‖ …`, see [`keys`].
fn client_of(key: &[u8]) -> Option<ChainKey> {
    let (prefix, rest) = key.split_first()?;
    if ![keys::LIGHT_CLIENTS, keys::REGISTRY].contains(prefix) {
        return None;
    }
    let (_, rest) = rest.split_first()?;
    rest.first_chunk::<32>().map(|chain| ChainKey(B256::from(chain)))
}
