//! Ethereum facts and blocks as the command line writes them.

use core::{ops::RangeInclusive, str::FromStr};

use alloy_primitives::{B256, U256};
use grid_core::proof::ethereum::EthereumFact;

/// The most blocks of a range: each is a proof of its own.
const MAX_BLOCKS: u64 = 10_000;

/// A block, or all from one to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockRange(pub(crate) RangeInclusive<u64>);

impl FromStr for BlockRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let height = |text: &str| {
            text.parse::<u64>().map_err(|error| format!("{text:?} is not a height: {error}"))
        };
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (height(first)?, height(last)?),
            None => (height(text)?, height(text)?),
        };
        match last.checked_sub(first) {
            None => Err(format!("the range ends at {last}, before it begins at {first}")),
            Some(blocks) if blocks >= MAX_BLOCKS => Err(format!(
                "the range has more than {MAX_BLOCKS} blocks; each is a proof of its own"
            )),
            Some(_) => Ok(Self(first..=last)),
        }
    }
}

/// Reads a fact: its kind, then what it is about, with colons between.
pub(crate) fn fact(text: &str) -> Result<EthereumFact, String> {
    const FORMS: &str = "tx:HASH, receipt:HASH, log:HASH:INDEX, logs:ADDRESS[:TOPIC], account:ADDRESS, \
                         storage:ADDRESS:SLOT, code-hash:ADDRESS, code:ADDRESS, count";
    let parts: Vec<&str> = text.split(':').collect();
    Ok(match parts.as_slice() {
        ["tx", hash] => EthereumFact::Transaction { hash: part(hash, "a transaction hash")? },
        ["receipt", hash] => {
            EthereumFact::Receipt { hash: part(hash, "a transaction hash")?, log: None }
        }
        ["log", hash, index] => {
            let log = Some(part(index, "the index of a log")?);
            EthereumFact::Receipt { hash: part(hash, "a transaction hash")?, log }
        }
        ["logs", address] => {
            EthereumFact::Logs { address: part(address, "an address")?, topic: None }
        }
        ["logs", address, topic] => {
            let topic = Some(part(topic, "a topic")?);
            EthereumFact::Logs { address: part(address, "an address")?, topic }
        }
        ["account", address] => EthereumFact::Account { address: part(address, "an address")? },
        ["storage", address, slot] => {
            let slot: U256 = part(slot, "a slot, decimal or 0x-hex")?;
            EthereumFact::Storage { address: part(address, "an address")?, slot: B256::from(slot) }
        }
        ["code-hash", address] => {
            EthereumFact::Code { address: part(address, "an address")?, bytes: false }
        }
        ["code", address] => {
            EthereumFact::Code { address: part(address, "an address")?, bytes: true }
        }
        ["count"] => EthereumFact::TransactionCount {},
        _ => return Err(format!("expected one of {FORMS}")),
    })
}

fn part<T: FromStr<Err: core::fmt::Display>>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text:?} is not {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;

    use super::*;

    #[test]
    fn facts_are_read_as_they_are_written() {
        let (address, hash) = (Address::repeat_byte(0x11), B256::repeat_byte(0x22));
        let slot = B256::with_last_byte(16);
        let cases = [
            (format!("tx:{hash}"), EthereumFact::Transaction { hash }),
            (format!("receipt:{hash}"), EthereumFact::Receipt { hash, log: None }),
            (format!("log:{hash}:3"), EthereumFact::Receipt { hash, log: Some(3) }),
            (format!("logs:{address}"), EthereumFact::Logs { address, topic: None }),
            (format!("logs:{address}:{hash}"), EthereumFact::Logs { address, topic: Some(hash) }),
            (format!("account:{address}"), EthereumFact::Account { address }),
            (format!("storage:{address}:0x10"), EthereumFact::Storage { address, slot }),
            (format!("storage:{address}:16"), EthereumFact::Storage { address, slot }),
            (format!("code-hash:{address}"), EthereumFact::Code { address, bytes: false }),
            (format!("code:{address}"), EthereumFact::Code { address, bytes: true }),
            ("count".into(), EthereumFact::TransactionCount {}),
        ];
        for (text, expected) in cases {
            assert_eq!(fact(&text), Ok(expected), "{text}");
        }
        for bad in ["", "tx", "tx:", "tx:0x12", "count:1", "storage:0x11", "log:1:2:3", "other:1"] {
            assert!(fact(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_include_both_ends() {
        let range = |text: &str| text.parse::<BlockRange>().map(|range| range.0);
        assert_eq!(range("7"), Ok(7..=7));
        assert_eq!(range("7-9"), Ok(7..=9));
        for bad in ["", "-", "9-7", "7-", "a", "0-10000", "7..9"] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
