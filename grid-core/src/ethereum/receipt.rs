//! Receipts, read where they stand: the outcome, and the logs one by one.
//!
//! A block's receipts are hundreds of kilobytes of which a proof needs one log; nothing is copied before it is
//! asked for. Source: Ethereum Yellow Paper, section 4.3.1; EIP-658, EIP-2718.

use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Decodable, Error, Header};
use thiserror::Error as ThisError;

use crate::proof::{Outcome, ProvenLog};

/// Bytes of the filter over addresses and topics.
const BLOOM_BYTES: usize = 256;
/// The most topics of a log: there is no `LOG5`.
const MAX_TOPICS: usize = 4;
/// Bytes of a topic's RLP.
const TOPIC_RLP_BYTES: usize = 33;

/// Why a receipt does not say what is asked.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Not a receipt.
    #[error("the value is not a receipt: {0}")]
    Malformed(#[from] Error),
    /// There is no such log.
    #[error("the receipt has {count} logs, there is no log {index}")]
    NoLog {
        /// Wanted log.
        index: u64,
        /// Logs of the receipt.
        count: usize,
    },
    /// Logs were wanted of a receipt that cannot be read.
    #[error("logs of a receipt of the unknown transaction type {0:#04x} cannot be proven")]
    UnknownType(u8),
}

/// A receipt of type 0 to 4, or the type of another one.
#[derive(Debug, Clone, Copy)]
pub struct Receipt<'a> {
    /// How the transaction ended.
    pub outcome: Outcome,
    /// Payload of the list of logs; the type where it is unknown.
    logs: Result<&'a [u8], u8>,
}

