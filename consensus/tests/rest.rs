//! A chain with nothing to do rests, and wakes up everywhere.

mod common;

use std::time::{Duration, Instant};

use common::{Cluster, address};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_of_one_wakes_all_long_before_the_next_empty_block() {
    let empty = Duration::from_secs(100);
    let mut cluster = Cluster::start_all(4, [50, 100_000]);
    cluster.reach(&[0, 1, 2, 3], 1).await;
    let resting = cluster.top();
    assert_eq!(resting, 1, "the second block comes in {empty:?}");
    for waiting in [2, 0] {
        let (start, before) = (Instant::now(), cluster.top());
        cluster.chains[usize::from(waiting)].wait_for_block_of(address(waiting));
        let mut height = before;
        loop {
            height += 1;
            cluster.reach(&[0, 1, 2, 3], height).await;
            if cluster.chains[0].builder(height) == address(waiting) {
                break;
            }
        }
        assert!(
            start.elapsed() < empty / 2,
            "{:?} for {} blocks",
            start.elapsed(),
            height - before
        );
        // Nobody goes on without work.
        assert!(cluster.top() <= height + 1, "{} after {height}", cluster.top());
    }
    cluster.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_blocks_come_at_their_own_pace_and_a_crash_does_not_stop_them() {
    let mut cluster = Cluster::start_all(4, [50, 900]);
    cluster.reach(&[0, 1, 2, 3], 4).await;
    let times = cluster.chains[0].times();
    for pair in times[..4].windows(2) {
        // Clocks are the same here; what is left is scheduling.
        assert!(pair[1] - pair[0] >= 800, "{times:?}");
    }
    cluster.crash(1).await;
    cluster.reach(&[0, 2, 3], 8).await;
    cluster.finish().await;
}
