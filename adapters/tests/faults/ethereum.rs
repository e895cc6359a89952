//! An Ethereum node that lies, forks and lags. Its blocks are empty; full ones come from real nodes.

use std::sync::{Arc, Mutex};

use alloy_consensus::Header;
use alloy_primitives::B256;
use grid_adapters::{
    AdapterError, Class, ProofRequest, SourceChain,
    ethereum::{EthereumSource, FollowHead, ProofDepth},
};
use grid_core::{
    ChainId,
    ethereum::{HeaderRules, decode_header},
    proof::ethereum::EthereumFact,
};
use serde_json::{Value, json};

use crate::fake::{Fake, Outcome, no_rest};

/// A fake node's canonical chain and its misbehaviour.
#[derive(Default)]
struct Node {
    chain: Vec<Header>,
    chain_id: u64,
    finalized: Option<usize>,
    edited: Option<u64>,
    /// Replaces the blocks from its first one on, once the head was asked for.
    ambush: Vec<Header>,
    /// Blocks from here on are null, as behind a load balancer.
    missing_from: Option<u64>,
    /// How many blocks below its tip it proves state.
    proves: Option<u64>,
}

fn grow(parent: Option<&Header>, count: usize, salt: u8) -> Vec<Header> {
    let mut out: Vec<Header> = Vec::new();
    for _ in 0..count {
        let parent = out.last().or(parent);
        let header = Header {
            number: parent.map_or(0, |parent| parent.number + 1),
            parent_hash: parent.map_or(B256::ZERO, Header::hash_slow),
            timestamp: parent.map_or(1, |parent| parent.timestamp + 12),
            base_fee_per_gas: Some(7),
            state_root: B256::repeat_byte(5),
            extra_data: vec![salt].into(),
            ..Header::default()
        };
        out.push(header);
    }
    out
}

fn node(count: usize) -> Node {
    Node { chain: grow(None, count + 1, 0), chain_id: 31_337, ..Node::default() }
}

impl Node {
    fn call(&mut self, method: &str, params: &Value) -> Outcome {
        match method {
            "eth_chainId" => Ok(format!("{:#x}", self.chain_id).into()),
            "eth_syncing" => Ok(false.into()),
            "eth_getBlockByNumber" => {
                let top = self.chain.len() - 1;
                let at = match params[0].as_str().unwrap() {
                    "latest" => Some(top),
                    "finalized" => self.finalized,
                    "safe" => return Err((-39_001, "Unknown block")),
                    number => Some(usize::from_str_radix(&number[2..], 16).unwrap()),
                };
                let header = at.and_then(|at| self.chain.get(at)).cloned();
                if let Some(first) = self.ambush.first().map(|first| first.number) {
                    self.chain.truncate(usize::try_from(first).unwrap());
                    self.chain.append(&mut self.ambush);
                }
                let missing = self.missing_from.unwrap_or(u64::MAX);
                Ok(header.filter(|header| header.number < missing || params[0] == "latest").map_or(
                    Value::Null,
                    |header| {
                        let edit = self.edited == Some(header.number);
                        let mut json =
                            serde_json::to_value(alloy_rpc_types_eth::Header::new(header)).unwrap();
                        if edit {
                            json["gasUsed"] = "0x1".into();
                        }
                        json["transactions"] = json!([]);
                        json["uncles"] = json!([]);
                        json
                    },
                ))
            }
            "eth_getTransactionByHash" => match params[0].as_str().unwrap().as_bytes()[2] {
                b'1' => Ok(json!({"blockHash": null, "transactionIndex": null})),
                _ => Ok(Value::Null),
            },
            "eth_blockNumber" => Ok(format!("{:#x}", self.chain.len() - 1).into()),
            "eth_getProof" if params[0] == json!(alloy_primitives::Address::ZERO) => {
                let height = u64::from_str_radix(&params[2].as_str().unwrap()[2..], 16).unwrap();
                let depth = self.chain.len() as u64 - 1 - height;
                match self.proves {
                    Some(most) if depth <= most => Ok(json!({"accountProof": []})),
                    Some(_) => Err((-32_000, "missing trie node")),
                    None => Err((-32_601, "no such method")),
                }
            }
            "eth_getProof" => match params[0].as_str().unwrap().as_bytes()[2] {
                b'1' => Err((-32_602, "invalid block")),
                b'2' => Err((-32_000, "missing trie node")),
                b'3' => Ok(json!({"accountProof": ["0x80"], "storageProof": []})),
                _ => Err((-32_601, "the method eth_getProof does not exist")),
            },
            _ => Err((-32_601, "no such method")),
        }
    }
}

