//! How often a relayer asks its Bitcoin node, counted in between.

use std::collections::BTreeMap;

use grid_test_nodes::{Bitcoind, BitcoindConfig, Grid, Liar};

use crate::world::{Home, bitcoin_arguments, wait_bitcoin_tip};

/// Headers of the first download: more than one answer holds.
const BACKFILL: u64 = 2_200;
/// Blocks that arrive one by one.
const AT_THE_TIP: u64 = 20;

#[tokio::test]
async fn a_header_takes_two_exchanges_at_the_tip_and_a_hundredth_of_one_in_backfill() {
    let bitcoind = Bitcoind::start(BitcoindConfig::default()).await.expect("bitcoind");
    bitcoind.mine(BACKFILL).await.expect("mine");
    let counter = Liar::start(&bitcoind.url()).await.expect("proxy");
    let home = Home::new();
    let arguments = bitcoin_arguments(&bitcoind, "regtest");
    let through = |argument: String| argument.replace(&bitcoind.url(), counter.url());
    let arguments: Vec<String> = arguments.into_iter().map(through).collect();
    home.init(&arguments).await.expect("init");
    drop(counter.exchanges());
    let grid = Grid::start(home.config()).await.expect("start");
    let (_, hash) = bitcoind.tip().await.expect("tip");
    wait_bitcoin_tip(&grid, &hash).await;
    assert_few("backfill", &counter.exchanges(), BACKFILL, 100);

    for _ in 0..AT_THE_TIP {
        bitcoind.mine(1).await.expect("mine");
        let (_, hash) = bitcoind.tip().await.expect("tip");
        wait_bitcoin_tip(&grid, &hash).await;
    }
    // At most two each, for the announcement and for the header, polls and all.
    let asked = counter.exchanges();
    let total: u64 = asked.values().sum();
    assert!(total <= 2 * AT_THE_TIP + 2, "{total} exchanges for {AT_THE_TIP} headers: {asked:?}");
    println!("at the tip: {AT_THE_TIP} headers, {total} exchanges: {asked:?}");
}

/// Fails where there is more than one exchange for so many headers.
fn assert_few(what: &str, asked: &BTreeMap<String, u64>, headers: u64, per_exchange: u64) {
    let total: u64 = asked.values().sum();
    assert!(total * per_exchange <= headers, "{total} exchanges for {headers} headers: {asked:?}");
    println!("{what}: {headers} headers, {total} exchanges: {asked:?}");
}
