//! Bitcoin Core on its regression test network.
//!
//! The node runs without peers of its own choice, with the REST interface and the transaction index, and with a cookie
//! file or a password as its login. It needs no wallet: payments are signed with a development key by
//! the node's `signrawtransactionwithkey`.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    NodeError,
    folder::Folder,
    ports,
    process::{Process, Spec},
    programs,
    rpc::Rpc,
};

/// How long a start may take. An empty regtest node needs a second; a busy machine has been seen to
/// need twenty.
const READY: Duration = Duration::from_secs(90);
/// How long an orderly stop may take: it writes the chain state.
const STOP: Duration = Duration::from_secs(60);
/// Satoshis in a bitcoin.
const COIN: u64 = 100_000_000;
/// What a development payment pays the miner, in satoshis.
const FEE: u64 = 1_000;
/// Outputs of a coinbase can be spent in the hundredth block after it.
const MATURITY: u64 = 100;
/// The development key, for regtest only: the SHA-256 of a public sentence.
pub const WALLET_KEY: &str = "cUdkvg8YtqjFpp9UQesWg98VvvnXfVPTRmeSKeQ1bwWJTLBz3WYs";
/// The key that receives payments without an address and the rewards of competing branches, so that
/// no block of a branch can equal one that was invalidated.
const OTHER_KEY: &str = "cSaejU3xm7hnWCxhi4WUiEt3ihF2W8WDcPuzZsRfz1PbHsCw3TTt";

/// How to start a node.
#[derive(Debug, Clone, Default)]
pub struct BitcoindConfig {
    /// Data folder, kept afterwards; a temporary one where absent.
    pub folder: Option<PathBuf>,
    /// RPC port; a free one where absent.
    pub rpc_port: Option<u16>,
    /// Whether it accepts peers, on a free port of the loopback interface.
    pub listen: bool,
    /// User and password for RPC; the cookie file where absent.
    pub login: Option<(String, String)>,
    /// More command line arguments.
    pub args: Vec<String>,
}

/// A running Bitcoin Core node.
#[derive(Debug)]
pub struct Bitcoind {
    process: Process,
    rpc: Rpc,
    config: BitcoindConfig,
    folder: Folder,
    ports: Ports,
    wallet: Wallet,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    rpc: u16,
    /// Where it accepts peers, if it does.
    peers: Option<u16>,
}

#[derive(Debug)]
struct Wallet {
    address: String,
    descriptor: String,
    other_address: String,
    /// Outputs known to be spendable: transaction id, output number, satoshis.
    coins: Mutex<Vec<(String, u64, u64)>>,
}

impl Bitcoind {
    /// Starts a node and waits until it answers.
    ///
    /// # Errors
    /// [`NodeError::ProgramMissing`], [`NodeError::Ended`] or [`NodeError::NotReady`], the latter two
    /// with the end of the node's log.
    pub async fn start(config: BitcoindConfig) -> Result<Self, NodeError> {
        let folder = Folder::new(config.folder.as_deref())?;
        let rpc = config.rpc_port.map_or_else(ports::free, Ok)?;
        let peers = if config.listen { Some(ports::free()?) } else { None };
        let ports = Ports { rpc, peers };
        let (process, rpc) = launch(&config, &folder, ports).await?;
        let wallet = open_wallet(&rpc).await?;
        Ok(Self { process, rpc, config, folder, ports, wallet })
    }

