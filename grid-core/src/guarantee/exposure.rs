//! How much may be covered: by chain, by reorganisation, in all.

use alloy_primitives::B256;

use super::{
    error::GuaranteeError,
    params::{GuaranteeParams, Terms, WHOLE, amount},
    pool::Book,
};
use crate::{
    header_tree::HeaderTree,
    staking::mul_div,
    state::{Fields, StorageError},
};

/// The most open guarantees of a chain: they are one value of the state.
pub const MAX_OPEN: usize = 256;

/// An open guarantee, as far as the limits need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// The guarantee.
    pub id: B256,
    /// The block that its transaction was in when it was requested.
    pub block: B256,
    /// Height of that block.
    pub height: u64,
    /// What it covers.
    pub cover: u128,
}

impl Open {
    /// Whether a reorganisation could hit it: its own block is not confirmed.
    fn at_risk(&self, tree: &HeaderTree, confirmed: Option<u64>) -> bool {
        !is_confirmed(tree, confirmed, &self.block, self.height)
    }

    pub(super) fn encode(list: &[Self]) -> Vec<u8> {
        let mut value = Vec::with_capacity(list.len().saturating_mul(88));
        for open in list {
            value.extend_from_slice(open.id.as_slice());
            value.extend_from_slice(open.block.as_slice());
            value.extend_from_slice(&open.height.to_be_bytes());
            value.extend_from_slice(&open.cover.to_be_bytes());
        }
        value
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Self>, StorageError> {
        let mut fields = Fields::new(bytes, "list of open guarantees");
        let mut list = Vec::new();
        while !fields.is_empty() {
            let (id, block) = (fields.b256()?, fields.b256()?);
            list.push(Self { id, block, height: fields.u64()?, cover: fields.u128()? });
        }
        Ok(list)
    }
}

/// Whether a tracked block is confirmed: on the best branch, and not above the confirmed tip.
pub(super) fn is_confirmed(
    tree: &HeaderTree,
    confirmed: Option<u64>,
    block: &B256,
    height: u64,
) -> bool {
    confirmed.is_some_and(|confirmed| height <= confirmed) && tree.is_best(block)
}

/// What may be covered beside what is open, by each limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    limits: [(&'static str, u128); 4],
}

impl Room {
    /// Behind a block of so many confirmations.
    pub(super) fn new(
        params: &GuaranteeParams,
        terms: &Terms,
        book: &Book,
        open: &[Open],
        seen: (&HeaderTree, Option<u64>),
        confirmations: u64,
    ) -> Self {
        let (tree, confirmed) = seen;
        let sum = |covers: &mut dyn Iterator<Item = u128>| {
            covers.fold(0u128, |sum, cover| sum.saturating_add(cover))
        };
        let chain = sum(&mut open.iter().map(|one| one.cover));
        let at_risk =
            sum(&mut open.iter().filter(|one| one.at_risk(tree, confirmed)).map(|one| one.cover));
        let part =
            |parts: u16| mul_div(book.value(), parts.into(), WHOLE.into()).unwrap_or_default();
        let work = amount(terms.block_value).saturating_mul(confirmations.into());
        Self {
            limits: [
                ("of the pool", book.pool),
                ("of one chain", part(params.chain_cap_parts).saturating_sub(chain)),
                ("of one reorganisation", part(params.reorg_cap_parts).saturating_sub(at_risk)),
                ("by the work that undoes it", work.saturating_sub(at_risk)),
            ],
        }
    }

    /// The most that may be covered.
    pub(super) fn available(&self) -> u128 {
        self.limits.iter().map(|(_, room)| *room).min().unwrap_or_default()
    }

    /// Refuses a cover above a limit.
    pub(super) fn check(&self, wanted: u128) -> Result<(), GuaranteeError> {
        match self.limits.iter().find(|(_, room)| wanted > *room) {
            Some(&(limit, available)) => Err(GuaranteeError::Exposure { wanted, available, limit }),
            None => Ok(()),
        }
    }
}
