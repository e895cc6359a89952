//! The network: its nodes, from start to stop.

use std::{cell::RefCell, fmt, future::Future, path::Path, time::Instant};

use grid_core::ethereum::sync::NetworkConfig;
use grid_test_nodes::{
    Anvil, AnvilConfig, BeaconConfig, BeaconSim, Bitcoind, BitcoindConfig, Grid, GridConfig,
    Mailbox, NodeError, Token,
    beacon::{Clock, development, network::now},
};
use serde_json::json;

use crate::{
    screen,
    settings::{
        BEACON_PRESET, BITCOIN_CHAIN, BITCOIN_RULE, ETHEREUM_ID, ETHEREUM_INTERVAL, GRID_ID, Ports,
        Settings,
    },
    traffic::{self, Counters},
};

/// Bitcoin blocks before the first payment: rewards are spendable after a hundred.
const FIRST_BLOCKS: u64 = 110;

/// A daemon that ends so soon after its start is not killed by a person.
const QUICK_END: std::time::Duration = std::time::Duration::from_millis(500);
/// So many such ends in a row are a failure.
const MOST_QUICK_ENDS: u32 = 3;

/// Why the network cannot go on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A node.
    Node(NodeError),
    /// Anything else, as text.
    Text(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(error) => error.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        Self::Node(error)
    }
}

/// Runs the network until Ctrl-C.
pub(crate) async fn run() -> Result<(), Failure> {
    let root = Settings::root()?;
    let settings = Settings { folder: Settings::folder(&root), ports: Ports::default_if_free()? };
    // Before anything starts: from now on Ctrl-C is ours.
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let network = tokio::select! {
        network = Network::up(settings, Daemon::Restart) => network?,
        () = &mut stop => {
            println!("stopped before everything ran");
            return Ok(());
        }
    };
    let counters = RefCell::new(Counters::default());
    let outcome = tokio::select! {
        outcome = network.with_traffic(&counters, screen::show(&network, &counters)) => outcome,
        () = &mut stop => Ok(()),
    };
    println!();
    let stopped = network.down().await;
    outcome.and(stopped)
}

