//! Several endpoints of one chain.

use std::{sync::Arc, time::Duration};

use grid_adapters::{
    AdapterError, Class, Endpoint, Limits, Member, Pool, SourceChain, SourceKind,
    bitcoin::{BitcoinSource, RestMode},
};

use crate::{
    bitcoin::{grow, id_of, regtest, regtest_genesis, serve, source},
    fake::{Fake, Reply, limits},
};

fn dead() -> Arc<dyn SourceChain> {
    let endpoint = Endpoint::new("http://127.0.0.1:1", "chain[0].rpc[0]").unwrap();
    let id = id_of(&regtest_genesis());
    Arc::new(BitcoinSource::new(id, endpoint.with_limits(limits()), RestMode::Off).unwrap())
}

pub(crate) fn members(sources: Vec<Arc<dyn SourceChain>>) -> Vec<Member> {
    let named = sources.into_iter().enumerate();
    named.map(|(n, source)| Member::new(format!("rpc[{n}]"), SourceKind::Rpc, source)).collect()
}

fn pool(sources: Vec<Arc<dyn SourceChain>>, agree: usize) -> Pool {
    Pool::new(members(sources), agree).unwrap()
}

#[tokio::test]
async fn a_dead_or_lying_endpoint_is_replaced_by_the_next() {
    let (good, _) = serve(regtest(12), false).await;
    let hanging = Fake::start(|_| Reply::Hang).await;
    let wait = Duration::from_secs(2);
    let hanging = hanging.endpoint().with_limits(Limits { timeout: wait, ..limits() });
    let hanging = BitcoinSource::new(id_of(&regtest_genesis()), hanging, RestMode::Off).unwrap();
    let members: Vec<Arc<dyn SourceChain>> =
        vec![dead(), Arc::new(hanging), Arc::new(source(&good))];
    let pool = pool(members, 1);
    assert_eq!(pool.tip().await.unwrap().height, 12);
    let health = pool.view().members;
    assert!(health[0].last_error.as_ref().unwrap().to_string().contains("cannot connect"));
    assert_eq!((health[2].failures, health[2].height), (0, Some(12)));
    // Both bad ones are in their pause now, so this asks the good one first.
    let begin = std::time::Instant::now();
    assert_eq!(pool.headers(0, 5).await.unwrap().len(), 5);
    assert!(begin.elapsed() < wait, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn when_all_fail_every_reason_is_told() {
    let refusing = Fake::start(|_| Reply::Send(axum::http::StatusCode::UNAUTHORIZED, vec![])).await;
    let pool = pool(vec![dead(), Arc::new(source(&refusing))], 1);
    let error = pool.tip().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("cannot connect") && text.contains("HTTP 401"), "{text}");
    assert!(matches!(error.class(), Class::Retry { .. }), "{error:?}");
}

#[tokio::test]
async fn agreement_takes_the_highest_shared_block() {
    let (a, _) = serve(regtest(20), false).await;
    let (b, _) = serve(regtest(18), false).await;
    let mut forked = regtest(17);
    let branch = grow(&forked.chain[16], 4, 5_000);
    forked.chain.truncate(17);
    forked.chain.extend(branch);
    let (c, _) = serve(forked, false).await;
    let members: Vec<Arc<dyn SourceChain>> =
        vec![Arc::new(source(&a)), Arc::new(source(&b)), Arc::new(source(&c))];
    let two = pool(members.clone(), 2);
    assert_eq!(two.tip().await.unwrap().height, 18);
    assert_eq!(two.headers(10, 9).await.unwrap().len(), 9);
    let three = pool(members, 3);
    assert_eq!(three.tip().await.unwrap().height, 16);
    let error = three.headers(10, 8).await.unwrap_err();
    assert!(matches!(error, AdapterError::Disagreement { height: 17, .. }), "{error:?}");
    assert!(error.to_string().contains("rpc[2]"), "{error}");
    assert_eq!(error.class(), Class::Wait { until: "endpoints-agree" });
}

#[tokio::test]
async fn silence_is_not_disagreement() {
    let (a, _) = serve(regtest(5), false).await;
    let pool = pool(vec![Arc::new(source(&a)), dead()], 2);
    let error = pool.tip().await.unwrap_err();
    assert!(error.to_string().contains("cannot connect"), "{error}");
}

#[test]
fn impossible_pools_are_refused() {
    assert!(Pool::new(Vec::new(), 1).is_err());
    for agree in [0, 2] {
        let error = Pool::new(members(vec![dead()]), agree).unwrap_err();
        assert!(error.to_string().contains("`agree`"), "{error}");
    }
}
