//! SIGKILL at any moment: a child process runs a node and is killed while it commits.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
};

use alloy_primitives::{Address, Bytes};
use serde_json::json;

use super::support::*;

const DIRECTORY: &str = "GRID_NODE_TEST_KILL_DIRECTORY";

/// The child: sends transfers and prints each nonce once its receipt is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let node = start(config(directory.as_ref())).await;
    let account = ask(&node, "grid_account", json!([address(2)])).await;
    let first = account["nonce"].as_u64().unwrap();
    for nonce in first..first + 10_000 {
        send(&node, &sign(nonce, Address::repeat_byte(7), 1, Bytes::new(), 21_000)).await;
        println!("\ncommitted {nonce} at {}", node.head().height);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_loses_nothing_that_was_committed() {
    let directory = tempfile::tempdir().unwrap();
    let mut done = None;
    for round in 0..4u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::kill::child_that_is_killed", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (tell, told) = mpsc::channel();
        let output = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(rest) = line.strip_prefix("committed ") {
                    let nonce: u64 = rest.split(' ').next().unwrap().parse().unwrap();
                    if tell.send(nonce).is_err() {
                        return;
                    }
                }
            }
        });
        for _ in 0..=round {
            done = Some(told.recv_timeout(DEADLINE).unwrap());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        done = told.try_iter().last().or(done);
        drop(told);
        reader.join().unwrap();
    }
    let node = start(config(directory.path())).await;
    let account = ask(&node, "grid_account", json!([address(2)])).await;
    let nonce = account["nonce"].as_u64().unwrap();
    assert!(nonce > done.unwrap(), "nonce {nonce} after transaction {done:?} was committed");
    let balance = ask(&node, "eth_getBalance", json!([Address::repeat_byte(7), "latest"])).await;
    assert_eq!(balance, json!(format!("{nonce:#x}")));
    stop(node).await;
}
