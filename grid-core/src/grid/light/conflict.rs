//! Proof that a chain contradicted itself.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::{SolValue, sol};

use super::{
    block::{LightBlock, MAX_LIGHT_BLOCK_BYTES},
    error::LightError,
    state::{LightPolicy, TrustedState},
};
use crate::grid::header::GridHeader;

/// The most bytes of [`Conflict::to_abi`].
pub const MAX_CONFLICT_BYTES: usize = 2 * MAX_LIGHT_BLOCK_BYTES + 256;

sol! {
    /// Two light blocks as evidence.
    struct ConflictingBlocks {
        /// `abi.encode(LightUpdate)` of the block with the lower hash.
        bytes first;
        /// The other.
        bytes second;
    }
}

/// Two certified blocks of one height that both follow from one trusted state: more than a third of somebody's
/// power signed twice. Only [`TrustedState::conflict`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    first: LightBlock,
    second: LightBlock,
    common: Vec<Address>,
}

impl Conflict {
    /// The height.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.first.certificate.height
    }

    /// The two blocks, the one with the lower hash first: one order, whoever found them.
    #[must_use]
    pub const fn blocks(&self) -> (&LightBlock, &LightBlock) {
        (&self.first, &self.second)
    }

    /// Who signed both blocks, by increasing address. With equal rounds each of them equivocated; with different rounds
    /// some may have been right to change their mind.
    #[must_use]
    pub fn signers_of_both(&self) -> &[Address] {
        &self.common
    }

    /// Whether both blocks were decided in the same round, so that every common signer provably broke the rules.
    #[must_use]
    pub const fn is_equivocation(&self) -> bool {
        self.first.certificate.round == self.second.certificate.round
    }

    /// The evidence record: `abi.encode(ConflictingBlocks)`.
    #[must_use]
    pub fn to_abi(&self) -> Vec<u8> {
        let bytes = |block: &LightBlock| Bytes::from(block.to_abi());
        ConflictingBlocks { first: bytes(&self.first), second: bytes(&self.second) }.abi_encode()
    }
}

impl TrustedState {
    /// Checks that two blocks of one height both follow from this state.
    ///
    /// # Errors
    /// [`LightError::NoConflict`] where they are the same block or of different heights; else why one of them
    /// does not follow.
    pub fn conflict(
        &self,
        one: LightBlock,
        other: LightBlock,
        policy: &LightPolicy,
        now_ms: u64,
    ) -> Result<Conflict, LightError> {
        let headers = (self.verify(&one, policy, now_ms)?, self.verify(&other, policy, now_ms)?);
        let (first, second) = (headers.0.header.number, headers.1.header.number);
        if first != second || headers.0.hash == headers.1.hash {
            return Err(LightError::NoConflict { first, second });
        }
        self.record(one, other, &headers)
    }

    fn record(
        &self,
        one: LightBlock,
        other: LightBlock,
        headers: &(GridHeader, GridHeader),
    ) -> Result<Conflict, LightError> {
        let of_one = one.certificate.signers(self.chain_id, &one.validators)?;
        let of_other = other.certificate.signers(self.chain_id, &other.validators)?;
        let common =
            of_one.into_iter().filter(|signer| of_other.binary_search(signer).is_ok()).collect();
        let (first, second) =
            if headers.0.hash < headers.1.hash { (one, other) } else { (other, one) };
        Ok(Conflict { first, second, common })
    }

    /// Reads an evidence record and checks it as [`conflict`](Self::conflict) does.
    ///
    /// # Errors
    /// [`LightError::Malformed`] where it is not a record, else as [`conflict`](Self::conflict).
    pub fn read_conflict(
        &self,
        bytes: &[u8],
        policy: &LightPolicy,
        now_ms: u64,
    ) -> Result<Conflict, LightError> {
        let malformed = |why: String| LightError::Malformed(why);
        if bytes.len() > MAX_CONFLICT_BYTES {
            return Err(malformed(format!(
                "{} bytes, at most {MAX_CONFLICT_BYTES} are allowed",
                bytes.len()
            )));
        }
        let blocks = ConflictingBlocks::abi_decode_validate(bytes)
            .map_err(|error| malformed(error.to_string()))?;
        let (first, second) =
            (LightBlock::from_abi(&blocks.first)?, LightBlock::from_abi(&blocks.second)?);
        let conflict = self.conflict(first, second, policy, now_ms)?;
        if conflict.to_abi() == bytes {
            Ok(conflict)
        } else {
            Err(malformed("not the canonical encoding".into()))
        }
    }
}
