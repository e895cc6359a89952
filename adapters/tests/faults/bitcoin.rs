//! A Bitcoin node that lies, forks and lags.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use alloy_primitives::{B256, hex};
use axum::http::StatusCode;
use bitcoin::{
    Block, Network, Transaction,
    blockdata::constants::genesis_block,
    consensus::{deserialize, serialize},
    hashes::Hash as _,
};
use grid_adapters::{
    AdapterError, Class, EndpointGroup, Limits, PoolSettings, ProofRequest, SourceChain,
    bitcoin::{BitcoinSource, RestMode},
};
use grid_core::{
    ChainId,
    bitcoin::spv::TxProof,
    proof::{Inclusion, facts::BitcoinFact},
};
use serde_json::{Value, json};

use crate::fake::{Fake, Outcome, Reply, no_rest};

type Raw = [u8; 80];

/// The active chain of a fake node, and how it misbehaves.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) chain: Vec<Raw>,
    /// Headers of branches that it has left; still served by hash.
    pub(crate) stale: Vec<Raw>,
    blocks: Vec<Block>,
    network: &'static str,
    downloading: bool,
    /// Headers that replace the top ones as soon as hashes have been handed out.
    ambush: Vec<Raw>,
    pub(crate) edited: Option<usize>,
}

fn hash(raw: &Raw) -> String {
    let header: bitcoin::block::Header = deserialize(raw).unwrap();
    header.block_hash().to_string()
}

pub(crate) fn regtest_genesis() -> Raw {
    serialize(&genesis_block(Network::Regtest).header).try_into().unwrap()
}

/// The chain's id by its genesis header.
pub(crate) fn id_of(genesis: &Raw) -> ChainId {
    let header: bitcoin::block::Header = deserialize(genesis).unwrap();
    ChainId::bip122(&B256::new(header.block_hash().to_byte_array()))
}

/// `count` linked headers above `parent`; `salt` makes branches differ.
pub(crate) fn grow(parent: &Raw, count: usize, salt: u32) -> Vec<Raw> {
    let mut out: Vec<Raw> = Vec::with_capacity(count);
    for step in 0..count {
        let parent: bitcoin::block::Header = deserialize(out.last().unwrap_or(parent)).unwrap();
        let mut next = parent;
        next.prev_blockhash = parent.block_hash();
        next.version = bitcoin::block::Version::from_consensus(4);
        next.time += 600;
        next.nonce = salt + u32::try_from(step).unwrap();
        while next.validate_pow(next.target()).is_err() {
            next.nonce += 1;
        }
        out.push(serialize(&next).try_into().unwrap());
    }
    out
}

pub(crate) fn regtest(count: usize) -> Node {
    let genesis = regtest_genesis();
    let mut chain = vec![genesis];
    chain.extend(grow(&genesis, count, 0));
    Node { chain, network: "regtest", ..Node::default() }
}

impl Node {
    fn call(&mut self, method: &str, params: &Value) -> Outcome {
        let top = self.chain.len() - 1;
        let all = || self.chain.iter().chain(&self.stale);
        let of = |shown: &Value| all().find(|raw| hash(raw) == shown.as_str().unwrap());
        match method {
            "getblockchaininfo" => Ok(json!({
                "chain": self.network, "blocks": top, "headers": top + 5,
                "bestblockhash": hash(&self.chain[top]), "initialblockdownload": self.downloading,
            })),
            "getblockhash" => {
                let height = usize::try_from(params[0].as_u64().unwrap()).unwrap();
                let found = self.chain.get(height).map(hash);
                if height == top && !self.ambush.is_empty() {
                    let new = std::mem::take(&mut self.ambush);
                    let keep = self.chain.len() - new.len();
                    self.stale.extend(self.chain.split_off(keep));
                    self.chain.extend(new);
                }
                found.map(Value::from).ok_or((-8, "Block height out of range"))
            }
            "getblockheader" => {
                let raw = of(&params[0]).ok_or((-5, "Block not found"))?;
                let height = self.chain.iter().position(|other| other == raw);
                if params[1] == json!(true) {
                    let confirmations =
                        height.map_or(-1, |at| i64::try_from(top - at + 1).unwrap());
                    let height = height.unwrap_or(top);
                    return Ok(json!({"height": height, "confirmations": confirmations}));
                }
                let mut raw = *raw;
                if self.edited.is_some() && self.edited == height {
                    raw[70] ^= 1;
                }
                Ok(hex::encode(raw).into())
            }
            "getblock" => {
                let block = self.blocks.iter().find(|b| b.block_hash().to_string() == params[0]);
                block.map(|b| hex::encode(serialize(b)).into()).ok_or((-1, "Block not available"))
            }
            "getrawtransaction" => {
                let has = |b: &&Block| b.txdata.iter().any(|tx| same(tx, &params[0]));
                let block = self.blocks.iter().find(has);
                block
                    .map(|block| json!({"blockhash": block.block_hash().to_string()}))
                    .ok_or((-5, "No such mempool transaction"))
            }
            "gettxoutproof" => Err((-5, "Transaction not yet in block")),
            _ => Err((-32601, "Method not found")),
        }
    }

