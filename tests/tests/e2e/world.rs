//! Both nodes with traffic and a daemon that follows them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) use grid_test_nodes::bitcoind::internal;
use grid_test_nodes::{
    Anvil, AnvilConfig, Bitcoind, BitcoindConfig, Grid, GridConfig, Token, ports, wait_for,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take that takes seconds on an idle machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// Bitcoin confirmations until a header is indexed.
pub(crate) const BITCOIN_DEPTH: u64 = 3;
/// Ethereum confirmations until a header is indexed.
pub(crate) const ETHEREUM_DEPTH: u64 = 2;
/// Blocks mined before the daemon starts: enough for a first payment.
pub(crate) const FIRST_BLOCKS: u64 = 105;
/// A funded account of the Grid chain: anvil's first, whose key everyone knows.
pub(crate) const USER: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
/// Its key.
pub(crate) const USER_KEY: &str =
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// The foreign chains without a daemon.
#[derive(Debug)]
pub(crate) struct Chains {
    pub(crate) bitcoind: Bitcoind,
    pub(crate) anvil: Anvil,
    pub(crate) token: Token,
}

/// The foreign chains and a daemon.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chains: Chains,
    pub(crate) grid: Grid,
    pub(crate) home: Home,
}

/// A daemon's home folder and addresses.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    rpc: u16,
    listen: u16,
    admin: u16,
}

impl Home {
    /// A new, empty folder with free ports.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("grid-e2e-").tempdir().expect("folder");
        let [rpc, listen, admin] = [(); 3].map(|()| ports::free().expect("port"));
        Self { folder, rpc, listen, admin }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A file beside the home folder.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn rpc_port(&self) -> u16 {
        self.rpc
    }

    /// Where the relayer's administration listens.
    pub(crate) fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.admin)
    }

    pub(crate) fn config(&self) -> GridConfig {
        GridConfig {
            home: self.path(),
            rpc: format!("127.0.0.1:{}", self.rpc),
            listen: format!("127.0.0.1:{}", self.listen),
            command: vec![String::from("start")],
            env: Vec::new(),
        }
    }

    /// `grid init` with this folder's addresses and the given chains.
    pub(crate) async fn init(
        &self,
        chains: &[String],
    ) -> Result<String, grid_test_nodes::NodeError> {
        let GridConfig { rpc, listen, .. } = self.config();
        let admin = self.admin();
        let fund = format!("{USER}=1000");
        let (btc, eth) = (BITCOIN_DEPTH.to_string(), ETHEREUM_DEPTH.to_string());
        let mut arguments = vec![
            "init",
            "--rpc",
            &rpc,
            "--listen",
            &listen,
            "--admin-listen",
            &admin,
            "--fund",
            &fund,
            "--block-interval",
            "250ms",
            "--bitcoin-depth",
            &btc,
            "--bitcoin-age",
            "0",
            "--ethereum-depth",
            &eth,
        ];
        arguments.extend(chains.iter().map(String::as_str));
        // A light client starts from a checkpoint.
        let start = ["--ethereum-start", "--ethereum-beacon"];
        if !chains.iter().any(|argument| start.contains(&argument.as_str())) {
            arguments.extend(["--ethereum-start", "0"]);
        }
        Grid::run(&self.path(), &arguments).await
    }

    /// Changes the configuration as an operator does with an editor.
    pub(crate) fn change_config(&self, change: impl FnOnce(String) -> String) {
        let file = self.path().join("grid.toml");
        let text = std::fs::read_to_string(&file).expect("configuration");
        std::fs::write(&file, change(text)).expect("configuration");
    }

    /// A command of `grid` on this home folder.
    pub(crate) async fn run(
        &self,
        arguments: &[&str],
    ) -> Result<String, grid_test_nodes::NodeError> {
        Grid::run(&self.path(), arguments).await
    }

    /// Makes a proof file, waiting for confirmations.
    pub(crate) async fn prove(&self, what: &[&str], name: &str) -> PathBuf {
        let file = self.beside(name);
        let mut arguments = vec!["prove"];
        arguments.extend(what);
        let text = file.display().to_string();
        arguments.extend(["--wait", "2m", "--out", &text]);
        self.run(&arguments).await.expect("prove");
        file
    }
}

impl Chains {
    /// Starts both nodes, each with blocks, the Bitcoin one with money and anvil with the token.
    pub(crate) async fn start() -> Self {
        let (bitcoind, anvil) = tokio::join!(
            Bitcoind::start(BitcoindConfig::default()),
            Anvil::start(AnvilConfig::default())
        );
        let (bitcoind, anvil) = (bitcoind.expect("bitcoind"), anvil.expect("anvil"));
        bitcoind.mine(FIRST_BLOCKS).await.expect("mine");
        let token = Token::deploy(&anvil).await.expect("token");
        anvil.mine(3).await.expect("mine");
        Self { bitcoind, anvil, token }
    }

    /// A Bitcoin node with blocks, for tests that need no other chain.
    pub(crate) async fn bitcoin_only() -> Bitcoind {
        let bitcoind = Bitcoind::start(BitcoindConfig::default()).await.expect("bitcoind");
        bitcoind.mine(FIRST_BLOCKS).await.expect("mine");
        bitcoind
    }

