//! A Grid network of real processes on the loopback interface: homes made by `grid localnet`, nodes that are started,
//! killed, stopped, wiped and cut off from each other, and a check of everything that they decided.

pub mod account;
pub mod chaos;
mod check;
mod load;
mod member;
mod seen;
mod witness;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use grid_core::genesis::Genesis;
use serde_json::Value;

pub use check::Agreement;
pub use load::{Load, LoadConfig};
pub use seen::{Seen, SharedSeen};
pub use witness::Witness;

use crate::{Grid, NodeError, Proxy, folder::Folder, ports, process::Process, rpc::Rpc, wait_for};
use member::Member;

/// Ports of one node, as `grid localnet` numbers them.
const PORTS: u16 = 10;
/// Whole GRID of each funded account.
const FUNDS: u64 = 1_000_000;

/// What kind of network.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// How many validators.
    pub validators: usize,
    /// How many nodes that only follow.
    pub full: usize,
    /// The pace.
    pub block_interval: Duration,
    /// After this a block without transactions is made.
    pub empty_block_interval: Duration,
    /// Blocks of an epoch; the command's own number where absent.
    pub epoch_length: Option<u64>,
    /// Whether every connection goes through a [`Proxy`].
    pub proxied: bool,
    /// How many accounts ([`account::signer`]) have funds.
    pub accounts: usize,
    /// Where the homes are kept; a temporary folder where absent.
    pub folder: Option<PathBuf>,
}

impl Default for ClusterConfig {
    /// Four validators, two blocks a second, four accounts.
    fn default() -> Self {
        Self {
            validators: 4,
            full: 0,
            block_interval: Duration::from_millis(500),
            empty_block_interval: Duration::from_secs(1),
            epoch_length: None,
            proxied: false,
            accounts: 4,
            folder: None,
        }
    }
}

/// A line from one node to a peer that it dials.
#[derive(Debug)]
struct Link {
    from: usize,
    to: usize,
    proxy: Proxy,
}

/// The network. Nodes are numbered from 0, validators first.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<Member>,
    links: Vec<Link>,
    genesis: Genesis,
    config: ClusterConfig,
    folder: Folder,
}

impl Cluster {
    /// Makes the homes and the lines between them. Nothing runs yet.
    ///
    /// # Errors
    /// [`NodeError`] of `grid localnet`, of a file or of a port.
    pub async fn new(config: ClusterConfig) -> Result<Self, NodeError> {
        let folder = Folder::new(config.folder.as_deref())?;
        let network = folder.path().join("network");
        let count = config.validators + config.full;
        // Two more rows than nodes, for twins.
        let rows = u16::try_from(count + 2).unwrap_or(u16::MAX / PORTS);
        let base = ports::row(rows * PORTS)?;
        if !network.exists() {
            localnet(&config, folder.path(), &network, base).await?;
        }
        let members = (0..count)
            .map(|at| Member::read(&network.join(format!("node{at}"))))
            .collect::<Result<Vec<_>, _>>()?;
        let genesis = read_genesis(&network.join("genesis.json"))?;
        let mut cluster = Self { members, links: Vec::new(), genesis, config, folder };
        if cluster.config.proxied {
            cluster.interpose().await?;
        }
        Ok(cluster)
    }

    /// Makes a network and starts every node of it.
    ///
    /// # Errors
    /// As [`Self::new`] and [`Self::start_node`].
    pub async fn start(config: ClusterConfig) -> Result<Self, NodeError> {
        let mut cluster = Self::new(config).await?;
        for node in 0..cluster.len() {
            cluster.start_node(node).await?;
        }
        Ok(cluster)
    }

    /// Puts a proxy on every way from a node to a peer.
    async fn interpose(&mut self) -> Result<(), NodeError> {
        let owners = self
            .members
            .iter()
            .enumerate()
            .map(|(at, member)| member.listen_ports().map(|ports| ports.map(|port| (port, at))))
            .collect::<Result<Vec<_>, _>>()?
            .concat();
        for from in 0..self.members.len() {
            for (port, to) in owners.iter().copied().filter(|(_, to)| *to != from) {
                let proxy = Proxy::to(port).await?;
                // A node that does not dial this peer keeps an idle line.
                self.members[from].reroute(port, proxy.port())?;
                self.links.push(Link { from, to, proxy });
            }
        }
        Ok(())
    }

    /// How many nodes, twins included.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no node; never.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many validators it started with.
    pub const fn validators(&self) -> usize {
        self.config.validators
    }

    /// The most validators that may fail without a halt, all having the same power.
    pub const fn tolerated(&self) -> usize {
        (self.config.validators - 1) / 3
    }

