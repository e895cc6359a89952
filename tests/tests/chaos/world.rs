//! Both chains, each behind two proxies that can lie; one node of the main chain; relayers.

use std::{fs, path::Path};

use grid_test_nodes::{
    Anvil, AnvilConfig, Bitcoind, BitcoindConfig, Disk, Grid, GridConfig, Liar, NodeError,
    Postgres, ports,
};
use tempfile::TempDir;

use crate::relayer::{Relayer, Setup, copy_home};

/// Bitcoin confirmations until a header is indexed.
const BITCOIN_DEPTH: u64 = 3;
/// Ethereum confirmations until a header is indexed.
const ETHEREUM_DEPTH: u64 = 2;
/// Blocks of each chain before the relayers start.
const FIRST_BLOCKS: u64 = 20;
/// The home that all others are copies of.
const TEMPLATE: &str = "template";
/// Room for the database of the relayer whose disk is filled now and then, bytes.
const DISK: u64 = 24 << 20;

/// A followed chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Chain {
    Bitcoin,
    Ethereum,
}

impl Chain {
    pub(crate) const ALL: [Self; 2] = [Self::Bitcoin, Self::Ethereum];

    /// The beginning of its id.
    pub(crate) const fn family(self) -> &'static str {
        match self {
            Self::Bitcoin => "bip122:",
            Self::Ethereum => "eip155:",
        }
    }

    /// Confirmations until a header is indexed.
    pub(crate) const fn depth(self) -> u64 {
        match self {
            Self::Bitcoin => BITCOIN_DEPTH,
            Self::Ethereum => ETHEREUM_DEPTH,
        }
    }
}

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) bitcoind: Bitcoind,
    pub(crate) anvil: Anvil,
    /// The endpoints of each chain that relayers know, Bitcoin's first.
    pub(crate) liars: [[Liar; 2]; 2],
    pub(crate) node: Grid,
    /// The database that relayers share.
    pub(crate) postgres: Option<Postgres>,
    pub(crate) relayers: Vec<Relayer>,
    /// Port of the node's JSON-RPC.
    rpc: u16,
    folder: TempDir,
}

impl World {
    /// Starts everything but relayers.
    pub(crate) async fn start() -> Result<Self, NodeError> {
        let postgres = postgres().await?;
        let (bitcoind, anvil) = tokio::join!(
            Bitcoind::start(BitcoindConfig::default()),
            Anvil::start(AnvilConfig::default())
        );
        let (bitcoind, anvil) = (bitcoind?, anvil?);
        bitcoind.mine(FIRST_BLOCKS).await?;
        anvil.mine(FIRST_BLOCKS).await?;
        let pair = async |url: String| {
            Ok::<_, NodeError>([Liar::start(&url).await?, Liar::start(&url).await?])
        };
        let liars = [pair(bitcoind.url()).await?, pair(anvil.url()).await?];
        let folder = tempfile::Builder::new().prefix("grid-chaos-").tempdir();
        let folder = folder.map_err(|error| broken(&error))?;
        let ports = [ports::free()?, ports::free()?];
        let template = folder.path().join(TEMPLATE);
        init(&template, ports[0], &bitcoind, &liars).await?;
        let home = folder.path().join("node");
        copy_home(&template, &home).map_err(|error| broken(&error))?;
        let node = start_node(&home, ports).await?;
        Ok(Self {
            bitcoind,
            anvil,
            liars,
            node,
            postgres,
            relayers: Vec::new(),
            rpc: ports[0],
            folder,
        })
    }

    /// Makes a relayer, which does not run yet.
    pub(crate) async fn add(&mut self, setup: Setup) -> Result<(), NodeError> {
        let home = self.folder.path().join(setup.name);
        let mut made = copy_home(&self.folder.path().join(TEMPLATE), &home);
        if setup.bitcoin_only {
            made = made.and_then(|()| bitcoin_only(&home));
        }
        made.map_err(|error| broken(&error))?;
        self.relayers.push(Relayer::new(setup, home, self.rpc).await?);
        Ok(())
    }

    /// The endpoints of a chain.
    pub(crate) const fn liars(&self, chain: Chain) -> &[Liar; 2] {
        match chain {
            Chain::Bitcoin => &self.liars[0],
            Chain::Ethereum => &self.liars[1],
        }
    }

    /// Mines blocks.
    pub(crate) async fn mine(&self, chain: Chain, blocks: u64) -> Result<(), NodeError> {
        match chain {
            Chain::Bitcoin => self.bitcoind.mine(blocks).await.map(drop),
            Chain::Ethereum => self.anvil.mine(blocks).await,
        }
    }

