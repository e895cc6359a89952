//! The call that delivers a message.

use alloy_primitives::{Bytes, keccak256};
use alloy_sol_types::SolCall as _;
use grid_adapters::{AdapterError, Material};
use grid_core::{
    api::ProveAnswer,
    modules::abi::Mailbox,
    proof::{self, Anchor, Segment, VerifyError},
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
    Source(#[from] AdapterError),
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
    Build(#[from] VerifyError),
}

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
    let proof = proof::build::assemble(header, path.source, inclusion, segment, anchor)?;
    Ok(Mailbox::deliverCall { proof: proof.to_abi(), evidence }.abi_encode().into())
}
