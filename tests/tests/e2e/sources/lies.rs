//! A lying proxy before one node, and an honest node beside it.

use std::time::{Duration, Instant};

use grid_adapters::{AdapterError, RpcError, SourceChain as _};
use grid_test_nodes::{Bitcoind, BitcoindConfig, Liar, Lie};

use super::{assert_same_chain, core, node, quorum};

/// Mainnet's first two headers: good ones, of another network.
const MAINNET: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c\
010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299";

/// Patience of the source behind the proxy.
const PATIENCE: Duration = Duration::from_millis(700);

#[tokio::test]
async fn every_lie_is_refused_by_its_name_and_the_honest_node_is_followed() {
    let honest = Bitcoind::start(BitcoindConfig::default()).await.expect("bitcoind");
    honest.mine(60).await.expect("mine");
    type Expected = fn(&AdapterError) -> bool;
    let rpc: Expected = |error| matches!(error, AdapterError::Rpc(RpcError::NotJson { .. }));
    let edited: Expected =
        |error| matches!(error, AdapterError::EditedHeader { .. } | AdapterError::NoWork { .. });
    // Smaller and smaller batches are asked for, until the node is left alone.
    let endless: Expected = |error| match error {
        AdapterError::Rpc(RpcError::LeftAlone { last, .. }) => last.contains("configured limit"),
        error => matches!(error, AdapterError::Rpc(RpcError::TooLarge { .. })),
    };
    let mainnet = alloy_primitives::hex::decode(MAINNET).expect("hex");
    let lies: [(Lie, Expected); 7] = [
        (Lie::FlippedBit, edited),
        (Lie::Backwards, edited),
        (Lie::Replaced(mainnet), edited),
        (Lie::Truncated, rpc),
        (Lie::Page, rpc),
        (Lie::Endless, endless),
        (Lie::Slow, |e| matches!(e, AdapterError::Rpc(RpcError::Timeout { .. }))),
    ];
    let mut last = None;
    for (lie, expected) in lies {
        // An address of its own for each: one that fails again and again is left alone for a while.
        let liar = last.insert(Liar::start(&honest.url()).await.expect("proxy"));
        liar.lie(lie.clone());
        let lying = core(&honest, liar.url(), PATIENCE);
        let begun = Instant::now();
        let alone = lying.headers(0, 50).await.expect_err("a lie is no answer");
        assert!(expected(&alone), "{lie:?}: {alone:?}");
        let both = quorum(vec![lying, node(&honest)], 1);
        assert_same_chain(&both, &honest).await;
        let members = both.view().members;
        assert_eq!(members[1].failures, 0);
        assert!(begun.elapsed() < Duration::from_secs(10), "{lie:?}: {:?}", begun.elapsed());
    }
    // Back to honesty.
    let liar = last.expect("seven lies");
    liar.lie(Lie::None);
    let again = quorum(vec![core(&honest, liar.url(), Duration::from_secs(10))], 1);
    assert_same_chain(&again, &honest).await;
}

#[tokio::test]
async fn a_chain_of_less_work_or_of_yesterday_is_outvoted_by_work() {
    let (honest, fork) = tokio::join!(
        Bitcoind::start(BitcoindConfig::default()),
        Bitcoind::start(BitcoindConfig::default())
    );
    let (honest, fork) = (honest.expect("bitcoind"), fork.expect("bitcoind"));
    honest.mine(40).await.expect("mine");
    fork.mine_competing(25).await.expect("mine");
    // Three that tell the same lie, first in the order.
    let both = quorum(vec![node(&fork), node(&fork), node(&fork), node(&honest)], 1);
    assert_same_chain(&both, &honest).await;
    let view = both.view();
    assert_eq!(view.disagreement.map(|found| (found.height, found.held)), Some((1, false)));
    assert!(view.members[3].work > view.members[0].work);
    // The liars get more work: then it is theirs that counts.
    fork.mine_competing(20).await.expect("mine");
    assert_same_chain(&both, &fork).await;
}
