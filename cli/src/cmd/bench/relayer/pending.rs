//! A relayer with many items that cannot go on: how soon it is ready, and its memory. Its account is empty, so that
//! it looks at its items again and again and gets rid of none.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_signer_local::PrivateKeySigner;
use async_trait::async_trait;
use eyre::Result;
use grid_adapters::SourceChain;
use grid_core::{
    ChainId, Family, Level, Security,
    api::{AccountInfo, BlockRef, ChainInfo, GridTip, Locator},
};
use grid_relayer::{
    ChainSource, MainChain, MainError, MainView, Receipt, Refusal, Relayer, RelayerConfig, Store,
    clock::now_ms,
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{memory, wallet},
    report::Pending,
    source::BenchSource,
    store::item,
};
use crate::args::BenchRelayerArgs;

/// Among so many chains the items are shared out.
const CHAINS: u64 = 100;
/// Items that are planned at a time.
const BATCH: usize = 4_096;
/// Items are not older than that before they are planned.
const STALE: Duration = Duration::from_secs(60);
/// Nobody waits longer for a relayer to be ready.
const READY: Duration = Duration::from_secs(120);

/// Plans the items, starts a relayer on them and lets it run for a while.
pub(super) async fn run(args: &BenchRelayerArgs, folder: &Path) -> Result<Option<Pending>> {
    if args.pending == 0 {
        return Ok(None);
    }
    let file = folder.join("pending.db");
    let sources: Vec<_> = (0..CHAINS).map(|number| Arc::new(BenchSource::new(number))).collect();
    plan(&file, &sources, args.pending).await?;
    let signer = PrivateKeySigner::from_signing_key(wallet::key("GRID bench pending"));
    let main = Arc::new(Penniless { chains: sources.iter().map(|one| info(one)).collect() });
    let followed = |one: &Arc<BenchSource>| ChainSource::from(one.clone() as Arc<dyn SourceChain>);
    let followed = sources.iter().map(followed).collect();
    let started = Instant::now();
    let config = RelayerConfig::new(file, signer);
    let relayer = Relayer::start(config, followed, main, CancellationToken::new()).await?;
    relayer.wait_ready(READY).await?;
    let ready_ms = super::millis(started.elapsed());
    tokio::time::sleep(args.time.into()).await;
    let memory = memory::of_process(None);
    relayer.stop().await?;
    Ok(Some(Pending { items: args.pending, chains: CHAINS, ready_ms, memory }))
}

async fn plan(file: &Path, sources: &[Arc<BenchSource>], count: u64) -> Result<()> {
    let store = Store::open(&file.to_owned().into()).await?;
    let each = count.div_ceil(CHAINS);
    for source in sources {
        // Above what the chain has: nothing will ever say that they are done.
        let heights: Vec<u64> = (1..=each).collect();
        for heights in heights.chunks(BATCH) {
            let items: Vec<_> = heights.iter().map(|at| item(source.chain(), *at)).collect();
            store.plan_all(&items, now_ms(), STALE).await?;
        }
    }
    store.close().await;
    Ok(())
}

fn info(source: &BenchSource) -> ChainInfo {
    let tip = source.tip_now();
    ChainInfo {
        id: source.chain().clone(),
        key: source.chain().key().0,
        family: Family::Ethereum,
        security: Security::Attested,
        level: Level::L0,
        measured: false,
        median_interval: None,
        status: "active".into(),
        rule: "instant".into(),
        first_height: tip.height,
        base: tip,
        tracked: tip,
        confirmed: Some(tip),
        tracked_headers: 1,
        tracked_bytes: 0,
        sync: None,
        attesters: None,
        submitters: Vec::new(),
    }
}

/// A main chain on which the relayer's account has nothing.
struct Penniless {
    chains: Vec<ChainInfo>,
}

#[async_trait]
impl MainChain for Penniless {
    async fn view(&self) -> Result<MainView, MainError> {
        let tip = GridTip {
            chain_id: 1,
            height: 1,
            hash: B256::ZERO,
            time_ms: now_ms(),
            index_root: B256::ZERO,
        };
        Ok(MainView { tip, base_fee: 1_000, chains: self.chains.clone() })
    }

    async fn locator(&self, chain: &ChainId) -> Result<Locator, MainError> {
        let known = self.chains.iter().find(|info| info.id == *chain);
        let best: Vec<BlockRef> = known.map(|info| info.tracked).into_iter().collect();
        Ok(Locator { best })
    }

    async fn account(&self, address: &Address) -> Result<AccountInfo, MainError> {
        Ok(AccountInfo { address: *address, nonce: 0, pending_nonce: 0, balance: U256::ZERO })
    }

    async fn send(&self, _: &Bytes) -> Result<(), MainError> {
        Err(MainError::Refused { refusal: Refusal::Funds, message: "no funds".into() })
    }

    async fn receipt(&self, _: &B256) -> Result<Option<Receipt>, MainError> {
        Ok(None)
    }
}
