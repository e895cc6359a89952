//! The 80-byte block header.

use alloy_primitives::B256;
use bitcoin_hashes::{Hash as _, sha256d};

use crate::{ChainKey, CompatHeader};

/// A block header's fields. On the wire: `i32 version | prev | merkle root | u32 time | u32 bits |
/// u32 nonce`, numbers little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Block version; signed, so that a set top bit is a low version.
    pub version: i32,
    /// Hash of the parent, internal byte order.
    pub prev: B256,
    /// Root of the tree over transaction ids, internal byte order.
    pub merkle_root: B256,
    /// Seconds since 1970.
    pub time: u32,
    /// Target in compact form.
    pub bits: u32,
    /// Nonce.
    pub nonce: u32,
}

/// SHA-256 of SHA-256, internal byte order.
#[must_use]
pub fn sha256d(bytes: &[u8]) -> B256 {
    B256::new(sha256d::Hash::hash(bytes).to_byte_array())
}

/// A hash as block explorers and Bitcoin Core show it: byte-reversed, in hexadecimal.
#[must_use]
pub fn shown(hash: &B256) -> String {
    let mut reversed = *hash;
    reversed.0.reverse();
    format!("{reversed:x}")
}

impl Header {
    /// Bytes of a header.
    pub const SIZE: usize = 80;

    /// Reads a header; every 80 bytes are one.
    #[must_use]
    pub const fn parse(bytes: &[u8; 80]) -> Self {
        let (version, rest) = take::<4>(bytes);
        let (prev, rest) = take::<32>(rest);
        let (merkle_root, rest) = take::<32>(rest);
        let (time, rest) = take::<4>(rest);
        let (bits, rest) = take::<4>(rest);
        let (nonce, _) = take::<4>(rest);
        Self {
            version: i32::from_le_bytes(version),
            prev: B256::new(prev),
            merkle_root: B256::new(merkle_root),
            time: u32::from_le_bytes(time),
            bits: u32::from_le_bytes(bits),
            nonce: u32::from_le_bytes(nonce),
        }
    }

    /// The 80 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 80] {
        let mut out = [0u8; 80];
        let fields: [&[u8]; 6] = [
            &self.version.to_le_bytes(),
            self.prev.as_slice(),
            self.merkle_root.as_slice(),
            &self.time.to_le_bytes(),
            &self.bits.to_le_bytes(),
            &self.nonce.to_le_bytes(),
        ];
        for (to, from) in out.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        out
    }

    /// The block hash, internal byte order.
    #[must_use]
    pub fn hash(&self) -> B256 {
        sha256d(&self.to_bytes())
    }

    /// The common form. The caller knows chain and height, and has the hash already.
    #[must_use]
    pub fn compat(&self, chain: ChainKey, height: u64, hash: B256) -> CompatHeader {
        CompatHeader {
            chain: chain.0,
            height,
            blockHash: hash,
            parentHash: self.prev,
            time: u64::from(self.time),
            txRoot: self.merkle_root,
            receiptsRoot: B256::ZERO,
            stateRoot: B256::ZERO,
            indexRoot: B256::ZERO,
        }
    }
}

/// The first `N` bytes, or zeros where there are fewer: [`Header::parse`] never asks for more than
/// its 80.
const fn take<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    match bytes.split_first_chunk::<N>() {
        Some((head, rest)) => (*head, rest),
        None => ([0; N], &[]),
    }
}

/// Splits a blob into 80-byte headers; `None` unless its length is a multiple of 80.
#[must_use]
pub fn split(blob: &[u8]) -> Option<Vec<[u8; 80]>> {
    let (headers, rest) = blob.as_chunks::<80>();
    rest.is_empty().then(|| headers.to_vec())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mainnet_block_1_has_its_known_hash_and_fields() {
        let bytes = hex!(
            "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299"
        );
        let header = Header::parse(&bytes);
        assert_eq!((header.version, header.time, header.bits), (1, 1231469665, 0x1d00ffff));
        assert_eq!(header.nonce, 2573394689);
        let mut shown = header.hash();
        shown.0.reverse();
        assert_eq!(
            hex::encode(shown),
            "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"
        );
    }

    #[test]
    fn a_blob_splits_only_at_whole_headers() {
        assert_eq!(split(&[0; 160]).map(|headers| headers.len()), Some(2));
        assert_eq!(split(&[]).map(|headers| headers.len()), Some(0));
        assert_eq!(split(&[0; 81]), None);
    }

    proptest! {
        #[test]
        fn every_80_bytes_round_trip(bytes in proptest::array::uniform32(any::<u8>()), more in proptest::array::uniform32(any::<u8>()), end in any::<u128>()) {
            let mut raw = [0u8; 80];
            raw[..32].copy_from_slice(&bytes);
            raw[32..64].copy_from_slice(&more);
            raw[64..].copy_from_slice(&end.to_be_bytes());
            let header = Header::parse(&raw);
            prop_assert_eq!(header.to_bytes(), raw);
            prop_assert_eq!(header.hash(), sha256d(&raw));
        }
    }
}
