//! What can be asked about: an item's key, a header's hash, a chain and a height, a transaction.

use alloy_primitives::B256;
use grid_core::ChainId;

/// Longest text that is taken for a name.
pub(crate) const MAX_ID: usize = 256;

/// The readings of a text that names something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Id {
    /// 32 bytes: a header in either byte order, or a transaction.
    Hash(B256),
    /// A header by its height.
    Height {
        /// Its chain.
        chain: ChainId,
        /// Its height.
        height: u64,
    },
    /// An item's key, with what it says of the item.
    Key {
        /// The text.
        key: String,
        /// The chain in it.
        chain: ChainId,
    },
}

/// What is wrong with a text that names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names nothing: expected an item's key (`grid relayer items`), a chain and a height such as \
     eip155:1:19000000, or the hash of a header or of a transaction (64 hexadecimal digits)"
)]
pub(crate) struct NoId {
    text: String,
}

impl Id {
    /// Reads a text. Hashes may have `0x` in front or not.
    pub(crate) fn parse(text: &str) -> Result<Self, NoId> {
        let no_id = || NoId { text: text.chars().take(80).collect() };
        let text = text.trim();
        if text.len() > MAX_ID {
            return Err(no_id());
        }
        if let Some(hash) = hash(text) {
            return Ok(Self::Hash(hash));
        }
        let mut parts = text.splitn(3, ':');
        let (Some(space), Some(reference), Some(rest)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(no_id());
        };
        let chain: ChainId = format!("{space}:{reference}").parse().map_err(|_| no_id())?;
        if let Ok(height) = rest.parse() {
            return Ok(Self::Height { chain, height });
        }
        let end = rest.rsplit(':').next().unwrap_or_default();
        if rest.contains(':') && hash(end).is_some() {
            return Ok(Self::Key { key: text.to_owned(), chain });
        }
        Err(no_id())
    }
}

fn hash(text: &str) -> Option<B256> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    (digits.len() == 64).then(|| digits.parse().ok()).flatten()
}

/// The bytes of a hash from the other end: Bitcoin's tools show hashes that way.
pub(crate) fn reversed(mut hash: B256) -> B256 {
    hash.0.reverse();
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read_and_everything_else_is_refused_with_the_forms() {
        let digits = "ab".repeat(32);
        let hash: B256 = digits.parse().unwrap();
        let chain: ChainId = "eip155:1".parse().unwrap();
        assert_eq!(Id::parse(&digits), Ok(Id::Hash(hash)));
        assert_eq!(Id::parse(&format!(" 0x{digits}\n")), Ok(Id::Hash(hash)));
        let height = Id::Height { chain: chain.clone(), height: 19 };
        assert_eq!(Id::parse("eip155:1:19"), Ok(height));
        for key in [format!("eip155:1:17:19:0x{digits}"), format!("eip155:1:sync:19:0x{digits}")] {
            assert_eq!(Id::parse(&key), Ok(Id::Key { key, chain: chain.clone() }));
        }
        let long = "x".repeat(MAX_ID + 1);
        for text in ["", "eip155:1", "eip155:1:", "eip155:1:-1", "eip155:1:x:y", "0xab", &long] {
            let error = Id::parse(text).unwrap_err().to_string();
            assert!(error.contains("names nothing") && error.len() < 400, "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_surprise(text in "\\PC{0,300}") {
            let _read = Id::parse(&text);
        }
    }
}
