//! Chains, a main chain, and relayers between them.

use core::time::Duration;
use std::{path::PathBuf, sync::Arc};

use alloy_primitives::{B256, keccak256};
use alloy_signer_local::PrivateKeySigner;
use grid_adapters::SourceChain;
use grid_core::{ChainId, Level, api::BlockRef, ethereum::attest::AttesterSet};

use super::{
    failure::{Broken, header},
    faults::Faults,
    final_source::SimFinal,
    instance::{Instance, Setup},
    main_chain::SimMain,
    source::SimSource,
    text,
};
use crate::{
    ChainSource, Metrics,
    store::{ChainRow, Item, LiveNonce},
};

/// Most items of a chain that wait or are under way: what may be in flight, and what a reorganisation or a restart
/// leaves beside it.
const MOST_OPEN: u64 = 16;

/// A chain with reorganisations.
#[derive(Debug)]
pub struct Followed {
    /// The chain.
    pub source: Arc<SimSource>,
    /// Its speed level.
    pub level: Level,
    /// Whether it is asked through a pool of three endpoints, one of which lies.
    pub pooled: bool,
}

/// A relayer: its key and its database outlive its processes.
#[derive(Debug)]
pub struct Process {
    /// The submitting key.
    pub signer: PrivateKeySigner,
    file: PathBuf,
    pub(super) instance: Option<Instance>,
    /// Whether it is started again after it was killed.
    pub alive: bool,
}

/// Everything that a seed plays with.
#[derive(Debug)]
pub struct World {
    /// What goes wrong.
    pub faults: Arc<Faults>,
    /// The main chain.
    pub main: Arc<SimMain>,
    /// Chains with reorganisations.
    pub chains: Vec<Followed>,
    /// Chains whose blocks become final.
    pub finals: Vec<Arc<SimFinal>>,
    /// The relayers.
    pub relayers: Vec<Process>,
    /// The registered attesters' keys, which every relayer has.
    attesters: Vec<PrivateKeySigner>,
    /// What was handed in by a relayer whose database is closed just now.
    unchecked: Vec<(alloy_primitives::Address, B256)>,
    _folder: tempfile::TempDir,
}

/// A folder in memory where the system has one: nothing here has to survive the machine.
fn folder() -> Result<tempfile::TempDir, String> {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        return tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).map_err(text);
    }
    tempfile::tempdir().map_err(text)
}

fn key(name: &str) -> Result<PrivateKeySigner, String> {
    PrivateKeySigner::from_bytes(&keccak256(name)).map_err(text)
}

impl World {
    /// A world with so many chains of each kind and so many relayers.
    ///
    /// # Errors
    /// When there is no room for the databases.
    pub fn new(seed: u64, chains: u64, finals: u64, relayers: u64) -> Result<Self, String> {
        let faults = Faults::new(seed);
        let attester = key(&format!("attester {seed}"))?;
        let set = AttesterSet::new(1, vec![attester.address()]).map_err(text)?;
        let main = Arc::new(SimMain::new(faults.clone(), set));
        let chain = |number: u64| {
            let id = ChainId::eip155(31_337 + number);
            let source = SimSource::new(id, 1 + faults.dice.below(60), faults.clone());
            let level = Level::ALL[usize::try_from((seed + number) % 4).unwrap_or(0)];
            Followed { source: Arc::new(source), level, pooled: (seed + number).is_multiple_of(3) }
        };
        let chains: Vec<Followed> = (0..chains).map(chain).collect();
        for Followed { source, level, .. } in &chains {
            main.register(source.id(), source.at(0).ok_or("a source without genesis")?, *level);
        }
        let one =
            |number: u64| Arc::new(SimFinal::new(ChainId::eip155(99 + number), faults.clone()));
        let finals: Vec<_> = (0..finals).map(one).collect();
        for source in &finals {
            main.register_final(source.id(), source.finalized());
        }
        let folder = folder()?;
        let process = |number: u64| -> Result<Process, String> {
            let file = folder.path().join(format!("relayer-{number}.db"));
            let signer = key(&format!("submitter {seed} {number}"))?;
            Ok(Process { signer, file, instance: None, alive: true })
        };
        let relayers = (0..relayers).map(process).collect::<Result<_, _>>()?;
        let (attesters, unchecked) = (vec![attester], Vec::new());
        Ok(Self { faults, main, chains, finals, relayers, attesters, unchecked, _folder: folder })
    }

    fn sources(&self) -> Result<Vec<ChainSource>, String> {
        let mut sources = Vec::new();
        for Followed { source, pooled, .. } in &self.chains {
            let chain: Arc<dyn SourceChain> =
                if *pooled { Arc::new(source.pool()?) } else { source.clone() };
            sources.push(ChainSource::Headers(chain));
        }
        sources.extend(self.finals.iter().map(|source| ChainSource::Finality(source.clone())));
        Ok(sources)
    }

    /// Everything that is due in every relayer that lives; one that was killed is started again.
    ///
    /// # Errors
    /// An invariant that must hold at any time.
    pub async fn step(&mut self) -> Result<(), Broken> {
        // Nobody is always first.
        let count = self.relayers.len();
        let first = usize::try_from(self.faults.dice.below(count as u64)).unwrap_or(0);
        for number in (0..count).map(|number| (first + number) % count) {
            let down = |one: &Process| one.alive && one.instance.is_none();
            let starts = self.relayers.get(number).is_some_and(down);
            let sources = if starts { self.sources()? } else { Vec::new() };
            let Some(process) = self.relayers.get_mut(number).filter(|one| one.alive) else {
                continue;
            };
            if process.instance.is_none() {
                let setup = Setup {
                    faults: &self.faults,
                    main: &self.main,
                    sources,
                    signer: &process.signer,
                    attesters: &self.attesters,
                    file: &process.file,
                };
                process.instance = Some(Instance::start(setup).await?);
            }
            let Some(instance) = &mut process.instance else { continue };
            if !instance.step().await {
                self.faults.light_fuse(0);
                self.kill(number).await;
            }
        }
        self.check().await
    }

