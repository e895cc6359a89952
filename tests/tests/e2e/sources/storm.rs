//! Invalidated and reconsidered blocks, again and again, while a source and a daemon follow.

use grid_adapters::SourceChain as _;
use grid_test_nodes::{Bitcoind, Grid};
use serde_json::json;

use super::{assert_same_chain, node, quorum, tip};
use crate::world::{
    BITCOIN_DEPTH, Chains, Home, assert_bitcoin_index, log, wait_bitcoin_tip, wait_confirmed,
};

/// Reorganisations in the storm.
const ROUNDS: u64 = 36;

/// A small generator, so that a storm can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// One change of mind of the node: away to a new branch, or back to an old one.
async fn change(node: &Bitcoind, dice: &mut Dice, left: &mut Vec<String>) {
    if dice.roll(3) == 0
        && let Some(old) = left.pop()
    {
        node.reconsider_block(&old).await.expect("reconsider");
        return;
    }
    let depth = 1 + dice.roll(7);
    let (height, _) = node.tip().await.expect("tip");
    let first = node.block_hash(height - depth + 1).await.expect("hash");
    node.invalidate_block(&first).await.expect("invalidate");
    left.push(first);
    if dice.roll(4) > 0 {
        // Rewards to a script of their own: a block like an invalidated one would be invalid, too.
        let script = format!("raw(08{:016x}51)", dice.0);
        let mined = node.call("generatetodescriptor", json!([depth + 1, script])).await;
        mined.expect("mine");
    }
}

#[tokio::test]
async fn a_storm_of_reorganisations_loses_nothing() {
    let chains = Chains::bitcoin_only().await;
    let bitcoind = &chains;
    let home = Home::new();
    home.init(&crate::world::bitcoin_arguments(bitcoind, "regtest")).await.expect("init");
    let grid = Grid::start(home.config()).await.expect("start");
    let quorum = quorum(vec![node(bitcoind)], 1);
    let (mut dice, mut left) = (Dice(7), Vec::new());
    for round in 0..ROUNDS {
        change(bitcoind, &mut dice, &mut left).await;
        let expected = bitcoind.tip().await.expect("tip");
        assert_eq!(tip(&quorum).await, expected, "round {round}");
        assert!(quorum.view().disagreement.is_none(), "one node cannot disagree");
    }
    assert_same_chain(&quorum, bitcoind).await;

    // More work than any branch of the storm had, and everything settles on it.
    bitcoind.mine(ROUNDS).await.expect("mine");
    let (height, hash) = bitcoind.tip().await.expect("tip");
    assert_same_chain(&quorum, bitcoind).await;
    wait_bitcoin_tip(&grid, &hash).await;
    wait_confirmed(&grid, "bip122:", height + 1 - BITCOIN_DEPTH).await;
    assert_bitcoin_index(&grid, bitcoind).await;
    assert!(!log(&grid).contains("panicked"));
}

#[tokio::test]
async fn a_new_block_wakes_a_daemon_that_sleeps() {
    let bitcoind = Chains::bitcoin_only().await;
    let home = Home::new();
    home.init(&crate::world::bitcoin_arguments(&bitcoind, "regtest")).await.expect("init");
    let mut config = home.config();
    // Much longer than the test waits.
    config.env.push(("GRID_RELAYER_POLL_L1".into(), "10m".into()));
    let grid = Grid::start(config).await.expect("start");
    let (height, hash) = bitcoind.tip().await.expect("tip");
    wait_bitcoin_tip(&grid, &hash).await;
    for _ in 0..2 {
        bitcoind.mine(1).await.expect("mine");
        let (_, hash) = bitcoind.tip().await.expect("tip");
        wait_bitcoin_tip(&grid, &hash).await;
    }
    wait_confirmed(&grid, "bip122:", height + 3 - BITCOIN_DEPTH).await;
}
