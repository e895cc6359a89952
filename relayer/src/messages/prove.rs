//! The call that delivers a message.

use core::time::Duration;

use alloy_primitives::{Bytes, keccak256};
use alloy_sol_types::SolCall as _;
use grid_adapters::{AdapterError, Material};
use grid_core::{
    api::ProveAnswer,
    modules::abi::Mailbox,
    proof::{self, Anchor, Segment, VerifyError},
    transition::MAX_TRANSACTION_BYTES,
};
use thiserror::Error;

use crate::{
    main_chain::MainError,
    store::{MessageRow, StoreError},
};

/// Why a message was not proven now.
#[derive(Debug, Error)]
pub(super) enum ProveError {
    /// The source failed.
    #[error(transparent)]
    Source(Box<AdapterError>),
    /// The main chain failed.
    #[error(transparent)]
    Main(#[from] MainError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One of the two is in the middle of a reorganisation.
    #[error(
        "the source shows the message in another block than the main chain's index has at height {0}"
    )]
    Moved(u64),
    /// The main chain's path is not one.
    #[error("unusable path of the main chain: {0}")]
    Path(String),
    /// The parts do not fit.
    #[error("the source's proof does not fit: {0}")]
    Build(Box<VerifyError>),
    /// No transaction of the main chain can carry it.
    #[error(
        "proof and evidence have {0} bytes, a transaction of the main chain at most {MAX_TRANSACTION_BYTES}"
    )]
    Large(usize),
    /// Too slow.
    #[error("not over after {} s", .0.as_secs())]
    Late(Duration),
}

impl From<AdapterError> for ProveError {
    fn from(error: AdapterError) -> Self {
        Self::Source(Box::new(error))
    }
}

/// What a transaction has beside its call, and more.
const ENVELOPE: usize = 1_024;

/// Joins the source's part and the main chain's into the call.
pub(super) fn call(
    row: &MessageRow,
    material: Material,
    path: ProveAnswer,
    evidence: Bytes,
) -> Result<Bytes, ProveError> {
    let Material { header, inclusion } = material;
    if header != path.header || header.blockHash != row.block.hash {
        return Err(ProveError::Moved(row.block.height));
    }
    let segment =
        Segment::from_abi(&path.segment).map_err(|error| ProveError::Path(error.to_string()))?;
    // The main chain knows its own blocks: it needs no certificate.
    let anchor = Anchor::BlockHash { hash: keccak256(&segment.grid_header) };
    let proof = proof::build::assemble(header, path.source, inclusion, segment, anchor)
        .map_err(|error| ProveError::Build(Box::new(error)))?;
    let call = Mailbox::deliverCall { proof: proof.to_abi(), evidence }.abi_encode();
    if call.len().saturating_add(ENVELOPE) > MAX_TRANSACTION_BYTES {
        return Err(ProveError::Large(call.len()));
    }
    Ok(call.into())
}