async fn serve(node: Node) -> (Fake, Arc<Mutex<Node>>) {
    let node = Arc::new(Mutex::new(node));
    let called = Arc::clone(&node);
    let call = move |method: &str, params: &Value| called.lock().unwrap().call(method, params);
    (Fake::rpc(call, no_rest).await, node)
}

fn source(fake: &Fake, follow: FollowHead) -> EthereumSource {
    EthereumSource::new(ChainId::eip155(31_337), fake.endpoint(), follow).unwrap()
}

#[tokio::test]
async fn headers_are_rebuilt_and_linked() {
    let (fake, node) = serve(node(30)).await;
    let source = source(&fake, FollowHead::Latest);
    source.tip().await.unwrap();
    for (from, count, expected) in [(0, 31, 31), (25, 100, 6), (30, 9, 1), (31, 1, 0), (0, 0, 0)] {
        let headers = source.headers(from, count).await.unwrap();
        assert_eq!(headers.len(), expected, "{count} from {from}");
        for (header, height) in headers.iter().zip(from..) {
            let sealed = decode_header(&header.raw).unwrap();
            assert_eq!(sealed.hash, header.compat.blockHash);
            assert_eq!(sealed.header, node.lock().unwrap().chain[usize::try_from(height).unwrap()]);
        }
    }
}

#[tokio::test]
async fn the_followed_head_bounds_everything() {
    let (fake, node) = serve(node(30)).await;
    let behind = source(&fake, FollowHead::LatestMinus(12));
    assert_eq!(behind.tip().await.unwrap().height, 18);
    assert_eq!(behind.headers(10, 100).await.unwrap().len(), 9);
    assert!((&behind as &dyn SourceChain).header_at(19).await.unwrap().is_none());
    let deep = source(&fake, FollowHead::LatestMinus(99));
    assert_eq!(deep.tip().await.unwrap().height, 0);
    let finalized = source(&fake, FollowHead::Finalized);
    let error = finalized.tip().await.unwrap_err();
    assert_eq!(error.class(), Class::Wait { until: "head" });
    assert!(error.to_string().contains("no finalized block yet"), "{error}");
    node.lock().unwrap().finalized = Some(4);
    assert_eq!(finalized.tip().await.unwrap().height, 4);
    let safe = source(&fake, FollowHead::Safe).tip().await.unwrap_err();
    assert!(matches!(safe, AdapterError::NoHead { tag: "safe", .. }), "{safe:?}");
}

