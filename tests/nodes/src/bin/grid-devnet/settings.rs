//! Where things are and how fast they run.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use grid_core::ethereum::sync::Preset;
use grid_test_nodes::{NodeError, bitcoind::WALLET_KEY, ports, programs};

use crate::network::Failure;

/// Time between two Bitcoin blocks.
pub(crate) const BITCOIN_INTERVAL: Duration = Duration::from_secs(5);
/// Seconds between two Ethereum blocks.
pub(crate) const ETHEREUM_INTERVAL: u64 = 2;
/// Chain id of the Ethereum chain: anvil's own.
pub(crate) const ETHEREUM_ID: u64 = 31_337;
/// The number of the Grid chain, as `grid init` chooses it.
pub(crate) const GRID_ID: u64 = 4_700_000;
/// The id of regtest.
pub(crate) const BITCOIN_CHAIN: &str = "bip122:0f9188f13cb7b2c71f2a335e3a4fc328";
/// Confirmations and age after which a Bitcoin header is indexed.
pub(crate) const BITCOIN_RULE: (&str, &str) = ("6", "20");
/// The beacon chain's sizes: epochs of two slots of a second, so that a block is final some six seconds
/// after it was made, and periods of four minutes, so that committees are seen to change.
pub(crate) const BEACON_PRESET: Preset =
    Preset { committee_size: 32, slots_per_epoch: 2, epochs_per_period: 128 };

/// The ports of the development network, as the README names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Bitcoin Core's RPC and REST.
    pub(crate) bitcoin: u16,
    /// anvil's JSON-RPC.
    pub(crate) ethereum: u16,
    /// The simulated beacon chain's API.
    pub(crate) beacon: u16,
    /// The main chain's JSON-RPC.
    pub(crate) grid: u16,
    /// The daemon's health, metrics and API.
    pub(crate) relayer: u16,
}

impl Ports {
    /// The well-known ones.
    pub(crate) const DEFAULT: Self =
        Self { bitcoin: 18_443, ethereum: 8_545, beacon: 5_052, grid: 8_645, relayer: 9_640 };

    /// Each with a name for people.
    pub(crate) const fn named(self) -> [(&'static str, u16); 5] {
        [
            ("bitcoind", self.bitcoin),
            ("anvil", self.ethereum),
            ("the beacon chain", self.beacon),
            ("the Grid main chain", self.grid),
            ("the relayer", self.relayer),
        ]
    }

    /// The well-known ones, if nobody listens there.
    pub(crate) fn default_if_free() -> Result<Self, Failure> {
        for (what, port) in Self::DEFAULT.named() {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                return Err(Failure::Text(format!(
                    "port {port} for {what} is not free ({error}): another devnet or node runs \
                     here. Stop it and start again (`ss -ltnp` shows who listens)"
                )));
            }
        }
        Ok(Self::DEFAULT)
    }

    /// Free ones, for an unattended run beside whatever else runs here.
    pub(crate) fn free() -> Result<Self, NodeError> {
        Ok(Self {
            bitcoin: ports::free()?,
            ethereum: ports::free()?,
            beacon: ports::free()?,
            grid: ports::free()?,
            relayer: ports::free()?,
        })
    }
}

/// Folders, programs and ports of one run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Everything that the network keeps.
    pub(crate) folder: PathBuf,
    /// Ports.
    pub(crate) ports: Ports,
}

impl Settings {
    /// The folder from `DEVNET_DIR`, or `.devnet` in the source tree.
    pub(crate) fn folder(root: &Path) -> PathBuf {
        std::env::var_os("DEVNET_DIR").map_or_else(|| root.join(".devnet"), PathBuf::from)
    }

    /// The source tree: the folder this program is started in.
    pub(crate) fn root() -> Result<PathBuf, Failure> {
        std::env::current_dir()
            .map_err(|error| Failure::Text(format!("the current folder is unusable: {error}")))
    }

    /// The daemon's home folder.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("grid")
    }

    /// Bitcoin Core's data folder.
    pub(crate) fn bitcoin(&self) -> PathBuf {
        self.folder.join("bitcoin")
    }

    /// anvil's folder.
    pub(crate) fn ethereum(&self) -> PathBuf {
        self.folder.join("ethereum")
    }

    /// The beacon chain's numbers, which `grid` reads too.
    pub(crate) fn beacon_network(&self) -> PathBuf {
        self.ethereum().join("network.json")
    }

    /// Which execution block each slot of the beacon chain carries.
    pub(crate) fn beacon_journal(&self) -> PathBuf {
        self.ethereum().join("slots")
    }

    /// The list of mined payments, newest last.
    pub(crate) fn payments(&self) -> PathBuf {
        self.folder.join("payments")
    }

    /// The list of mined token transfers, newest last.
    pub(crate) fn transfers(&self) -> PathBuf {
        self.folder.join("transfers")
    }

    /// The token's address.
    pub(crate) fn token(&self) -> PathBuf {
        self.folder.join("token")
    }

    /// The mailbox's address.
    pub(crate) fn mailbox(&self) -> PathBuf {
        self.folder.join("mailbox")
    }

    /// Writes `bin/`, small commands that know this network, and `env`, which puts them first on the
    /// search path of a shell that sources it.
    pub(crate) fn write_commands(
        &self,
        (token, mailbox): (&str, &str),
        miner: &str,
    ) -> Result<(), Failure> {
        let Ports { bitcoin, ethereum, beacon, grid, .. } = self.ports;
        let cli = programs::bitcoin_cli()?;
        let data = self.bitcoin();
        let command = |program: &Path, args: &str| {
            format!("#!/bin/sh\nexec '{}' {args}\"$@\"\n", program.display())
        };
        let bitcoin_cli =
            command(&cli, &format!("-regtest -rpcport={bitcoin} -datadir='{}' ", data.display()));
        self.executable("bitcoin-cli", &bitcoin_cli)?;
        self.executable("grid", &command(&programs::grid()?, ""))?;
        self.executable("cast", &command(&programs::cast()?, ""))?;
        let double_spend = include_str!("double-spend.sh");
        let double_spend = double_spend.replace("@KEY@", WALLET_KEY).replace("@ADDRESS@", miner);
        self.executable("double-spend", &double_spend)?;
        let pay = include_str!("pay-and-say.sh");
        let pay = pay.replace("@KEY@", WALLET_KEY).replace("@ADDRESS@", miner);
        self.executable("pay-and-say", &pay)?;
        let text = format!(
            "# The development network's commands and addresses: `. {folder}/env`\n\
             export PATH='{folder}/bin':\"$PATH\"\n\
             export GRID_HOME='{home}'\n\
             export GRID_RPC=http://127.0.0.1:{grid}\n\
             export ANVIL_RPC=http://127.0.0.1:{ethereum}\n\
             export BEACON_API=http://127.0.0.1:{beacon}\n\
             export MINER={miner}\n\
             export TOKEN={token}\n\
             export MAILBOX={mailbox}\n",
            folder = self.folder.display(),
            home = self.home().display(),
        );
        self.write(&self.folder.join("env"), &text)
    }

    fn executable(&self, name: &str, text: &str) -> Result<(), Failure> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.join("bin").join(name);
        self.write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .map_err(|error| Failure::Text(format!("{}: {error}", path.display())))
    }

    /// Writes a file, with its folder if that is absent.
    pub(crate) fn write(&self, path: &Path, text: &str) -> Result<(), Failure> {
        let parent = path.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(path, text))
            .map_err(|error| Failure::Text(format!("cannot write {}: {error}", path.display())))
    }
}
