//! Committee points that outlive a client.

use std::sync::{Arc, Mutex, PoisonError};

use super::bls::KeyCache;

/// The points that were decompressed last, shared by everything that a node executes. Decompressing a
/// committee costs thirty times a verification. No outcome depends on it: an empty one gives the same.
#[derive(Debug, Clone, Default)]
pub struct SharedKeys(Arc<Mutex<KeyCache>>);

impl SharedKeys {
    /// What was put last. Copies share the points.
    #[must_use]
    pub fn get(&self) -> KeyCache {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps points for the next user.
    pub fn put(&self, keys: KeyCache) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }
}
