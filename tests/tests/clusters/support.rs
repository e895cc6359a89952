//! What the tests share: a network under load, and its end.

use std::{ops::Range, time::Duration};

use grid_test_nodes::{
    Cluster, ClusterConfig,
    cluster::{Agreement, Load, LoadConfig, SharedSeen, Witness},
};
use tokio::sync::{Mutex, MutexGuard};

/// How long anything may take that takes seconds on an idle machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
/// How long a halted chain is watched.
pub(crate) const HALT: Duration = Duration::from_secs(4);

/// One network at a time in this process.
static TURN: Mutex<()> = Mutex::const_new(());

/// A network with clients.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) seen: SharedSeen,
    pub(crate) load: Option<Load>,
    witness: Witness,
    _turn: MutexGuard<'static, ()>,
}

impl World {
    /// Makes a network; nothing runs yet.
    pub(crate) async fn new(config: ClusterConfig) -> Self {
        let turn = TURN.lock().await;
        let cluster = Cluster::new(config).await.expect("homes");
        let seen = SharedSeen::default();
        let witness = Witness::start(cluster.rpcs(), seen.clone());
        Self { cluster, seen, load: None, witness, _turn: turn }
    }

    /// A network whose validators run and have made two blocks.
    pub(crate) async fn start(config: ClusterConfig) -> Self {
        let mut world = Self::new(config).await;
        world.start_nodes(0..world.cluster.validators()).await;
        world.cluster.wait_all(2, LIMIT).await.expect("first blocks");
        world
    }

    pub(crate) async fn start_nodes(&mut self, nodes: Range<usize>) {
        for node in nodes {
            self.cluster.start_node(node).await.expect("start");
        }
    }

    /// Transfers of all funded accounts from now on, to all validators.
    pub(crate) fn transfers(&mut self, accounts: Range<usize>) {
        let chain_id = self.cluster.genesis().chain_id;
        let config = LoadConfig { chain_id, accounts, window: 8 };
        let nodes: Vec<_> = (0..self.cluster.validators()).map(|at| self.cluster.rpc(at)).collect();
        self.load = Some(Load::start(&config, &nodes, &self.seen));
    }

    /// Waits until `more` transfers are final.
    pub(crate) async fn wait_transfers(&self, more: u64) {
        let load = self.load.as_ref().expect("a load");
        let target = load.done() + more;
        grid_test_nodes::wait_for(format!("{target} transfers"), LIMIT, async || {
            let done = load.done();
            if done >= target { Ok(()) } else { Err(format!("{done} are final")) }
        })
        .await
        .expect("the load goes on");
    }

    /// Lets every node that runs have the same height, and checks everything.
    pub(crate) async fn finish(mut self, what: &str) -> Agreement {
        self.load = None;
        let top = self.cluster.height().await;
        self.cluster.wait_all(top, LIMIT).await.expect("all nodes at one height");
        let agreement = self.cluster.check(Some(&self.seen)).await.expect("agreement");
        let seen = self.seen.read();
        println!(
            "{what}: {} blocks, {} transactions, {} certificates verified, {} heights seen by clients, longest halt {:?}",
            agreement.blocks.len(),
            agreement.transactions,
            agreement.certificates,
            seen.blocks.len(),
            self.witness.longest_halt(),
        );
        agreement
    }
}
