//! One validator, no network.

mod common;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use common::{CHAIN_ID, Engine, FileChain, address, validators};
use grid_consensus::{Chain, EngineError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_come_at_the_interval_with_good_certificates() {
    let dir = tempfile::tempdir().expect("a directory");
    let chain = FileChain::open(&dir.path().join("chain"), validators(1));
    let mut engine = Engine::start(&dir.path().join("home"), &chain, 0, 200);
    engine.reach(&chain, 12).await;
    engine.stop().await;
    assert!(chain.check().len() >= 12);
    // Block 1 may come late, as the engine starts after genesis; from then on there is a beat. The
    // mean over ten blocks hardly depends on how busy the machine is: late heights are made up.
    let times = chain.times();
    let mean = (times[11] - times[1]) / 10;
    assert!((150..400).contains(&mean), "mean interval {mean} ms: {times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_continues_at_the_next_height() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, home) = (dir.path().join("chain"), dir.path().join("home"));
    let mut before = std::collections::BTreeMap::new();
    for life in 1..=3 {
        let chain = FileChain::open(&data, validators(1));
        assert_eq!(chain.head().height, before.len() as u64);
        let mut engine = Engine::start(&home, &chain, 0, 0);
        engine.reach(&chain, before.len() as u64 + 5).await;
        engine.stop().await;
        let after = chain.check();
        assert!(before.iter().all(|(height, hash)| after[height] == *hash), "life {life}");
        before = after;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_at_any_point_it_resumes_without_a_second_block() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, home) = (dir.path().join("chain"), dir.path().join("home"));
    for life in 0..40u64 {
        let chain = FileChain::open(&data, validators(1));
        let mut engine = Engine::start(&home, &chain, 0, 0);
        engine.reach(&chain, chain.head().height + 1 + life % 3).await;
        // Any point of the next height will do: a different one in every life.
        tokio::time::sleep(Duration::from_micros(life * 617 % 9_000)).await;
        engine.drop_it().await;
    }
    let chain = FileChain::open(&data, validators(1));
    let mut engine = Engine::start(&home, &chain, 0, 0);
    engine.reach(&chain, chain.head().height + 5).await;
    engine.stop().await;
    assert!(chain.check().len() >= 45);
    for (height, hashes) in chain.journal() {
        assert_eq!(hashes.len(), 1, "decided at height {height}: {hashes:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_outside_the_validator_set_is_told_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let chain = FileChain::open(&dir.path().join("chain"), validators(1));
    let error = Engine::start(&dir.path().join("home"), &chain, 7, 100).failure().await;
    let text = error.to_string();
    assert!(matches!(error, EngineError::NotAValidator { height: 1, .. }), "{text}");
    assert!(text.contains(&address(7).to_string()), "{text}");
    assert!(text.contains(&address(0).to_string()), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_without_a_quorum_does_not_run_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let chain = FileChain::open(&dir.path().join("chain"), validators(2));
    let error = Engine::start(&dir.path().join("home"), &chain, 0, 100).failure().await;
    assert!(matches!(error, EngineError::NoQuorumAlone { power: 10, total: 20 }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_serves_one_engine_at_a_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    let chain = FileChain::open(&dir.path().join("chain"), validators(1));
    let mut first = Engine::start(&home, &chain, 0, 50);
    first.reach(&chain, 2).await;
    let other = FileChain::open(&dir.path().join("other"), validators(1));
    let error = Engine::start(&home, &other, 0, 50).failure().await;
    assert!(matches!(error, EngineError::HomeInUse(_)), "{error}");
    first.reach(&chain, chain.head().height + 2).await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_was_put_back_is_not_signed_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path().join("home");
    let chain = FileChain::open(&dir.path().join("chain"), validators(1));
    let mut engine = Engine::start(&home, &chain, 0, 0);
    engine.reach(&chain, 5).await;
    engine.stop().await;
    let emptied = FileChain::open(&dir.path().join("empty"), validators(1));
    let error = Engine::start(&home, &emptied, 0, 0).failure().await;
    assert!(matches!(error, EngineError::Safety { height: 1, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_stops_at_once_whatever_the_interval() {
    let dir = tempfile::tempdir().expect("a directory");
    let chain = FileChain::open(&dir.path().join("chain"), validators(1));
    let mut engine = Engine::start(&dir.path().join("home"), &chain, 0, 60_000);
    engine.reach(&chain, 1).await;
    let start = Instant::now();
    engine.stop().await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(chain.head().height, 1);
    let (_, certificate) = chain.decided(1).expect("readable").expect("there");
    assert!(certificate.verify(CHAIN_ID + 1, &validators(1)).is_err(), "bound to its chain");
}

/// Runs until a decision can't be stored: the engine's log then holds a whole height.
async fn decided_but_not_stored(data: &Path, home: &Path) -> u64 {
    let chain = FileChain::open(data, validators(1));
    let mut engine = Engine::start(home, &chain, 0, 0);
    engine.reach(&chain, 3).await;
    // A file in the place of the directory: every write fails from here on.
    let (blocks, moved) = (data.join("blocks"), data.join("moved"));
    std::fs::rename(&blocks, &moved).expect("renamed");
    std::fs::write(&blocks, b"").expect("written");
    let error = engine.failure().await;
    assert!(matches!(error, EngineError::Chain { .. }), "{error}");
    std::fs::remove_file(&blocks).expect("removed");
    std::fs::rename(&moved, &blocks).expect("renamed");
    chain.head().height
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_cannot_commit_ends_the_run_and_the_log_decides_the_same_block_later() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, home) = (dir.path().join("chain"), dir.path().join("home"));
    let head = decided_but_not_stored(&data, &home).await;
    let chain = FileChain::open(&data, validators(1));
    let mut engine = Engine::start(&home, &chain, 0, 0);
    engine.reach(&chain, head + 3).await;
    engine.stop().await;
    assert!(chain.check().len() as u64 >= head + 3);
    assert!(chain.journal().values().all(|hashes| hashes.len() == 1), "{:?}", chain.journal());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_ends_the_run_once_and_is_usable_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, home) = (dir.path().join("chain"), dir.path().join("home"));
    let head = decided_but_not_stored(&data, &home).await;
    let log = home.join("wal").join("consensus.wal");
    let mut bytes = std::fs::read(&log).expect("a log");
    *bytes.last_mut().expect("entries") ^= 1;
    std::fs::write(&log, bytes).expect("written");

    let chain = FileChain::open(&data, validators(1));
    let error = Engine::start(&home, &chain, 0, 0).failure().await;
    assert!(matches!(error, EngineError::Died { .. }), "{error}");
    let mut engine = Engine::start(&home, &chain, 0, 0);
    engine.reach(&chain, head + 3).await;
    engine.stop().await;
    assert!(chain.journal().values().all(|hashes| hashes.len() == 1), "{:?}", chain.journal());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_log_of_what_it_signed_it_refuses_to_decide_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, home) = (dir.path().join("chain"), dir.path().join("home"));
    let head = decided_but_not_stored(&data, &home).await;
    let (log, away) = (home.join("wal").join("consensus.wal"), dir.path().join("away"));
    std::fs::rename(&log, &away).expect("moved");

    let chain = FileChain::open(&data, validators(1));
    for _ in 0..2 {
        let error = Engine::start(&home, &chain, 0, 0).failure().await;
        let text = error.to_string();
        assert!(matches!(error, EngineError::Safety { .. }) && text.contains("log"), "{text}");
        assert_eq!(chain.head().height, head);
    }
    std::fs::rename(&away, &log).expect("moved back");
    let mut engine = Engine::start(&home, &chain, 0, 0);
    engine.reach(&chain, head + 3).await;
    engine.stop().await;
    assert!(chain.journal().values().all(|hashes| hashes.len() == 1), "{:?}", chain.journal());
}
