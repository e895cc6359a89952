//! Esplora's API over a real node.

use std::{sync::Arc, time::Duration};

use grid_adapters::{
    AdapterError, Class, Endpoint, ProofRequest, SourceChain, bitcoin::EsploraSource,
};
use grid_core::{bitcoin::NetworkParams, proof::facts::BitcoinFact};
use grid_test_nodes::{Bitcoind, BitcoindConfig, Esplora};

use super::{assert_same_chain, node, quorum};

fn source(server: &Esplora) -> Arc<dyn SourceChain> {
    let endpoint = Endpoint::new(server.url(), "a test").expect("url");
    let id = NetworkParams::regtest().chain_id();
    Arc::new(EsploraSource::new(id, endpoint).expect("source"))
}

#[tokio::test]
async fn headers_are_put_together_from_descriptions() {
    let bitcoind = Bitcoind::start(BitcoindConfig::default()).await.expect("bitcoind");
    bitcoind.mine(234).await.expect("mine");
    let server = Esplora::start(&bitcoind).await.expect("server");
    let (esplora, core) = (source(&server), node(&bitcoind));
    for (from, count) in [(0, 1), (0, 57), (9, 11), (100, 200), (225, 50), (234, 1), (230, 5)] {
        let found = esplora.headers(from, count).await.expect("headers");
        let expected = core.headers(from, count).await.expect("headers");
        assert_eq!(found, expected, "{count} from {from}");
    }
    assert_eq!(esplora.headers(235, 10).await.expect("above the tip"), []);
    assert_same_chain(&quorum(vec![esplora], 1), &bitcoind).await;
    bitcoind.reorg(4).await.expect("reorg");
    let both = quorum(vec![source(&server), core], 2);
    assert_same_chain(&both, &bitcoind).await;
}

#[tokio::test]
async fn a_limited_rate_makes_answers_shorter_and_then_is_an_error_of_its_own() {
    let bitcoind = Bitcoind::start(BitcoindConfig::default()).await.expect("bitcoind");
    bitcoind.mine(120).await.expect("mine");
    let server = Esplora::start(&bitcoind).await.expect("server");
    let esplora = source(&server);
    esplora.tip().await.expect("tip");
    server.allow(6);
    let some = esplora.headers(1, 100).await.expect("what came before the limit");
    assert!((10..=60).contains(&some.len()), "{}", some.len());
    let error = esplora.headers(61, 10).await.expect_err("nothing is left");
    assert!(matches!(error.class(), Class::Retry { .. }), "{error:?}");
    server.allow(u64::MAX);
    // The server asked for a pause, which is kept and no longer than that.
    let again = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match esplora.headers(61, 10).await {
                Ok(headers) => break headers,
                Err(error) => match error.class() {
                    Class::Retry { after } => tokio::time::sleep(after).await,
                    class => panic!("{class:?}: {error}"),
                },
            }
        }
    });
    assert_eq!(again.await.expect("in time").len(), 10);
}

#[tokio::test]
async fn what_it_proves_is_what_the_node_proves() {
    let bitcoind = Bitcoind::start(BitcoindConfig::default()).await.expect("bitcoind");
    bitcoind.mine(103).await.expect("mine");
    let txid = bitcoind.pay(None, 5_000_000).await.expect("pay");
    let server = Esplora::start(&bitcoind).await.expect("server");
    let (esplora, core) = (source(&server), node(&bitcoind));
    let fact =
        |txid: &str| BitcoinFact::Tx { txid: crate::world::internal(txid).parse().expect("id") };
    let request =
        |txid: &str, block_hash| ProofRequest::Bitcoin { facts: vec![fact(txid)], block_hash };
    let waits = esplora.proof_material(request(&txid, None)).await.expect_err("not mined");
    assert!(matches!(waits, AdapterError::NotIncluded { .. }), "{waits:?}");
    bitcoind.mine(1).await.expect("mine");
    let found = esplora.proof_material(request(&txid, None)).await.expect("material");
    let expected = core.proof_material(request(&txid, None)).await.expect("material");
    assert_eq!((found.header.clone(), found.inclusion), (expected.header, expected.inclusion));
    let nobody =
        esplora.proof_material(request(&"ab".repeat(32), None)).await.expect_err("unknown");
    assert!(matches!(nobody, AdapterError::NotFound { .. }), "{nobody:?}");
    bitcoind.reorg(1).await.expect("reorg");
    let block = Some(found.header.blockHash);
    let stale = esplora.proof_material(request(&txid, block)).await.expect_err("another branch");
    assert!(matches!(stale, AdapterError::Stale { .. }), "{stale:?}");
}

#[tokio::test]
async fn another_kind_of_server_is_told_from_a_node_of_another_network() {
    let bitcoind = Bitcoind::start(BitcoindConfig::default()).await.expect("bitcoind");
    let server = Esplora::start(&bitcoind).await.expect("server");
    let endpoint = |url: &str| Endpoint::new(url, "a test").expect("url");
    let id = NetworkParams::testnet4().chain_id();
    let other = EsploraSource::new(id, endpoint(server.url())).expect("source");
    let error = other.tip().await.expect_err("regtest is not testnet4");
    assert!(matches!(error, AdapterError::WrongNetwork { .. }), "{error:?}");
    let id = NetworkParams::regtest().chain_id();
    let core = EsploraSource::new(id, endpoint(&bitcoind.url())).expect("source");
    let error = core.tip().await.expect_err("Bitcoin Core is no Esplora server");
    assert!(matches!(error.class(), Class::Halt { .. }), "{error:?}");
}