    fn rest(&self, path: &str) -> Reply {
        if path == "/rest/chaininfo.json" {
            let top = self.chain.last().unwrap();
            return Reply::json(&json!({
                "chain": self.network, "blocks": 0, "headers": 0, "bestblockhash": hash(top),
            }));
        }
        if let Some(rest) = path.strip_prefix("/rest/blockhashbyheight/") {
            let height: usize = rest.strip_suffix(".bin").unwrap().parse().unwrap();
            return match self.chain.get(height) {
                Some(raw) => {
                    let mut bytes = hex::decode(hash(raw)).unwrap();
                    bytes.reverse();
                    Reply::Send(StatusCode::OK, bytes)
                }
                None => Reply::Send(StatusCode::NOT_FOUND, b"Block height out of range".to_vec()),
            };
        }
        let rest = path.strip_prefix("/rest/headers/").unwrap();
        let (from, count) = rest.split_once(".bin?count=").unwrap();
        let from = self.chain.iter().position(|raw| hash(raw) == from).unwrap();
        let mut headers: Vec<Raw> =
            self.chain[from..].iter().copied().take(count.parse().unwrap()).collect();
        if let Some(edited) = self.edited.and_then(|at| at.checked_sub(from)) {
            headers[edited][70] ^= 1;
        }
        Reply::Send(StatusCode::OK, headers.concat())
    }
}

fn same(tx: &Transaction, shown: &Value) -> bool {
    tx.compute_txid().to_string() == shown.as_str().unwrap()
}

pub(crate) async fn serve(node: Node, rest: bool) -> (Fake, Arc<Mutex<Node>>) {
    let node = Arc::new(Mutex::new(node));
    let (called, asked) = (Arc::clone(&node), Arc::clone(&node));
    let fake = Fake::rpc(
        move |method, params| called.lock().unwrap().call(method, params),
        move |path| if rest { asked.lock().unwrap().rest(path) } else { no_rest(path) },
    )
    .await;
    (fake, node)
}

pub(crate) fn source(fake: &Fake) -> BitcoinSource {
    BitcoinSource::new(id_of(&regtest_genesis()), fake.endpoint(), RestMode::Auto).unwrap()
}

