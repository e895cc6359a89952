//! A validator that is killed (SIGKILL) at random points, many times, and started again.

mod common;

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use common::{Engine, FileChain, LIMIT, validators};
use grid_consensus::Chain;

/// Set in the child only: where chain and home are.
const DIR: &str = "GRID_CONSENSUS_CRASH_DIR";

/// How often it is killed.
const KILLS: u64 = 30;

/// The child: a validator that runs until it is killed. Without the variable, nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validator_process() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let dir = std::path::PathBuf::from(dir);
    let chain = FileChain::open(&dir.join("chain"), validators(1));
    let engine = Engine::start(&dir.join("home"), &chain, 0, 5);
    panic!("the engine ended: {:?}", engine.task.await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_it_resumes_without_a_second_block() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("chain");
    // Splitmix over the attempt: other points every time, the same in every run of the test.
    let random = |attempt: u64| {
        let mut x = attempt.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^ (x >> 31)
    };
    for attempt in 0..KILLS {
        let before = FileChain::open(&data, validators(1)).head().height;
        let mut child = Command::new(std::env::current_exe().expect("this test's path"))
            .args(["--exact", "validator_process", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("a child");
        // Killed in the second height or later, so that every life makes progress.
        let deadline = std::time::Instant::now() + LIMIT;
        while !data.join("blocks").join((before + 1).to_string()).exists() {
            assert!(std::time::Instant::now() < deadline, "no block in life {attempt}");
            let ended = child.try_wait().expect("a state");
            assert!(ended.is_none(), "life {attempt} ended by itself: {ended:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(random(attempt) % 40_000)).await;
        child.kill().expect("killed");
        child.wait().expect("gone");
    }
    let chain = FileChain::open(&data, validators(1));
    let mut engine = Engine::start(&dir.path().join("home"), &chain, 0, 0);
    engine.reach(&chain, chain.head().height + 5).await;
    engine.stop().await;
    assert!(chain.check().len() as u64 > KILLS);
    for (height, hashes) in chain.journal() {
        assert_eq!(hashes.len(), 1, "decided at height {height}: {hashes:?}");
    }
}
