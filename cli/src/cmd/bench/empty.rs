//! Blocks without transactions, as fast as the engine makes them: what grows with the number of blocks?

use std::time::{Duration, Instant};

use eyre::{Result, WrapErr as _};
use grid_node::{NodeConfig, Role};

use super::{genesis, memory, report::EmptyReport, start, validator, wallet};

/// How many samples are taken.
const SAMPLES: u64 = 10;
/// The engine's shortest pace.
const INTERVAL: Duration = Duration::from_millis(1);
/// How long no block may come.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run(blocks: u64) -> Result<EmptyReport> {
    let directory = tempfile::tempdir().wrap_err("cannot make a folder for the chain")?;
    let genesis = genesis(&wallet::accounts(1));
    let mut config =
        NodeConfig::new(directory.path().into(), genesis, Role::Validator(validator()));
    config.block_interval = INTERVAL;
    config.empty_block_interval = INTERVAL;
    let node = start(config).await?;
    let started = Instant::now();
    let first = node.head().height;
    let mut heads = node.heads();
    let mut samples = vec![(first, memory::of_process(None))];
    for part in 1..=SAMPLES.min(blocks) {
        let goal = first.saturating_add(blocks.saturating_mul(part) / SAMPLES.min(blocks));
        loop {
            let height = heads.borrow_and_update().height;
            if height >= goal {
                samples.push((height, memory::of_process(None)));
                break;
            }
            tokio::time::timeout(PATIENCE, heads.changed())
                .await
                .wrap_err_with(|| format!("no block after {height}"))?
                .wrap_err("the chain stopped")?;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let store_bytes = node.chain().store().bytes();
    node.stop();
    node.join().await.wrap_err("the chain stopped")?;
    Ok(EmptyReport { seconds, blocks, store_bytes, samples })
}
