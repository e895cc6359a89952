//! BIP37 merkle blocks: what `gettxoutproof` returns.

use alloy_primitives::B256;

use super::{MAX_TRANSACTIONS, SpvError, TxProof, tree::node};
use crate::bitcoin::tx::Tx;

/// The most bytes of a merkle block: header, counts, at most every transaction id, and two flag bits a node.
pub const MAX_MERKLE_BLOCK: usize = 600_000;

/// A parsed and checked merkle block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerkleBlock {
    header: [u8; 80],
    count: u64,
    matches: Vec<Match>,
}

/// A transaction that a merkle block proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Transaction id, internal byte order. Only an id: see [`super::verify`] for what else is needed.
    pub txid: B256,
    /// Position in the block.
    pub index: u64,
    /// Siblings from the id upwards.
    pub branch: Vec<B256>,
}

/// Reads from the front of a slice.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], SpvError> {
        let (head, rest) =
            self.0.split_at_checked(len).ok_or(SpvError::MerkleBlock("bytes are missing"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SpvError> {
        let (head, rest) =
            self.0.split_first_chunk::<N>().ok_or(SpvError::MerkleBlock("bytes are missing"))?;
        self.0 = rest;
        Ok(*head)
    }

    /// A compact size, in its shortest form.
    fn compact_size(&mut self) -> Result<u64, SpvError> {
        let [first] = self.array()?;
        let (value, least) = match first {
            0xfd => (u64::from(u16::from_le_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(u32::from_le_bytes(self.array()?)), 0x1_0000),
            0xff => (u64::from_le_bytes(self.array()?), 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least {
            return Err(SpvError::MerkleBlock("a length is not in its shortest form"));
        }
        Ok(value)
    }
}

/// The traversal of a partial tree, depth first.
struct Walk<'a> {
    count: u64,
    hashes: core::slice::Iter<'a, [u8; 32]>,
    flags: &'a [u8],
    used_flags: usize,
    /// Matches with the siblings collected so far.
    matches: Vec<Match>,
}

impl Walk<'_> {
    fn flag(&mut self) -> Result<bool, SpvError> {
        let byte = self
            .flags
            .get(self.used_flags / 8)
            .ok_or(SpvError::MerkleBlock("flag bits are missing"))?;
        let flag = (byte >> (self.used_flags % 8)) & 1 == 1;
        self.used_flags = self.used_flags.saturating_add(1);
        Ok(flag)
    }

    fn hash(&mut self) -> Result<B256, SpvError> {
        self.hashes.next().map(B256::from).ok_or(SpvError::MerkleBlock("hashes are missing"))
    }

    /// Number of nodes on a level.
    fn width(&self, level: u32) -> u64 {
        self.count.div_ceil(1 << level)
    }

    /// The node at a place; matches below it get the siblings that they need up to it.
    fn node(&mut self, level: u32, position: u64) -> Result<B256, SpvError> {
        let flag = self.flag()?;
        let Some(below) = level.checked_sub(1) else {
            let txid = self.hash()?;
            if flag {
                self.matches.push(Match { txid, index: position, branch: Vec::new() });
            }
            return Ok(txid);
        };
        if !flag {
            return self.hash();
        }
        let first = self.matches.len();
        let left_position = position.saturating_mul(2);
        let left = self.node(below, left_position)?;
        let middle = self.matches.len();
        let right_position = left_position.saturating_add(1);
        let right = if right_position < self.width(below) {
            let right = self.node(below, right_position)?;
            if right == left {
                return Err(SpvError::Duplicate { level: usize::try_from(below).unwrap_or(0) });
            }
            right
        } else {
            left
        };
        for (at, found) in self.matches.iter_mut().enumerate().skip(first) {
            found.branch.push(if at < middle { right } else { left });
        }
        if self.matches.len() == first {
            return Err(SpvError::MerkleBlock("a flag announces a match where there is none"));
        }
        Ok(node(&left, &right))
    }
}

impl MerkleBlock {
    /// Parses and checks a merkle block: every byte, hash and flag is used, neighbours differ, and the
    /// root is the header's. The header itself is not judged.
    ///
    /// # Errors
    /// [`SpvError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SpvError> {
        if bytes.len() > MAX_MERKLE_BLOCK {
            return Err(SpvError::MerkleBlock("too long"));
        }
        let mut reader = Reader(bytes);
        let header: [u8; 80] = reader.array()?;
        let count = u64::from(u32::from_le_bytes(reader.array()?));
        if count == 0 || count > MAX_TRANSACTIONS {
            return Err(SpvError::Count { index: 0, count });
        }
        let hashes = reader.compact_size()?;
        if hashes > count {
            return Err(SpvError::MerkleBlock("more hashes than transactions"));
        }
        let length = usize::try_from(hashes.saturating_mul(32)).unwrap_or(usize::MAX);
        let (hashes, _) = reader.take(length)?.as_chunks::<32>();
        let length = usize::try_from(reader.compact_size()?).unwrap_or(usize::MAX);
        let flags = reader.take(length)?;
        if !reader.0.is_empty() {
            return Err(SpvError::MerkleBlock("bytes follow its end"));
        }
        let (root, matches) = Self::walk(count, hashes, flags)?;
        let expected = header.get(36..68).map(B256::from_slice).unwrap_or_default();
        if root != expected {
            return Err(SpvError::Root { index: 0, found: root, expected });
        }
        Ok(Self { header, count, matches })
    }

    fn walk(count: u64, hashes: &[[u8; 32]], flags: &[u8]) -> Result<(B256, Vec<Match>), SpvError> {
        let depth = u64::BITS.saturating_sub(count.saturating_sub(1).leading_zeros());
        let mut walk =
            Walk { count, hashes: hashes.iter(), flags, used_flags: 0, matches: Vec::new() };
        let root = walk.node(depth, 0)?;
        if walk.hashes.next().is_some() {
            return Err(SpvError::MerkleBlock("hashes are left over"));
        }
        let padding = flags.len().saturating_mul(8).saturating_sub(walk.used_flags);
        let last = flags.last().copied().unwrap_or(0);
        let used_of_last = 8usize.saturating_sub(padding);
        if padding >= 8 || u16::from(last) >> used_of_last != 0 {
            return Err(SpvError::MerkleBlock("flag bits are left over"));
        }
        if walk.matches.is_empty() {
            return Err(SpvError::MerkleBlock("it proves no transaction"));
        }
        Ok((root, walk.matches))
    }

    /// The block header, 80 bytes.
    #[must_use]
    pub const fn header(&self) -> &[u8; 80] {
        &self.header
    }

    /// Number of transactions that the block is said to have. The root does not commit to it.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The proven transactions, by increasing index.
    #[must_use]
    pub fn matches(&self) -> &[Match] {
        &self.matches
    }
    /// The proof of a matched transaction, given with or without witness beside the block's coinbase. Both must
    /// be matched: a merkle block alone proves ids, and only the coinbase fixes the depth of the tree.
    ///
    /// # Errors
    /// [`SpvError::NotMatched`], [`SpvError::NoCoinbase`], or where a transaction does not parse.
    pub fn prove(&self, raw: &[u8], coinbase: &[u8]) -> Result<TxProof, SpvError> {
        let (txid, _) = Tx::id_and_stripped(raw).map_err(SpvError::Transaction)?;
        let (coinbase_id, _) = Tx::id_and_stripped(coinbase).map_err(SpvError::Coinbase)?;
        let matched = |id| self.matches.iter().find(|found| found.txid == id);
        let found = matched(txid).ok_or(SpvError::NotMatched(txid))?;
        let first = matched(coinbase_id).filter(|first| first.index == 0);
        let first = first.ok_or(SpvError::NoCoinbase)?;
        TxProof::assemble(raw, found.index, found.branch.clone(), coinbase, first.branch.clone())
    }
}
