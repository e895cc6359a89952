//! A seeded simulation of planning, storing and submitting with virtual time.
//!
//! Sources and the main chain live in memory and misbehave as the seed says: calls fail, hang or take
//! effect and then fail; branches are reorganised; the main chain forgets its mempool; the relayer is
//! killed at a call and started again on the same database. Afterwards everything heals and the
//! invariants must hold. A failing seed is its own reproduction.

mod final_client;
mod final_source;
mod main_chain;
mod source;

use core::time::Duration;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use alloy_primitives::keccak256;
use alloy_signer_local::PrivateKeySigner;
use grid_core::{ChainId, ethereum::attest::AttesterSet};

use crate::{
    ChainSource, LaneConfig, Metrics, Store, SubmitConfig,
    attest::{AttestConfig, Attester, Collector},
    crew::Crew,
    lane::{Parts, Shared},
    status::Board,
    store::{RelayerRow, Stage},
    submit::Submitter,
};

pub use final_source::SimFinal;
pub use main_chain::SimMain;
pub use source::SimSource;

/// A small deterministic generator (splitmix64): the same seed gives the same run everywhere.
#[derive(Debug)]
pub struct Dice(AtomicU64);

impl Dice {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub fn below(&self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// True once in `of` times.
    pub fn once_in(&self, of: u64) -> bool {
        self.below(of) == 0
    }
}

/// What goes wrong, and when the relayer is killed.
#[derive(Debug)]
pub struct Faults {
    /// The generator.
    pub dice: Dice,
    /// While it is off, every call succeeds.
    on: AtomicBool,
    /// Calls until the relayer is killed; 0 for never.
    fuse: AtomicU64,
    killed: AtomicBool,
    kill: tokio::sync::Notify,
    kills: AtomicU64,
    failures: AtomicU64,
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// As it should.
    Good,
    /// Fails before it takes effect.
    Fail,
    /// Takes effect and then fails.
    FailAfter,
}

impl Faults {
    /// No faults before [`Self::set`].
    #[must_use]
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            dice: Dice::new(seed),
            on: false.into(),
            fuse: 0.into(),
            killed: false.into(),
            kill: tokio::sync::Notify::new(),
            kills: 0.into(),
            failures: 0.into(),
        })
    }

    /// Switches faults on or off.
    pub fn set(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Kills the relayer at the `calls`-th call from now.
    pub fn light_fuse(&self, calls: u64) {
        self.fuse.store(calls, Ordering::Relaxed);
        self.killed.store(false, Ordering::Relaxed);
    }

    fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// How often the relayer was killed, and how many calls failed.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.kills.load(Ordering::Relaxed), self.failures.load(Ordering::Relaxed))
    }

    /// Decides a call's fate. After the relayer was killed no call returns.
    pub(crate) async fn fate(&self) -> Fate {
        let fuse = self.fuse.load(Ordering::Relaxed);
        if fuse > 0 {
            self.fuse.store(fuse - 1, Ordering::Relaxed);
            if fuse == 1 {
                self.killed.store(true, Ordering::Relaxed);
                self.kills.fetch_add(1, Ordering::Relaxed);
                self.kill.notify_one();
            }
        }
        if self.is_killed() {
            std::future::pending::<()>().await;
        }
        if !self.on.load(Ordering::Relaxed) {
            return Fate::Good;
        }
        let fate = match self.dice.below(20) {
            0 => Fate::Fail,
            1 => Fate::FailAfter,
            _ => return Fate::Good,
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        fate
    }
}

/// A relayer without timers, over in-memory chains.
#[derive(Debug)]
pub struct World {
    /// What goes wrong.
    pub faults: Arc<Faults>,
    /// The main chain.
    pub main: Arc<SimMain>,
    /// The sources.
    pub sources: Vec<Arc<SimSource>>,
    /// The sources whose blocks become final.
    pub finals: Vec<Arc<SimFinal>>,
    /// Virtual time, milliseconds since 1970.
    pub now: u64,
    signer: PrivateKeySigner,
    folder: tempfile::TempDir,
    relayer: Option<Instance>,
}

