//! Half-written databases: named, with the way out.

use std::{path::Path, time::Duration};

use grid_test_nodes::Grid;

use crate::world::{Home, World, whole_log};

/// Cuts a file in half.
fn halve(path: &Path) {
    let length = std::fs::metadata(path).expect("file").len();
    let file = std::fs::OpenOptions::new().write(true).open(path).expect("open");
    file.set_len(length / 2).expect("cut");
}

/// Starts the daemon, which must end with an error that names the file and what to do.
async fn refuses(home: &Home, file: &Path) {
    let mut process = Grid::spawn(&home.config()).expect("spawn");
    let status = process.wait(Duration::from_secs(60)).await.expect("it ends");
    assert!(!status.success());
    let log = whole_log(&home.path());
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains(&file.display().to_string()), "{log}");
    assert!(last.contains("move it away"), "{log}");
}

#[tokio::test]
async fn a_damaged_relayer_database_is_named_and_rebuilt_when_it_is_gone() {
    let mut world = World::start().await;
    world.wait_indexed().await;
    // Stopped, so that everything is in the file itself and not in a log beside it.
    world.grid.stop().await.expect("stop");
    let file = world.home.path().join("relayer.db");
    halve(&file);
    refuses(&world.home, &file).await;
    std::fs::rename(&file, world.home.beside("damaged.db")).expect("move away");
    world.chains.bitcoind.mine(5).await.expect("mine");
    world.grid.restart().await.expect("restart");
    world.wait_indexed().await;
    world.assert_index_is_the_nodes().await;
}

#[tokio::test]
async fn a_damaged_block_store_is_named() {
    let mut world = World::start().await;
    world.wait_indexed().await;
    world.grid.process().kill().expect("kill");
    let file = world.home.path().join("node").join("chain.redb");
    halve(&file);
    refuses(&world.home, &file).await;
}