#[tokio::test]
async fn an_edited_field_is_refused() {
    let (fake, node) = serve(node(9)).await;
    node.lock().unwrap().edited = Some(5);
    let source = source(&fake, FollowHead::Latest);
    let error = source.headers(0, 10).await.unwrap_err();
    assert!(matches!(error, AdapterError::EditedHeader { height: 5, .. }), "{error:?}");
    assert!(error.to_string().contains("edited a header field"), "{error}");
    assert_eq!(source.headers(6, 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_reorganisation_in_the_middle_is_noticed() {
    let (fake, node) = serve(node(20)).await;
    let source = source(&fake, FollowHead::Latest);
    source.tip().await.unwrap();
    {
        let mut node = node.lock().unwrap();
        let branch = grow(node.chain.get(14), 6, 9);
        node.ambush = branch;
    }
    let error = source.headers(10, 11).await.unwrap_err();
    assert!(matches!(error, AdapterError::Reorganised { height: 20, .. }), "{error:?}");
    assert!(matches!(error.class(), Class::Retry { .. }));
    assert_eq!(source.headers(10, 11).await.unwrap().len(), 11);
}

#[tokio::test]
async fn blocks_that_one_machine_lacks_shorten_the_answer() {
    let (fake, node) = serve(node(20)).await;
    node.lock().unwrap().missing_from = Some(16);
    let headers = source(&fake, FollowHead::Latest).headers(10, 11).await.unwrap();
    assert_eq!(headers.len(), 6);
}

#[tokio::test]
async fn a_node_of_another_chain_is_refused_with_both_names() {
    let (fake, node) = serve(node(1)).await;
    node.lock().unwrap().chain_id = 11_155_111;
    let error = source(&fake, FollowHead::Latest).tip().await.unwrap_err();
    assert_eq!(error.class(), Class::Halt { reason: "wrong-network" });
    let text = error.to_string();
    assert!(text.contains("Sepolia") && text.contains("eip155:31337"), "{text}");
}

fn of(fact: EthereumFact, block: Option<u64>) -> ProofRequest {
    ProofRequest::Ethereum { facts: vec![fact], block, via: None }
}

#[tokio::test]
async fn the_ways_to_say_not_found_are_told_apart() {
    let (fake, _) = serve(node(9)).await;
    let source = source(&fake, FollowHead::Latest);
    let ask = async |request| source.proof_material(request).await.unwrap_err();
    let pending = ask(of(EthereumFact::Transaction { hash: B256::repeat_byte(0x11) }, None)).await;
    assert_eq!(pending.class(), Class::Wait { until: "included" });
    let unknown =
        ask(of(EthereumFact::Receipt { hash: B256::repeat_byte(0x22), log: None }, None)).await;
    assert!(matches!(unknown, AdapterError::NotFound { .. }), "{unknown:?}");
    let account = |byte: u8| {
        let address = alloy_primitives::Address::repeat_byte(byte);
        of(EthereumFact::Account { address }, Some(3))
    };
    let cases = [(0x11, "refuses the block"), (0x22, "too old"), (0x44, "lacks the method")];
    for (byte, words) in cases {
        let error = ask(account(byte)).await;
        assert!(matches!(error, AdapterError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let wrong = ask(account(0x33)).await;
    assert!(wrong.to_string().contains("does not fit the state root"), "{wrong}");
    let above = ask(of(EthereumFact::Account { address: Default::default() }, Some(99))).await;
    assert!(matches!(above, AdapterError::NotFound { .. }), "{above:?}");
}

#[tokio::test]
async fn the_depth_of_proofs_is_probed_once() {
    let cases = [
        (None, ProofDepth::None),
        (Some(0), ProofDepth::Blocks(0)),
        (Some(127), ProofDepth::Blocks(126)),
        (Some(5_000), ProofDepth::Archive),
    ];
    for (proves, expected) in cases {
        let (fake, node) = serve(Node { proves, ..node(1_500) }).await;
        let source = source(&fake, FollowHead::Latest);
        assert_eq!(source.proof_depth().await.unwrap(), expected);
        node.lock().unwrap().proves = Some(9_999);
        assert_eq!(source.proof_depth().await.unwrap(), expected, "remembered");
    }
    let (fake, _) = serve(Node { proves: Some(127), ..node(1_500) }).await;
    let source = source(&fake, FollowHead::Latest);
    let old = of(EthereumFact::Account { address: Default::default() }, Some(100));
    let error = source.proof_material(old).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, AdapterError::Unavailable { .. }), "{error:?}");
    assert!(text.contains("126 blocks deep") && text.contains("1400 below"), "{text}");
}

#[tokio::test]
async fn headers_that_no_chain_has_are_refused() {
    let mut bad = node(20);
    for header in &mut bad.chain[12..] {
        header.gas_used = header.gas_limit + 1;
    }
    for at in 12..bad.chain.len() {
        bad.chain[at].parent_hash = bad.chain[at - 1].hash_slow();
    }
    let (fake, _) = serve(bad).await;
    let error = source(&fake, FollowHead::LatestMinus(20)).tip().await.unwrap_err();
    assert_eq!(error.class(), Class::Halt { reason: "invalid-header" });
    assert!(error.to_string().contains("above the gas limit"), "{error}");
}

#[test]
fn a_real_chain_through_every_fork_obeys_the_rules() {
    let data = std::env::var_os("GRID_TESTDATA").map_or_else(
        || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        std::path::PathBuf::from,
    );
    let Ok(text) = std::fs::read(data.join("ethereum/rpc-conformance/chain-decoded.json")) else {
        println!("SKIPPED: there is no rpc-conformance; set GRID_TESTDATA");
        return;
    };
    let blocks: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let headers: Vec<_> = blocks
        .iter()
        .map(|block| {
            let raw: alloy_primitives::Bytes =
                serde_json::from_value(block["header_rlp"].clone()).unwrap();
            decode_header(&raw).unwrap()
        })
        .collect();
    assert!(headers.len() > 50);
    for pair in headers.windows(2) {
        HeaderRules::Ethereum
            .check_child(&pair[0], &pair[1].header)
            .unwrap_or_else(|error| panic!("block {}: {error}", pair[1].header.number));
    }
}
