//! A client of an Ethereum-like chain that follows registered attesters.

#[cfg(test)]
mod tests;

use alloy_primitives::{Bytes, U256};

use super::{
    attest::{self, AttestError, AttesterSet},
    header::{RunError, SealedEthHeader, compat, decode_header, decode_run},
};
use crate::{
    ChainKey,
    grid::RecoverableSignature,
    header_tree::{HeaderTree, RawHeader, TrackedHeader, TreeError, TreeKind, TreeMeta},
    light_client::{Accepted, ClientError},
};

/// How far behind the tip a branch may end and still be stored, in blocks.
pub const DEFAULT_MAX_BEHIND: u64 = 144;

/// The most headers in one submission.
pub const MAX_HEADERS_PER_SUBMISSION: usize = 1_024;

/// Follows an Ethereum-like chain by what m of n keys attest. The longest attested branch is the
/// best; of equal ones the one seen first.
#[derive(Debug, Clone)]
pub struct AttestedClient {
    chain: ChainKey,
    attesters: AttesterSet,
    tree: HeaderTree,
    max_behind: u64,
}

impl AttestedClient {
    /// A client that trusts the header in `start` (RLP).
    ///
    /// # Errors
    /// [`AttestError::Run`] where `start` is not a header.
    pub fn new(chain: ChainKey, attesters: AttesterSet, start: &[u8]) -> Result<Self, AttestError> {
        let sealed = decode_header(start).map_err(|error| RunError::Header { index: 0, error })?;
        let base = tracked(chain, &sealed, 0);
        Ok(Self::over(chain, attesters, HeaderTree::new(base)))
    }

    /// A client from its stored tree; see [`HeaderTree::from_chunks`].
    ///
    /// # Errors
    /// [`TreeError`] where a chunk cannot be read.
    pub fn load(
        chain: ChainKey,
        attesters: AttesterSet,
        meta: &TreeMeta,
        chunks: impl IntoIterator<Item = (u64, Vec<u8>)>,
    ) -> Result<Self, TreeError> {
        let tree = HeaderTree::from_chunks(TreeKind::Ethereum { chain }, meta, chunks)?;
        Ok(Self::over(chain, attesters, tree))
    }

    const fn over(chain: ChainKey, attesters: AttesterSet, tree: HeaderTree) -> Self {
        Self { chain, attesters, tree, max_behind: DEFAULT_MAX_BEHIND }
    }

    /// Stores branches that end up to this many blocks behind the tip, instead of
    /// [`DEFAULT_MAX_BEHIND`].
    #[must_use]
    pub const fn with_max_behind(mut self, blocks: u64) -> Self {
        self.max_behind = blocks;
        self
    }

    /// The chain's key.
    #[must_use]
    pub const fn chain(&self) -> ChainKey {
        self.chain
    }

    /// Whose signatures count.
    #[must_use]
    pub const fn attesters(&self) -> &AttesterSet {
        &self.attesters
    }

    /// The tracked headers.
    #[must_use]
    pub const fn tree(&self) -> &HeaderTree {
        &self.tree
    }

    /// The tracked headers, to prune or store them.
    pub const fn tree_mut(&mut self) -> &mut HeaderTree {
        &mut self.tree
    }

    /// Takes a run of RLP headers, each the child of the one before, whose last is attested. The
    /// signatures bind all others through the parent hashes, so everything is checked before
    /// anything is stored. Known headers at the start are skipped.
    pub fn accept(
        &mut self,
        headers: &[Bytes],
        signatures: &[RecoverableSignature],
        now_ms: u64,
    ) -> Accepted {
        if headers.len() > MAX_HEADERS_PER_SUBMISSION {
            return Accepted::refused(ClientError::TooMany {
                found: headers.len(),
                most: MAX_HEADERS_PER_SUBMISSION,
            });
        }
        let old_tip = self.tree.tip().hash();
        let run = match self.check(headers, signatures) {
            Ok(run) => run,
            Err(error) => return Accepted::refused(error),
        };
        let mut accepted =
            Accepted { known: headers.len().saturating_sub(run.len()), ..Accepted::default() };
        for sealed in &run {
            match self.tree.insert(tracked(self.chain, sealed, now_ms)) {
                Ok(_) => accepted.added = accepted.added.saturating_add(1),
                Err(error) => {
                    accepted.rejected = Some(AttestError::from(error).into());
                    break;
                }
            }
        }
        accepted.finish(&self.tree, old_tip)
    }

    /// Decodes the run and checks links, attachment, distance and signatures; the headers that are
    /// not yet known.
    fn check(
        &self,
        headers: &[Bytes],
        signatures: &[RecoverableSignature],
    ) -> Result<Vec<SealedEthHeader>, ClientError> {
        let mut run = decode_run(headers).map_err(AttestError::from)?;
        let last = run.last().ok_or(ClientError::Empty)?;
        let (height, hash) = (last.header.number, last.hash);
        let known = run.iter().take_while(|sealed| self.tree.get(&sealed.hash).is_some()).count();
        run.drain(..known);
        let Some(first) = run.first() else { return Ok(run) };
        let (first, parent) = (first.hash, first.header.parent_hash);
        if self.tree.get(&parent).is_none() {
            let error = TreeError::UnknownParent { hash: first, parent };
            return Err(AttestError::from(error).into());
        }
        let tip = self.tree.tip().height();
        let max_behind = self.max_behind;
        if height.saturating_add(max_behind) < tip {
            return Err(AttestError::TooFarBehind { height, tip, max_behind }.into());
        }
        attest::verify(&attest::digest(self.chain, height, &hash), signatures, &self.attesters)?;
        Ok(run)
    }
}

fn tracked(chain: ChainKey, sealed: &SealedEthHeader, seen: u64) -> TrackedHeader {
    let header = compat(chain, sealed);
    // One more than the parent's, so that the longest branch weighs most.
    let weight = U256::from(header.height);
    TrackedHeader { header, weight, seen, raw: RawHeader::Ethereum }
}