    /// The chain's first block.
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The genesis file.
    pub fn genesis_file(&self) -> PathBuf {
        self.folder.path().join("network").join("genesis.json")
    }

    /// The home folder of a node.
    pub fn home(&self, node: usize) -> &Path {
        &self.members[node].config().home
    }

    /// The JSON-RPC of a node, whether it runs or not.
    pub fn rpc(&self, node: usize) -> Rpc {
        self.members[node].rpc()
    }

    /// The JSON-RPC of all nodes.
    pub fn rpcs(&self) -> Vec<Rpc> {
        self.members.iter().map(Member::rpc).collect()
    }

    /// The nodes that run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.len()).filter(|node| self.members[*node].running.is_some()).collect()
    }

    /// The process of a node that runs.
    pub fn process(&mut self, node: usize) -> Option<&mut Process> {
        self.members[node].running.as_mut().map(Grid::process)
    }

    /// Starts a node, again or for the first time, and waits until it answers.
    ///
    /// # Errors
    /// As [`Grid::start`].
    pub async fn start_node(&mut self, node: usize) -> Result<(), NodeError> {
        let member = &mut self.members[node];
        if member.running.is_none() {
            member.running = Some(Grid::start(member.config().clone()).await?);
        }
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// [`NodeError::Io`] when the system refuses.
    pub fn kill(&mut self, node: usize) -> Result<(), NodeError> {
        match self.members[node].running.take() {
            Some(mut grid) => grid.process().kill(),
            None => Ok(()),
        }
    }

    /// Stops a node in an orderly way (SIGTERM).
    ///
    /// # Errors
    /// [`NodeError::Deadline`] if it had to be killed.
    pub async fn stop(&mut self, node: usize) -> Result<(), NodeError> {
        match self.members[node].running.take() {
            Some(mut grid) => grid.stop().await,
            None => Ok(()),
        }
    }

    /// Kills a node and removes its blocks, its state and its engine's log; its keys stay.
    ///
    /// # Errors
    /// [`NodeError::Io`].
    pub fn wipe(&mut self, node: usize) -> Result<(), NodeError> {
        self.kill(node)?;
        let data = self.members[node].data();
        std::fs::remove_dir_all(data).map_err(NodeError::io(format!("removing {}", data.display())))
    }

    /// A second node with the validator key of `node`, a data folder and addresses of its own: what an operator must
    /// never do. It does not run yet.
    ///
    /// # Errors
    /// [`NodeError`] of a file or a port.
    pub fn twin(&mut self, node: usize) -> Result<usize, NodeError> {
        let home = self.folder.path().join("network").join(format!("twin{}", self.len()));
        let twin = self.members[node].twin(&home, ports::row(PORTS)?)?;
        self.members.push(twin);
        Ok(self.members.len() - 1)
    }

    /// Cuts every line between two groups of nodes.
    pub fn separate(&self, left: &[usize], right: &[usize]) {
        for link in &self.links {
            let crosses = |one: &[usize], other: &[usize]| {
                one.contains(&link.from) && other.contains(&link.to)
            };
            if crosses(left, right) || crosses(right, left) {
                link.proxy.cut();
            }
        }
    }

    /// Heals every line.
    pub fn heal(&self) {
        self.links.iter().for_each(|link| link.proxy.heal());
    }

    /// Slows every line.
    pub fn delay(&self, delay: Duration) {
        self.links.iter().for_each(|link| link.proxy.delay(delay));
    }

    /// The newest block of a node.
    ///
    /// # Errors
    /// [`NodeError::Transport`] when it does not answer.
    pub async fn tip(&self, node: usize) -> Result<(u64, B256), NodeError> {
        seen::tip(&self.rpc(node)).await
    }

    /// The greatest height among the nodes that run; 0 if none answers.
    pub async fn height(&self) -> u64 {
        let mut highest = 0;
        for node in self.running() {
            highest = self.tip(node).await.map_or(highest, |(height, _)| height.max(highest));
        }
        highest
    }

    /// Waits until a node has a height; returns how long it took.
    ///
    /// # Errors
    /// [`NodeError::Deadline`] with its height and the end of its log, [`NodeError::Ended`] if it has ended.
    pub async fn wait_height(
        &self,
        node: usize,
        height: u64,
        limit: Duration,
    ) -> Result<Duration, NodeError> {
        let started = Instant::now();
        let look = async || {
            let grid = self.members[node].running.as_ref();
            // A node that has died by itself is an error now, not at the deadline.
            if let Some(Err(ended)) = grid.map(Grid::check) {
                return Ok(Err(ended));
            }
            match self.tip(node).await {
                Ok((found, _)) if found >= height => Ok(Ok(())),
                Ok((found, _)) => Err(format!("height {found}")),
                Err(error) => Err(error.to_string()),
            }
        };
        wait_for(format!("block {height} at node {node}"), limit, look).await??;
        Ok(started.elapsed())
    }

    /// Waits until every node that runs has a height; returns how long it took.
    ///
    /// # Errors
    /// As [`Self::wait_height`].
    pub async fn wait_all(&self, height: u64, limit: Duration) -> Result<Duration, NodeError> {
        let started = Instant::now();
        for node in self.running() {
            let left = limit.saturating_sub(started.elapsed());
            self.wait_height(node, height, left).await?;
        }
        Ok(started.elapsed())
    }

    /// Waits until every node that runs is `blocks` above the network's height of now; returns how long it took.
    ///
    /// # Errors
    /// As [`Self::wait_height`].
    pub async fn wait_blocks(&self, blocks: u64, limit: Duration) -> Result<Duration, NodeError> {
        self.wait_all(self.height().await + blocks, limit).await
    }

    /// Shows that the chain stands still: what was decided already may arrive, one block at most; then nothing for
    /// `during`. Returns the height.
    ///
    /// # Errors
    /// [`NodeError::Broken`] if it goes on.
    pub async fn stands_still(&self, during: Duration) -> Result<u64, NodeError> {
        let before = self.height().await;
        let mut last = (before, Instant::now());
        while last.1.elapsed() < during {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let height = self.height().await;
            if height > before + 1 {
                let why = format!("blocks {before} to {height} were decided without a quorum");
                return Err(NodeError::Broken(why));
            }
            if height > last.0 {
                last = (height, Instant::now());
            }
        }
        Ok(last.0)
    }

    /// Checks every block of every node that runs (see [`Agreement`]) and that whatever a client saw is still there.
    ///
    /// # Errors
    /// [`NodeError::Broken`] saying which node, which height, and what is wrong.
    pub async fn check(&self, seen: Option<&SharedSeen>) -> Result<Agreement, NodeError> {
        // Before the nodes are asked: what is seen later may be above what they give.
        let seen = seen.map(SharedSeen::read);
        let nodes = self.running().into_iter().map(|node| (node, self.rpc(node))).collect();
        let agreement = Agreement::of(&self.genesis, nodes).await?;
        seen.map_or(Ok(()), |seen| seen.check(&agreement))?;
        Ok(agreement)
    }

    /// Waits until a transaction is final; its receipt.
    ///
    /// # Errors
    /// [`NodeError::Deadline`].
    pub async fn receipt(&self, hash: B256, limit: Duration) -> Result<Value, NodeError> {
        let look = async || {
            for node in self.running() {
                if let Ok(found) = seen::receipt(&self.rpc(node), hash).await
                    && !found.is_null()
                {
                    return Ok(found);
                }
            }
            Err(String::from("no receipt"))
        };
        wait_for(format!("the receipt of {hash}"), limit, look).await
    }

    /// The key of a validator.
    ///
    /// # Errors
    /// [`NodeError::Config`] when its key file cannot be read.
    pub fn signer(&self, node: usize) -> Result<PrivateKeySigner, NodeError> {
        self.members[node].signer()
    }

    /// Gives a full node a key and the role of a validator. It has no power until it is elected, and must not run now.
    ///
    /// # Errors
    /// [`NodeError`] of `grid keys new` or of a file.
    pub async fn promote(&self, node: usize) -> Result<(), NodeError> {
        self.members[node].promote().await
    }
}

/// Runs `grid localnet`.
async fn localnet(
    config: &ClusterConfig,
    home: &Path,
    network: &Path,
    base: u16,
) -> Result<(), NodeError> {
    let mut line = vec![
        String::from("localnet"),
        format!("--nodes={}", config.validators),
        format!("--full={}", config.full),
        format!("--dir={}", network.display()),
        format!("--base-port={base}"),
        format!("--block-interval={}ms", config.block_interval.as_millis()),
        format!("--empty-block-interval={}ms", config.empty_block_interval.as_millis()),
    ];
    line.extend(config.epoch_length.map(|length| format!("--epoch-length={length}")));
    let accounts = (0..config.accounts).map(|at| account::signer(at).address());
    line.extend(accounts.map(|address| format!("--fund={address}={FUNDS}")));
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    Grid::run(home, &line).await.map(drop)
}

fn read_genesis(file: &Path) -> Result<Genesis, NodeError> {
    let fault = |reason: String| NodeError::Config { file: file.to_owned(), reason };
    let text = std::fs::read_to_string(file).map_err(|error| fault(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| fault(error.to_string()))
}
