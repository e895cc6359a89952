//! Files that Bitcoin's tools write: binary, or hexadecimal text.

use std::{fs, path::Path};

use alloy_primitives::hex;
use eyre::{Result, WrapErr as _, bail};

/// Reads a file of at most `most` bytes, or twice as many hexadecimal digits.
pub(super) fn read(file: &Path, most: usize) -> Result<Vec<u8>> {
    let shown = file.display();
    let size = fs::metadata(file).wrap_err_with(|| format!("cannot read {shown}"))?.len();
    let limit = u64::try_from(most)?.saturating_mul(2).saturating_add(1024);
    if size > limit {
        bail!("{shown} has {size} bytes; at most {limit} are expected here");
    }
    let bytes = fs::read(file).wrap_err_with(|| format!("cannot read {shown}"))?;
    Ok(from_text(&bytes).unwrap_or(bytes))
}

/// The bytes behind hexadecimal text; `None` for anything else.
pub(super) fn from_text(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = core::str::from_utf8(bytes).ok()?.trim();
    (!text.is_empty()).then(|| hex::decode(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_told_from_bytes() {
        assert_eq!(from_text(b"0001ff\n"), Some(vec![0, 1, 255]));
        assert_eq!(from_text(b"0x01"), Some(vec![1]));
        assert_eq!(from_text(&[1, 0, 0, 0]), None);
        assert_eq!(from_text(b"  \n"), None);
        assert_eq!(from_text(b"012"), None);
    }
}
