//! The main chain as the relayer needs it: five questions, over any JSON-RPC transport.

mod rpc;

use core::time::Duration;

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use grid_adapters::Health;
use grid_core::{
    ChainId, CompatHeader,
    api::{AccountInfo, ChainInfo, GridTip, Locator, ProveAnswer},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use rpc::{HttpTransport, RpcMainChain};

/// What the main chain says about itself in one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MainView {
    /// The newest final block.
    pub tip: GridTip,
    /// Fee per gas that the next block will ask, smallest unit of GRID.
    pub base_fee: u128,
    /// Registered chains.
    pub chains: Vec<ChainInfo>,
}

impl MainView {
    /// A registered chain by its id.
    #[must_use]
    pub fn chain(&self, id: &ChainId) -> Option<&ChainInfo> {
        self.chains.iter().find(|chain| chain.id == *id)
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Height of its block.
    pub block: u64,
    /// Whether it took effect.
    pub success: bool,
    /// Gas that was used.
    pub gas_used: u64,
    /// What the sender paid for each of it, smallest unit of GRID.
    pub gas_price: u128,
}

/// Why the main chain does not take a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// The mempool has it, or the main chain has its content: nothing is left to do.
    AlreadyKnown,
    /// The nonce was used by another transaction.
    NonceTooLow,
    /// Earlier transactions are missing.
    NonceTooHigh,
    /// The sender cannot pay.
    Funds,
    /// The fee cap is too low for the mempool or to replace another transaction.
    FeeTooLow,
    /// The mempool is full.
    Busy,
    /// Something about the transaction itself.
    Invalid,
    /// A class that this program does not know: the node is newer. Tried again like [`Self::Busy`], and counted.
    Unclassified,
}

impl Refusal {
    /// All classes.
    pub const ALL: [Self; 8] = [
        Self::AlreadyKnown,
        Self::NonceTooLow,
        Self::NonceTooHigh,
        Self::Funds,
        Self::FeeTooLow,
        Self::Busy,
        Self::Invalid,
        Self::Unclassified,
    ];

    /// The class in an error's data, `{"refusal": "already-known"}`: the words beside it are for people
    /// only. [`Self::Busy`] without one, since nothing is known about the transaction then.
    #[must_use]
    pub fn of(data: Option<&Value>) -> Self {
        let word = data.and_then(|data| data.get("refusal")).and_then(Value::as_str);
        let Some(word) = word else { return Self::Busy };
        let known = Self::ALL.into_iter().find(|refusal| refusal.label() == word);
        known.unwrap_or(Self::Unclassified)
    }

    /// The word in error data and in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AlreadyKnown => "already-known",
            Self::NonceTooLow => "nonce-too-low",
            Self::NonceTooHigh => "nonce-too-high",
            Self::Funds => "funds",
            Self::FeeTooLow => "fee-too-low",
            Self::Busy => "busy",
            Self::Invalid => "invalid",
            Self::Unclassified => "unclassified",
        }
    }
}

/// A failure of the main chain's endpoint.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum MainError {
    /// The endpoint cannot be asked.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The answer is not what the method promises.
    #[error("unusable answer of the main chain to {method}: {reason}")]
    BadAnswer {
        /// JSON-RPC method.
        method: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A transaction was not taken.
    #[error("the main chain refused the transaction: {message}")]
    Refused {
        /// Class.
        refusal: Refusal,
        /// The node's words.
        message: String,
    },
}

impl MainError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_transient(),
            Self::BadAnswer { .. } => true,
            Self::Refused { refusal, .. } => {
                !matches!(refusal, Refusal::Invalid | Refusal::NonceTooLow)
            }
        }
    }

    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Transport(TransportError::Unreachable(_)) => "unreachable",
            Self::Transport(TransportError::Timeout { .. }) => "timeout",
            Self::Transport(TransportError::Server { .. }) => "server",
            Self::BadAnswer { .. } => "bad-answer",
            Self::Refused { refusal, .. } => refusal.label(),
        }
    }
}

/// A failure below a method's meaning.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The call did not get through.
    #[error("the main chain cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the main chain did not answer {method} within {} ms", after.as_millis())]
    Timeout {
        /// JSON-RPC method.
        method: String,
        /// The deadline.
        after: Duration,
    },
    /// The method answered with an error.
    #[error("the main chain answered {method} with error {code}: {message}")]
    Server {
        /// JSON-RPC method.
        method: String,
        /// JSON-RPC error code.
        code: i64,
        /// The node's words.
        message: String,
        /// Its detail for programs.
        data: Option<Value>,
    },
}

