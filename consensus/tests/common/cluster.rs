//! Engines of one process on a bus.

use std::{path::PathBuf, sync::Arc, time::Duration};

use alloy_primitives::B256;
use grid_consensus::{Bus, Chain as _, Net, Role, Script};
use grid_core::grid::ValidatorSet;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{Engine, FileChain, LIMIT, key};

/// The engines of a test; each has its own chain, home and port.
#[derive(Debug)]
pub struct Cluster {
    dir: TempDir,
    sets: Vec<(u64, ValidatorSet)>,
    intervals_ms: [u64; 2],
    pub bus: Bus,
    pub chains: Vec<Arc<FileChain>>,
    pub engines: Vec<Option<Engine>>,
}

impl Cluster {
    /// Chains for `nodes` engines, none of which runs.
    pub fn new(nodes: u8, sets: Vec<(u64, ValidatorSet)>, intervals_ms: [u64; 2]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut cluster = Self {
            dir,
            sets,
            intervals_ms,
            bus: Bus::new(u64::from(nodes)),
            chains: Vec::new(),
            engines: (0..nodes).map(|_| None).collect(),
        };
        cluster.chains = (0..nodes).map(|number| cluster.open(number)).collect();
        cluster
    }

    /// Validators 0 to `nodes - 1` with equal power, all started.
    pub fn start_all(nodes: u8, intervals_ms: [u64; 2]) -> Self {
        let mut cluster = Self::new(nodes, vec![(1, super::validators(nodes))], intervals_ms);
        for number in 0..nodes {
            cluster.start(number);
        }
        cluster
    }

    fn open(&self, number: u8) -> Arc<FileChain> {
        FileChain::with_sets(&self.path("chain", number), self.sets.clone(), 0)
    }

    fn path(&self, what: &str, number: u8) -> PathBuf {
        self.dir.path().join(format!("{what}-{number}"))
    }

    /// Starts an engine with the key of its number.
    pub fn start(&mut self, number: u8) {
        self.start_as(number, Role::Validator(key(number)));
    }

    pub fn start_as(&mut self, number: u8, role: Role) {
        let at = usize::from(number);
        assert!(self.engines[at].is_none(), "{number} runs");
        self.chains[at] = self.open(number);
        let (home, net) = (self.path("home", number), Net::Bus(self.bus.port(number)));
        let engine = Engine::run(&home, &self.chains[at], role, net, self.intervals_ms);
        self.engines[at] = Some(engine);
    }

    /// Ends an engine as a crash would.
    pub async fn crash(&mut self, number: u8) {
        let engine = self.engines[usize::from(number)].take().expect("running");
        engine.drop_it().await;
    }

    /// Removes everything that a crashed node had on its disk.
    pub fn wipe(&self, number: u8) {
        for what in ["chain", "home"] {
            std::fs::remove_dir_all(self.path(what, number)).expect("removed");
        }
    }

    pub fn height(&self, number: u8) -> u64 {
        self.chains[usize::from(number)].head().height
    }

    /// The highest block of all.
    pub fn top(&self) -> u64 {
        self.chains.iter().map(|chain| chain.head().height).max().expect("some")
    }

    /// Waits until each of these has `height`.
    pub async fn reach(&mut self, numbers: &[u8], height: u64) {
        for number in numbers {
            let at = usize::from(*number);
            let engine = self.engines[at].as_mut().expect("running");
            engine.reach(&self.chains[at], height).await;
        }
    }

    /// Lets the engines talk, and sees that nobody decides anything.
    pub async fn stands_still(&self) {
        // What was under way when the others left may still end in one more block.
        self.talk(4).await;
        // Those that are behind may fetch what the others have: only a new block would be wrong.
        let before = self.top();
        self.talk(10).await;
        assert_eq!(self.top(), before);
    }

    /// Waits until the bus has delivered so many more messages.
    async fn talk(&self, messages: u64) {
        let (enough, deadline) = (self.bus.delivered() + messages, Instant::now() + LIMIT);
        while self.bus.delivered() < enough {
            assert!(Instant::now() < deadline, "the engines say nothing");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Groups that reach each other only.
    pub fn split(&self, groups: &[&[u8]]) {
        let groups = groups.iter().map(|group| group.to_vec()).collect();
        self.bus.set(Script { groups, ..Script::default() });
    }

    pub fn heal(&self) {
        self.bus.set(Script::default());
    }

    /// Stops all and checks every block of every node: links, certificates, one block a height everywhere and in
    /// every life.
    pub async fn finish(mut self) {
        for engine in self.engines.iter_mut().filter_map(Option::take) {
            engine.stop().await;
        }
        let mut decided: Vec<Option<B256>> = Vec::new();
        for (number, chain) in self.chains.iter().enumerate() {
            for (height, hash) in chain.check() {
                let at = usize::try_from(height).expect("small");
                decided.resize(decided.len().max(at + 1), None);
                let known = *decided[at].get_or_insert(hash);
                assert_eq!(known, hash, "block {height} of node {number}");
            }
        }
        for (number, chain) in self.chains.iter().enumerate() {
            for (height, hashes) in chain.journal() {
                let known = decided[usize::try_from(height).expect("small")].expect("stored");
                assert_eq!(hashes, [known.to_string()], "height {height} of node {number}");
            }
        }
    }
}