    /// Replaces the newest blocks by others, one more.
    pub(crate) async fn reorganise(&self, chain: Chain, depth: u64) -> Result<(), NodeError> {
        match chain {
            Chain::Bitcoin => self.bitcoind.reorg(depth).await.map(drop),
            Chain::Ethereum => {
                self.anvil.reorg(depth).await?;
                // Of two branches of one length the first seen counts.
                self.anvil.mine(1).await
            }
        }
    }

    /// A chain's newest height.
    pub(crate) async fn height(&self, chain: Chain) -> Result<u64, NodeError> {
        match chain {
            Chain::Bitcoin => Ok(self.bitcoind.tip().await?.0),
            Chain::Ethereum => self.anvil.block_number().await,
        }
    }

    /// Hash of a chain's block at a height, in the main chain's form.
    pub(crate) async fn hash(&self, chain: Chain, height: u64) -> Result<String, NodeError> {
        match chain {
            Chain::Bitcoin => {
                let shown = self.bitcoind.block_hash(height).await?;
                Ok(grid_test_nodes::bitcoind::internal(&shown))
            }
            Chain::Ethereum => self.anvil.block_hash(height).await,
        }
    }
}

fn broken(error: &std::io::Error) -> NodeError {
    NodeError::Broken(format!("a home folder: {error}"))
}

/// A PostgreSQL server, where one is installed.
async fn postgres() -> Result<Option<Postgres>, NodeError> {
    match Postgres::start().await {
        Ok(server) => Ok(Some(server)),
        Err(NodeError::ProgramMissing { .. }) => {
            println!("SKIPPED: no PostgreSQL here; scripts/setup-nodes --with-postgres");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A disk to fill, where the system lets us have one.
pub(crate) async fn disk() -> Option<Disk> {
    match Disk::new(DISK).await {
        Ok(disk) => Some(disk),
        Err(error) => {
            println!("SKIPPED: no disk is filled, the system does not allow a mount: {error}");
            None
        }
    }
}

/// `grid init`, with both endpoints of each chain.
async fn init(
    home: &Path,
    rpc: u16,
    bitcoind: &Bitcoind,
    liars: &[[Liar; 2]; 2],
) -> Result<(), NodeError> {
    let cookie = bitcoind.cookie_file().display().to_string();
    let bitcoin = format!("regtest={}", liars[0][0].url());
    let address = format!("127.0.0.1:{rpc}");
    // Each relayer has its own.
    let unused = String::from("127.0.0.1:9640");
    let (btc, eth) = (BITCOIN_DEPTH.to_string(), ETHEREUM_DEPTH.to_string());
    let arguments = [
        ["init", "--rpc", &address, "--block-interval", "250ms", "--bitcoin", &bitcoin],
        ["--bitcoin-cookie", &cookie, "--bitcoin-age", "0", "--bitcoin-depth", &btc, "--ethereum"],
        [liars[1][0].url(), "--ethereum-start", "0", "--ethereum-depth", &eth, "--listen", &unused],
    ];
    Grid::run(home, &arguments.concat()).await?;
    let file = home.join("grid.toml");
    let mut text = fs::read_to_string(&file).map_err(|error| broken(&error))?;
    for [one, other] in liars {
        let (one, both) =
            (format!("\"{}\"", one.url()), format!("{:?}, {:?}", one.url(), other.url()));
        text = text.replace(&one, &both);
    }
    fs::write(&file, text).map_err(|error| broken(&error))
}

/// Takes the Ethereum chain out of a configuration: its attester is the first relayer's key.
fn bitcoin_only(home: &Path) -> std::io::Result<()> {
    const SECTION: &str = "[[chain]]\n";
    let file = home.join("grid.toml");
    let text = fs::read_to_string(&file)?;
    let parts: Vec<&str> = text.split(SECTION).filter(|part| !part.contains("eip155:")).collect();
    fs::write(&file, parts.join(SECTION))
}

/// The main chain's node; its health is at the second port.
async fn start_node(home: &Path, [rpc, listen]: [u16; 2]) -> Result<Grid, NodeError> {
    let listen = format!("127.0.0.1:{listen}");
    Grid::start(GridConfig {
        home: home.to_owned(),
        rpc: format!("127.0.0.1:{rpc}"),
        listen: listen.clone(),
        command: vec![String::from("node"), String::from("run")],
        env: vec![(String::from("GRID_NODE_LISTEN"), listen)],
    })
    .await
}
