//! Engines on a bus: crashes, partitions, losses, and what must never come of them.

mod common;

use std::time::Duration;

use common::{CHAIN_ID, Cluster, address, key, validators};
use grid_consensus::{Chain as _, Role, Script};
use grid_core::grid::{Validator, ValidatorSet, VoteKind};

/// Blocks follow each other at once, with or without work.
const FAST: [u64; 2] = [20, 20];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_survive_one_crash_halt_at_two_and_recover() {
    let mut cluster = Cluster::start_all(4, FAST);
    cluster.reach(&[0, 1, 2, 3], 5).await;
    cluster.crash(3).await;
    let top = cluster.top();
    cluster.reach(&[0, 1, 2], top + 5).await;
    cluster.crash(2).await;
    cluster.stands_still().await;
    let top = cluster.top();
    cluster.start(2);
    cluster.reach(&[0, 1, 2], top + 3).await;
    cluster.start(3);
    let top = cluster.top();
    cluster.reach(&[0, 1, 2, 3], top + 3).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seven_survive_a_minority_halt_without_a_majority_and_heal() {
    let mut cluster = Cluster::start_all(7, FAST);
    cluster.reach(&[0, 1, 2, 3, 4, 5, 6], 3).await;
    cluster.split(&[&[0, 1, 2, 3, 4], &[5, 6]]);
    let top = cluster.top();
    cluster.reach(&[0, 1, 2, 3, 4], top + 4).await;
    let behind = cluster.height(5).max(cluster.height(6));
    assert!(behind <= top + 1, "{behind} without a quorum, {top} before");
    cluster.split(&[&[0, 1, 2, 3], &[4, 5, 6]]);
    cluster.stands_still().await;
    cluster.heal();
    let top = cluster.top();
    cluster.reach(&[0, 1, 2, 3, 4, 5, 6], top + 3).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_and_lossy_links_cost_time_only() {
    let mut cluster = Cluster::start_all(4, FAST);
    let delay = Duration::from_millis(1)..Duration::from_millis(40);
    cluster.bus.set(Script { delay, lost_per_mille: 50, ..Script::default() });
    cluster.reach(&[0, 1, 2, 3], 12).await;
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_joiners_and_a_wiped_validator_catch_up_and_nobody_votes_twice() {
    let mut cluster = Cluster::new(6, vec![(1, validators(5))], FAST);
    for number in 0..4 {
        cluster.start(number);
    }
    cluster.reach(&[0, 1, 2, 3], 8).await;
    // A validator that never ran, and a node without a key.
    cluster.start(4);
    cluster.start_as(5, Role::Full);
    cluster.reach(&[4, 5], 12).await;
    // A validator that has lost its disk knows nothing of the votes that it cast.
    cluster.crash(3).await;
    cluster.wipe(3);
    cluster.start(3);
    let top = cluster.top();
    cluster.reach(&[3], top + 3).await;
    // Now it is needed: three others are less than a quorum of five.
    cluster.crash(4).await;
    let top = cluster.top();
    cluster.reach(&[0, 1, 2, 3, 5], top + 3).await;
    for chain in &cluster.chains {
        assert_eq!(chain.evidence(), []);
    }
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validators_change_while_the_chain_runs() {
    let with = |powers: &[(u8, u64)]| {
        let mut list: Vec<_> = powers
            .iter()
            .map(|(number, power)| Validator { account: address(*number), power: *power })
            .collect();
        list.sort_by_key(|validator| validator.account);
        ValidatorSet::new(list).expect("a good set")
    };
    let sets = vec![
        (1, validators(4)),
        (6, with(&[(1, 10), (2, 10), (3, 10), (4, 10)])),
        (11, with(&[(3, 10), (4, 30), (5, 30)])),
    ];
    let mut cluster = Cluster::new(6, sets, FAST);
    for number in 0..6 {
        cluster.start(number);
    }
    cluster.reach(&[0, 1, 2, 3, 4, 5], 16).await;
    let chain = &cluster.chains[0];
    for height in 1..=16 {
        let (_, certificate) = chain.decided(height).expect("readable").expect("there");
        let set = chain.set(height);
        for signer in certificate.signers(CHAIN_ID, set).expect("good") {
            assert!(set.power(&signer).is_some(), "{signer} at {height}");
        }
        assert!(set.power(&chain.builder(height)).is_some(), "builder of {height}");
    }
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_with_one_key_are_proved_to_have_voted_twice() {
    let mut cluster = Cluster::new(5, vec![(1, validators(4))], FAST);
    for number in 0..4 {
        cluster.start(number);
    }
    cluster.start_as(4, Role::Validator(key(3)));
    // Both vote for what they see first, and propose a block of their own when it is their turn.
    let mut height = 1;
    let honest = cluster.chains[0].clone();
    let found = |proposals: bool| {
        let is = |kind| (kind == VoteKind::Proposal) == proposals;
        honest.evidence().iter().any(|proof| is(proof.one.kind))
    };
    while !(found(true) && found(false)) {
        height += 1;
        assert!(
            height < 300,
            "proposals {}, votes {} by height {height}",
            found(true),
            found(false)
        );
        cluster.reach(&[0, 1, 2], height).await;
    }
    for proof in cluster.chains[0].evidence() {
        assert_eq!(proof.verify(CHAIN_ID), Ok(address(3)));
        let past = grid_core::staking::Equivocation { height: proof.height + 1, ..proof };
        assert_ne!(past.verify(CHAIN_ID), Ok(address(3)));
    }
    // The guilty engines may be stuck with what they believe; the honest ones go on.
    let top = cluster.top();
    cluster.reach(&[0, 1, 2], top + 3).await;
    cluster.finish().await;
}