impl TransportError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        !matches!(self, Self::Server { .. })
    }
}

/// Carries one JSON-RPC call: over HTTP, or straight into a node of the same process.
#[async_trait]
pub trait RpcTransport: Send + Sync {
    /// Calls `method` with positional `params`.
    ///
    /// # Errors
    /// [`TransportError::Server`] for the method's own error, the others for everything else.
    async fn call(&self, method: &str, params: Value) -> Result<Value, TransportError>;

    /// Hands in a signed transaction (EIP-2718 bytes). By default one call of `eth_sendRawTransaction`;
    /// a transport with several nodes may ask the next one where the first fails, since the same bytes
    /// take effect once only.
    ///
    /// # Errors
    /// As [`call`](Self::call); [`TransportError::Server`] only where no node has taken it.
    async fn send(&self, raw: &Bytes) -> Result<(), TransportError> {
        self.call(SEND, serde_json::json!([raw])).await.map(|_hash| ())
    }

    /// How each node does, where there are several to choose from.
    fn endpoints(&self) -> Vec<Health> {
        Vec::new()
    }
}

/// The method that hands in a signed transaction.
pub(crate) const SEND: &str = "eth_sendRawTransaction";

/// How a confirmed header is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderId {
    /// By its height.
    Height(u64),
    /// By its hash, the chain's internal byte order.
    Hash(B256),
}

/// The main chain.
#[async_trait]
pub trait MainChain: Send + Sync {
    /// Its newest block and every chain it knows.
    ///
    /// # Errors
    /// When the main chain cannot be asked.
    async fn view(&self) -> Result<MainView, MainError>;

    /// Hashes along the best tracked branch of a chain.
    ///
    /// # Errors
    /// When the main chain cannot be asked or does not know the chain.
    async fn locator(&self, chain: &ChainId) -> Result<Locator, MainError>;

    /// Nonces and balance of an account.
    ///
    /// # Errors
    /// When the main chain cannot be asked.
    async fn account(&self, address: &Address) -> Result<AccountInfo, MainError>;

    /// Hands in a signed transaction (EIP-2718 bytes).
    ///
    /// # Errors
    /// [`MainError::Refused`] with the class of the reason; the others when the main chain cannot be
    /// asked, and then it may have taken the transaction all the same.
    async fn send(&self, raw: &Bytes) -> Result<(), MainError>;

    /// What became of a transaction; `None` while it is in no block.
    ///
    /// # Errors
    /// When the main chain cannot be asked.
    async fn receipt(&self, hash: &B256) -> Result<Option<Receipt>, MainError>;

    /// What a contract (the second address) answers to a call by an account in the newest state, or why it would revert.
    ///
    /// # Errors
    /// When the main chain cannot be asked.
    async fn call(
        &self,
        _: &Address,
        _: &Address,
        _: &Bytes,
    ) -> Result<Result<Bytes, String>, MainError> {
        Ok(Err("no contract is there".into()))
    }

    /// The path from a confirmed header of a chain to a Grid block.
    ///
    /// # Errors
    /// When the main chain cannot be asked or has not confirmed that height.
    async fn prove(&self, _: &ChainId, _: u64) -> Result<ProveAnswer, MainError> {
        Err(TransportError::Unreachable("it proves nothing".into()).into())
    }

    /// How each of its nodes does, where there are several to choose from.
    fn endpoints(&self) -> Vec<Health> {
        Vec::new()
    }

    /// A confirmed header of a chain; `None` where the index has none of that name. Only people ask this.
    ///
    /// # Errors
    /// When the main chain cannot be asked.
    async fn header(&self, _: &ChainId, _: HeaderId) -> Result<Option<CompatHeader>, MainError> {
        Ok(None)
    }

    /// The newest Grid block that put a height of a chain into the index, looked for among the newest
    /// blocks up to `tip` only; `None` where it is older. Only people ask this.
    ///
    /// # Errors
    /// When the main chain cannot be asked.
    async fn indexed_in(&self, _: &ChainId, _: u64, _: u64) -> Result<Option<u64>, MainError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_are_told_by_data_and_never_by_words() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::of(Some(&json!({ "refusal": refusal.label() }))), refusal);
            let text = serde_json::to_value(refusal).unwrap();
            assert_eq!(text, refusal.label());
        }
        for data in [None, Some(json!("already known")), Some(json!({ "refusal": 1 }))] {
            assert_eq!(Refusal::of(data.as_ref()), Refusal::Busy);
        }
        let newer = json!({ "refusal": "moon-phase" });
        assert_eq!(Refusal::of(Some(&newer)), Refusal::Unclassified);
    }
}
