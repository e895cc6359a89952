//! Bitcoin transactions, as far as proofs need them.
//!
//! The `bitcoin` crate parses; added here are the canonical form without witness and what a coinbase
//! transaction states.

use alloy_primitives::B256;
use bitcoin::{
    Transaction,
    consensus::{deserialize, serialize},
    hashes::{Hash, sha256d},
};
use thiserror::Error;

/// The most bytes of a transaction without witness: a block's weight limit of 4,000,000 counts such
/// bytes four times.
pub const MAX_STRIPPED: usize = 1_000_000;

/// The most bytes of a transaction with its witness: a block's weight limit counts each byte at least
/// once.
pub const MAX_FULL: usize = 4_000_000;

/// Why bytes are not a usable transaction.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TxError {
    /// Longer than fits into a block.
    #[error(
        "a bitcoin transaction has at most {MAX_STRIPPED} bytes without witness and {MAX_FULL} with it, found {0}"
    )]
    TooLong(usize),
    /// Not a transaction.
    #[error("not a bitcoin transaction: {0}")]
    Malformed(String),
    /// Carries witness data, or is otherwise not the one encoding that the transaction id hashes.
    #[error("the transaction is not in its canonical form without witness ({found} bytes given)")]
    NotStripped {
        /// Bytes given.
        found: usize,
    },
    /// Not the one encoding that the witness transaction id hashes.
    #[error("the transaction is not in its canonical form ({found} bytes given)")]
    NotCanonical {
        /// Bytes given.
        found: usize,
    },
    /// 64 bytes long: could be an inner node of the tree (CVE-2017-12842).
    #[error("a transaction of 64 bytes is refused: it could be an inner node of the merkle tree")]
    SixtyFour,
}

/// A parsed transaction and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tx {
    id: B256,
    inner: Transaction,
}

/// The canonical form without witness, which the transaction id hashes.
fn strip(tx: &Transaction) -> Vec<u8> {
    let mut stripped = tx.clone();
    for input in &mut stripped.input {
        input.witness.clear();
    }
    serialize(&stripped)
}

impl Tx {
    /// Parses the form without witness. Every byte is part of the id.
    ///
    /// # Errors
    /// [`TxError`].
    pub fn from_stripped(raw: &[u8]) -> Result<Self, TxError> {
        if raw.len() > MAX_STRIPPED {
            return Err(TxError::TooLong(raw.len()));
        }
        if raw.len() == 64 {
            return Err(TxError::SixtyFour);
        }
        let inner: Transaction =
            deserialize(raw).map_err(|error| TxError::Malformed(error.to_string()))?;
        // The crate writes no inputs as a segwit marker, and reads a marker without any witness; both
        // would be bytes that the id does not hash.
        if inner.input.is_empty()
            || inner.input.iter().any(|input| !input.witness.is_empty())
            || serialize(&inner) != raw
        {
            return Err(TxError::NotStripped { found: raw.len() });
        }
        let id = B256::new(inner.compute_txid().to_byte_array());
        Ok(Self { id, inner })
    }

    /// Parses the form with witness, which for a transaction that has none is the form without. Every byte is
    /// part of the witness id.
    ///
    /// # Errors
    /// [`TxError`].
    pub fn with_witness(raw: &[u8]) -> Result<Self, TxError> {
        if raw.len() > MAX_FULL {
            return Err(TxError::TooLong(raw.len()));
        }
        let inner: Transaction =
            deserialize(raw).map_err(|error| TxError::Malformed(error.to_string()))?;
        if inner.input.is_empty() || serialize(&inner) != raw {
            return Err(TxError::NotCanonical { found: raw.len() });
        }
        match inner.base_size() {
            64 => return Err(TxError::SixtyFour),
            size if size > MAX_STRIPPED => return Err(TxError::TooLong(size)),
            _ => {}
        }
        let id = B256::new(inner.compute_txid().to_byte_array());
        Ok(Self { id, inner })
    }

    /// Takes a transaction in either form and returns the form without witness.
    ///
    /// # Errors
    /// [`TxError`].
    pub fn strip(raw: &[u8]) -> Result<Vec<u8>, TxError> {
        Self::id_and_stripped(raw).map(|(_, stripped)| stripped)
    }

    /// As [`strip`](Self::strip), with the transaction id.
    ///
    /// # Errors
    /// [`TxError`].
    pub fn id_and_stripped(raw: &[u8]) -> Result<(B256, Vec<u8>), TxError> {
        let tx: Transaction =
            deserialize(raw).map_err(|error| TxError::Malformed(error.to_string()))?;
        let stripped = strip(&tx);
        Ok((B256::new(sha256d::Hash::hash(&stripped).to_byte_array()), stripped))
    }

    /// The transaction id, internal byte order.
    #[must_use]
    pub const fn id(&self) -> B256 {
        self.id
    }

    /// The witness transaction id, internal byte order; without witness it is the transaction id.
    #[must_use]
    pub fn wtxid(&self) -> B256 {
        B256::new(self.inner.compute_wtxid().to_byte_array())
    }

    /// The parsed transaction.
    #[must_use]
    pub const fn inner(&self) -> &Transaction {
        &self.inner
    }

