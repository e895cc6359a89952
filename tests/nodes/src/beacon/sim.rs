//! The simulator: an anvil's blocks, the chain machine and the server.

use std::{path::PathBuf, sync::Arc, time::Duration};

use alloy_primitives::B256;
use grid_core::ethereum::sync::{NetworkConfig, payload::ExecutionPayloadHeader};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{
    chain::{Chain, ChainConfig},
    execution,
    fault::Fault,
    journal::Journal,
    network,
    server::{Served, Server},
};
use crate::{Anvil, NodeError, rpc::Rpc};

/// How slots pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// By [`BeaconSim::advance`] only, so that a test decides. Slots must not overtake the wall clock,
    /// unless that is the test: let genesis lie far enough in the past.
    Steps,
    /// By the wall clock.
    Wall,
}

/// How to start a simulator.
#[derive(Debug, Clone)]
pub struct BeaconConfig {
    /// The network: sizes, times and forks.
    pub network: NetworkConfig,
    /// Epochs from a block to the newest finalized one.
    pub finality_lag: u64,
    /// How slots pass.
    pub clock: Clock,
    /// Whether each slot makes the node mine a block, as a real beacon chain does. A slot without a
    /// new execution block carries the one before again.
    pub mine: bool,
    /// Port; a free one where absent.
    pub port: Option<u16>,
    /// A file from which a restart goes on with the same chain; nothing is kept where absent.
    pub journal: Option<PathBuf>,
}

impl BeaconConfig {
    /// Slots by calls, each with a new execution block, and finality two epochs behind.
    pub const fn stepped(network: NetworkConfig) -> Self {
        let (clock, mine) = (Clock::Steps, true);
        Self { network, finality_lag: 2, clock, mine, port: None, journal: None }
    }
}

/// A running simulator. Server and clock end with this value.
#[derive(Debug)]
pub struct BeaconSim {
    server: Server,
    engine: Arc<Engine>,
    ticking: Option<JoinHandle<()>>,
}

/// What makes blocks.
#[derive(Debug)]
struct Engine {
    rpc: Rpc,
    mine: bool,
    served: Arc<Served>,
    journal: Option<Journal>,
}

impl BeaconSim {
    /// Starts over a node: slot 0 carries its block 0, or the journal's chain goes on.
    ///
    /// # Errors
    /// [`NodeError`] when the node does not answer, or the port or the journal cannot be used.
    pub async fn start(anvil: &Anvil, config: BeaconConfig) -> Result<Self, NodeError> {
        let rpc = Rpc::new(anvil.url());
        let BeaconConfig { network, finality_lag, clock, mine, port, journal } = config;
        let seed = network.genesis_validators_root.0[0].into();
        let mut chain = Chain::new(ChainConfig { network, finality_lag, seed });
        let journal = journal.as_deref().map(Journal::new);
        let known = match &journal {
            Some(journal) => journal.replay(&rpc, &mut chain).await?,
            None => 0,
        };
        if known == 0 {
            chain.add(0, execution::fetch(&rpc, Some(0)).await?);
            if let Some(journal) = &journal {
                journal.note(&chain)?;
            }
        }
        let server = Served::start(chain, port).await?;
        let served = Arc::clone(&server.served);
        let engine = Arc::new(Engine { rpc, mine, served, journal });
        let ticking = (clock == Clock::Wall).then(|| tokio::spawn(Arc::clone(&engine).tick()));
        Ok(Self { server, engine, ticking })
    }

    /// Another server of the same chain, with faults of its own and no events. Blocks are made by one
    /// of the two only.
    ///
    /// # Errors
    /// [`NodeError::Io`] when there is no free port.
    pub async fn mirror(&self) -> Result<Self, NodeError> {
        Ok(self.beside(self.engine.served.mirror().await?))
    }

    /// A simulator without a clock over the same node.
    fn beside(&self, server: Server) -> Self {
        let Engine { rpc, mine, .. } = &*self.engine;
        let served = Arc::clone(&server.served);
        let engine = Arc::new(Engine { rpc: rpc.clone(), mine: *mine, served, journal: None });
        Self { server, engine, ticking: None }
    }

    /// Another server over another history of this one's: blocks before `slot` are shared, the others
    /// carry the same execution blocks in beacon blocks of their own. Both are signed by the same
    /// committees: the validators cheat.
    ///
    /// # Errors
    /// [`NodeError::Io`] when there is no free port.
    pub async fn rival(&self, slot: u64) -> Result<Self, NodeError> {
        let chain = {
            let chain = self.chain();
            let mut fork = chain.fork_before(slot);
            let head = chain.head().map_or(0, |head| head.header.slot);
            for slot in slot..=head {
                if let Some(block) = chain.block(slot) {
                    fork.add(slot, block.execution.clone());
                }
            }
            fork
        };
        Ok(self.beside(Served::start(chain, None).await?))
    }

