//! The main chain over JSON-RPC.

use core::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U64, U128};
use alloy_sol_types::SolEvent as _;
use async_trait::async_trait;
use grid_adapters::{AdapterError, Endpoint, Health, RpcError, RpcPool, SendError};
use grid_core::{
    ChainId, CompatHeader,
    api::{AccountInfo, Locator, ProveAnswer},
    modules::abi::{LIGHT_CLIENTS, LightClients},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    HeaderId, MainChain, MainError, MainView, Receipt, Refusal, RpcTransport, SEND, TransportError,
};

/// The node's error code for what does not exist.
const NOT_FOUND: i64 = -32_001;

/// The node's error code for a call that the contract refuses.
const REVERTED: i64 = 3;

/// Grid blocks among which a header's entry into the index is looked for: what one call may search.
const SEARCHED: u64 = 10_000;

/// [`MainChain`] over any [`RpcTransport`], with a deadline on every call.
#[derive(Debug)]
pub struct RpcMainChain<T> {
    transport: T,
    deadline: Duration,
}

impl<T: RpcTransport> RpcMainChain<T> {
    /// Speaks through `transport`; a call that takes longer than `deadline` fails.
    #[must_use]
    pub const fn new(transport: T, deadline: Duration) -> Self {
        Self { transport, deadline }
    }

    async fn ask<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<R, MainError> {
        let answer = self.in_time(method, self.transport.call(method, params)).await?;
        serde_json::from_value(answer)
            .map_err(|error| MainError::BadAnswer { method, reason: error.to_string() })
    }

    async fn in_time<R>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<R, TransportError>>,
    ) -> Result<R, TransportError> {
        tokio::time::timeout(self.deadline, call)
            .await
            .map_err(|_| TransportError::Timeout { method: method.into(), after: self.deadline })?
    }
}

/// The part of `eth_getTransactionReceipt` that is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptAnswer {
    status: U64,
    block_number: U64,
    gas_used: U64,
    effective_gas_price: U128,
}

/// The part of a log that is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogAnswer {
    topics: Vec<B256>,
    data: Bytes,
    block_number: U64,
}

#[async_trait]
impl<T: RpcTransport> MainChain for RpcMainChain<T> {
    async fn view(&self) -> Result<MainView, MainError> {
        let tip = self.ask("grid_tip", json!([])).await?;
        let base_fee: U128 = self.ask("eth_gasPrice", json!([])).await?;
        let chains = self.ask("grid_chains", json!([])).await?;
        Ok(MainView { tip, base_fee: base_fee.to(), chains })
    }

    async fn locator(&self, chain: &ChainId) -> Result<Locator, MainError> {
        self.ask("grid_locator", json!([chain])).await
    }

    async fn account(&self, address: &Address) -> Result<AccountInfo, MainError> {
        self.ask("grid_account", json!([address])).await
    }

