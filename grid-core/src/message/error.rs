//! Why a message is not sent or delivered.

use alloy_primitives::{Address, B256};
use thiserror::Error;

use super::{bitcoin::HEADER_BYTES, records::State};
use crate::{guarantee::GuaranteeError, state::StorageError};

/// Why a message is not sent or delivered. Unless it says so, the same call may succeed later.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The proof is of something else.
    #[error("the proof shows no message: prove one log of a mailbox, or one OP_RETURN output")]
    Claim,
    /// Not Grid's.
    #[error("the data does not begin with \"GRID\"")]
    NotGrid,
    /// Another version.
    #[error("message version {0} is unknown, use 1")]
    Version(u8),
    /// Unknown flags.
    #[error("message flags {0:#04x} are unknown, use 0 or 1")]
    Flags(u8),
    /// Cut off.
    #[error("a message has at least {HEADER_BYTES} bytes, found {found}")]
    Short {
        /// Bytes found.
        found: usize,
    },
    /// A coinbase spends nothing, so nobody sent it.
    #[error("a coinbase transaction has no sender")]
    Coinbase,
    /// The transaction that was spent is not shown.
    #[error("the transaction that the first input spends is not shown: {0}")]
    Spent(String),
    /// Bytes beside the proof that nothing needs.
    #[error("{0} bytes of evidence are given, a log needs none")]
    Evidence(usize),
    /// The log is not the event of a mailbox.
    #[error("the log is no message: {0}")]
    Log(String),
    /// Another contract emitted the event.
    #[error("the mailbox of chain {chain} is {expected}, the event is of {found}")]
    Mailbox {
        /// The source.
        chain: B256,
        /// The route's mailbox.
        expected: Address,
        /// Who emitted it.
        found: Address,
    },
    /// The event's id is not the hash of its content.
    #[error("the event names id {named}, its content has {found}")]
    Id {
        /// The event's.
        named: B256,
        /// The hash.
        found: B256,
    },
    /// The message is of another chain than the proof.
    #[error("the message says that it is of chain {named}, the proof is of chain {found}")]
    Source {
        /// The message's.
        named: B256,
        /// The proof's.
        found: B256,
    },
    /// Not for this chain.
    #[error("the message is for another chain than this one, {own}")]
    Destination {
        /// This chain.
        own: B256,
    },
    /// To the chain that it is sent on.
    #[error("the destination is this chain itself")]
    Itself,
    /// Nothing passes between the chains.
    #[error(
        "no open route from chain {source_key} to chain {destination}: the governor opens one with setRoute"
    )]
    Closed {
        /// From.
        source_key: B256,
        /// To.
        destination: B256,
    },
    /// A payload beyond the route's limit.
    #[error("the payload has {found} bytes, the route takes {most}")]
    Payload {
        /// Bytes.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// Not on the route's list.
    #[error("{party} {account} is not on the route's list")]
    NotListed {
        /// `sender` or `recipient`.
        party: &'static str,
        /// The account.
        account: B256,
    },
    /// A route that cannot be.
    #[error("bad route: {0}")]
    Route(&'static str),
    /// Too few headers on top.
    #[error(
        "the block has {found} confirmed headers above it in the proof's index, the route asks for {least}"
    )]
    Depth {
        /// Found.
        found: u64,
        /// Asked for.
        least: u64,
    },
    /// The index was cut back after the proof was made.
    #[error(
        "the index of the source was cut back to below height {from} in Grid block {at}, after the proof's Grid block {anchor}: prove again"
    )]
    Orphaned {
        /// First height that was cut off.
        from: u64,
        /// When.
        at: u64,
        /// The proof's block.
        anchor: u64,
    },
    /// The cuts of that time are forgotten.
    #[error(
        "the proof's Grid block {anchor} is older than what is known of the source's reorganisations, {floor}: prove again"
    )]
    TooOld {
        /// The proof's block.
        anchor: u64,
        /// The oldest that is known.
        floor: u64,
    },
    /// An ordered message out of turn.
    #[error("the sender's next ordered message has nonce {expected}, not {found}")]
    Order {
        /// The one whose turn it is.
        expected: u64,
        /// This one.
        found: u64,
    },
    /// An ordered message without an end would hold up those after it for ever.
    #[error("an ordered message needs a deadline")]
    NoDeadline,
    /// Too late to be sent, or to be delivered under a guarantee.
    #[error("the deadline {deadline} is over, it is {now}")]
    Deadline {
        /// The deadline, seconds since 1970.
        deadline: u64,
        /// The block's time.
        now: u64,
    },
    /// Nobody.
    #[error("{0} is nobody who takes messages here")]
    Recipient(B256),
    /// Recorded already: for ever.
    #[error("already known")]
    Known,
    /// No such message.
    #[error("message {0} is not known here")]
    Unknown(B256),
    /// Nothing to report.
    #[error("message {id} is {state}: only a delivery that lost its block is breached")]
    NotBroken {
        /// The message.
        id: B256,
        /// Its state.
        state: State,
    },
    /// More than can be counted.
    #[error("the sender has no nonce left")]
    Nonce,
    /// The route takes confirmed messages only.
    #[error(
        "the route from chain {source_key} takes no guaranteed deliveries: wait until the block is confirmed, or ask the governor for policy bit 8"
    )]
    Unconfirmed {
        /// From.
        source_key: B256,
    },
    /// The recipient takes confirmed messages only.
    #[error(
        "{0} takes this message from a confirmed block only: wait until it is, and deliver it by a proof"
    )]
    Unasked(B256),
    /// The guarantee is not the one that the recipient asks for.
    #[error(
        "the recipient asks for a cover of {least} or more, paid to {expected}; the guarantee covers {found}, paid to {beneficiary}"
    )]
    Cover {
        /// The least cover, smallest unit of GRID.
        least: u128,
        /// Who must be the beneficiary.
        expected: Address,
        /// The guarantee's cover.
        found: u128,
        /// Its beneficiary.
        beneficiary: Address,
    },
    /// The guarantee is for something else.
    #[error(
        "the guarantee is for transaction {expected}, the message is in {found} (internal byte order)"
    )]
    OtherTransaction {
        /// The one that is covered.
        expected: B256,
        /// The one with the message.
        found: B256,
    },
    /// The guarantee stands behind another message.
    #[error("guarantee {guarantee} stands behind message {message} already: one for each message")]
    Used {
        /// The guarantee.
        guarantee: B256,
        /// Its message.
        message: B256,
    },
    /// The guarantee does not cover it, or not any more.
    #[error("no delivery under this guarantee: {0}")]
    Guarantee(#[from] GuaranteeError),
    /// No verdict.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
