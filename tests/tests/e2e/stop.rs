//! SIGTERM: an orderly end within ten seconds whatever hangs, and an end at once by a second signal.

use std::time::{Duration, Instant};

use grid_test_nodes::{Grid, GridConfig, wait_for};
use tokio::net::TcpListener;

use crate::world::{Chains, Home, LIMIT, bitcoin_arguments};

/// What the daemon promises.
const DRAIN: Duration = Duration::from_secs(10);

/// A server that takes every connection and answers nothing; counts them.
async fn silent() -> (String, tokio::sync::watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    let (count, seen) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            open.push(connection);
            count.send_replace(open.len());
        }
    });
    (url, seen)
}

/// A relayer whose main chain hangs and whose only endpoint stands still, in the middle of a call to both.
async fn hanging(home: &Home, chains: &mut grid_test_nodes::Bitcoind) -> Grid {
    home.init(&bitcoin_arguments(chains, "regtest")).await.expect("init");
    let (main, mut calls) = silent().await;
    home.change_config(|text| {
        let rpc = format!("main_chain = \"http://{}\"", home.config().rpc);
        assert!(text.contains(&rpc), "{text}");
        text.replace(&rpc, &format!("main_chain = \"{main}\""))
    });
    chains.process().pause().expect("pause");
    let command = ["relayer", "run"].map(str::to_owned).into();
    let grid = Grid::start(GridConfig { command, ..home.config() }).await.expect("it starts");
    calls.wait_for(|calls| *calls > 0).await.expect("a call");
    grid
}

#[tokio::test]
async fn it_ends_in_time_though_everything_hangs() {
    let mut bitcoind = Chains::bitcoin_only().await;
    let home = Home::new();
    let mut grid = hanging(&home, &mut bitcoind).await;
    let started = Instant::now();
    grid.process().terminate().expect("signal");
    let status = grid.process().wait(2 * DRAIN).await.expect("it ends");
    println!("drained after {:?}", started.elapsed());
    assert!(status.success(), "{status}");
    assert!(started.elapsed() < DRAIN, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut bitcoind = Chains::bitcoin_only().await;
    let home = Home::new();
    let mut grid = hanging(&home, &mut bitcoind).await;
    grid.process().terminate().expect("signal");
    let log = home.path();
    let stopping = || async {
        let log = crate::world::whole_log(&log);
        if log.contains("stopping") { Ok(()) } else { Err(log) }
    };
    wait_for("the first signal to be taken", LIMIT, stopping).await.expect("stopping");
    let started = Instant::now();
    grid.process().terminate().expect("signal");
    let status = grid.process().wait(DRAIN).await.expect("it ends");
    let took = started.elapsed();
    println!("ended {took:?} after the second signal: {status}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}
