//! A flood of calls does not delay blocks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::support::*;

const CONNECTIONS: usize = 64;
const INTERVAL: Duration = Duration::from_millis(100);
/// Blocks to wait for with and without the flood.
const BLOCKS: u32 = 20;

/// One connection that asks for expensive things, one after another, until told to stop.
async fn ask_on(rpc: std::net::SocketAddr, stop: Arc<AtomicBool>, refused: Arc<AtomicU64>) -> u64 {
    let calls = [
        ("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": "latest" }])),
        ("eth_feeHistory", json!(["0x400", "latest", [10.0, 50.0, 90.0]])),
        (
            "eth_call",
            json!([{ "to": grid_core::modules::abi::LIGHT_CLIENTS, "data": "0x12345678" }]),
        ),
        ("grid_chains", json!([])),
        ("grid_proveState", json!(["0x00"])),
        ("eth_getBlockByNumber", json!(["latest", true])),
    ];
    let mut stream = BufReader::new(TcpStream::connect(rpc).await.unwrap());
    let mut answered = 0;
    for (method, params) in calls.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let body =
            json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let request = format!(
            "POST / HTTP/1.1\r\nHost: {rpc}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        // Every call is answered: with a result, a revert, or the word that the node is busy.
        match answer["error"]["code"].as_i64() {
            None | Some(3) => answered += 1,
            Some(-32005) => drop(refused.fetch_add(1, Ordering::Relaxed)),
            other => panic!("{method}: {other:?} {answer}"),
        }
    }
    answered
}

async fn read_answer(stream: &mut BufReader<TcpStream>) -> Value {
    let mut length = 0;
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).await.unwrap() > 0, "the connection closed");
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// How long the next blocks take.
async fn time_of_blocks(node: &crate::NodeHandle) -> Duration {
    let start = node.heads().borrow().height;
    let clock = Instant::now();
    wait_height(node, start + u64::from(BLOCKS)).await;
    clock.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_calls_does_not_delay_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.block_interval = INTERVAL;
    config.rpc = Some("127.0.0.1:0".parse().unwrap());
    config.rpc_limits.waiting = 16;
    let node = start(config).await;
    let rpc = node.rpc_address().unwrap();
    let calm = time_of_blocks(&node).await;
    let (stop_now, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let flood: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(ask_on(rpc, stop_now.clone(), refused.clone())))
        .collect();
    let flooded = time_of_blocks(&node).await;
    stop_now.store(true, Ordering::Relaxed);
    let mut answered = 0;
    for one in flood {
        answered += tokio::time::timeout(DEADLINE, one).await.unwrap().unwrap();
    }
    let refused = refused.load(Ordering::Relaxed);
    println!(
        "{BLOCKS} blocks: {calm:?} calm, {flooded:?} under {answered} answered and {refused} refused calls"
    );
    assert!(answered > 100, "{answered} answers are no flood");
    assert!(refused > 0, "nothing was over the budget");
    // An interval is a pace, not a promise; a node in the way of its calls is many times slower.
    assert!(flooded < calm.max(INTERVAL * BLOCKS) * 2, "{calm:?} without, {flooded:?} with");
    stop(node).await;
}
