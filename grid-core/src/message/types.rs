//! What a message is.

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::{SolValue, sol};

use crate::modules::abi::Mailbox::Dispatched;

/// The most bytes of a payload.
pub const MAX_PAYLOAD: usize = 4_096;

sol! {
    /// A message between two chains. Accounts are 32 bytes: an address stands in the last 20 of them, a sender on Bitcoin is
    /// `keccak256(scriptPubKey)`.
    #[derive(Debug, PartialEq, Eq)]
    struct Message {
        /// Chain key of the chain that it was sent on.
        bytes32 source;
        /// Its number among the messages of this sender to this destination, ordered and other ones counted apart, from 0.
        uint64 nonce;
        /// Who sent it.
        bytes32 sender;
        /// Chain key of the chain that it is for.
        bytes32 destination;
        /// Whom it is for.
        bytes32 recipient;
        /// The last second, since 1970 by the destination's block time, in which it may take effect; 0 for no end.
        uint64 deadline;
        /// Whether it takes effect only after all ordered messages of its sender with lower numbers.
        bool ordered;
        /// What it says.
        bytes payload;
    }
}

impl Message {
    /// `keccak256(abi.encode(message))`.
    #[must_use]
    pub fn id(&self) -> B256 {
        keccak256(self.abi_encode())
    }

    /// Whether its time is over.
    #[must_use]
    pub const fn is_expired(&self, now_secs: u64) -> bool {
        self.deadline != 0 && now_secs > self.deadline
    }
}

/// A mailbox's event of a message.
impl From<Message> for Dispatched {
    fn from(message: Message) -> Self {
        let id = message.id();
        let Message { source, nonce, sender, destination, recipient, deadline, ordered, payload } =
            message;
        Self { id, sender, destination, source, nonce, recipient, deadline, ordered, payload }
    }
}

/// The address in an account of 32 bytes; `None` where it is not one, or zero.
#[must_use]
pub fn address_of(account: &B256) -> Option<Address> {
    let address = Address::from_word(*account);
    (address.into_word() == *account && !address.is_zero()).then_some(address)
}
