//! Pools and quorums with all members bad but one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use grid_adapters::{
    Endpoint, EndpointGroup, Member, Pool, SourceChain, SourceKind,
    bitcoin::{BitcoinSource, Quorum, RestMode},
};
use grid_core::bitcoin::{Checkpoint, NetworkParams};

use super::{BAD, Bad, HASTY, IN_TIME, at, group};
use crate::bitcoin::{Node, grow, id_of, regtest, regtest_genesis, serve};

const HEIGHT: usize = 30;

fn member(endpoint: &Endpoint) -> Member {
    let id = id_of(&regtest_genesis());
    let source = BitcoinSource::new(id, endpoint.clone(), RestMode::Auto).unwrap();
    Member::new(endpoint.section().into(), SourceKind::Rpc, Arc::new(source)).at(endpoint)
}

fn pool(endpoints: &[Endpoint], agree: usize) -> Pool {
    Pool::new(endpoints.iter().map(member).collect(), agree).unwrap()
}

fn quorum(endpoints: &[Endpoint], agree: usize) -> Quorum {
    let params = NetworkParams::regtest();
    let start = Checkpoint::genesis(&params);
    Quorum::new(endpoints.iter().map(member).collect(), agree, params, &start).unwrap()
}

async fn good(place: usize, rest: bool, group: &EndpointGroup) -> Endpoint {
    node(regtest(HEIGHT), rest, place, group).await
}

async fn node(node: Node, rest: bool, place: usize, group: &EndpointGroup) -> Endpoint {
    at(&serve(node, rest).await.0.url(), place, group)
}

/// The tip and every header below it, in time.
async fn assert_followed(source: &dyn SourceChain, what: &str) -> Duration {
    let begun = Instant::now();
    let tip = source.tip().await.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(tip.height, HEIGHT as u64, "{what}");
    let headers = source.headers(0, HEIGHT + 1).await.unwrap_or_else(|e| panic!("{what}: {e}"));
    let expected = regtest(HEIGHT).chain;
    assert_eq!(headers.len(), expected.len(), "{what}");
    for (header, raw) in headers.iter().zip(&expected) {
        assert_eq!(header.raw[..], raw[..], "{what}: {}", header.compat.height);
    }
    begun.elapsed()
}

#[tokio::test]
async fn whatever_all_but_one_do_the_answers_come_in_time_and_are_right() {
    for (round, bad) in BAD.into_iter().enumerate() {
        let (group, metrics) = group(HASTY);
        let (one, _) = bad.endpoint(0, &group).await;
        let (other, _) = BAD[(round + 4) % BAD.len()].endpoint(1, &group).await;
        let endpoints = [one, other, good(2, round % 2 == 0, &group).await];
        let sources: [Arc<dyn SourceChain>; 2] =
            [Arc::new(pool(&endpoints, 1)), Arc::new(quorum(&endpoints, 1))];
        for source in sources {
            let took = assert_followed(&*source, &format!("{bad:?}")).await;
            assert!(took < 2 * IN_TIME, "{bad:?} took {took:?}");
            // They are asked last from now on.
            let took = assert_followed(&*source, &format!("{bad:?}, again")).await;
            assert!(took < IN_TIME, "{bad:?} took {took:?} again");
            let members = source.view().members;
            assert_eq!((members[2].failures, members[2].refused), (0, 0), "{bad:?}");
            assert!(members[0].failures > 0 && members[0].last_error.is_some(), "{bad:?}");
        }
        // A question that was given up for a faster endpoint's answer counts too.
        assert!(metrics.troubles(&endpoints[0]) > 0, "{bad:?}");
        assert_eq!(metrics.troubles(&endpoints[2]), 0, "{bad:?}");
    }
}

#[tokio::test]
async fn two_of_three_that_agree_are_not_held_up_by_the_third() {
    for bad in [Bad::Hangs, Bad::Drips, Bad::Limited, Bad::Garbage] {
        let (group, _) = group(HASTY);
        let (trouble, _) = bad.endpoint(0, &group).await;
        let endpoints = [trouble, good(1, true, &group).await, good(2, false, &group).await];
        let sources: [Arc<dyn SourceChain>; 2] =
            [Arc::new(pool(&endpoints, 2)), Arc::new(quorum(&endpoints, 2))];
        for source in sources {
            let took = assert_followed(&*source, &format!("{bad:?}")).await;
            assert!(took < IN_TIME, "{bad:?} took {took:?}");
        }
    }
}

#[tokio::test]
async fn one_that_lies_or_lags_decides_nothing() {
    let (group, _) = group(HASTY);
    let mut edited = regtest(HEIGHT);
    edited.edited = Some(17);
    let mut fork = regtest(HEIGHT - 12);
    let top = *fork.chain.last().unwrap();
    fork.chain.extend(grow(&top, 3, 5_000_000));
    let endpoints = [
        node(regtest(HEIGHT - 9), true, 0, &group).await,
        node(edited, false, 1, &group).await,
        node(fork, true, 2, &group).await,
        good(3, true, &group).await,
        good(4, true, &group).await,
    ];
    let quorum = quorum(&endpoints, 1);
    assert_followed(&quorum, "quorum").await;
    assert_followed(&quorum, "quorum, again").await;
    let members = quorum.view().members;
    assert_eq!((members[0].lag, members[3].lag), (9, 0));
    // Asked alone, its lie comes out.
    let liar = self::quorum(&endpoints[1..2], 1);
    liar.tip().await.unwrap_err();
    let members = liar.view().members;
    assert_eq!(members[0].refused, 1, "{:?}", members[0].last_error);
    // Without work to weigh, those that lag are asked last: two of three heights decide who lags.
    let honest = [0, 3, 4].map(|place| endpoints[place].clone());
    assert_followed(&pool(&honest, 1), "pool").await;
}

#[tokio::test]
async fn an_idle_chain_is_not_a_dead_one() {
    let (group, metrics) = group(HASTY);
    let endpoints = [good(0, true, &group).await, good(1, true, &group).await];
    let pool = pool(&endpoints, 1);
    for _ in 0..20 {
        assert_eq!(pool.tip().await.unwrap().height, HEIGHT as u64);
    }
    for (member, endpoint) in pool.view().members.iter().zip(&endpoints) {
        assert_eq!((member.failures, member.lag), (0, 0));
        assert_eq!(metrics.breaker(endpoint), grid_adapters::BreakerState::Closed);
    }
}

#[tokio::test]
async fn disagreement_is_kept_as_evidence_until_it_ends() {
    let (group, _) = group(HASTY);
    let mut fork = regtest(HEIGHT - 12);
    let top = *fork.chain.last().unwrap();
    fork.chain.extend(grow(&top, 12, 5_000_000));
    let (other, state) = serve(fork, true).await;
    let endpoints = [good(0, true, &group).await, at(&other.url(), 1, &group)];
    let pool = pool(&endpoints, 2);
    let error = pool.tip().await.unwrap_err();
    assert!(error.to_string().contains("disagree"), "{error}");
    let found = pool.view().disagreement.unwrap();
    assert!(found.held && found.votes.len() == 2, "{found:?}");
    assert!(found.votes.iter().all(|vote| vote.members.len() == 1), "{found:?}");
    state.lock().unwrap().chain = regtest(HEIGHT).chain;
    assert_eq!(pool.tip().await.unwrap().height, HEIGHT as u64);
    assert_eq!(pool.view().disagreement, None);
}
