//! Validators under load that are killed at random for a while. `scripts/chaos-cluster` builds and then becomes this
//! program.

mod arguments;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use arguments::Arguments;
use grid_test_nodes::{
    Cluster, ClusterConfig, NodeError,
    cluster::{Load, LoadConfig, SharedSeen, Witness, chaos},
};

/// How long the network may take until it goes on after a round of kills.
const RECOVERY: Duration = Duration::from_secs(120);
/// Accounts that send.
const ACCOUNTS: usize = 8;
/// Transfers of an account under way at once.
const WINDOW: u64 = 8;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("chaos-cluster: {message}\n\n{}", arguments::HELP);
            return ExitCode::from(2);
        }
    };
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chaos-cluster: FAILED with seed {}: {error}", arguments.seed);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), NodeError> {
    let Arguments { minutes, nodes, seed, interval, ref folder } = *arguments;
    println!("{nodes} validators, a block every {interval:?}, {minutes} min, --seed {seed}");
    let mut cluster = Cluster::start(ClusterConfig {
        validators: nodes,
        block_interval: interval,
        accounts: ACCOUNTS,
        folder: folder.clone(),
        ..ClusterConfig::default()
    })
    .await?;
    cluster.wait_all(2, RECOVERY).await?;
    let seen = SharedSeen::default();
    let witness = Witness::start(cluster.rpcs(), seen.clone());
    let chain_id = cluster.genesis().chain_id;
    let load = LoadConfig { chain_id, accounts: 0..ACCOUNTS, window: WINDOW };
    let load = Load::start(&load, &cluster.rpcs(), &seen);
    let started = Instant::now();
    let time = Duration::from_secs(60 * minutes);
    let plan = chaos::Plan { seed, kills: None, time: Some(time), recovery: RECOVERY };
    let summary = chaos::run(&mut cluster, &plan, |round| {
        let chaos::Round { number, killed, away, recovery, height } = round;
        let (passed, done) = (started.elapsed().as_secs(), load.done());
        println!(
            "{passed:>5} s  round {number}: killed {killed:?} for {away:.1?}, recovered in {recovery:.1?}, \
             height {height}, {done} transfers"
        );
    })
    .await?;
    let done = load.done();
    drop(load);
    let longest = witness.longest_halt();
    let top = cluster.height().await;
    cluster.wait_all(top, RECOVERY).await?;
    println!("checking every block of every node ...");
    let checking = Instant::now();
    let agreement = cluster.check(Some(&seen)).await?;
    let chaos::Summary { kills, rounds, halts, slowest_catch_up, slowest_recovery } = summary;
    println!(
        "\nkills              {kills} in {rounds} rounds, {halts} of them beyond what the network tolerates\n\
         blocks             {}, each the same on all {nodes} nodes\n\
         certificates       {} verified from genesis, the first node's blocks executed again\n\
         transactions       {} in blocks, {done} confirmed to clients\n\
         seen by clients    {} heights, all still there\n\
         longest halt       {longest:.1?} (with a quorum dead or starting)\n\
         slowest catch-up   {slowest_catch_up:.1?} after a tolerated crash\n\
         slowest recovery   {slowest_recovery:.1?} after a halt\n\
         check              passed in {:.1?}",
        agreement.blocks.len(),
        agreement.certificates,
        agreement.transactions,
        seen.read().blocks.len(),
        checking.elapsed(),
    );
    Ok(())
}
