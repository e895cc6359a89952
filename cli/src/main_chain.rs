//! Asking a Grid node.

use std::path::PathBuf;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use eyre::{Result, WrapErr as _, eyre};
use grid_adapters::{AdapterError, Endpoint, RpcError, RpcPool};
use grid_core::{
    ChainId, CompatHeader,
    api::{AccountInfo, ChainInfo, GridTip, NodePeers, NodeStatus, ProveAnswer, RawBlock},
    grid::{
        ValidatorSet,
        light::{HandOver, LightBlock},
    },
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{home::Home, sources};

/// JSON-RPC error of a call that the contract refused.
const REVERTED: i64 = 3;
/// The fix where a node does not answer.
const NO_NODE: &str =
    "the node does not answer; is `grid node run` running, and is this its JSON-RPC (--rpc)?";

/// The JSON-RPC of one Grid node or several, as the commands use it.
#[derive(Debug)]
pub(crate) struct GridRpc {
    nodes: RpcPool,
}

impl GridRpc {
    /// The nodes of the configuration (`relayer.main_chain`).
    pub(crate) fn of(home: &Home) -> Result<Self> {
        Self::at(sources::main_chain(&home.config()?.relayer, None)?)
    }

    /// The node at a URL.
    pub(crate) fn new(url: &str) -> Result<Self> {
        Self::at(vec![Endpoint::new(url, "relayer.main_chain")?])
    }

    fn at(endpoints: Vec<Endpoint>) -> Result<Self> {
        Ok(Self { nodes: RpcPool::new("the main chain", endpoints, &[])? })
    }

    async fn ask<T: DeserializeOwned>(&self, method: &'static str, params: Value) -> Result<T> {
        let answer = self.nodes.call(method, params).await?;
        serde_json::from_value(answer).wrap_err_with(|| format!("unexpected answer to {method}"))
    }

    /// The newest final block.
    pub(crate) async fn tip(&self) -> Result<GridTip> {
        self.ask("grid_tip", json!([])).await.wrap_err(
            "the Grid node does not answer; is `grid start` running, and is relayer.main_chain its address?",
        )
    }

    /// How the node itself stands.
    pub(crate) async fn node_status(&self) -> Result<NodeStatus> {
        self.ask("grid_status", json!([])).await.wrap_err(NO_NODE)
    }

    /// The node's peers.
    pub(crate) async fn node_peers(&self) -> Result<NodePeers> {
        self.ask("grid_peers", json!([])).await.wrap_err(NO_NODE)
    }

    /// The registered chains.
    pub(crate) async fn chains(&self) -> Result<Vec<ChainInfo>> {
        self.ask("grid_chains", json!([])).await
    }

    /// One registered chain.
    pub(crate) async fn chain(&self, id: &ChainId) -> Result<ChainInfo> {
        let chains = self.chains().await?;
        let known: Vec<String> = chains.iter().map(|chain| chain.id.to_string()).collect();
        chains.into_iter().find(|chain| chain.id == *id).ok_or_else(|| {
            eyre!(
                "chain {id} is not registered on the main chain; registered are: {}",
                known.join(", ")
            )
        })
    }

    /// A confirmed header.
    pub(crate) async fn header(&self, chain: &ChainId, height: u64) -> Result<CompatHeader> {
        self.ask("grid_header", json!([chain, height])).await
    }

    /// The path from a confirmed header to a final Grid block.
    pub(crate) async fn prove(&self, chain: &ChainId, height: u64) -> Result<ProveAnswer> {
        self.ask("grid_prove", json!([chain, height])).await
    }

    /// A block with what shows that it is final.
    pub(crate) async fn light_block(&self, height: u64) -> Result<LightBlock> {
        self.ask("grid_lightBlock", json!([height])).await
    }

    /// The headers that lead from one height to another, the newest where absent.
    pub(crate) async fn hand_over(&self, from: u64, to: Option<u64>) -> Result<HandOver> {
        self.ask("grid_handOver", json!([from, to])).await
    }

    /// Consecutive blocks with their certificates, at most `most`.
    pub(crate) async fn raw_blocks(&self, from: u64, most: u64) -> Result<Vec<RawBlock>> {
        self.ask("grid_rawBlocks", json!([from, most])).await
    }

    /// Nonce and balance.
    pub(crate) async fn account(&self, address: Address) -> Result<AccountInfo> {
        self.ask("grid_account", json!([address])).await
    }

    /// What a view of a contract answers.
    pub(crate) async fn call(&self, to: Address, input: &Bytes) -> Result<Bytes> {
        self.ask("eth_call", json!([{ "to": to, "input": input }, "latest"])).await
    }

    /// Asks a view of a contract.
    pub(crate) async fn view<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return> {
        let answer = self.call(to, &call.abi_encode().into()).await?;
        C::abi_decode_returns(&answer)
            .wrap_err_with(|| format!("the node's answer to {} is malformed", C::SIGNATURE))
    }

    /// Why a contract refuses a call now; `None` where it does not.
    pub(crate) async fn refusal(&self, to: Address, input: &Bytes) -> Result<Option<String>> {
        let Err(error) = self.call(to, input).await else { return Ok(None) };
        match error.downcast_ref::<AdapterError>() {
            Some(AdapterError::Rpc(RpcError::Server { code: REVERTED, message, .. })) => {
                Ok(Some(message.trim_start_matches("execution reverted: ").to_owned()))
            }
            _ => Err(error),
        }
    }

    /// Who decides the next block.
    pub(crate) async fn validators(&self) -> Result<ValidatorSet> {
        self.ask("grid_validators", json!([])).await
    }

    /// Gas that a call would use.
    pub(crate) async fn estimate_gas(
        &self,
        from: Address,
        to: Address,
        value: U256,
        input: &Bytes,
    ) -> Result<u64> {
        let call = json!([{ "from": from, "to": to, "value": value, "input": input }]);
        let gas: alloy_primitives::U64 = self.ask("eth_estimateGas", call).await?;
        Ok(gas.to())
    }

    /// Base fee of the next block.
    pub(crate) async fn gas_price(&self) -> Result<u128> {
        let price: alloy_primitives::U128 = self.ask("eth_gasPrice", json!([])).await?;
        Ok(price.to())
    }

    /// Sends a signed transaction.
    pub(crate) async fn send(&self, raw: &Bytes) -> Result<B256> {
        let sent = self.nodes.send("eth_sendRawTransaction", json!([raw])).await;
        Ok(serde_json::from_value(sent.map_err(|failed| failed.error)?)?)
    }

    /// The receipt, once included.
    pub(crate) async fn receipt(&self, hash: B256) -> Result<Option<Value>> {
        self.ask("eth_getTransactionReceipt", json!([hash])).await
    }
}

/// A key file: a name in `keys/`, or a path.
pub(crate) fn key_file(home: &Home, name: &str) -> PathBuf {
    if name.contains(['/', '\\', '.']) {
        PathBuf::from(name)
    } else {
        home.keys_dir().join(format!("{name}.json"))
    }
}
