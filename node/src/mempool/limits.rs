//! How much may wait.

use std::time::Duration;

use grid_core::transition::MAX_TRANSACTION_BYTES;

/// Limits of a mempool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MempoolLimits {
    /// Most transactions.
    pub count: usize,
    /// Most bytes of transactions in their EIP-2718 encoding.
    pub bytes: usize,
    /// Most bytes of one transaction.
    pub transaction_bytes: usize,
    /// Most transactions of one sender.
    pub per_sender: usize,
    /// Most bytes of one sender's transactions.
    pub sender_bytes: usize,
    /// How many of a sender's next transactions can't be pushed out by somebody's later ones.
    pub protected: usize,
    /// How far a nonce may run ahead of the account's.
    pub nonce_gap: u64,
    /// How long a transaction may wait.
    pub lifetime: Duration,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        Self {
            // Some six blocks of transfers.
            count: 16_384,
            bytes: 32 * 1024 * 1024,
            // A batch of 2,000 Bitcoin headers is 160 kB; a cross-chain proof stays far below.
            transaction_bytes: MAX_TRANSACTION_BYTES,
            per_sender: 256,
            sender_bytes: 8 * 1024 * 1024,
            protected: 16,
            nonce_gap: 256,
            lifetime: Duration::from_secs(30 * 60),
        }
    }
}
