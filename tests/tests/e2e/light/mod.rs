//! Ethereum followed by its light client: a real anvil, a simulated beacon chain over it with real
//! signatures, and the daemon. Slots pass when the test says so.

mod conflict;
mod execution;
mod faults;
mod follow;
mod refused;

use alloy_primitives::B256;
use grid_core::ethereum::sync::Preset;
use grid_test_nodes::{
    Anvil, AnvilConfig, BeaconConfig, BeaconSim, Grid, Token,
    beacon::{development, network::now},
};
use serde_json::{Value, json};

use crate::world::{Home, LIMIT, assert_index, chain, wait_confirmed};

/// Sixteen slots a period: committees change often.
const SHORT: Preset = Preset { committee_size: 32, slots_per_epoch: 4, epochs_per_period: 4 };
/// Slots of a period of [`SHORT`].
const PERIOD: u64 = 16;
/// How long ago genesis was: so many slots can pass as fast as they are made.
const PAST: u64 = 6 * 3600;
/// Id of the chain.
const CHAIN: &str = "eip155:31337";

/// The chain, its beacon chain, and a daemon that follows them.
struct Light {
    anvil: Anvil,
    token: Token,
    sim: BeaconSim,
    grid: Grid,
    home: Home,
}

impl Light {
    /// A daemon with one beacon node, which starts from genesis.
    async fn start() -> Self {
        Self::start_with(async |_| Vec::new()).await
    }

    /// The same with more beacon nodes, before the first one, and more arguments of `grid init`.
    async fn start_with(more: impl AsyncFnOnce(&BeaconSim) -> Vec<String>) -> Self {
        let anvil = Anvil::start(AnvilConfig::default()).await.expect("anvil");
        let token = Token::deploy(&anvil).await.expect("token");
        let network = development(SHORT, now() - PAST);
        let sim = BeaconSim::start(&anvil, BeaconConfig::stepped(network)).await.expect("beacon");
        // A node has light-client data from its second block on, which signs the first.
        sim.advance(2).await.expect("slots");
        let home = Home::new();
        let mut arguments = more(&sim).await;
        arguments.extend(light_arguments(&home, &anvil, &sim));
        home.init(&arguments).await.expect("init");
        let grid = Grid::start(home.config()).await.expect("start");
        Self { anvil, token, sim, grid, home }
    }

    /// A token transfer in a block; its hash.
    async fn transfer(&self) -> String {
        let to = self.anvil.account(1).expect("account").to_owned();
        let hash = self.token.transfer(&self.anvil, &to, 7).await.expect("transfer");
        self.anvil.receipt(&hash, LIMIT).await.expect("receipt");
        hash
    }

    /// Lets what anvil has become final, and waits until it is indexed; returns the height.
    async fn finalize(&self) -> u64 {
        let height = self.sim.finalize().await.expect("final");
        wait_confirmed(&self.grid, "eip155:", height).await;
        height
    }

    /// The main chain's view of the chain.
    async fn chain(&self) -> Value {
        chain(&self.grid, "eip155:").await.expect("chain")
    }

    /// Every indexed header is anvil's own at its height.
    async fn assert_index_is_anvils(&self) {
        let hash = async |height| self.anvil.block_hash(height).await.expect("hash");
        assert_index(&self.grid, "eip155:", hash).await;
    }

    /// Waits for so many more blocks of the main chain.
    async fn wait_blocks(&self, blocks: u64) {
        wait_blocks(&self.grid, blocks).await;
    }
}

/// The arguments of `grid init` that follow a chain by its light client, from genesis on.
fn light_arguments(home: &Home, anvil: &Anvil, sim: &BeaconSim) -> Vec<String> {
    let file = home.beside("network.json");
    let (network, genesis): (String, B256) = {
        let chain = sim.chain();
        (json!(chain.network()).to_string(), chain.block(0).expect("genesis").root)
    };
    std::fs::write(&file, network).expect("network file");
    [
        ("--ethereum", anvil.url()),
        ("--ethereum-beacon", sim.url().to_owned()),
        ("--ethereum-network", file.display().to_string()),
        ("--ethereum-checkpoint", genesis.to_string()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect()
}

/// Waits for so many more blocks of the main chain.
async fn wait_blocks(grid: &Grid, blocks: u64) {
    let height = async || {
        let tip = grid.call("grid_tip", json!([])).await.map_err(|error| error.to_string())?;
        tip["height"].as_u64().ok_or_else(|| tip.to_string())
    };
    let first = height().await.expect("a tip");
    grid_test_nodes::wait_for(format!("{blocks} Grid blocks"), LIMIT, || async {
        let now = height().await?;
        if now >= first + blocks { Ok(()) } else { Err(format!("{now} after {first}")) }
    })
    .await
    .expect("the main chain goes on");
}
