//! `[chain.messages]`: which of a chain's messages this relayer carries to the main chain.

use alloy_primitives::{Address, B256};
use grid_core::message::MAX_PAYLOAD;
use grid_relayer::messages::Filter;
use serde::{Deserialize, Serialize};

use super::check::Faults;

/// The most blocks of a first search.
const MOST_LOOKBACK: u64 = 10_000;

/// `[chain.messages]`: which of a chain's messages this relayer carries to the main chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MessagesSection {
    /// Whether it carries any. Where the main chain has no open route it never does.
    pub(crate) deliver: bool,
    /// Whose: addresses in 32 bytes, or `keccak256(scriptPubKey)` on Bitcoin. Everybody's where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) senders: Vec<B256>,
    /// For whom on the main chain. For everybody where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) recipients: Vec<Address>,
    /// The most bytes of a payload.
    pub(crate) max_payload: u64,
    /// Confirmed blocks that the first search of the chain takes in.
    pub(crate) lookback: u64,
}

impl Default for MessagesSection {
    fn default() -> Self {
        let most = u64::try_from(MAX_PAYLOAD).unwrap_or(u64::MAX);
        let (senders, recipients) = (Vec::new(), Vec::new());
        Self { deliver: true, senders, recipients, max_payload: most, lookback: 100 }
    }
}

impl MessagesSection {
    /// For the relayer.
    pub(crate) fn filter(&self) -> Filter {
        Filter {
            senders: self.senders.iter().copied().collect(),
            recipients: self.recipients.iter().map(|address| address.into_word()).collect(),
            max_payload: self.max_payload,
        }
    }

    /// Whether nothing is set.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What types alone cannot say.
    pub(super) fn check(&self, faults: &mut Faults<'_>) {
        if self.max_payload > u64::try_from(MAX_PAYLOAD).unwrap_or(u64::MAX) {
            faults.note("max_payload", format!("must be at most {MAX_PAYLOAD}"));
        }
        if self.lookback > MOST_LOOKBACK {
            faults.note("lookback", format!("must be at most {MOST_LOOKBACK}"));
        }
    }
}