/// Completes at Ctrl-C, or when the system asks the program to end.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let watch = |kind| {
        signal(kind).map_err(|error| Failure::Text(format!("signals cannot be watched: {error}")))
    };
    let (mut interrupt, mut terminate) =
        (watch(SignalKind::interrupt())?, watch(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The running nodes.
#[derive(Debug)]
pub(crate) struct Network {
    /// Where everything is.
    pub(crate) settings: Settings,
    /// Bitcoin Core.
    pub(crate) bitcoind: Bitcoind,
    /// anvil.
    pub(crate) anvil: Anvil,
    /// The beacon chain over anvil. It ends with this value.
    _beacon: BeaconSim,
    /// The token on anvil's chain.
    pub(crate) token: Token,
    /// The daemon, as first started.
    pub(crate) grid: Grid,
    /// The daemon that runs now, where the first one ended.
    successor: RefCell<Option<Grid>>,
    /// What to do when the daemon ends by itself.
    daemon: Daemon,
}

/// What to do when the daemon ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Daemon {
    /// Start it again, as a service manager does: a person may kill it to see what happens.
    Restart,
    /// That is the failure that an unattended check looks for.
    Fail,
}

impl Network {
    /// Starts everything, on the state of an earlier run where there is one.
    pub(crate) async fn up(settings: Settings, daemon: Daemon) -> Result<Self, Failure> {
        let started = Instant::now();
        let known = settings.home().join("grid.toml").is_file();
        let word = if known { "continuing" } else { "new" };
        println!("devnet: {word} network in {}", settings.folder.display());
        let (bitcoind, anvil) =
            tokio::try_join!(start_bitcoin(&settings), start_ethereum(&settings))?;
        let beacon = start_beacon(&settings, &anvil).await?;
        let token = token(&settings, &anvil).await?;
        println!("devnet: token contract at {}", token.address);
        let mailbox = mailbox(&settings, &anvil).await?;
        println!("devnet: mailbox contract at {mailbox}");
        settings.write_commands((token.address.as_str(), mailbox.as_str()), bitcoind.address())?;
        if !known {
            println!("devnet: creating the Grid chain and its configuration");
            init(&settings, &bitcoind, &beacon).await?;
        }
        let Ports { grid, relayer, .. } = settings.ports;
        let grid = Grid::start(GridConfig {
            home: settings.home(),
            rpc: format!("127.0.0.1:{grid}"),
            listen: format!("127.0.0.1:{relayer}"),
            command: vec![String::from("start")],
            env: Vec::new(),
        })
        .await?;
        if !known {
            open_routes(&settings, &mailbox).await?;
        }
        println!("devnet: grid runs; everything started in {:.1?}", started.elapsed());
        let (_beacon, successor) = (beacon, RefCell::default());
        Ok(Self { settings, bitcoind, anvil, _beacon, token, grid, successor, daemon })
    }

    /// Runs `work` while blocks with traffic are produced; fails when a node ends by itself.
    pub(crate) async fn with_traffic<T>(
        &self,
        counters: &RefCell<Counters>,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            outcome = work => outcome,
            never = traffic::bitcoin(&self.bitcoind, &self.settings, counters) => match never {},
            never = traffic::ethereum(&self.anvil, &self.token, &self.settings, counters) => {
                match never {}
            }
            ended = self.first_end() => Err(ended.into()),
        }
    }

    /// Completes when a node has ended by itself, for good.
    async fn first_end(&self) -> NodeError {
        let (mut quick, mut started) = (0, Instant::now());
        loop {
            let checks = [self.bitcoind.check(), self.anvil.check()];
            if let Some(error) = checks.into_iter().find_map(Result::err) {
                return error;
            }
            if let Err(error) = self.check_daemon() {
                quick = if started.elapsed() < QUICK_END { quick + 1 } else { 0 };
                if self.daemon == Daemon::Fail || quick > MOST_QUICK_ENDS {
                    return error;
                }
                println!("\ndevnet: grid ended; starting it again");
                started = Instant::now();
                match Grid::start(self.grid.config().clone()).await {
                    Ok(grid) => drop(self.successor.replace(Some(grid))),
                    Err(error) => return error,
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }

    fn check_daemon(&self) -> Result<(), NodeError> {
        self.successor.borrow().as_ref().unwrap_or(&self.grid).check()
    }

    /// Stops everything: the daemon first, so that it does not see its nodes go.
    pub(crate) async fn down(mut self) -> Result<(), Failure> {
        let started = Instant::now();
        println!("devnet: stopping ...");
        let mut daemon = self.successor.take().unwrap_or(self.grid);
        let outcomes = [daemon.stop().await, self.anvil.stop().await, self.bitcoind.stop().await];
        println!("devnet: stopped in {:.1?}", started.elapsed());
        outcomes.into_iter().collect::<Result<(), NodeError>>().map_err(Failure::from)
    }
}

async fn start_bitcoin(settings: &Settings) -> Result<Bitcoind, NodeError> {
    let config = BitcoindConfig {
        folder: Some(settings.bitcoin()),
        rpc_port: Some(settings.ports.bitcoin),
        ..BitcoindConfig::default()
    };
    let node = Bitcoind::start(config).await?;
    let (height, _) = node.tip().await?;
    let missing = FIRST_BLOCKS.saturating_sub(height);
    if missing > 0 {
        node.mine(missing).await?;
    }
    println!("devnet: bitcoind runs, height {}", height.saturating_add(missing));
    Ok(node)
}

async fn start_ethereum(settings: &Settings) -> Result<Anvil, NodeError> {
    let config = AnvilConfig {
        folder: Some(settings.ethereum()),
        port: Some(settings.ports.ethereum),
        chain_id: ETHEREUM_ID,
        block_time: Some(ETHEREUM_INTERVAL),
        keep_state: true,
        // Each call would be a line of its log.
        args: vec![String::from("--quiet")],
        ..AnvilConfig::default()
    };
    let node = Anvil::start(config).await?;
    println!("devnet: anvil runs, height {}", node.block_number().await?);
    Ok(node)
}

/// The beacon chain over anvil: a new one, or that of an earlier run, which fills what it missed.
async fn start_beacon(settings: &Settings, anvil: &Anvil) -> Result<BeaconSim, Failure> {
    let file = settings.beacon_network();
    let network: NetworkConfig = match std::fs::read_to_string(&file) {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|error| Failure::Text(format!("{}: {error}", file.display())))?,
        Err(_) => {
            let network = development(BEACON_PRESET, now());
            settings.write(&file, &json!(network).to_string())?;
            network
        }
    };
    let config = BeaconConfig {
        clock: Clock::Wall,
        // anvil makes its blocks itself.
        mine: false,
        port: Some(settings.ports.beacon),
        journal: Some(settings.beacon_journal()),
        ..BeaconConfig::stepped(network)
    };
    let sim = BeaconSim::start(anvil, config).await?;
    let slot = sim.chain().head().map_or(0, |head| head.header.slot);
    println!("devnet: the beacon chain runs, slot {slot}");
    Ok(sim)
}

/// The token of an earlier run if the chain still has it, or a new one.
async fn token(settings: &Settings, anvil: &Anvil) -> Result<Token, Failure> {
    if let Ok(address) = std::fs::read_to_string(settings.token()) {
        let address = address.trim().to_owned();
        let code = anvil.call("eth_getCode", json!([address, "latest"])).await?;
        if code.as_str().is_some_and(|code| code.len() > 2) {
            return Ok(Token { address });
        }
    }
    let token = Token::deploy(anvil).await?;
    settings.write(&settings.token(), &token.address)?;
    Ok(token)
}

/// The address of the mailbox of an earlier run if the chain still has it, or of a new one. No light client of the Grid chain is
/// on anvil's, so it sends only.
async fn mailbox(settings: &Settings, anvil: &Anvil) -> Result<String, Failure> {
    const NO_CLIENT: &str = "0x0000000000000000000000000000000000000001";
    if let Ok(address) = std::fs::read_to_string(settings.mailbox()) {
        let address = address.trim().to_owned();
        let code = anvil.call("eth_getCode", json!([address, "latest"])).await?;
        if code.as_str().is_some_and(|code| code.len() > 2) {
            return Ok(address);
        }
    }
    let mailbox = Mailbox::deploy(anvil, NO_CLIENT, GRID_ID).await?;
    settings.write(&settings.mailbox(), &mailbox.address)?;
    Ok(mailbox.address)
}

/// Lets messages of both chains pass to the Grid chain.
async fn open_routes(settings: &Settings, mailbox: &str) -> Result<(), Failure> {
    let ethereum = format!("eip155:{ETHEREUM_ID}");
    Grid::run(&settings.home(), &["message", "route", BITCOIN_CHAIN]).await?;
    let route = ["message", "route", &ethereum, "--mailbox", mailbox];
    Grid::run(&settings.home(), &route).await?;
    Ok(())
}

async fn init(settings: &Settings, bitcoind: &Bitcoind, sim: &BeaconSim) -> Result<(), Failure> {
    let Ports { bitcoin, ethereum, beacon, grid, relayer } = settings.ports;
    let cookie = bitcoind.cookie_file();
    let network = format!("regtest=http://127.0.0.1:{bitcoin}");
    let (depth, age) = BITCOIN_RULE;
    let ethereum = format!("http://127.0.0.1:{ethereum}");
    let beacon = format!("http://127.0.0.1:{beacon}");
    let numbers = settings.beacon_network();
    // The first block, which we made ourselves: everything after it is proven.
    let checkpoint = sim.chain().block(0).map(|block| block.root.to_string()).unwrap_or_default();
    let (rpc, listen) = (format!("127.0.0.1:{grid}"), format!("127.0.0.1:{relayer}"));
    let arguments = [
        "init",
        "--bitcoin",
        &network,
        "--bitcoin-cookie",
        text(&cookie)?,
        "--bitcoin-depth",
        depth,
        "--bitcoin-age",
        age,
        "--ethereum",
        &ethereum,
        "--ethereum-beacon",
        &beacon,
        "--ethereum-network",
        text(&numbers)?,
        "--ethereum-checkpoint",
        &checkpoint,
        "--rpc",
        &rpc,
        "--listen",
        &listen,
    ];
    Grid::run(&settings.home(), &arguments).await?;
    Ok(())
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| Failure::Text(format!("{} is not UTF-8", path.display())))
}
