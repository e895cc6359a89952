//! Ethereum and its kin.
//!
//! * [`beacon`] — its finality proven by sync committees; execution nodes are asked for headers and
//!   proofs, and believed in nothing.
//! * [`EthereumSource`] — an execution node's JSON-RPC alone (`rpc` mode).
//!
//! In `rpc` mode the endpoint is trusted for which blocks are canonical, safe or final. It is not trusted for
//! content: every header is rebuilt from its JSON, must hash to what the node claims and obey the
//! [`HeaderRules`] after its parent, every
//! transaction list, receipt list and state proof must lead to the header's roots.

mod ancestor;
pub mod beacon;
mod depth;
mod facts;
mod fetch;
mod follow;
mod header;
mod material;
mod messages;
mod state;

use core::sync::atomic::{AtomicBool, Ordering};

use alloy_primitives::{U64, U256};
use async_trait::async_trait;
pub use depth::ProofDepth;
pub use follow::{FollowHead, FollowHeadError};
use grid_core::{ChainId, ChainKey, ethereum::HeaderRules, proof::Inclusion};
use serde_json::{Value, json};

use crate::{
    AdapterError, Endpoint, HttpJsonRpc, Material, ProofRequest, RpcError, SourceChain,
    SourceHeader, SourceTip, rpc::METHOD_NOT_FOUND,
};

/// What is asked of a node, as its metrics tell it apart.
const METHODS: [&str; 11] = [
    "eth_chainId",
    "eth_syncing",
    "eth_blockNumber",
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getBlockReceipts",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "eth_getRawTransactionByHash",
    "eth_getProof",
    "eth_getCode",
];

/// One Ethereum execution node.
#[derive(Debug)]
pub struct EthereumSource {
    chain: ChainId,
    key: ChainKey,
    number: u64,
    rpc: HttpJsonRpc,
    follow: FollowHead,
    checked: AtomicBool,
    rules: HeaderRules,
    proof_depth: depth::Probed,
}

/// The name of a chain for people.
#[must_use]
pub fn network_name(number: u64) -> String {
    let name = match number {
        1 => "Ethereum mainnet",
        11_155_111 => "Sepolia",
        560_048 => "Hoodi",
        17_000 => "Holesky",
        1_337 => "a development chain",
        31_337 => "an anvil or Hardhat development chain",
        _ => return format!("EVM chain {number}"),
    };
    name.into()
}

impl EthereumSource {
    /// A node of `chain`, whose id is `eip155:<number>`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the id is of another namespace or no HTTP client can be built.
    pub fn new(
        chain: ChainId,
        endpoint: Endpoint,
        follow: FollowHead,
    ) -> Result<Self, AdapterError> {
        let Some(number) = chain.eip155_number() else {
            return Err(AdapterError::Invalid(format!(
                "{chain} is no Ethereum chain; expected an id such as eip155:1"
            )));
        };
        let rpc = HttpJsonRpc::counting(endpoint, &METHODS)?;
        Ok(Self {
            key: chain.key(),
            chain,
            number,
            rpc,
            follow,
            checked: AtomicBool::new(false),
            rules: HeaderRules::of(number),
            proof_depth: depth::Probed::default(),
        })
    }

    /// Makes sure, once per connection, that the node is of this chain and has all of it.
    async fn ensure_network(&self) -> Result<(), AdapterError> {
        if self.checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let found: U256 = match self.rpc.call_as("eth_chainId", json!([])).await {
            Err(RpcError::Server { code: METHOD_NOT_FOUND, .. }) => {
                return Err(AdapterError::WrongKind {
                    endpoint: self.rpc.endpoint().into(),
                    family: "Ethereum",
                    method: "eth_chainId",
                });
            }
            answer => answer?,
        };
        if found != U256::from(self.number) {
            let found_name =
                u64::try_from(found).map_or_else(|_| "an unknown chain".into(), network_name);
            return Err(AdapterError::WrongNetwork {
                endpoint: self.rpc.endpoint().into(),
                expected: self.chain.clone(),
                expected_name: network_name(self.number),
                found: format!("eip155:{found}"),
                found_name,
            });
        }
        self.refuse_download().await?;
        self.checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Refuses to go on while the node downloads its chain. Nodes that don't say are believed ready.
    async fn refuse_download(&self) -> Result<(), AdapterError> {
        let progress = match self.rpc.call("eth_syncing", json!([])).await {
            Ok(Value::Object(progress)) => progress,
            Ok(_) | Err(RpcError::Server { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let number = |field: &str| {
            let value = progress.get(field).cloned().unwrap_or_default();
            serde_json::from_value::<U64>(value).unwrap_or_default().to()
        };
        let (blocks, headers) = (number("currentBlock"), number("highestBlock"));
        if blocks >= headers {
            // Several clients keep the object after they have caught up.
            return Ok(());
        }
        Err(AdapterError::Syncing { endpoint: self.rpc.endpoint().into(), blocks, headers })
    }

    /// After a failed exchange another node may answer at the same address.
    fn noted<T>(&self, outcome: Result<T, AdapterError>) -> Result<T, AdapterError> {
        if let Err(AdapterError::Rpc(error)) = &outcome
            && error.code().is_none()
        {
            self.checked.store(false, Ordering::Relaxed);
        }
        outcome
    }

    /// Makes sure, once per connection, that the node can be asked.
    async fn ready(&self) -> Result<(), AdapterError> {
        self.noted(self.ensure_network().await)
    }

    fn bad_answer(&self, method: &'static str, reason: String) -> AdapterError {
        AdapterError::BadAnswer { endpoint: self.rpc.endpoint().into(), method, reason }
    }

    async fn material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        match request {
            ProofRequest::Ethereum { facts, block, via } => {
                let (header, proof) = self.facts(&facts, block).await?;
                match via {
                    Some(via) => self.through(via, &header, proof).await,
                    None => Ok(Material { header, inclusion: Inclusion::Ethereum(proof) }),
                }
            }
            ProofRequest::Bitcoin { .. } => Err(AdapterError::WrongFamily {
                chain: self.chain.clone(),
                request: request.kind(),
                family: "ethereum",
            }),
        }
    }
}

#[async_trait]
impl SourceChain for EthereumSource {
    fn id(&self) -> &ChainId {
        &self.chain
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        self.ready().await?;
        let head = self.noted(self.head().await)?.compat;
        Ok(SourceTip { height: head.height, hash: head.blockHash })
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        self.ready().await?;
        self.noted(self.fetch(from, count.min(crate::source::MAX_HEADERS)).await)
    }

    async fn proof_material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        self.ready().await?;
        self.noted(self.material(request).await)
    }
}
