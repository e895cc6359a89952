//! What an idle validator costs.
#![cfg(target_os = "linux")]

mod common;

use std::time::{Duration, Instant};

use common::{Engine, FileChain, validators};
use grid_consensus::Chain;

/// Processor time of this process so far; alone in its file, so the test measures only itself.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("readable");
    // After the name in parentheses; user and system time are fields 14 and 15, in ticks of 10 ms.
    let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace();
    let ticks: u64 =
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_validator_takes_less_than_a_twentieth_of_a_core() {
    let dir = tempfile::tempdir().expect("a directory");
    let chain = FileChain::open(dir.path(), validators(1));
    let mut engine = Engine::start(&dir.path().join("home"), &chain, 0, 1000);
    engine.reach(&chain, 2).await;
    let (start, used) = (Instant::now(), processor_time());
    engine.reach(&chain, chain.head().height + 10).await;
    let (elapsed, used) = (start.elapsed(), processor_time() - used);
    engine.stop().await;
    let share = used.as_secs_f64() / elapsed.as_secs_f64();
    println!("{:.2} % of a core over {elapsed:?}", share * 100.0);
    assert!(share < 0.05, "{:.2} % of a core", share * 100.0);
}
