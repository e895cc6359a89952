//! Messages in Bitcoin transactions.
//!
//! The payload of an `OP_RETURN` output is the message, numbers big-endian:
//!
//! ```text
//!  0  4  "GRID"
//!  4  1  version, 1
//!  5  1  1 for an ordered message, otherwise 0
//!  6  8  the first bytes of the destination's chain key
//! 14  8  nonce, chosen by the sender
//! 22  4  deadline, seconds since 1970; 0 for none
//! 26 20  recipient, an address
//! 46  …  payload
//! ```
//!
//! The sender is the script of the output that the transaction's first input spends. The transaction names it by the id of an
//! earlier transaction, so that transaction's bytes prove it. Who signs that input without signing all outputs
//! (`SIGHASH_NONE`, `SIGHASH_SINGLE`) lets others speak in his name.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use bitcoin::hashes::Hash as _;

use super::error::MessageError;
use crate::{ChainKey, bitcoin::tx::Tx};

/// What a message begins with.
pub const MAGIC: [u8; 4] = *b"GRID";
/// The version that is read and written.
pub const VERSION: u8 = 1;
/// Bytes before the payload. 34 more fit into an output that every node relays (80 bytes of data).
pub const HEADER_BYTES: usize = 46;

/// The flag of an ordered message.
const ORDERED: u8 = 1;

/// A message as an `OP_RETURN` output says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BitcoinNote {
    /// Whether it is ordered.
    pub ordered: bool,
    /// The first bytes of the destination's chain key.
    pub destination: [u8; 8],
    /// The sender's own number of it.
    pub nonce: u64,
    /// The last second in which it may take effect; 0 for no end.
    pub deadline: u32,
    /// Whom it is for.
    pub recipient: Address,
    /// What it says.
    pub payload: Bytes,
}

/// Takes bytes off the front.
fn take<const N: usize>(data: &mut &[u8]) -> Result<[u8; N], MessageError> {
    let found = data.len();
    let (head, rest) = data.split_first_chunk::<N>().ok_or(MessageError::Short { found })?;
    *data = rest;
    Ok(*head)
}

impl BitcoinNote {
    /// Reads the payload of an `OP_RETURN` output.
    ///
    /// # Errors
    /// [`MessageError::NotGrid`], [`MessageError::Version`], [`MessageError::Flags`], [`MessageError::Short`].
    pub fn decode(data: &[u8]) -> Result<Self, MessageError> {
        if !data.starts_with(&MAGIC) {
            return Err(MessageError::NotGrid);
        }
        if data.len() < HEADER_BYTES {
            return Err(MessageError::Short { found: data.len() });
        }
        let mut rest = data;
        let _magic: [u8; 4] = take(&mut rest)?;
        let [version, flags] = take(&mut rest)?;
        if version != VERSION {
            return Err(MessageError::Version(version));
        }
        if flags & !ORDERED != 0 {
            return Err(MessageError::Flags(flags));
        }
        Ok(Self {
            ordered: flags == ORDERED,
            destination: take(&mut rest)?,
            nonce: u64::from_be_bytes(take(&mut rest)?),
            deadline: u32::from_be_bytes(take(&mut rest)?),
            recipient: Address::new(take(&mut rest)?),
            payload: Bytes::copy_from_slice(rest),
        })
    }

    /// The payload of the `OP_RETURN` output.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut data = MAGIC.to_vec();
        data.extend([VERSION, u8::from(self.ordered)]);
        data.extend(self.destination);
        data.extend(self.nonce.to_be_bytes());
        data.extend(self.deadline.to_be_bytes());
        data.extend(self.recipient);
        data.extend(&self.payload);
        data
    }

    /// Whether it is for a chain.
    #[must_use]
    pub fn is_for(&self, chain: ChainKey) -> bool {
        chain.0.starts_with(&self.destination)
    }
}

/// Who sent a transaction's messages: `keccak256` of the script that its first input spends, which `spent` shows, the transaction
/// with that output, without witness.
///
/// # Errors
/// [`MessageError::Coinbase`], or a [`MessageError::Spent`] saying why `spent` does not show it.
pub fn sender_of(tx: &Tx, spent: &[u8]) -> Result<B256, MessageError> {
    if tx.is_coinbase() {
        return Err(MessageError::Coinbase);
    }
    let fault = |reason: String| MessageError::Spent(reason);
    let input = tx.inner().input.first().ok_or(MessageError::Coinbase)?;
    let (expected, vout) =
        (B256::new(input.previous_output.txid.to_byte_array()), input.previous_output.vout);
    let spent = Tx::from_stripped(spent).map_err(|error| fault(error.to_string()))?;
    if spent.id() != expected {
        return Err(fault(format!("it is {}, the input spends {expected}", spent.id())));
    }
    let output = usize::try_from(vout).ok().and_then(|at| spent.inner().output.get(at));
    let output = output.ok_or_else(|| fault(format!("it has no output {vout}")))?;
    Ok(keccak256(output.script_pubkey.as_bytes()))
}
