//! The nodes under load, by their JSON-RPC.

use std::{fmt, time::Duration};

use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_sol_types::SolValue as _;
use eyre::{Result, WrapErr as _, eyre};
use grid_adapters::Endpoint;
use grid_core::{api::AccountInfo, grid::Extension};
use grid_node::Caller;
use grid_relayer::{HttpTransport, RpcTransport, TransportError};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::wallet::Signed;
use crate::cmd::run::InProcess;

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nodes of one chain.
pub(super) struct Target {
    nodes: Vec<Box<dyn RpcTransport>>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("nodes", &self.nodes.len()).finish()
    }
}

/// A committed block.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) time_ms: u64,
    pub(super) bytes: u64,
    pub(super) transactions: Vec<B256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RpcBlock {
    size: U64,
    extra_data: Bytes,
    transactions: Vec<B256>,
}

impl Target {
    /// The node in this process.
    pub(super) fn in_process(caller: Caller) -> Self {
        Self { nodes: vec![Box::new(InProcess(caller))] }
    }

    /// Nodes by their URLs.
    pub(super) fn http(urls: &[String]) -> Result<Self> {
        let node = |url: &String| -> Result<Box<dyn RpcTransport>> {
            let endpoint = Endpoint::new(url, "--rpc")?;
            Ok(Box::new(HttpTransport::new(vec![endpoint])?))
        };
        Ok(Self { nodes: urls.iter().map(node).collect::<Result<_>>()? })
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Gives one of the nodes a transaction.
    pub(super) async fn send(&self, node: usize, one: &Signed) -> Result<(), TransportError> {
        let node = &self.nodes[node % self.nodes.len()];
        match tokio::time::timeout(PATIENCE, node.send(&one.raw)).await {
            Ok(answer) => answer,
            Err(_) => Err(TransportError::Unreachable("no answer in time".into())),
        }
    }

    pub(super) async fn chain_id(&self) -> Result<u64> {
        Ok(self.ask::<U64>("eth_chainId", json!([])).await?.to())
    }

    /// Nonce and balance.
    pub(super) async fn account(&self, address: Address) -> Result<AccountInfo> {
        self.ask("grid_account", json!([address])).await
    }

    /// Height of the newest block.
    pub(super) async fn height(&self) -> Result<u64> {
        Ok(self.ask::<U64>("eth_blockNumber", json!([])).await?.to())
    }

    /// A block that is committed.
    pub(super) async fn block(&self, height: u64) -> Result<Seen> {
        let params = json!([format!("{height:#x}"), false]);
        let block: Option<RpcBlock> = self.ask("eth_getBlockByNumber", params).await?;
        let block = block.ok_or_else(|| eyre!("the node has no block {height}"))?;
        let extension = Extension::abi_decode(&block.extra_data)
            .wrap_err_with(|| format!("block {height} is no Grid block"))?;
        let (time_ms, transactions) = (extension.timeMs, block.transactions);
        Ok(Seen { time_ms, bytes: block.size.to(), transactions })
    }

    /// Asks the first node.
    async fn ask<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T> {
        let answer = tokio::time::timeout(PATIENCE, self.nodes[0].call(method, params));
        let value = answer
            .await
            .wrap_err_with(|| format!("{method}: no answer in {} s", PATIENCE.as_secs()))?
            .wrap_err_with(|| format!("{method} failed"))?;
        serde_json::from_value(value).wrap_err_with(|| format!("{method}: unexpected answer"))
    }
}