#[tokio::test]
async fn headers_are_the_same_by_rpc_and_by_rest() {
    for rest in [false, true] {
        let (fake, node) = serve(regtest(50), rest).await;
        let source = source(&fake);
        assert_eq!(source.tip().await.unwrap().height, 50);
        for (from, count, expected) in
            [(0, 10, 10), (45, 100, 6), (50, 1, 1), (51, 5, 0), (3, 0, 0), (u64::MAX, 3, 0)]
        {
            let headers = source.headers(from, count).await.unwrap();
            assert_eq!(headers.len(), expected, "rest {rest}, {count} from {from}");
            for (header, height) in headers.iter().zip(from..) {
                assert_eq!(header.compat.height, height);
                let at = usize::try_from(height).unwrap();
                assert_eq!(header.raw[..], node.lock().unwrap().chain[at]);
            }
        }
        assert!((&source as &dyn SourceChain).header_at(51).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn two_thousand_headers_over_rest_take_little_more_than_their_bytes() {
    let (fake, _) = serve(regtest(2_500), true).await;
    let source = source(&fake);
    assert_eq!(source.headers(0, 5).await.unwrap().len(), 5);
    let begin = Instant::now();
    assert_eq!(source.headers(100, 9_999).await.unwrap().len(), 2_000);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn hundreds_of_headers_are_two_exchanges_by_either_way() {
    for rest in [false, true] {
        let (fake, _) = serve(regtest(400), rest).await;
        let (counted, metrics) = crate::endpoints::Counted::new();
        let group = EndpointGroup::new("x", PoolSettings::default(), Some(metrics));
        let limits = Limits::bitcoin_core();
        let endpoint = fake.endpoint().with_limits(limits).in_group(&group);
        let id = id_of(&regtest_genesis());
        let source = BitcoinSource::new(id, endpoint, RestMode::Auto).unwrap();
        source.headers(0, 2).await.unwrap();
        let exchanges = || counted.sum("grid_endpoint_requests_total", &["ok"]);
        let before = exchanges();
        assert_eq!(source.headers(100, 300).await.unwrap().len(), 300);
        assert_eq!(exchanges() - before, 2, "rest {rest}");
    }
}

#[tokio::test]
async fn an_edited_header_is_refused_by_every_way() {
    for rest in [false, true] {
        let mut node = regtest(20);
        node.edited = Some(7);
        let (fake, _) = serve(node, rest).await;
        let error = source(&fake).headers(5, 10).await.unwrap_err();
        // REST answers name no hash, so a header that lost its work is found before its broken link.
        let edited = matches!(error, AdapterError::EditedHeader { height: 7, .. });
        assert!(
            edited || rest && matches!(error, AdapterError::NoWork { height: 7, .. }),
            "{error:?}"
        );
        assert!(matches!(error.class(), Class::Halt { .. }));
    }
}

#[tokio::test]
async fn a_reorganisation_in_the_middle_is_noticed_and_the_next_fetch_is_whole() {
    let mut node = regtest(20);
    let below = node.chain[17];
    node.ambush = grow(&below, 3, 1_000_000);
    let (fake, node) = serve(node, false).await;
    let source = source(&fake);
    let error = source.headers(10, 11).await.unwrap_err();
    assert!(matches!(error, AdapterError::Reorganised { .. }), "{error:?}");
    assert!(matches!(error.class(), Class::Retry { .. }));
    let headers = source.headers(10, 11).await.unwrap();
    assert_eq!(headers.last().unwrap().raw[..], node.lock().unwrap().chain[20]);
}

#[tokio::test]
async fn a_node_of_another_network_is_refused_with_both_names() {
    let genesis: Raw = serialize(&genesis_block(Network::Testnet4).header).try_into().unwrap();
    let (fake, _) =
        serve(Node { chain: vec![genesis], network: "testnet4", ..Node::default() }, true).await;
    let source = source(&fake);
    let wrong = [source.tip().await.unwrap_err(), source.headers(0, 5).await.unwrap_err()];
    for error in wrong {
        let text = error.to_string();
        assert!(text.contains("Bitcoin testnet4") && text.contains("Bitcoin regtest"), "{text}");
        assert_eq!(error.class(), Class::Halt { reason: "wrong-network" });
    }
}

#[tokio::test]
async fn a_node_that_downloads_its_chain_is_waited_for() {
    let (fake, node) = serve(regtest(3), false).await;
    let source = source(&fake);
    node.lock().unwrap().downloading = true;
    source.tip().await.expect("regtest calls itself downloading without being so");
    node.lock().unwrap().network = "main";
    let error = source.tip().await.unwrap_err();
    assert_eq!(error.class(), Class::Wait { until: "synced" });
    assert!(error.to_string().contains("block 3 of 8"), "{error}");
}

#[tokio::test]
async fn garbage_over_rest_falls_back_to_rpc() {
    let node = Arc::new(Mutex::new(regtest(30)));
    let called = Arc::clone(&node);
    let fake = Fake::rpc(
        move |method, params| called.lock().unwrap().call(method, params),
        move |path| match path {
            "/rest/chaininfo.json" => node.lock().unwrap().rest(path),
            _ => Reply::Send(StatusCode::OK, vec![0; 79]),
        },
    )
    .await;
    assert_eq!(source(&fake).headers(0, 31).await.unwrap().len(), 31);
}

fn with_payment() -> (Node, B256) {
    let mut node = regtest(0);
    let coinbase = &genesis_block(Network::Regtest).txdata[0];
    let mut first = coinbase.clone();
    first.input[0].script_sig = bitcoin::ScriptBuf::from_bytes(vec![0x51, 0x00]);
    let mut payment = coinbase.clone();
    payment.input[0].previous_output = bitcoin::OutPoint::new(coinbase.compute_txid(), 0);
    let mut block = genesis_block(Network::Regtest);
    let txid = B256::new(payment.compute_txid().to_byte_array());
    block.txdata = vec![first, payment];
    block.header.prev_blockhash = block.block_hash();
    block.header.merkle_root = block.compute_merkle_root().unwrap();
    while block.header.validate_pow(block.header.target()).is_err() {
        block.header.nonce += 1;
    }
    node.chain.push(serialize(&block.header).try_into().unwrap());
    node.blocks.push(block);
    (node, txid)
}

fn of(fact: BitcoinFact, block_hash: Option<B256>) -> ProofRequest {
    ProofRequest::Bitcoin { facts: vec![fact], block_hash }
}

#[tokio::test]
async fn a_transaction_becomes_verified_material() {
    let (node, txid) = with_payment();
    let (fake, _) = serve(node, false).await;
    let request = of(BitcoinFact::Tx { txid }, None);
    let material = source(&fake).proof_material(request).await.unwrap();
    assert_eq!(material.header.height, 1);
    assert!(matches!(material.inclusion, Inclusion::BitcoinTx(TxProof { index: 1, .. })));
}

#[tokio::test]
async fn facts_of_a_block_become_verified_material() {
    let (node, txid) = with_payment();
    let (fake, _) = serve(node, false).await;
    let source = source(&fake);
    let ask = async |facts| {
        source.proof_material(ProofRequest::Bitcoin { facts, block_hash: None }).await
    };
    let (tx, payment) = (BitcoinFact::Tx { txid }, BitcoinFact::Payment { txid, output: 0 });
    let material = ask(vec![payment]).await.unwrap();
    assert!(matches!(material.inclusion, Inclusion::BitcoinPayment { output: 0, .. }));
    let material = ask(vec![tx, payment]).await.unwrap();
    assert!(matches!(material.inclusion, Inclusion::BitcoinTxs { .. }));
    // What the block does not have is the request's fault, not the node's.
    let cases = [
        (vec![], "no fact"),
        (vec![BitcoinFact::Payment { txid, output: 9 }], "no output 9"),
        (vec![BitcoinFact::Data { txid, output: 0 }], "not OP_RETURN"),
        (vec![BitcoinFact::Witness { txid }], "no witness commitment"),
        (vec![tx, BitcoinFact::Witness { txid }], "alone"),
    ];
    for (facts, word) in cases {
        let error = ask(facts).await.unwrap_err();
        assert!(matches!(error, AdapterError::Invalid(_)), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let other = ask(vec![tx, BitcoinFact::Tx { txid: B256::ZERO }]).await.unwrap_err();
    assert!(other.to_string().contains("in one block"), "{other}");
}

#[tokio::test]
async fn transactions_that_cannot_be_proven_say_why() {
    let (mut node, txid) = with_payment();
    let stale = grow(&node.chain[0], 1, 77)[0];
    node.stale.push(stale);
    node.blocks[0].txdata[1].output[0].value = bitcoin::Amount::from_sat(1);
    let edited = B256::new(node.blocks[0].txdata[1].compute_txid().to_byte_array());
    let (fake, node) = serve(node, false).await;
    let source = source(&fake);
    let ask = async |txid, block_hash| {
        source.proof_material(of(BitcoinFact::Tx { txid }, block_hash)).await.unwrap_err()
    };
    let unknown = ask(B256::repeat_byte(7), None).await;
    assert!(unknown.to_string().contains("txindex=1"), "{unknown}");
    // The block's content was changed: neither the old nor the new transaction can be proven.
    let block = B256::new(node.lock().unwrap().blocks[0].block_hash().to_byte_array());
    for txid in [txid, edited] {
        let mismatch = ask(txid, Some(block)).await;
        assert!(matches!(mismatch, AdapterError::BadAnswer { .. }), "{mismatch:?}");
    }
    let header: bitcoin::block::Header = deserialize(&stale).unwrap();
    let left = ask(txid, Some(B256::new(header.block_hash().to_byte_array()))).await;
    assert!(matches!(left, AdapterError::Stale { .. }), "{left:?}");
    node.lock().unwrap().blocks.clear();
    let pruned = ask(txid, Some(block)).await;
    assert!(pruned.to_string().contains("not pruned"), "{pruned}");
    let other = source
        .proof_material(ProofRequest::Ethereum { facts: vec![], block: None, via: None })
        .await;
    assert!(matches!(other, Err(AdapterError::WrongFamily { .. })));
}
