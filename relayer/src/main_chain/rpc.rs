//! The main chain over JSON-RPC.

use core::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U64, U128};
use async_trait::async_trait;
use grid_adapters::{HttpJsonRpc, RpcError};
use grid_core::{
    ChainId,
    api::{AccountInfo, Locator},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{MainChain, MainError, MainView, Receipt, Refusal, RpcTransport, TransportError};

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
        let call = self.transport.call(method, params);
        let answer = tokio::time::timeout(self.deadline, call).await.map_err(|_| {
            TransportError::Timeout { method: method.into(), after: self.deadline }
        })??;
        serde_json::from_value(answer)
            .map_err(|error| MainError::BadAnswer { method, reason: error.to_string() })
    }
}

/// The part of `eth_getTransactionReceipt` that is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReceiptAnswer {
    status: U64,
    block_number: U64,
    gas_used: U64,
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
        match self.ask::<B256>("eth_sendRawTransaction", json!([raw])).await {
            Ok(_) => Ok(()),
            Err(MainError::Transport(TransportError::Server { message, data, .. })) => {
                Err(MainError::Refused { refusal: Refusal::of(data.as_ref()), message })
            }
            Err(error) => Err(error),
        }
    }

    async fn receipt(&self, hash: &B256) -> Result<Option<Receipt>, MainError> {
        let answer: Option<ReceiptAnswer> =
            self.ask("eth_getTransactionReceipt", json!([hash])).await?;
        Ok(answer.map(|receipt| Receipt {
            block: receipt.block_number.to(),
            success: receipt.status == U64::from(1),
            gas_used: receipt.gas_used.to(),
        }))
    }
}

/// [`RpcTransport`] over HTTP, with the adapters' client.
#[derive(Debug)]
pub struct HttpTransport {
    client: HttpJsonRpc,
}

impl HttpTransport {
    /// Uses a configured client.
    #[must_use]
    pub const fn new(client: HttpJsonRpc) -> Self {
        Self { client }
    }
}

#[async_trait]
impl RpcTransport for HttpTransport {
    async fn call(&self, method: &str, params: Value) -> Result<Value, TransportError> {
        self.client.call(method, params).await.map_err(|error| match error {
            RpcError::Server { code, message, data, .. } => {
                TransportError::Server { method: method.into(), code, message, data }
            }
            other => TransportError::Unreachable(other.to_string()),
        })
    }
}