#[derive(Debug)]
struct Instance {
    store: Store,
    shared: Arc<Shared>,
    submitter: Arc<Submitter>,
    metrics: Arc<Metrics>,
}

/// Settings of the simulated lane: small numbers meet their limits sooner.
const LANE: LaneConfig = LaneConfig {
    poll: Duration::from_millis(500),
    budget: 8,
    in_flight: 4,
    batch: 7,
    backoff: Duration::from_millis(500),
    max_backoff: Duration::from_secs(5),
};

fn submit_config() -> SubmitConfig {
    SubmitConfig { stale_after: Duration::from_secs(20), ..SubmitConfig::default() }
}

/// Makes a failure of any kind the seed's failure.
fn text(error: impl core::fmt::Display) -> String {
    error.to_string()
}

impl World {
    /// A world with `chains` sources.
    ///
    /// # Errors
    /// When there is no room for the database.
    pub fn new(seed: u64, chains: u64) -> Result<Self, String> {
        let faults = Faults::new(seed);
        let key = keccak256(format!("submitter {seed}"));
        let signer = PrivateKeySigner::from_bytes(&key).map_err(text)?;
        let attesters = AttesterSet::new(1, vec![signer.address()]).map_err(text)?;
        let sources: Vec<_> = (0..chains)
            .map(|n| {
                let id = ChainId::eip155(31_337 + n);
                let length = 1 + faults.dice.below(60);
                Arc::new(SimSource::new(id, length, faults.clone()))
            })
            .collect();
        let main = Arc::new(SimMain::new(faults.clone(), attesters));
        for source in &sources {
            main.register(source.id(), source.at(0).ok_or("a source without genesis")?);
        }
        let last = Arc::new(SimFinal::new(ChainId::eip155(99), faults.clone()));
        main.register_final(last.id(), last.finalized());
        let finals = vec![last];
        let folder = tempfile::tempdir().map_err(text)?;
        let now = 1_700_000_000_000;
        Ok(Self { faults, main, sources, finals, now, signer, folder, relayer: None })
    }

    /// Starts the relayer, or starts it again after it was killed.
    async fn start(&mut self) -> Result<(), String> {
        let store =
            Store::open_volatile(&self.folder.path().join("relayer.db")).await.map_err(text)?;
        let metrics = Arc::new(Metrics::new().map_err(text)?);
        let board = Board::new(self.ids());
        let submitter = Arc::new(Submitter::new(
            self.main.clone(),
            store.clone(),
            self.signer.clone(),
            submit_config(),
            metrics.clone(),
            board.clone(),
        ));
        let parts = Parts {
            main: self.main.clone(),
            store: store.clone(),
            submitter: submitter.clone(),
            collector: self.collector(&store, &metrics, &board)?,
            lanes: [LANE; 4],
            submit: submit_config(),
            deadline: Duration::from_secs(30),
            board,
            metrics: metrics.clone(),
            crew: Crew::new(
                store.clone(),
                RelayerRow {
                    owner: format!("worker-{}", self.now),
                    signer: self.signer.address(),
                    started_at: self.now,
                },
                submit_config().lease,
                false,
            ),
        };
        let finals = self.finals.iter().map(|source| ChainSource::Finality(source.clone()));
        let sources = self.sources.iter().map(|source| ChainSource::Headers(source.clone()));
        let sources = sources.chain(finals).collect();
        let shared = Arc::new(Shared::new(parts, sources));
        self.relayer = Some(Instance { store, shared, submitter, metrics });
        Ok(())
    }

    fn collector(
        &self,
        store: &Store,
        metrics: &Arc<Metrics>,
        board: &Board,
    ) -> Result<Arc<Collector>, String> {
        let keys = vec![self.signer.clone()].into();
        let config = AttestConfig::default();
        let attester = Arc::new(Attester::new(keys, store.clone(), &[], &config));
        Collector::new(attester, &config, metrics.clone(), board.clone())
            .map(Arc::new)
            .map_err(text)
    }