impl<'a> Receipt<'a> {
    /// Reads EIP-2718 receipt bytes. The logs themselves are not looked at.
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`]; never for a type that this version does not know, whose outcome is
    /// [`Outcome::Unknown`].
    pub fn read(value: &'a [u8]) -> Result<Self, ReceiptError> {
        let mut rest = match value.split_first() {
            None => return Err(Error::InputTooShort.into()),
            Some((1..=4, payload)) => payload,
            Some((0xc0.., _)) => value,
            Some((&tx_type, _)) => {
                return Ok(Self { outcome: Outcome::Unknown { tx_type }, logs: Err(tx_type) });
            }
        };
        let mut fields = Header::decode_bytes(&mut rest, true)?;
        end(rest)?;
        let outcome = match Header::decode_bytes(&mut fields, false)? {
            [] => Outcome::Failure {},
            [1] => Outcome::Success {},
            root if root.len() == B256::len_bytes() => {
                Outcome::PostState { root: B256::from_slice(root) }
            }
            _ => return Err(Error::Custom("a status that is neither 0, 1 nor a root").into()),
        };
        let _cumulative_gas = u64::decode(&mut fields)?;
        if Header::decode_bytes(&mut fields, false)?.len() != BLOOM_BYTES {
            return Err(Error::Custom("a bloom filter of another size").into());
        }
        let logs = Header::decode_bytes(&mut fields, true)?;
        end(fields)?;
        Ok(Self { outcome, logs: Ok(logs) })
    }

    /// The logs in their order.
    ///
    /// # Errors
    /// [`ReceiptError::UnknownType`]. Each log may be [`ReceiptError::Malformed`] by itself.
    pub const fn logs(&self) -> Result<Logs<'a>, ReceiptError> {
        match self.logs {
            Ok(rest) => Ok(Logs { rest }),
            Err(tx_type) => Err(ReceiptError::UnknownType(tx_type)),
        }
    }

    /// The log at a position in the receipt.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn log(&self, index: u64) -> Result<ProvenLog, ReceiptError> {
        let (mut count, mut found) = (0usize, None);
        for log in self.logs()? {
            let log = log?;
            if found.is_none() && count as u64 == index {
                found = Some(log.proven(index));
            }
            count = count.saturating_add(1);
        }
        found.ok_or(ReceiptError::NoLog { index, count })
    }
}

/// The logs of a receipt.
#[derive(Debug, Clone)]
pub struct Logs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Logs<'a> {
    type Item = Result<Log<'a>, ReceiptError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let log = Log::read(&mut self.rest);
        if log.is_err() {
            self.rest = &[];
        }
        Some(log.map_err(ReceiptError::from))
    }
}

/// A log, where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Log<'a> {
    /// The contract that emitted it.
    pub address: Address,
    topics: &'a [u8],
    data: &'a [u8],
}

impl<'a> Log<'a> {
    fn read(rest: &mut &'a [u8]) -> Result<Self, Error> {
        let mut fields = Header::decode_bytes(rest, true)?;
        let address = Address::decode(&mut fields)?;
        let topics = Header::decode_bytes(&mut fields, true)?;
        let data = Header::decode_bytes(&mut fields, false)?;
        end(fields)?;
        let mut items = topics;
        for _ in 0..MAX_TOPICS {
            if !items.is_empty() {
                B256::decode(&mut items)?;
            }
        }
        end(items)?;
        Ok(Self { address, topics, data })
    }

    /// The topics.
    pub fn topics(&self) -> impl Iterator<Item = B256> + 'a {
        // Each is a prefix byte and 32 bytes: `read` has seen to that.
        self.topics
            .chunks_exact(TOPIC_RLP_BYTES)
            .filter_map(|item| item.split_first().map(|(_, topic)| B256::from_slice(topic)))
    }

    /// A copy with its position in the receipt.
    #[must_use]
    pub fn proven(&self, index: u64) -> ProvenLog {
        let data = Bytes::copy_from_slice(self.data);
        ProvenLog { index, address: self.address, topics: self.topics().collect(), data }
    }
}

const fn end(rest: &[u8]) -> Result<(), Error> {
    if rest.is_empty() { Ok(()) } else { Err(Error::UnexpectedLength) }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{Eip658Value, Receipt as Oracle, ReceiptWithBloom};
    use alloy_primitives::{LogData, hex};
    use proptest::prelude::*;

    use super::*;

    /// A receipt with `logs` (topics, bytes of data), encoded by alloy.
    fn encoded(status: Eip658Value, logs: &[(usize, usize)]) -> Vec<u8> {
        let log = |(number, &(topics, data)): (usize, &(usize, usize))| {
            let byte = u8::try_from(number).unwrap_or(u8::MAX);
            let topics = vec![B256::repeat_byte(byte); topics];
            let data = LogData::new_unchecked(topics, vec![byte; data].into());
            alloy_primitives::Log { address: Address::repeat_byte(byte), data }
        };
        let logs = logs.iter().enumerate().map(log).collect();
        alloy_rlp::encode(Oracle { status, cumulative_gas_used: 21_000, logs }.with_bloom())
    }

    /// What alloy reads: the outcome's status and the logs.
    fn oracle(mut bytes: &[u8]) -> Option<(Eip658Value, Vec<ProvenLog>)> {
        let receipt = ReceiptWithBloom::<Oracle>::decode(&mut bytes).ok()?.receipt;
        let proven = |(index, log): (u64, alloy_primitives::Log)| {
            let (topics, data) = log.data.split();
            ProvenLog { index, address: log.address, topics, data }
        };
        bytes.is_empty().then(|| (receipt.status, (0..).zip(receipt.logs).map(proven).collect()))
    }

    fn ours(bytes: &[u8]) -> Option<(Eip658Value, Vec<ProvenLog>)> {
        let receipt = Receipt::read(bytes).ok()?;
        let status = match receipt.outcome {
            Outcome::Success {} => Eip658Value::Eip658(true),
            Outcome::Failure {} => Eip658Value::Eip658(false),
            Outcome::PostState { root } => Eip658Value::PostState(root),
            Outcome::Unknown { .. } => return None,
        };
        let logs = (0..).zip(receipt.logs().ok()?);
        let logs = logs.map(|(index, log)| log.map(|log| log.proven(index)));
        Some((status, logs.collect::<Result<_, _>>().ok()?))
    }

    #[test]
    fn receipts_state_their_outcome_and_logs() {
        let bytes = encoded(Eip658Value::Eip658(true), &[(1, 2), (4, 0), (0, 40)]);
        for tx_type in [&[][..], &[1], &[2], &[3], &[4]] {
            let bytes = [tx_type, &bytes].concat();
            let receipt = Receipt::read(&bytes).unwrap();
            assert_eq!(receipt.outcome, Outcome::Success {});
            let log = receipt.log(1).unwrap();
            assert_eq!((log.topics.len(), log.address), (4, Address::repeat_byte(1)));
            assert_eq!(receipt.log(3), Err(ReceiptError::NoLog { index: 3, count: 3 }));
        }
        let root = B256::repeat_byte(0x0d);
        let old = encoded(Eip658Value::PostState(root), &[]);
        assert_eq!(Receipt::read(&old).unwrap().outcome, Outcome::PostState { root });
        let failed = encoded(Eip658Value::Eip658(false), &[]);
        assert_eq!(Receipt::read(&failed).unwrap().outcome, Outcome::Failure {});
    }

    #[test]
    fn unknown_types_are_opaque_and_other_bytes_no_receipt() {
        let receipt = Receipt::read(&[0x7e, 1, 2, 3]).unwrap();
        assert_eq!(receipt.outcome, Outcome::Unknown { tx_type: 0x7e });
        assert_eq!(receipt.log(0), Err(ReceiptError::UnknownType(0x7e)));
        let good = encoded(Eip658Value::Eip658(true), &[(5, 1)]);
        assert!(Receipt::read(&good).unwrap().log(0).is_err(), "five topics");
        let longer = [&good[..], &[0]].concat();
        for bad in [&[][..], &[2], &hex!("c0"), &longer, &good[..good.len() - 1]] {
            assert!(Receipt::read(bad).is_err(), "{bad:02x?}");
        }
    }

    proptest! {
        #[test]
        fn damaged_receipts_read_as_alloy_reads_them(
            logs in prop::collection::vec((0usize..5, 0usize..70), 0..4),
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut bytes = encoded(Eip658Value::Eip658(true), &logs);
            if let Some((at, byte)) = damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            // Bytes below 0x80 would make it a typed receipt.
            if bytes[0] >= 0xc0 {
                prop_assert_eq!(ours(&bytes), oracle(&bytes));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(receipt) = Receipt::read(&bytes) {
                let _either = receipt.log(0);
            }
        }
    }
}