    /// The arguments of `grid init` that follow both.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = self.bitcoin_arguments("regtest");
        arguments.extend(self.ethereum_arguments());
        arguments
    }

    pub(crate) fn bitcoin_arguments(&self, network: &str) -> Vec<String> {
        bitcoin_arguments(&self.bitcoind, network)
    }

    pub(crate) fn ethereum_arguments(&self) -> Vec<String> {
        vec![String::from("--ethereum"), self.anvil.url()]
    }

    /// A payment in a block; its transaction id.
    pub(crate) async fn payment(&self) -> String {
        let txid = self.bitcoind.pay(None, 1_000_000).await.expect("pay");
        self.bitcoind.mine(1).await.expect("mine");
        txid
    }

    /// A token transfer in a block; its hash.
    pub(crate) async fn transfer(&self) -> String {
        let to = self.anvil.account(1).expect("account").to_owned();
        let hash = self.token.transfer(&self.anvil, &to, 7).await.expect("transfer");
        self.anvil.receipt(&hash, LIMIT).await.expect("receipt");
        hash
    }
}

impl World {
    /// Starts both chains and a daemon that follows them.
    pub(crate) async fn start() -> Self {
        Self::start_with(|config| config).await
    }

    /// With another configuration than `grid init` writes.
    pub(crate) async fn start_with(change: impl FnOnce(String) -> String) -> Self {
        let chains = Chains::start().await;
        let home = Home::new();
        home.init(&chains.arguments()).await.expect("init");
        home.change_config(change);
        let grid = Grid::start(home.config()).await.expect("start");
        Self { chains, grid, home }
    }

    /// Waits until everything that both nodes have is indexed, as far as the rules allow.
    pub(crate) async fn wait_indexed(&self) {
        let (height, _) = self.chains.bitcoind.tip().await.expect("tip");
        wait_confirmed(&self.grid, "bip122:", height + 1 - BITCOIN_DEPTH).await;
        let height = self.chains.anvil.block_number().await.expect("number");
        wait_confirmed(&self.grid, "eip155:", height + 1 - ETHEREUM_DEPTH).await;
    }

    /// Every indexed header is the node's own at its height, each height once.
    pub(crate) async fn assert_index_is_the_nodes(&self) {
        assert_bitcoin_index(&self.grid, &self.chains.bitcoind).await;
        let hash = async |height| self.chains.anvil.block_hash(height).await.expect("hash");
        assert_index(&self.grid, "eip155:", hash).await;
    }
}

/// The arguments of `grid init` that follow a Bitcoin node.
pub(crate) fn bitcoin_arguments(bitcoind: &Bitcoind, network: &str) -> Vec<String> {
    let cookie = bitcoind.cookie_file().display().to_string();
    vec![
        String::from("--bitcoin"),
        format!("{network}={}", bitcoind.url()),
        String::from("--bitcoin-cookie"),
        cookie,
    ]
}

/// Every indexed Bitcoin header is the node's own at its height, each height once.
pub(crate) async fn assert_bitcoin_index(grid: &Grid, bitcoind: &Bitcoind) {
    let hash = async |height| internal(&bitcoind.block_hash(height).await.expect("hash"));
    assert_index(grid, "bip122:", hash).await;
}

pub(crate) async fn assert_index(grid: &Grid, family: &str, expected: impl AsyncFn(u64) -> String) {
    let chain = chain(grid, family).await.expect("chain");
    let id = chain["id"].as_str().expect("id");
    let first = chain["firstHeight"].as_u64().expect("first");
    let last = chain["confirmed"]["height"].as_u64().expect("confirmed");
    for height in first..=last {
        let header = grid.call("grid_header", json!([id, height])).await;
        let header = header.unwrap_or_else(|error| panic!("{id} {height}: {error}"));
        assert_eq!(header["blockHash"], json!(expected(height).await), "{id} {height}");
        assert_eq!(header["height"], json!(height));
    }
}

/// Waits until the main chain tracks a block as a chain's tip; `hash` as the main chain shows it.
pub(crate) async fn wait_tip(grid: &Grid, family: &str, hash: &str) {
    wait_for(format!("tip {hash}"), LIMIT, || async {
        let chain = chain(grid, family).await?;
        if chain["tracked"]["hash"] == json!(hash) { Ok(()) } else { Err(chain.to_string()) }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}; end of the log:\n{}", log(grid)));
}

/// As [`wait_tip`], for a Bitcoin block as displayed.
pub(crate) async fn wait_bitcoin_tip(grid: &Grid, displayed: &str) {
    wait_tip(grid, "bip122:", &internal(displayed)).await;
}

/// The main chain's view of the chain whose id begins with `family`.
pub(crate) async fn chain(grid: &Grid, family: &str) -> Result<Value, String> {
    grid.chain(family).await.map_err(|error| error.to_string())
}

/// Waits until a height is indexed.
pub(crate) async fn wait_confirmed(grid: &Grid, family: &str, height: u64) {
    wait_for(format!("indexing of {family} {height}"), LIMIT, || async {
        let chain = chain(grid, family).await?;
        match chain["confirmed"]["height"].as_u64() {
            Some(confirmed) if confirmed >= height => Ok(()),
            _ => Err(chain.to_string()),
        }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}; end of the log:\n{}", log(grid)));
}

/// The end of the daemon's log.
pub(crate) fn log(grid: &Grid) -> String {
    grid_test_nodes::process::tail(&grid.config().home.join("daemon.log"))
}

/// The whole log of a home folder's daemon.
pub(crate) fn whole_log(home: &Path) -> String {
    std::fs::read_to_string(home.join("daemon.log")).unwrap_or_default()
}

/// What a trust file says.
pub(crate) fn trust(json: &Value) -> grid_core::proof::Trust {
    let validators: Vec<grid_core::grid::Validator> =
        serde_json::from_value(json["validators"].clone()).expect("validators");
    let set = grid_core::grid::ValidatorSet::new(validators).expect("a set");
    grid_core::proof::Trust {
        chain_id: json["chainId"].as_u64().expect("chain id"),
        anchor: grid_core::proof::TrustAnchor::Validators(set),
    }
}
