//! `grid bench relayer`: the relayer between chains that exist only here and a main chain of one validator, all in
//! this process.
//!
//! First every chain has headers to catch up with, then each grows at its share of the rate. A header counts as
//! indexed with the block after which the main chain names it confirmed. Before that the store alone, and a relayer
//! with many items that wait.

mod pending;
mod report;
mod source;
mod store;
mod watched;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use alloy_primitives::U256;
use alloy_signer_local::PrivateKeySigner;
use eyre::{Result, WrapErr as _, bail};
use grid_adapters::SourceChain;
use grid_core::{
    ChainId, Family, Level, Security,
    confirm::ConfirmationRule,
    modules::{ChainRecord, ChainStatus, ClientParams, record::DEFAULT_WINDOW},
};
use grid_node::{NodeConfig, NodeHandle, Role};
use grid_relayer::{
    ChainSource, MainChain, Relayer, RelayerConfig, RelayerHandle, RpcMainChain,
    attest::{AttestConfig, AttestedChain},
};
use tokio_util::sync::CancellationToken;

use self::{
    report::{Backfill, Row, Tip},
    source::BenchSource,
    watched::Watched,
};
use super::{genesis, memory, report::Spread, start, validator, wallet};
use crate::{args::BenchRelayerArgs, cmd::run::InProcess};

pub(super) use report::RelayerReport;

