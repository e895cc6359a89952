//! Random `kill -9` of a network's nodes, drawn from a seed.
//!
//! Round by round: some nodes are killed, most often one, now and then more than the network tolerates, sometimes all;
//! after a random time they are started again; the round ends when every node is two blocks above the network's height.

use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::Cluster;
use crate::NodeError;

/// What to do, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The same seed gives the same kills at the same times.
    pub seed: u64,
    /// Ends after this many kills …
    pub kills: Option<u64>,
    /// … or after this time, whichever is first.
    pub time: Option<Duration>,
    /// How long a round's recovery may take.
    pub recovery: Duration,
}

/// One round.
#[derive(Debug, Clone)]
pub struct Round {
    /// Its number, from 1.
    pub number: u64,
    /// Who was killed.
    pub killed: Vec<usize>,
    /// How long they were away.
    pub away: Duration,
    /// From the last restart until every node was two blocks further.
    pub recovery: Duration,
    /// The network's height then.
    pub height: u64,
}

/// All rounds.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Nodes killed.
    pub kills: u64,
    /// Rounds.
    pub rounds: u64,
    /// Rounds in which more nodes were dead than the network tolerates.
    pub halts: u64,
    /// The slowest recovery of a round with no more dead nodes than the network tolerates.
    pub slowest_catch_up: Duration,
    /// The slowest recovery of the other rounds.
    pub slowest_recovery: Duration,
}

/// Kills until the plan is fulfilled; tells of every round.
///
/// # Errors
/// [`NodeError::Deadline`] when the network does not recover, [`NodeError::Ended`] when a node ends by itself.
pub async fn run(
    cluster: &mut Cluster,
    plan: &Plan,
    mut tell: impl FnMut(&Round),
) -> Result<Summary, NodeError> {
    let mut random = StdRng::seed_from_u64(plan.seed);
    let mut summary = Summary::default();
    let started = Instant::now();
    while plan.kills.is_none_or(|kills| summary.kills < kills)
        && plan.time.is_none_or(|time| started.elapsed() < time)
    {
        let round = round(cluster, plan, &mut random, summary.rounds + 1).await?;
        summary.rounds = round.number;
        summary.kills += round.killed.len() as u64;
        let slowest = if round.killed.len() > cluster.tolerated() {
            summary.halts += 1;
            &mut summary.slowest_recovery
        } else {
            &mut summary.slowest_catch_up
        };
        *slowest = round.recovery.max(*slowest);
        tell(&round);
    }
    Ok(summary)
}

async fn round(
    cluster: &mut Cluster,
    plan: &Plan,
    random: &mut StdRng,
    number: u64,
) -> Result<Round, NodeError> {
    let mut killed: Vec<usize> = (0..cluster.validators()).collect();
    killed.shuffle(random);
    killed.truncate(match random.gen_range(0..20) {
        0 => killed.len(),
        1 | 2 => cluster.tolerated() + 1,
        _ => random.gen_range(1..=cluster.tolerated().max(1)),
    });
    // The moment within a block's life is what is drawn here.
    pause(random, 1_500).await;
    let dead_since = Instant::now();
    for node in &killed {
        cluster.kill(*node)?;
        pause(random, 100).await;
    }
    pause(random, 2_000).await;
    let away = dead_since.elapsed();
    for node in &killed {
        cluster.start_node(*node).await?;
    }
    let recovery = cluster.wait_blocks(2, plan.recovery).await?;
    let height = cluster.height().await;
    Ok(Round { number, killed, away, recovery, height })
}

async fn pause(random: &mut StdRng, most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(random.gen_range(0..most_ms))).await;
}