    /// The address of the RPC and REST interfaces.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.rpc)
    }

    /// The address at which it accepts peers, if it was told to.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.ports.peers.map(|port| (Ipv4Addr::LOCALHOST, port).into())
    }

    /// The file with the login, when no password was configured.
    pub fn cookie_file(&self) -> PathBuf {
        cookie_file(self.folder.path())
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process, for pausing, killing and looking at its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it is controlled by.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Calls an RPC method.
    ///
    /// # Errors
    /// [`NodeError::Rpc`] with the node's error, [`NodeError::Transport`] when it does not answer.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, NodeError> {
        self.rpc.call(method, params).await
    }

    async fn text(&self, method: &str, params: Value) -> Result<String, NodeError> {
        text(&self.rpc, method, params).await
    }

    /// Height and hash (as displayed) of the best block.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn tip(&self) -> Result<(u64, String), NodeError> {
        let info = self.call("getblockchaininfo", json!([])).await?;
        match (info["blocks"].as_u64(), info["bestblockhash"].as_str()) {
            (Some(height), Some(hash)) => Ok((height, hash.to_owned())),
            _ => Err(NodeError::unexpected("getblockchaininfo", &info)),
        }
    }

    /// Hash (as displayed) of the best branch's block at a height.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn block_hash(&self, height: u64) -> Result<String, NodeError> {
        self.text("getblockhash", json!([height])).await
    }

    /// An address of the same wallet that mining and change do not go to.
    #[must_use]
    pub fn other_address(&self) -> &str {
        &self.wallet.other_address
    }

    /// The development key's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.wallet.address
    }

    /// Mines blocks to the development key; returns their hashes (as displayed).
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn mine(&self, blocks: u64) -> Result<Vec<String>, NodeError> {
        self.mine_to(blocks, &self.wallet.address).await
    }

    /// Mines blocks to another key than [`Self::mine`]: on two nodes with the same chain the one and the
    /// other make different blocks. Returns their hashes (as displayed).
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn mine_competing(&self, blocks: u64) -> Result<Vec<String>, NodeError> {
        self.mine_to(blocks, &self.wallet.other_address).await
    }

    async fn mine_to(&self, blocks: u64, address: &str) -> Result<Vec<String>, NodeError> {
        let answer = self.call("generatetoaddress", json!([blocks, address])).await?;
        serde_json::from_value(answer.clone())
            .map_err(|_| NodeError::unexpected("generatetoaddress", &answer))
    }

    /// Mines a block with these raw transactions only, none of the node's pool; returns its hash (as displayed).
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn mine_only(&self, transactions: &[String]) -> Result<String, NodeError> {
        let block =
            self.call("generateblock", json!([self.wallet.other_address, transactions])).await?;
        let hash = block["hash"].as_str().map(str::to_owned);
        hash.ok_or_else(|| NodeError::unexpected("generateblock", &block))
    }

    /// A raw transaction that spends what a payment of the development key spends, back to the key, while the payment is in no
    /// block. It is not sent: the node's pool prefers the payment.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn double_spend(&self, payment: &str) -> Result<String, NodeError> {
        let spent = self.call("getrawtransaction", json!([payment, true])).await?;
        let input = json!([{ "txid": spent["vin"][0]["txid"], "vout": spent["vin"][0]["vout"] }]);
        let outputs = json!([{ &self.wallet.address: amount(FEE) }]);
        let raw = self.text("createrawtransaction", json!([input, outputs])).await?;
        let signed = self.call("signrawtransactionwithkey", json!([raw, [WALLET_KEY]])).await?;
        match signed["hex"].as_str().filter(|_| signed["complete"] == true) {
            Some(hex) => Ok(hex.to_owned()),
            None => Err(NodeError::unexpected("signrawtransactionwithkey", &signed)),
        }
    }

    /// Marks a block and its descendants invalid: the node goes back before it.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn invalidate_block(&self, hash: &str) -> Result<(), NodeError> {
        self.call("invalidateblock", json!([hash])).await.map(drop)
    }

    /// Undoes [`Self::invalidate_block`].
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn reconsider_block(&self, hash: &str) -> Result<(), NodeError> {
        self.call("reconsiderblock", json!([hash])).await.map(drop)
    }

    /// Replaces the last `depth` blocks by `depth + 1` others. Returns the hash (as displayed) of the
    /// lowest block replaced. Payments in the replaced blocks are mined again.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn reorg(&self, depth: u64) -> Result<String, NodeError> {
        let (height, _) = self.tip().await?;
        let first = self.block_hash(height.saturating_sub(depth).saturating_add(1)).await?;
        self.invalidate_block(&first).await?;
        self.mine_competing(depth.saturating_add(1)).await?;
        self.wallet.coins.lock().await.clear();
        Ok(first)
    }

    /// Sends satoshis from the development key to an address, or to itself where none is given;
    /// returns the transaction id (as displayed). The payment is in the node's pool, not yet mined.
    ///
    /// # Errors
    /// As [`Self::call`]; [`NodeError::Unexpected`] when the key has no mature output that is large
    /// enough: the first is mature after 101 blocks.
    pub async fn pay(&self, to: Option<&str>, satoshis: u64) -> Result<String, NodeError> {
        let to = to.unwrap_or(&self.wallet.other_address);
        self.send(&[json!({ to: amount(satoshis) })], satoshis).await
    }

    /// Stores data, given in hexadecimal, in an `OP_RETURN` output; otherwise as [`Self::pay`]. The data is in
    /// output 0, the change in output 1.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn store(&self, data: &str) -> Result<String, NodeError> {
        self.send(&[json!({ "data": data })], 0).await
    }

    /// [`Self::pay`] and [`Self::store`] in one transaction: the payment is output 0, the data output 1.
    ///
    /// # Errors
    /// As [`Self::pay`].
    pub async fn pay_and_store(
        &self,
        to: &str,
        satoshis: u64,
        data: &str,
    ) -> Result<String, NodeError> {
        self.send(&[json!({ to: amount(satoshis) }), json!({ "data": data })], satoshis).await
    }

    /// Makes a transaction with these first outputs.
    async fn send(&self, outputs: &[Value], satoshis: u64) -> Result<String, NodeError> {
        let mut coins = self.wallet.coins.lock().await;
        let mut refilled = false;
        loop {
            let needed = satoshis.saturating_add(FEE);
            let found = coins.iter().position(|(_, _, value)| *value > needed);
            let Some(position) = found else {
                if refilled {
                    let seen = json!({ "spendable outputs": coins.len(), "needed": needed });
                    return Err(NodeError::unexpected("looking for an output to spend", &seen));
                }
                *coins = self.spendable().await?;
                refilled = true;
                continue;
            };
            let coin = coins.remove(position);
            match self.send_from(&coin, outputs, satoshis).await {
                // The output is gone, by a reorganisation or in the pool: take another.
                Err(NodeError::Rpc { code: -25 | -26, .. }) if !coins.is_empty() || !refilled => {}
                outcome => return outcome,
            }
        }
    }

    async fn send_from(
        &self,
        (txid, vout, value): &(String, u64, u64),
        outputs: &[Value],
        satoshis: u64,
    ) -> Result<String, NodeError> {
        let own = self.wallet.address.as_str();
        let change = value.saturating_sub(satoshis).saturating_sub(FEE);
        let input = json!([{ "txid": txid, "vout": vout }]);
        let mut outputs = outputs.to_vec();
        outputs.push(json!({ own: amount(change) }));
        let raw = self.text("createrawtransaction", json!([input, outputs])).await?;
        let signed = self.call("signrawtransactionwithkey", json!([raw, [WALLET_KEY]])).await?;
        if signed["complete"] != true {
            // The output was spent by a block already.
            let message = signed["errors"].to_string();
            let method = String::from("signrawtransactionwithkey");
            return Err(NodeError::Rpc { method, code: -25, message });
        }
        self.text("sendrawtransaction", json!([signed["hex"]])).await
    }

    /// The key's outputs that a block may spend now.
    async fn spendable(&self) -> Result<Vec<(String, u64, u64)>, NodeError> {
        let scan = self
            .call("scantxoutset", json!(["start", [{ "desc": self.wallet.descriptor }]]))
            .await?;
        let shape = || NodeError::unexpected("scantxoutset", &scan);
        let height = scan["height"].as_u64().ok_or_else(shape)?;
        let mut coins = Vec::new();
        for coin in scan["unspents"].as_array().ok_or_else(shape)? {
            let mined = coin["height"].as_u64().ok_or_else(shape)?;
            let mature = mined.saturating_add(MATURITY) <= height.saturating_add(1);
            if coin["coinbase"] == true && !mature {
                continue;
            }
            let txid = coin["txid"].as_str().ok_or_else(shape)?.to_owned();
            let vout = coin["vout"].as_u64().ok_or_else(shape)?;
            let value = coin["amount"].as_f64().ok_or_else(shape)?;
            // Amounts are printed with eight decimals; 2^53 satoshis are four times all that exist.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let satoshis = (value * COIN as f64).round() as u64;
            coins.push((mined, (txid, vout, satoshis)));
        }
        // Oldest first: their payments survive a reorganisation, which makes young rewards immature.
        coins.sort_unstable();
        Ok(coins.into_iter().map(|(_, coin)| coin).collect())
    }

    /// Fails if the node has ended by itself.
    ///
    /// # Errors
    /// [`NodeError::Ended`] with the end of its log.
    pub fn check(&self) -> Result<(), NodeError> {
        self.process.check_running()
    }

    /// Stops the node in an orderly way; what it knows is on disk afterwards.
    ///
    /// # Errors
    /// [`NodeError::Deadline`] if it had to be killed.
    pub async fn stop(&mut self) -> Result<(), NodeError> {
        self.process.stop(STOP).await.map(drop)
    }

    /// Starts the node again, after [`Self::stop`] or a kill, on the same data and port.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&mut self) -> Result<(), NodeError> {
        let (process, rpc) = launch(&self.config, &self.folder, self.ports).await?;
        self.process = process;
        self.rpc = rpc;
        Ok(())
    }
}