    /// Whether this is a coinbase: one input, which spends nothing.
    #[must_use]
    pub fn is_coinbase(&self) -> bool {
        self.inner.is_coinbase()
    }

    /// Whether the coinbase's script starts with `height`, as BIP34 demands.
    #[must_use]
    pub fn states_height(&self, height: u64) -> bool {
        let script = self.inner.input.first().map(|input| input.script_sig.as_bytes());
        script.is_some_and(|script| script.starts_with(&height_push(height)))
    }

    /// The number that the coinbase's script starts with in its shortest push, where it is a height.
    #[must_use]
    pub fn stated_height(&self) -> Option<u64> {
        let script = self.inner.input.first()?.script_sig.as_bytes();
        let height = match *script.first()? {
            0 => 0,
            small @ 0x51..=0x60 => u64::from(small).saturating_sub(0x50),
            // Five bytes hold any height until the year 5000.
            length @ 1..=5 => {
                let number = script.get(1..)?.get(..usize::from(length))?;
                let mut bytes = [0; 8];
                bytes.get_mut(..number.len())?.copy_from_slice(number);
                u64::from_le_bytes(bytes)
            }
            _ => return None,
        };
        self.states_height(height).then_some(height)
    }
}

/// Bitcoin Core's `CScript() << height`: the shortest push of the number.
fn height_push(height: u64) -> Vec<u8> {
    match height {
        0 => vec![0x00],
        1..=16 => vec![0x50u8.saturating_add(u8::try_from(height).unwrap_or(0))],
        _ => {
            let mut number: Vec<u8> = height.to_le_bytes().to_vec();
            while number.last() == Some(&0) {
                number.pop();
            }
            // The top bit is the sign.
            if number.last().is_some_and(|byte| byte & 0x80 != 0) {
                number.push(0);
            }
            let mut push = vec![u8::try_from(number.len()).unwrap_or(u8::MAX)];
            push.extend(number);
            push
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::*;

    /// The coinbase of mainnet's genesis block.
    const GENESIS: [u8; 204] = hex!(
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
    );

    /// A regtest coinbase of height 1 in both forms.
    fn segwit_coinbase() -> (Vec<u8>, Vec<u8>) {
        let prefix = "010000000001";
        let body = "010000000000000000000000000000000000000000000000000000000000000000ffffffff025100ffffffff0100f2052a01000000015100000000";
        let stripped = hex::decode(format!("01000000{body}")).unwrap();
        let (body, lock) = body.split_at(body.len() - 8);
        let witness = format!("0120{}", "00".repeat(32));
        let full = hex::decode(format!("{prefix}{body}{witness}{lock}")).unwrap();
        (stripped, full)
    }

    #[test]
    fn the_genesis_coinbase_has_its_id() {
        let tx = Tx::from_stripped(&GENESIS).unwrap();
        let mut shown = tx.id();
        shown.0.reverse();
        let expected: alloy_primitives::B256 =
            hex!("4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b").into();
        assert_eq!(shown, expected);
        assert!(tx.is_coinbase());
        assert!(!tx.states_height(0));
    }

    #[test]
    fn only_the_form_without_witness_is_accepted() {
        let (stripped, full) = segwit_coinbase();
        assert_eq!(Tx::strip(&full).unwrap(), stripped);
        assert_eq!(Tx::strip(&stripped).unwrap(), stripped);
        assert!(Tx::from_stripped(&stripped).unwrap().states_height(1));
        assert!(matches!(Tx::from_stripped(&full), Err(TxError::NotStripped { .. })));
    }

    #[test]
    fn trailing_missing_and_changed_bytes_are_refused_or_change_the_id() {
        let id = Tx::from_stripped(&GENESIS).unwrap().id();
        for at in 0..GENESIS.len() {
            let mut bad = GENESIS;
            bad[at] ^= 1;
            assert!(Tx::from_stripped(&bad).map_or(true, |tx| tx.id() != id), "byte {at}");
            assert!(Tx::from_stripped(&GENESIS[..at]).is_err());
        }
        let long = [&GENESIS[..], &[0]].concat();
        assert!(Tx::from_stripped(&long).is_err());
        assert_eq!(Tx::from_stripped(&[1; 64]), Err(TxError::SixtyFour));
        assert_eq!(Tx::from_stripped(&vec![0; 1_000_001]), Err(TxError::TooLong(1_000_001)));
    }

    #[test]
    fn height_pushes_are_bitcoin_cores() {
        let table: [(u64, &[u8]); 9] = [
            (0, &[0x00]),
            (1, &[0x51]),
            (16, &[0x60]),
            (17, &[0x01, 0x11]),
            (127, &[0x01, 0x7f]),
            (128, &[0x02, 0x80, 0x00]),
            (256, &[0x02, 0x00, 0x01]),
            (227_931, &[0x03, 0x5b, 0x7a, 0x03]),
            (8_388_608, &[0x04, 0x00, 0x00, 0x80, 0x00]),
        ];
        for (height, push) in table {
            assert_eq!(height_push(height), push, "{height}");
        }
    }
}