    /// The address of the beacon API.
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// The chain, for looking and for changing what follows. Not to be held across an await.
    pub fn chain(&self) -> std::sync::MutexGuard<'_, Chain> {
        self.engine.served.chain()
    }

    /// Root of the newest finalized block that is not genesis, or of genesis.
    pub fn checkpoint(&self) -> B256 {
        let chain = self.chain();
        chain.finalized().or_else(|| chain.block(0)).map_or(B256::ZERO, |block| block.root)
    }

    /// Passes so many slots, each with a block.
    ///
    /// # Errors
    /// [`NodeError`] when the node does not answer.
    pub async fn advance(&self, slots: u64) -> Result<(), NodeError> {
        for _ in 0..slots {
            let next = self.engine.next_slot();
            self.engine.block(next).await?;
        }
        Ok(())
    }

    /// Passes slots until an update can prove the node's newest block of now final; returns the number
    /// of the newest block that is final then.
    ///
    /// # Errors
    /// [`NodeError`] when the node does not answer; [`NodeError::Deadline`] when finality stalls.
    pub async fn finalize(&self) -> Result<u64, NodeError> {
        let newest = execution::fetch(&self.engine.rpc, None).await?.block_number;
        let (lag, preset) = {
            let chain = self.chain();
            (chain.finality_lag(), chain.network().preset)
        };
        // The block gets a slot, its epoch ends, the lag passes, and two blocks attest and sign.
        for _ in 0..(lag + 2) * preset.slots_per_epoch + 3 {
            match self.signed_final() {
                Some(number) if number >= newest => return Ok(number),
                _ => self.advance(1).await?,
            }
        }
        Err(NodeError::Deadline {
            what: format!("finality of block {newest}"),
            waited: Duration::ZERO,
            last: format!("{:?} is final", self.signed_final()),
        })
    }

    /// Number of the newest execution block that an update can prove final.
    pub fn signed_final(&self) -> Option<u64> {
        let chain = self.chain();
        let update = chain.newest_update()?;
        (update.finalized.beacon.slot > 0).then_some(update.finalized.payload.block_number)
    }

    /// Passes periods with few blocks: enough for one update with finality in each.
    ///
    /// # Errors
    /// [`NodeError`] when the node does not answer.
    pub async fn skip_periods(&self, periods: u64) -> Result<(), NodeError> {
        let preset = self.chain().network().preset;
        let target = (preset.period(self.engine.next_slot()) + periods) * preset.slots_per_period();
        self.engine.fill(target).await
    }

    /// From now on it has this fault, on every path.
    pub fn fault(&self, fault: Fault) {
        self.fault_on("", fault);
    }

    /// From now on it has this fault on paths that contain `part`; the newest one counts.
    pub fn fault_on(&self, part: &str, fault: Fault) {
        self.engine.served.add_fault(part, fault);
    }

    /// No faults any more.
    pub fn honest(&self) {
        self.engine.served.clear_faults();
    }

    /// Requests so far whose path contains `part`.
    pub fn asked(&self, part: &str) -> u64 {
        self.engine.served.asked(part)
    }
}

impl Drop for BeaconSim {
    fn drop(&mut self) {
        if let Some(ticking) = &self.ticking {
            ticking.abort();
        }
    }
}

impl Engine {
    fn next_slot(&self) -> u64 {
        self.served.chain().head().map_or(0, |head| head.header.slot + 1)
    }

    /// A block at a slot.
    async fn block(&self, slot: u64) -> Result<(), NodeError> {
        if self.mine {
            self.rpc.call("evm_mine", json!([])).await?;
        }
        let newest = execution::fetch(&self.rpc, None).await?;
        let rewound = self.follow_reorg(&newest).await?;
        {
            let mut chain = self.served.chain();
            chain.add(slot, newest);
            if let Some(journal) = &self.journal {
                if rewound { journal.rewrite(&chain)? } else { journal.note(&chain)? }
            }
        }
        self.served.announce();
        Ok(())
    }

    /// Takes back the beacon blocks that carry execution blocks which the node has replaced, as far as
    /// they are not final. A node that replaces final blocks breaks the chain, which is the node's lie.
    async fn follow_reorg(&self, newest: &ExecutionPayloadHeader) -> Result<bool, NodeError> {
        let mut rewound = false;
        loop {
            let Some((slot, last, finalized)) = self
                .served
                .chain()
                .head()
                .map(|head| (head.header.slot, head.execution.clone(), head.finalized.slot))
            else {
                return Ok(rewound);
            };
            if [newest.block_hash, newest.parent_hash].contains(&last.block_hash)
                || slot <= finalized
                || slot == 0
            {
                return Ok(rewound);
            }
            match execution::fetch(&self.rpc, Some(last.block_number)).await {
                Ok(block) if block.block_hash == last.block_hash => return Ok(rewound),
                // Another block, or none, at that height.
                Ok(_) | Err(NodeError::Unexpected { .. }) => self.served.chain().rewind(slot),
                Err(error) => return Err(error),
            }
            rewound = true;
        }
    }

    /// Passes the slots before `target`: each period's first epochs have blocks, so that an update
    /// with finality can be made in it; the others are empty.
    async fn fill(&self, target: u64) -> Result<(), NodeError> {
        let (preset, lag) = {
            let chain = self.served.chain();
            (chain.network().preset, chain.finality_lag())
        };
        loop {
            let next = self.next_slot();
            let within = next % preset.slots_per_period();
            let slot = if within < (lag + 2) * preset.slots_per_epoch {
                next
            } else {
                next - within + preset.slots_per_period()
            };
            if slot >= target {
                return Ok(());
            }
            self.block(slot).await?;
        }
    }

    /// A block each slot of the wall clock. What was missed by more than a period is filled sparsely.
    async fn tick(self: Arc<Self>) {
        loop {
            if let Err(error) = self.catch_up().await {
                eprintln!("beacon simulator: {error}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn catch_up(&self) -> Result<(), NodeError> {
        let (now, long) = {
            let chain = self.served.chain();
            let network = chain.network();
            (network.slot_at(network::now()), network.preset.slots_per_period())
        };
        if self.next_slot() + long < now {
            self.fill(now - now % long).await?;
        }
        while self.next_slot() <= now {
            self.block(self.next_slot()).await?;
        }
        Ok(())
    }
}
