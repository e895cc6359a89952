//! Bitcoin's names for things, as its tools display them.

use alloy_primitives::B256;
use eyre::{Result, WrapErr as _, bail};

/// A transaction id as displayed → internal byte order.
pub(crate) fn txid(text: &str) -> Result<B256> {
    displayed("transaction id", text)
}

/// A block hash as displayed → internal byte order.
pub(crate) fn block_hash(text: &str) -> Result<B256> {
    displayed("block hash", text)
}

/// An output, `TXID:N` → its transaction in internal byte order, and its number.
pub(crate) fn outpoint(text: &str) -> Result<(B256, u32)> {
    let Some((id, output)) = text.split_once(':') else {
        bail!("{text:?} does not name an output: write TXID:N, for the first output TXID:0");
    };
    let output =
        output.parse().wrap_err_with(|| format!("{output:?} is not the number of an output"))?;
    Ok((txid(id)?, output))
}

/// A hash in internal byte order, as displayed.
pub(crate) fn display(mut hash: B256) -> String {
    hash.0.reverse();
    alloy_primitives::hex::encode(hash)
}

fn displayed(what: &str, text: &str) -> Result<B256> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let mut hash: B256 = digits
        .parse()
        .ok()
        .filter(|_| digits.len() == 64)
        .ok_or_else(|| eyre::eyre!("{text:?} is not a {what}: 64 hex digits are expected"))?;
    hash.0.reverse();
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_written_as_bitcoin_writes_them() {
        let id = format!("{}01", "00".repeat(31));
        let mut first = B256::ZERO;
        first.0[0] = 1;
        assert_eq!(outpoint(&format!("{id}:7")).unwrap(), (first, 7));
        assert_eq!(txid(&format!("0x{id}")).unwrap(), first);
        for bad in [id.as_str(), "1:1", &format!("{id}:"), &format!("{id}:-1"), ""] {
            assert!(outpoint(bad).is_err(), "{bad}");
        }
        assert!(block_hash(&id[1..]).is_err());
    }
}