    async fn send(&self, raw: &Bytes) -> Result<(), MainError> {
        match self.in_time(SEND, self.transport.send(raw)).await {
            Ok(()) => Ok(()),
            Err(TransportError::Server { message, data, .. }) => {
                Err(MainError::Refused { refusal: Refusal::of(data.as_ref()), message })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn receipt(&self, hash: &B256) -> Result<Option<Receipt>, MainError> {
        let answer: Option<ReceiptAnswer> =
            self.ask("eth_getTransactionReceipt", json!([hash])).await?;
        Ok(answer.map(|receipt| Receipt {
            block: receipt.block_number.to(),
            success: receipt.status == U64::from(1),
            gas_used: receipt.gas_used.to(),
            gas_price: receipt.effective_gas_price.to(),
        }))
    }

    async fn call(
        &self,
        from: &Address,
        to: &Address,
        input: &Bytes,
    ) -> Result<Result<Bytes, String>, MainError> {
        let params = json!([{ "from": from, "to": to, "input": input }, "latest"]);
        match self.ask("eth_call", params).await {
            Err(MainError::Transport(TransportError::Server {
                code: REVERTED, message, ..
            })) => Ok(Err(message)),
            other => other.map(Ok),
        }
    }

    async fn prove(&self, chain: &ChainId, height: u64) -> Result<ProveAnswer, MainError> {
        self.ask("grid_prove", json!([chain, height])).await
    }

    fn endpoints(&self) -> Vec<Health> {
        self.transport.endpoints()
    }

    async fn header(
        &self,
        chain: &ChainId,
        id: HeaderId,
    ) -> Result<Option<CompatHeader>, MainError> {
        let params = match id {
            HeaderId::Height(height) => json!([chain, height]),
            HeaderId::Hash(hash) => json!([chain, hash]),
        };
        match self.ask("grid_header", params).await {
            Err(MainError::Transport(TransportError::Server { code: NOT_FOUND, .. })) => Ok(None),
            other => other.map(Some),
        }
    }

    async fn indexed_in(
        &self,
        chain: &ChainId,
        height: u64,
        tip: u64,
    ) -> Result<Option<u64>, MainError> {
        let filter = json!({
            "address": LIGHT_CLIENTS,
            "topics": [LightClients::Indexed::SIGNATURE_HASH, chain.key().0],
            "fromBlock": U64::from(tip.saturating_sub(SEARCHED - 1)),
            "toBlock": U64::from(tip),
        });
        let logs: Vec<LogAnswer> = self.ask("eth_getLogs", json!([filter])).await?;
        let has = |log: &&LogAnswer| {
            let event = LightClients::Indexed::decode_raw_log(log.topics.iter(), &log.data);
            event.is_ok_and(|event| (event.fromHeight..=event.toHeight).contains(&height))
        };
        Ok(logs.iter().rev().find(has).map(|log| log.block_number.to()))
    }
}

/// What is asked of a node, as its metrics tell it apart.
const METHODS: [&str; 12] = [
    "grid_tip",
    "grid_chains",
    "grid_locator",
    "grid_account",
    "grid_headers",
    "grid_header",
    "grid_prove",
    "eth_call",
    "eth_gasPrice",
    "eth_getTransactionReceipt",
    "eth_getLogs",
    SEND,
];

/// [`RpcTransport`] over HTTP, to one node or several: questions go to the first that works, and to
/// another one too when it is slow; a transaction goes to one, and to the next only when that one failed.
#[derive(Debug)]
pub struct HttpTransport {
    nodes: RpcPool,
}

impl HttpTransport {
    /// The nodes at these endpoints, best first. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no endpoint or too many, or no HTTP client can be built.
    pub fn new(endpoints: Vec<Endpoint>) -> Result<Self, Box<AdapterError>> {
        let height = |tip: &Value| tip.get("height").and_then(Value::as_u64);
        let nodes = RpcPool::new("the main chain", endpoints, &METHODS)?;
        Ok(Self { nodes: nodes.with_height(("grid_tip", height)) })
    }
}

fn transport_error(error: AdapterError) -> TransportError {
    match error {
        AdapterError::Rpc(RpcError::Server { method, code, message, data, .. }) => {
            TransportError::Server { method, code, message, data }
        }
        other => TransportError::Unreachable(other.to_string()),
    }
}

#[async_trait]
impl RpcTransport for HttpTransport {
    async fn call(&self, method: &str, params: Value) -> Result<Value, TransportError> {
        self.nodes.call(method, params).await.map_err(transport_error)
    }

    async fn send(&self, raw: &Bytes) -> Result<(), TransportError> {
        let Err(SendError { error, in_doubt }) = self.nodes.send(SEND, json!([raw])).await else {
            return Ok(());
        };
        match (transport_error(error), in_doubt) {
            (error, None) => Err(error),
            // The node that failed has passed it on.
            (TransportError::Server { data, .. }, Some(_))
                if Refusal::of(data.as_ref()) == Refusal::AlreadyKnown =>
            {
                Ok(())
            }
            // Whether it was taken shows in a receipt; a refusal by another node does not say.
            (_, Some(doubt)) => Err(TransportError::Unreachable(doubt.to_string())),
        }
    }

    fn endpoints(&self) -> Vec<Health> {
        self.nodes.health()
    }
}
