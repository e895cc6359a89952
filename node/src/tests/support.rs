//! What the tests share: a chain of one validator, accounts, transactions, mined headers, HTTP.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use grid_core::{
    ChainId, Family, Level, Security,
    bitcoin::{header::Header, network::NetworkParams},
    confirm::ConfirmationRule,
    genesis::Genesis,
    grid::Validator,
    modules::{ChainRecord, ChainStatus, ClientParams},
};
use k256::ecdsa::SigningKey;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Node, NodeConfig, NodeHandle, Role,
    chain::GridChain,
    mempool::{Mempool, MempoolLimits},
    metrics::NodeMetrics,
    store::Store,
};

pub(crate) const CHAIN_ID: u64 = 7_117;
/// Everything in a test must happen within this.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

pub(crate) fn address(seed: u8) -> Address {
    Address::from_private_key(&key(seed))
}

/// The validator's key has seed 1, the funded account's seed 2.
pub(crate) fn genesis() -> Genesis {
    Genesis {
        chain_id: CHAIN_ID,
        time_ms: 1_700_000_000_000,
        gas_limit: 60_000_000,
        base_fee: 1_000_000,
        alloc: BTreeMap::from([(address(2), U256::from(10u64).pow(U256::from(24)))]),
        governor: address(2),
        validators: vec![Validator { account: address(1), power: 1 }],
        chains: vec![ChainRecord {
            id: regtest(),
            family: Family::Bitcoin,
            security: Security::ProofOfWork,
            level: Level::L3,
            measured: false,
            rule: ConfirmationRule::Depth { blocks: 3 },
            status: ChainStatus::Active,
            client: ClientParams::Bitcoin {
                network: NetworkParams::regtest().into(),
                checkpoint: None,
            },
            window: 4_032,
        }],
        staking: None,
        guarantee: None,
    }
}

pub(crate) fn regtest() -> ChainId {
    NetworkParams::regtest().chain_id()
}

pub(crate) fn config(directory: &Path) -> NodeConfig {
    let mut config = NodeConfig::new(directory.into(), genesis(), Role::Validator(key(1)));
    config.block_interval = Duration::from_millis(20);
    // Tests wait for blocks without sending anything.
    config.empty_block_interval = config.block_interval;
    config
}

/// A chain without an engine.
pub(crate) fn chain(directory: &Path) -> GridChain {
    let genesis = grid_core::genesis::build(&genesis()).unwrap();
    let store = Store::open(directory, &genesis, 1 << 20).unwrap();
    let metrics = NodeMetrics::register(&Registry::new()).unwrap();
    GridChain::new(CHAIN_ID, store, Mempool::new(MempoolLimits::default()), metrics).unwrap()
}

pub(crate) async fn start(config: NodeConfig) -> NodeHandle {
    let node = Node::start(config, CancellationToken::new()).await.unwrap();
    node.wait_ready().await.unwrap();
    node
}

pub(crate) async fn stop(node: NodeHandle) {
    node.stop();
    tokio::time::timeout(DEADLINE, node.join()).await.unwrap().unwrap();
}

/// Signs an EIP-1559 transaction of the funded account.
pub(crate) fn sign(
    nonce: u64,
    to: Address,
    value: u64,
    input: Bytes,
    gas_limit: u64,
) -> TxEnvelope {
    sign_by(2, nonce, to, value, input, gas_limit)
}

/// Signs an EIP-1559 transaction with the key of a seed.
pub(crate) fn sign_by(
    seed: u8,
    nonce: u64,
    to: Address,
    value: u64,
    input: Bytes,
    gas_limit: u64,
) -> TxEnvelope {
    let body = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit,
        max_fee_per_gas: 1_000_000_000,
        max_priority_fee_per_gas: 1_000,
        to: TxKind::Call(to),
        value: U256::from(value),
        input,
        ..TxEip1559::default()
    };
    let (signature, recovery) =
        key(seed).sign_prehash_recoverable(body.signature_hash().as_slice()).unwrap();
    let signature = Signature::from((signature, recovery));
    body.into_signed(signature).into()
}

pub(crate) async fn ask(node: &NodeHandle, method: &str, params: Value) -> Value {
    node.call(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
}

/// Sends a transaction and waits for its receipt.
pub(crate) async fn send(node: &NodeHandle, transaction: &TxEnvelope) -> Value {
    let raw = hex::encode_prefixed(transaction.encoded_2718());
    let hash = ask(node, "eth_sendRawTransaction", json!([raw])).await;
    assert_eq!(hash, json!(transaction.tx_hash()));
    receipt(node, transaction.tx_hash()).await
}

pub(crate) async fn receipt(node: &NodeHandle, hash: &B256) -> Value {
    let mut heads = node.heads();
    let wait = async {
        loop {
            let found = ask(node, "eth_getTransactionReceipt", json!([hash])).await;
            if !found.is_null() {
                return found;
            }
            heads.changed().await.unwrap();
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap()
}

pub(crate) async fn wait_height(node: &NodeHandle, height: u64) {
    let mut heads = node.heads();
    let reached = heads.wait_for(|head| head.height >= height);
    tokio::time::timeout(DEADLINE, reached).await.unwrap().unwrap();
}

/// Mines `count` regtest headers on `parent`; `salt` makes a branch of its own.
pub(crate) fn mine(mut parent: Header, count: usize, salt: u8) -> Vec<Header> {
    let mut mined = Vec::with_capacity(count);
    for _ in 0..count {
        let mut header = Header {
            version: 0x2000_0000,
            prev: parent.hash(),
            merkle_root: B256::repeat_byte(salt),
            time: parent.time + 600,
            bits: parent.bits,
            nonce: 0,
        };
        // Regtest's target: the top bit of the hash, read as a little-endian number, is clear.
        while header.hash().0[31] >= 0x7f {
            header.nonce += 1;
        }
        mined.push(header);
        parent = header;
    }
    mined
}

pub(crate) fn regtest_genesis() -> Header {
    Header::parse(&NetworkParams::regtest().genesis)
}

pub(crate) fn raw_headers(headers: &[Header]) -> Bytes {
    headers.iter().flat_map(Header::to_bytes).collect::<Vec<u8>>().into()
}

/// One POST over a connection of its own: status line and body.
pub(crate) async fn post(address: SocketAddr, host: &str, body: &str) -> (String, String) {
    post_announcing(address, host, body, body.len()).await
}

/// A POST that announces a body of `length` bytes.
pub(crate) async fn post_announcing(
    address: SocketAddr,
    host: &str,
    body: &str,
    length: usize,
) -> (String, String) {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let answer = exchange(address, &request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

/// Everything that is answered to a request which asks to close the connection.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    tokio::time::timeout(DEADLINE, exchange).await.unwrap()
}

/// The status line of the answer to a request; the connection is dropped then.
pub(crate) async fn first_line(address: SocketAddr, request: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        String::from_utf8(status.into()).unwrap()
    };
    tokio::time::timeout(DEADLINE, exchange).await.unwrap()
}

/// A call over HTTP.
pub(crate) async fn http(address: SocketAddr, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let (status, body) = post(address, &address.to_string(), &body).await;
    assert!(status.contains("200"), "{status}");
    serde_json::from_str(&body).unwrap()
}