/// A hash as displayed in the form of the main chain: internal order, `0x`.
pub fn internal(displayed: &str) -> String {
    let bytes: Vec<&str> = (0..displayed.len() / 2).map(|i| &displayed[2 * i..2 * i + 2]).collect();
    bytes.iter().rev().fold(String::from("0x"), |text, byte| text + byte)
}

async fn launch(
    config: &BitcoindConfig,
    folder: &Folder,
    ports: Ports,
) -> Result<(Process, Rpc), NodeError> {
    let port = ports.rpc;
    let mut args: Vec<OsString> = [
        "-regtest",
        "-server=1",
        "-rest=1",
        "-txindex=1",
        "-connect=0",
        "-dnsseed=0",
        "-fixedseeds=0",
        "-rpcbind=127.0.0.1",
        "-rpcallowip=127.0.0.1",
        "-dbcache=16",
        "-printtoconsole=1",
        // Its own log file would say the same again.
        "-nodebuglogfile",
    ]
    .map(OsString::from)
    .to_vec();
    match ports.peers {
        Some(port) => {
            args.push("-listen=1".into());
            args.push(format!("-bind=127.0.0.1:{port}").into());
        }
        None => args.push("-listen=0".into()),
    }
    args.push(format!("-rpcport={port}").into());
    args.push(format!("-datadir={}", folder.path().display()).into());
    if let Some((user, password)) = &config.login {
        args.push(format!("-rpcuser={user}").into());
        args.push(format!("-rpcpassword={password}").into());
    } else {
        // Of an earlier run that was killed: the new one must not be taken for ready by it.
        drop(std::fs::remove_file(cookie_file(folder.path())));
    }
    args.extend(config.args.iter().map(OsString::from));
    let spec = Spec {
        name: String::from("bitcoind"),
        program: programs::bitcoind()?,
        args,
        env: Vec::new(),
        folder: folder.path().to_owned(),
        log: folder.path().join("bitcoind.log"),
    };
    let mut process = Process::start(&spec)?;
    let url = format!("http://127.0.0.1:{port}");
    let rpc = process
        .wait_ready(READY, || async {
            let rpc = connect(config, folder.path(), &url)?;
            rpc.call("getblockchaininfo", json!([])).await?;
            Ok(rpc)
        })
        .await?;
    Ok((process, rpc))
}

