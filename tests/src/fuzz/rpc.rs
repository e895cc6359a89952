//! Requests of strangers to a node's JSON-RPC.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, OnceLock},
};

use alloy_primitives::{Address, U256};
use grid_core::{
    genesis::{self, Genesis},
    grid::Validator,
};
use grid_node::{
    Caller, NodeMetrics,
    chain::GridChain,
    mempool::{Mempool, MempoolLimits},
    store::Store,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The account that has something.
const RICH: Address = Address::repeat_byte(0x11);

/// A chain with its first block, and threads for its calls.
struct World {
    runtime: Runtime,
    caller: Caller,
}

impl World {
    fn new() -> Self {
        let genesis = Genesis {
            chain_id: 7_117,
            time_ms: 1_700_000_000_000,
            gas_limit: 60_000_000,
            base_fee: 1_000_000,
            alloc: BTreeMap::from([(RICH, U256::from(10u64).pow(U256::from(24)))]),
            governor: RICH,
            validators: vec![Validator { account: RICH, power: 1 }],
            chains: Vec::new(),
            staking: None,
            guarantee: None,
        };
        let block = genesis::build(&genesis).expect("a genesis");
        // The database stays open after its folder is gone, and leaves nothing behind.
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), &block, 1 << 20).expect("a database");
        let metrics = NodeMetrics::register(&prometheus::Registry::new()).expect("metrics");
        let mempool = Mempool::new(MempoolLimits::default());
        let chain = GridChain::new(genesis.chain_id, store, mempool, metrics).expect("a chain");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .expect("a runtime");
        Self { runtime, caller: Caller::offline(Arc::new(chain)) }
    }
}

/// Any text is answered: with a result or an error, and no call breaks off.
pub fn rpc_request(data: &[u8]) {
    static WORLD: OnceLock<World> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(data) else { return };
    let world = WORLD.get_or_init(World::new);
    // An error says that the text is no request.
    let Ok(answer) = world.runtime.block_on(world.caller.answer(text)) else { return };
    let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
    let error = answer.get("error");
    assert!(error.is_some() || answer.get("result").is_some(), "{answer}");
    let words = error.and_then(|error| error["message"].as_str()).unwrap_or_default();
    assert!(!words.contains("broke off"), "{answer}");
}

/// One request of each kind.
pub(super) fn requests(_: &Path) -> Vec<Vec<u8>> {
    let hash = format!("0x{}", "22".repeat(32));
    let call = json!({ "from": RICH, "to": RICH, "value": "0x1", "maxFeePerGas": "0x3b9aca00", "data": "0x12345678" });
    let filter = json!({ "fromBlock": "0x0", "toBlock": "latest", "address": [RICH], "topics": [hash, null, [hash]] });
    let requests = [
        ("eth_getBlockByNumber", json!(["0x0", true])),
        ("eth_getBlockByHash", json!([hash, false])),
        ("eth_getBalance", json!([RICH, { "blockHash": hash, "requireCanonical": true }])),
        ("eth_getTransactionCount", json!([RICH, "pending"])),
        ("eth_getStorageAt", json!([RICH, "0x0", "latest"])),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["latest", "0x0"])),
        ("eth_call", json!([call, "latest", {}])),
        ("eth_estimateGas", json!([call])),
        ("eth_sendRawTransaction", json!(["0x02f86f821bcd80"])),
        ("eth_feeHistory", json!(["0x400", "latest", [0.5, 99]])),
        ("eth_getLogs", json!([filter])),
        ("eth_newFilter", json!([filter])),
        ("eth_getFilterChanges", json!(["0x1"])),
        ("txpool_contentFrom", json!([RICH])),
        ("web3_sha3", json!(["0x00"])),
        ("grid_validators", json!([1])),
        ("grid_prove", json!(["bip122:000000000019d6689c085ae165831e93", 1])),
        ("grid_header", json!([hash, hash])),
        ("grid_proveState", json!(["0x00"])),
        ("grid_handOver", json!([0, 0])),
        ("grid_rawBlocks", json!(["0x1", 5])),
        ("rpc.discover", json!([])),
    ];
    let text = |(method, params): (&str, Value)| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
            .to_string()
            .into_bytes()
    };
    requests.into_iter().map(text).collect()
}