    /// Kills a relayer.
    pub async fn kill(&mut self, number: usize) {
        let Some(process) = self.relayers.get_mut(number) else { return };
        if let Some(instance) = process.instance.take() {
            let store = instance.store.clone();
            drop(instance);
            store.close().await;
        }
    }

    /// Lets virtual time pass.
    pub fn pass(&self, time: Duration) {
        self.faults.time.pass(crate::store::millis(time));
    }

    /// All chains.
    pub fn ids(&self) -> impl Iterator<Item = &ChainId> {
        let finals = self.finals.iter().map(|source| source.id());
        self.chains.iter().map(|one| one.source.id()).chain(finals)
    }

    /// Where a chain's source is, and where the main chain is with it.
    pub fn tips(&self) -> impl Iterator<Item = (&ChainId, BlockRef, Option<BlockRef>)> {
        let chains = self.chains.iter().map(|one| (one.source.id(), one.source.tip_now()));
        let finals = self.finals.iter().map(|source| (source.id(), source.finalized()));
        chains.chain(finals).map(|(id, tip)| (id, tip, self.main.tracked(id)))
    }

    /// Whether the main chain's best branch ends where every source's does.
    #[must_use]
    pub fn in_sync(&self) -> bool {
        self.tips().all(|(_, tip, tracked)| tracked == Some(tip))
    }

    /// Unfinished items of all chains and relayers.
    ///
    /// # Errors
    /// When a database fails.
    pub async fn unfinished(&self) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        for instance in self.relayers.iter().filter_map(|one| one.instance.as_ref()) {
            for id in self.ids() {
                items.extend(instance.store.unfinished(id, 1_000).await.map_err(text)?);
            }
        }
        Ok(items)
    }

    /// Open nonces of all relayers.
    ///
    /// # Errors
    /// When a database fails.
    pub async fn live(&self) -> Result<Vec<LiveNonce>, String> {
        let mut live = Vec::new();
        for process in &self.relayers {
            let Some(instance) = &process.instance else { continue };
            live.extend(instance.store.live(&process.signer.address()).await.map_err(text)?);
        }
        Ok(live)
    }

    /// What every relayer says of a chain.
    ///
    /// # Errors
    /// When a database fails.
    pub async fn rows(&self, id: &ChainId) -> Result<Vec<ChainRow>, String> {
        let mut rows = Vec::new();
        for instance in self.relayers.iter().filter_map(|one| one.instance.as_ref()) {
            rows.push(instance.store.chain(id).await.map_err(text)?);
        }
        Ok(rows)
    }

    /// The first relayer's metrics, while it runs.
    #[must_use]
    pub fn metrics(&self) -> Option<Arc<Metrics>> {
        let instance = self.relayers.first()?.instance.as_ref()?;
        Some(instance.metrics.clone())
    }

    /// What must hold at any time.
    async fn check(&mut self) -> Result<(), Broken> {
        let once = "every transaction executed once, every header entered in order";
        self.main
            .check()
            .map_err(|found| Broken::new("nothing takes effect twice", once, found))?;
        self.check_rows().await?;
        for instance in self.relayers.iter().filter_map(|one| one.instance.as_ref()) {
            let mut open = std::collections::BTreeMap::<ChainId, u64>::new();
            for stage in instance.store.counts().await.map_err(text)? {
                if stage.stage != crate::store::Stage::Included {
                    *open.entry(stage.chain).or_default() += stage.count;
                }
            }
            if let Some((id, open)) = open.into_iter().find(|(_, open)| *open > MOST_OPEN) {
                let expected = format!("at most {MOST_OPEN} open items");
                let found = format!("{open} open items");
                return Err(Broken::new("queues are bounded", expected, found).of(id));
            }
        }
        for (id, tip, tracked) in self.tips() {
            // Only sources add headers: whatever the main chain has, one of them had.
            if let Some(tracked) = tracked.filter(|tracked| tracked.height > tip.height + 64) {
                let expected = format!("at most 64 headers above the source's {}", header(tip));
                let found = format!("the main chain's best {}", header(tracked));
                return Err(Broken::new("no lie reaches the main chain", expected, found).of(id));
            }
        }
        Ok(())
    }

    /// Everything that was handed in has its row.
    async fn check_rows(&mut self) -> Result<(), Broken> {
        self.unchecked.extend(self.main.handed_in());
        for (sender, hash) in core::mem::take(&mut self.unchecked) {
            let owner = self.relayers.iter().find(|one| one.signer.address() == sender);
            let Some(owner) = owner else { continue };
            let Some(instance) = &owner.instance else {
                self.unchecked.push((sender, hash));
                continue;
            };
            if !instance.store.has_transaction(&hash).await.map_err(text)? {
                let expected = format!("a row of transaction {hash}, which was sent");
                let found = format!("none in the database of {sender}");
                return Err(Broken::new("rows come before effects", expected, found));
            }
        }
        Ok(())
    }
}