    /// One round of the relayer: every chain, then the open transactions. A kill ends it at the call
    /// where it happens.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn round(&mut self) -> Result<(), String> {
        if self.relayer.is_none() {
            self.start().await?;
        }
        let Some(relayer) = &self.relayer else { return Err("no relayer".into()) };
        let (shared, submitter) = (relayer.shared.clone(), relayer.submitter.clone());
        let now = self.now;
        let work = async {
            let visited = shared.visit_all(&LANE, now).await;
            let settled = submitter.settle(now).await;
            (visited.is_ok(), settled.is_ok())
        };
        tokio::select! {
            biased;
            _ = work => {}
            () = self.faults.kill.notified() => {
                self.faults.light_fuse(0);
                if let Some(relayer) = self.relayer.take() {
                    relayer.store.close().await;
                }
            }
        }
        Ok(())
    }

    /// Lets virtual time pass.
    pub fn pass(&mut self, time: Duration) {
        self.now += crate::store::millis(time);
    }

    fn ids(&self) -> impl Iterator<Item = &ChainId> {
        let finals = self.finals.iter().map(|source| source.id());
        self.sources.iter().map(|source| source.id()).chain(finals)
    }

    /// Whether the main chain's best branch ends where every source's does.
    #[must_use]
    pub fn in_sync(&self) -> bool {
        let tracked = |id| self.main.tracked(id);
        self.sources.iter().all(|source| tracked(source.id()) == Some(source.tip_now()))
            && self.finals.iter().all(|source| tracked(source.id()) == Some(source.finalized()))
    }

    /// Unfinished items of all chains.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unfinished(&self) -> Result<Vec<crate::store::Item>, String> {
        let Some(relayer) = &self.relayer else { return Ok(Vec::new()) };
        let mut items = Vec::new();
        for id in self.ids() {
            items.extend(relayer.store.unfinished(id, 1_000).await.map_err(text)?);
        }
        Ok(items)
    }

    /// The running relayer's metrics.
    #[must_use]
    pub fn metrics(&self) -> Option<Arc<Metrics>> {
        self.relayer.as_ref().map(|relayer| relayer.metrics.clone())
    }

    /// Something happens on the chains.
    fn disturb(&self) {
        let dice = &self.faults.dice;
        for source in &self.sources {
            match dice.below(12) {
                0..=4 => source.extend(1 + dice.below(3)),
                5 => source.reorganise(1 + dice.below(6), 1 + dice.below(9)),
                6 => source.extend(dice.below(40)),
                _ => {}
            }
        }
        for source in &self.finals {
            match dice.below(12) {
                0..=3 => source.extend(1 + dice.below(4)),
                4 => source.extend(dice.below(90)),
                5..=6 => source.finalise(),
                _ => {}
            }
        }
        match dice.below(60) {
            0 => self.main.forget_mempool(),
            1 => self.main.use_nonce(&self.signer.address()),
            _ => {}
        }
        if !dice.once_in(4) {
            self.main.mine();
        }
    }

    /// Heals everything and checks that the relayer catches up, and that nothing is left over.
    async fn heal(&mut self) -> Result<(), String> {
        self.faults.set(false);
        self.faults.light_fuse(0);
        for _ in 0..400 {
            // A side branch at the main chain's height stays unseen until it is longer, and a
            // transaction that was still under way may have lengthened the main chain's.
            for source in &self.sources {
                let (tip, tracked) = (source.tip_now(), self.main.tracked(source.id()));
                if let Some(tracked) = tracked.filter(|tracked| *tracked != tip) {
                    source.extend((tracked.height + 1).saturating_sub(tip.height));
                }
            }
            self.round().await?;
            self.main.mine();
            self.pass(Duration::from_millis(700));
            if self.in_sync() && self.unfinished().await?.is_empty() {
                return Ok(());
            }
        }
        let tips: Vec<_> = self
            .sources
            .iter()
            .map(|source| (source.tip_now(), self.main.tracked(source.id())))
            .chain(self.finals.iter().map(|s| (s.finalized(), self.main.tracked(s.id()))))
            .collect();
        Err(format!("no convergence: tips {tips:?}, left {:?}", self.unfinished().await?))
    }
}