fn connect(config: &BitcoindConfig, folder: &Path, url: &str) -> Result<Rpc, NodeError> {
    if let Some((user, password)) = &config.login {
        return Ok(Rpc::with_login(url, user, password));
    }
    let file = cookie_file(folder);
    let cookie = std::fs::read_to_string(&file)
        .map_err(NodeError::io(format!("reading the cookie {}", file.display())))?;
    let (user, password) = cookie.trim().split_once(':').unwrap_or_else(|| (cookie.trim(), ""));
    Ok(Rpc::with_login(url, user, password))
}

fn cookie_file(folder: &Path) -> PathBuf {
    folder.join("regtest").join(".cookie")
}

async fn open_wallet(rpc: &Rpc) -> Result<Wallet, NodeError> {
    let (address, descriptor) = address_of(rpc, WALLET_KEY).await?;
    let (other_address, _) = address_of(rpc, OTHER_KEY).await?;
    Ok(Wallet { address, descriptor, other_address, coins: Mutex::new(Vec::new()) })
}

/// The segregated-witness address of a key, and its descriptor.
async fn address_of(rpc: &Rpc, key: &str) -> Result<(String, String), NodeError> {
    let info = rpc.call("getdescriptorinfo", json!([format!("wpkh({key})")])).await?;
    let descriptor = info["descriptor"]
        .as_str()
        .ok_or_else(|| NodeError::unexpected("getdescriptorinfo", &info))?;
    let answer = rpc.call("deriveaddresses", json!([descriptor])).await?;
    let address =
        answer[0].as_str().ok_or_else(|| NodeError::unexpected("deriveaddresses", &answer))?;
    Ok((address.to_owned(), descriptor.to_owned()))
}

async fn text(rpc: &Rpc, method: &str, params: Value) -> Result<String, NodeError> {
    let answer = rpc.call(method, params).await?;
    answer.as_str().map(str::to_owned).ok_or_else(|| NodeError::unexpected(method, &answer))
}

/// Satoshis as the decimal text that RPC takes.
fn amount(satoshis: u64) -> String {
    format!("{}.{:08}", satoshis / COIN, satoshis % COIN)
}
