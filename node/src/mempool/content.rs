//! What waits, for people and wallets: `txpool_status`, `txpool_content`.

use std::collections::BTreeMap;

use alloy_consensus::{TxEnvelope, transaction::Recovered};
use alloy_primitives::Address;

use super::Mempool;

/// How many transactions wait, as `txpool_status` tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MempoolStatus {
    /// Those that continue their sender's nonce without a gap.
    pub pending: usize,
    /// Those behind a gap.
    pub queued: usize,
}

/// Every waiting transaction by sender, in the order of nonces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MempoolContent {
    /// Those that continue their sender's nonce without a gap.
    pub pending: BTreeMap<Address, Vec<Recovered<TxEnvelope>>>,
    /// Those behind a gap.
    pub queued: BTreeMap<Address, Vec<Recovered<TxEnvelope>>>,
}

impl Mempool {
    /// How many transactions wait.
    #[must_use]
    pub fn status(&self) -> MempoolStatus {
        let pool = self.pool();
        let pending = pool.by_sender.values().map(|queue| queue.gapless().count()).sum();
        MempoolStatus { pending, queued: pool.by_hash.len() - pending }
    }

    /// Every waiting transaction.
    #[must_use]
    pub fn content(&self) -> MempoolContent {
        let pool = self.pool();
        let mut content = MempoolContent::default();
        for (sender, queue) in &pool.by_sender {
            let mut all: Vec<_> =
                queue.entries.values().map(|entry| entry.transaction.clone()).collect();
            // What a block has just used, and the mempool has yet to drop, is not waiting.
            let used = queue.entries.range(..queue.account.nonce).count();
            let queued = all.split_off(used + queue.gapless().count());
            for (part, list) in
                [(&mut content.pending, all.split_off(used)), (&mut content.queued, queued)]
            {
                if !list.is_empty() {
                    part.insert(*sender, list);
                }
            }
        }
        content
    }
}
