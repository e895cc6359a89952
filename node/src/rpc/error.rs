//! JSON-RPC errors with the codes that Ethereum's clients use.

use alloy_primitives::Bytes;
use grid_core::transition::TxReject;
use jsonrpsee::types::{ErrorObjectOwned, error as codes};
use serde_json::Value;
use thiserror::Error;

use crate::{
    chain::{ChainFailure, SubmitError},
    mempool::MempoolError,
    store::StoreError,
};

/// A JSON-RPC error.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    /// Code by JSON-RPC 2.0 and EIP-1474.
    pub code: i32,
    /// What is wrong, and the fix.
    pub message: String,
    /// Machine-readable detail, such as a revert's return data.
    pub data: Option<Value>,
}

/// EIP-1474: the requested thing does not exist.
pub(super) const NOT_FOUND: i32 = -32001;
/// EIP-1474: the method is not supported.
pub(super) const UNSUPPORTED: i32 = -32004;
/// EIP-1474: a limit is exceeded.
pub(super) const LIMIT: i32 = -32005;
/// A refusal by the chain.
pub(super) const REFUSED: i32 = codes::CALL_EXECUTION_FAILED_CODE;
/// A call was reverted.
pub(super) const REVERTED: i32 = 3;
/// Codes that every method may answer with.
pub(super) const COMMON: [i32; 3] = [codes::INVALID_PARAMS_CODE, codes::INTERNAL_ERROR_CODE, LIMIT];

/// A code's name in the `OpenRPC` document, and what it means.
pub(super) const fn describe(code: i32) -> (&'static str, &'static str) {
    match code {
        codes::INVALID_PARAMS_CODE => ("InvalidParams", "a parameter is missing or not usable"),
        codes::INTERNAL_ERROR_CODE => ("Internal", "the node failed"),
        NOT_FOUND => ("NotFound", "what is asked for does not exist, or not yet"),
        UNSUPPORTED => ("Unsupported", "Grid does not have this; the message says what it has"),
        LIMIT => {
            ("LimitExceeded", "a limit is exceeded or the node is busy; ask for less or later")
        }
        REFUSED => ("Refused", "the chain refuses it; data.refusal is the class"),
        REVERTED => ("Reverted", "execution reverted; data is the return data"),
        _ => ("Other", "another error"),
    }
}

impl RpcError {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// Bad parameters.
    pub(super) fn params(message: impl Into<String>) -> Self {
        Self::new(codes::INVALID_PARAMS_CODE, message)
    }

    /// Something that is asked for does not exist.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(NOT_FOUND, message)
    }

    /// A limit of the server.
    pub(super) fn limit(message: impl Into<String>) -> Self {
        Self::new(LIMIT, message)
    }

    /// The node has no room for the call now.
    pub(super) fn busy(why: &str) -> Self {
        Self::new(LIMIT, format!("the node is busy: {why}; try again in a moment"))
    }

    /// Something that Grid does not have.
    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(UNSUPPORTED, message)
    }

    /// A refusal by the chain.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::new(REFUSED, message)
    }

    /// A revert with its return data.
    pub(super) fn reverted(reason: &str, output: &Bytes) -> Self {
        Self {
            code: REVERTED,
            message: format!("execution reverted: {reason}"),
            data: Some(Value::String(output.to_string())),
        }
    }

    /// Text that is no JSON-RPC request.
    pub(crate) fn not_a_request(message: impl Into<String>) -> Self {
        Self::new(codes::INVALID_REQUEST_CODE, message)
    }

    /// A failure of this node.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(codes::INTERNAL_ERROR_CODE, message)
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        Self::owned(error.code, error.message, error.data)
    }
}

impl From<ErrorObjectOwned> for RpcError {
    fn from(error: ErrorObjectOwned) -> Self {
        Self {
            code: error.code(),
            message: error.message().to_owned(),
            data: error.data().and_then(|data| serde_json::from_str(data.get()).ok()),
        }
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a call failed");
        Self::internal(error.to_string())
    }
}

impl From<ChainFailure> for RpcError {
    fn from(error: ChainFailure) -> Self {
        tracing::error!(%error, "a call failed");
        Self::internal(error.to_string())
    }
}

impl From<grid_core::state::StorageError> for RpcError {
    fn from(error: grid_core::state::StorageError) -> Self {
        ChainFailure::from(error).into()
    }
}

impl From<SubmitError> for RpcError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Chain(failure) => failure.into(),
            SubmitError::Decode(_) => Self::refusal(codes::INVALID_PARAMS_CODE, &error),
            other => Self::refusal(REFUSED, &other),
        }
    }
}

impl RpcError {
    /// A refused transaction, with the reason's class for programs beside the words for people.
    fn refusal(code: i32, error: &SubmitError) -> Self {
        Self {
            code,
            message: error.to_string(),
            data: Some(serde_json::json!({ "refusal": refusal_class(error) })),
        }
    }
}

/// The class of a refusal: `already-known`, `nonce-too-low`, `nonce-too-high`, `funds`, `fee-too-low`, `busy`
/// (try again later) or `invalid`.
const fn refusal_class(error: &SubmitError) -> &'static str {
    match error {
        SubmitError::Rejected(reject) => match reject {
            TxReject::AlreadyKnown => "already-known",
            TxReject::NonceTooLow { .. } => "nonce-too-low",
            TxReject::NonceTooHigh { .. } => "nonce-too-high",
            TxReject::Funds { .. } => "funds",
            TxReject::FeeTooLow { .. } => "fee-too-low",
            _ => "invalid",
        },
        SubmitError::Mempool(refused) => match refused {
            MempoolError::AlreadyKnown(_) => "already-known",
            MempoolError::NonceTooLow { .. } => "nonce-too-low",
            MempoolError::NonceTooHigh { .. } => "nonce-too-high",
            MempoolError::Overdraft { .. } => "funds",
            MempoolError::Underpriced(_) => "fee-too-low",
            MempoolError::SenderFull { .. } | MempoolError::Full { .. } => "busy",
            MempoolError::TooLarge { .. } => "invalid",
        },
        SubmitError::Decode(_) => "invalid",
        SubmitError::Chain(_) => "busy",
    }
}