/// Deadline of one call of the main chain.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long nothing may go forward.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the main chain's newest block is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Measures memory first, as long as there is nothing else in it, then the store, then each number of chains in turn.
pub(super) async fn run(args: &BenchRelayerArgs) -> Result<RelayerReport> {
    let folder = tempfile::tempdir().wrap_err("cannot make a folder for the store")?;
    let pending = pending::run(args, folder.path()).await?;
    let stores = store::run(args, folder.path()).await?;
    drop(folder);
    let mut rows = Vec::new();
    for chains in &args.chains {
        rows.push(Bench::start(*chains, args).await?.measure(args).await?);
    }
    Ok(RelayerReport {
        rate: args.rate,
        block_interval_ms: millis(args.block_interval.into()),
        pending,
        stores,
        rows,
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

type Main = Watched<RpcMainChain<InProcess>>;

/// Everything that runs.
struct Bench {
    node: NodeHandle,
    relayer: RelayerHandle,
    main: Arc<Main>,
    sources: Vec<Arc<BenchSource>>,
    _directory: tempfile::TempDir,
}

impl Bench {
    async fn start(chains: u64, args: &BenchRelayerArgs) -> Result<Self> {
        let directory = tempfile::tempdir().wrap_err("cannot make a folder for the chain")?;
        let signer = PrivateKeySigner::from_signing_key(wallet::key("GRID bench relayer"));
        let sources: Vec<_> =
            (0..chains).map(|number| Arc::new(BenchSource::new(number))).collect();
        let mut genesis = genesis(&[]);
        genesis.alloc.insert(signer.address(), U256::from(1_000_000_000u64) * wallet::GRID);
        genesis.chains = sources.iter().map(|source| record(source, &signer)).collect();
        let mut config =
            NodeConfig::new(directory.path().join("node"), genesis, Role::Validator(validator()));
        config.block_interval = args.block_interval.into();
        config.empty_block_interval = config.block_interval;
        let node = start(config).await?;
        let heads = node.heads();
        let main = Arc::new(Watched {
            main: RpcMainChain::new(InProcess(node.caller()), DEADLINE),
            height: Box::new(move || heads.borrow().height),
            submitted: Mutex::new(HashMap::new()),
        });
        let mut config = RelayerConfig::new(directory.path().join("relayer.db"), signer.clone());
        config.attesters = vec![signer];
        let attested = |one: &Arc<BenchSource>| (one.chain().clone(), AttestedChain::default());
        config.attest = AttestConfig {
            chains: sources.iter().map(attested).collect(),
            ..AttestConfig::default()
        };
        for one in &sources {
            one.grow(args.headers.div_ceil(chains));
        }
        let followed =
            |one: &Arc<BenchSource>| ChainSource::from(one.clone() as Arc<dyn SourceChain>);
        let followed = sources.iter().map(followed).collect();
        let relayer =
            Relayer::start(config, followed, main.clone(), CancellationToken::new()).await?;
        Ok(Self { node, relayer, main, sources, _directory: directory })
    }

    async fn measure(self, args: &BenchRelayerArgs) -> Result<Row> {
        let backfill = self.catch_up().await?;
        let tip = self.follow(args).await?;
        let memory = memory::of_process(None);
        let chains = self.sources.len();
        self.relayer.stop().await?;
        self.node.stop();
        self.node.join().await.wrap_err("the chain stopped")?;
        Ok(Row { chains, backfill, tip, memory })
    }

    fn calls(&self) -> u64 {
        self.sources.iter().map(|source| source.calls()).sum()
    }

    fn height(&self) -> u64 {
        (self.main.height)()
    }

    /// Waits until the main chain tracks all that the chains have.
    async fn catch_up(&self) -> Result<Backfill> {
        let (started, calls, block) = (Instant::now(), self.calls(), self.height());
        let mut progress = Progress::default();
        loop {
            let view = self.main.view().await?;
            let tracked = |id: &ChainId| view.chain(id).map_or(0, |info| info.tracked.height);
            let all = self.sources.iter().map(|source| tracked(source.chain()));
            let headers = all.sum();
            if self.sources.iter().all(|source| tracked(source.chain()) == source.height()) {
                let items = self.main.submissions();
                return Ok(Backfill {
                    headers,
                    items,
                    seconds: started.elapsed().as_secs_f64(),
                    blocks: self.height().saturating_sub(block),
                    calls: self.calls().saturating_sub(calls),
                });
            }
            progress.check(headers)?;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets the chains grow together at the rate, and watches the index.
    async fn follow(&self, args: &BenchRelayerArgs) -> Result<Tip> {
        let (calls, items) = (self.calls(), self.main.submissions());
        let growing = self.grow(args);
        tokio::pin!(growing);
        let mut appeared: Vec<(u64, Vec<Appeared>)> =
            self.sources.iter().map(|source| (source.height(), Vec::new())).collect();
        let mut tip = TipSeen::default();
        let (mut block, mut grown, mut progress) = (0, None, Progress::default());
        loop {
            if grown.is_none() {
                tokio::select! {
                    count = &mut growing => grown = Some(count),
                    () = tokio::time::sleep(LOOK) => {}
                }
            } else {
                tokio::time::sleep(LOOK).await;
            }
            let (now, height) = (Instant::now(), self.height());
            for (source, (seen, waiting)) in self.sources.iter().zip(&mut appeared) {
                for number in *seen + 1..=source.height() {
                    waiting.push(Appeared { number, at: now, block: height });
                }
                *seen = source.height();
            }
            if height > block {
                block = height;
                self.indexed(&mut appeared, &mut tip).await?;
            }
            if grown.is_some_and(|count| tip.headers() >= count) {
                break;
            }
            progress.check(tip.headers())?;
        }
        Ok(Tip {
            headers: tip.headers(),
            items: self.main.submissions().saturating_sub(items),
            calls: self.calls().saturating_sub(calls),
            submit_blocks: Spread::of(&tip.submit_blocks),
            blocks: Spread::of(&tip.blocks),
            ms: Spread::of(&tip.ms),
        })
    }

    /// Adds headers to the chains in turn, at the rate; returns how many.
    async fn grow(&self, args: &BenchRelayerArgs) -> u64 {
        let started = tokio::time::Instant::now();
        let time: Duration = args.time.into();
        let end = started + time;
        let mut timer = tokio::time::interval(LOOK);
        let (mut count, mut turn) = (0, 0);
        loop {
            let now = timer.tick().await.min(end);
            let due = millis(now - started).saturating_mul(args.rate) / 1_000;
            while count < due {
                // A burst of one chain is what it would have brought by now.
                if let Some(source) = self.sources.get(turn % self.sources.len().max(1)) {
                    source.grow(1);
                }
                (count, turn) = (count + 1, turn + 1);
            }
            if now == end {
                return count;
            }
        }
    }

    /// Takes note of what the newest block has confirmed.
    async fn indexed(
        &self,
        appeared: &mut [(u64, Vec<Appeared>)],
        tip: &mut TipSeen,
    ) -> Result<()> {
        let view = self.main.view().await?;
        let (now, block) = (Instant::now(), view.tip.height);
        for (source, (_, waiting)) in self.sources.iter().zip(appeared) {
            let Some(info) = view.chain(source.chain()) else { continue };
            let confirmed = info.confirmed.map_or(0, |confirmed| confirmed.height);
            let done = waiting.partition_point(|one| one.number <= confirmed);
            for one in waiting.drain(..done) {
                tip.blocks.push(block.saturating_sub(one.block));
                tip.ms.push(millis(now.saturating_duration_since(one.at)));
                if let Some(submitted) = self.main.submitted_at(&info.key, one.number) {
                    tip.submit_blocks.push(block.saturating_sub(submitted));
                }
            }
        }
        Ok(())
    }
}

/// A header of a source that the index does not have yet.
struct Appeared {
    number: u64,
    at: Instant,
    block: u64,
}

/// What was seen of indexed headers.
#[derive(Default)]
struct TipSeen {
    submit_blocks: Vec<u64>,
    blocks: Vec<u64>,
    ms: Vec<u64>,
}

impl TipSeen {
    const fn headers(&self) -> u64 {
        self.ms.len() as u64
    }
}

/// Ends a run that goes nowhere.
struct Progress {
    last: u64,
    at: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self { last: 0, at: Instant::now() }
    }
}

impl Progress {
    fn check(&mut self, now: u64) -> Result<()> {
        if now > self.last {
            *self = Self { last: now, at: Instant::now() };
        } else if self.at.elapsed() > PATIENCE {
            bail!("nothing was relayed for {} s, {now} headers so far", PATIENCE.as_secs());
        }
        Ok(())
    }
}

fn record(source: &BenchSource, attester: &PrivateKeySigner) -> ChainRecord {
    ChainRecord {
        id: source.chain().clone(),
        family: Family::Ethereum,
        security: Security::Attested,
        level: Level::L0,
        measured: false,
        rule: ConfirmationRule::Instant,
        status: ChainStatus::Active,
        client: ClientParams::Attested {
            threshold: 1,
            attesters: vec![attester.address()],
            start: source.start(),
        },
        window: DEFAULT_WINDOW,
    }
}