/// Runs one seed.
///
/// # Errors
/// The invariant that does not hold, in words.
pub async fn run_async(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed, 1 + seed % 3)?;
    for phase in 0..3 {
        world.faults.set(true);
        for _ in 0..40 {
            world.disturb();
            if world.faults.dice.once_in(8) {
                world.faults.light_fuse(1 + world.faults.dice.below(25));
            }
            world.round().await?;
            let step = 100 + world.faults.dice.below(1_500);
            world.pass(Duration::from_millis(step));
            let open = world.unfinished().await?;
            for id in world.ids() {
                let planned = open
                    .iter()
                    .filter(|item| item.chain == *id && item.stage != Stage::Included)
                    .count();
                if planned > 16 {
                    return Err(format!("seed {seed}: {planned} items of {id} open"));
                }
            }
        }
        world.heal().await.map_err(|error| format!("seed {seed}, phase {phase}: {error}"))?;
        world.main.check().map_err(|error| format!("seed {seed}, phase {phase}: {error}"))?;
    }
    let (kills, failures) = world.faults.counts();
    if world.main.executed() == 0 || kills == 0 || failures == 0 {
        return Err(format!("seed {seed}: too quiet to show anything"));
    }
    Ok(())
}

/// Runs one seed on a runtime of its own.
///
/// # Errors
/// The invariant that does not hold, in words.
pub fn run(seed: u64) -> Result<(), String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(text)?
        .block_on(run_async(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `GRID_SIM_SEEDS=100..200` runs others than the few that every test run takes.
    #[test]
    fn every_seed_converges_without_loss() {
        let text = std::env::var("GRID_SIM_SEEDS").unwrap_or_else(|_| "0..8".into());
        let (from, to) = text.split_once("..").expect("GRID_SIM_SEEDS is from..to");
        for seed in from.parse().unwrap()..to.parse::<u64>().unwrap() {
            run(seed).unwrap();
        }
    }

    #[tokio::test]
    async fn a_header_at_the_tip_costs_two_questions_to_its_source() {
        let mut world = World::new(7, 1).unwrap();
        let source = world.sources[0].clone();
        world.heal().await.unwrap();
        let before = source.asked();
        for _ in 0..10 {
            source.extend(1);
            world.round().await.unwrap();
            world.main.mine();
            world.pass(Duration::from_millis(500));
            world.round().await.unwrap();
            assert!(world.in_sync());
        }
        let questions = source.asked() - before;
        // One tip and one header when it appears; the second round of each block asks for the tip only.
        assert!(questions <= 30, "{questions} questions for 10 headers");
    }

    #[tokio::test]
    async fn a_source_on_a_foreign_branch_halts_and_the_others_go_on() {
        let mut world = World::new(3, 2).unwrap();
        world.heal().await.unwrap();
        world.sources[0].replace_genesis();
        world.sources[1].extend(5);
        for _ in 0..6 {
            world.round().await.unwrap();
            world.main.mine();
            world.pass(Duration::from_secs(1));
        }
        let relayer = world.relayer.as_ref().unwrap();
        let row = relayer.store.chain(world.sources[0].id()).await.unwrap();
        assert_eq!(row.state, crate::store::ChainState::Halted);
        assert!(row.reason.unwrap().contains("share no header"));
        let other = &world.sources[1];
        assert_eq!(world.main.tracked(other.id()), Some(other.tip_now()));
    }

    #[tokio::test]
    async fn a_main_chain_that_was_wiped_gets_everything_again() {
        let mut world = World::new(11, 2).unwrap();
        world.sources[0].extend(50);
        world.heal().await.unwrap();
        world.main.wipe();
        assert!(!world.in_sync());
        world.heal().await.unwrap();
    }
}
