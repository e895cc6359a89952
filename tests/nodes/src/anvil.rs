//! anvil, Foundry's Ethereum development node.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    NodeError,
    folder::Folder,
    ports,
    process::{Process, Spec},
    programs,
    rpc::Rpc,
};

/// How long a start may take.
const READY: Duration = Duration::from_secs(60);
/// How long an orderly stop may take: it writes its state.
const STOP: Duration = Duration::from_secs(30);
/// Gas of a development transaction: deployments are the largest.
const GAS: &str = "0x2dc6c0";

/// How to start a node.
#[derive(Debug, Clone)]
pub struct AnvilConfig {
    /// Folder of the log and the state, kept afterwards; a temporary one where absent.
    pub folder: Option<PathBuf>,
    /// Port; a free one where absent.
    pub port: Option<u16>,
    /// Chain id.
    pub chain_id: u64,
    /// A block each so many seconds; where absent, a block with each transaction and by
    /// [`Anvil::mine`].
    pub block_time: Option<u64>,
    /// Slots in an epoch E: `safe` is the block E before the newest, `finalized` 2E before it.
    pub slots_in_epoch: u64,
    /// Keep the chain in the folder at the end and go on with it at the next start.
    pub keep_state: bool,
    /// More command line arguments.
    pub args: Vec<String>,
}

impl Default for AnvilConfig {
    fn default() -> Self {
        Self {
            folder: None,
            port: None,
            chain_id: 31_337,
            block_time: None,
            slots_in_epoch: 4,
            keep_state: false,
            args: Vec::new(),
        }
    }
}

/// A running anvil node.
#[derive(Debug)]
pub struct Anvil {
    process: Process,
    rpc: Rpc,
    config: AnvilConfig,
    folder: Folder,
    port: u16,
    accounts: Vec<String>,
}

impl Anvil {
    /// Starts a node and waits until it answers.
    ///
    /// # Errors
    /// [`NodeError::ProgramMissing`], [`NodeError::Ended`] or [`NodeError::NotReady`], the latter two
    /// with the end of the node's log.
    pub async fn start(config: AnvilConfig) -> Result<Self, NodeError> {
        let folder = Folder::new(config.folder.as_deref())?;
        let port = config.port.map_or_else(ports::free, Ok)?;
        let (process, rpc) = launch(&config, &folder, port).await?;
        let answer = rpc.call("eth_accounts", json!([])).await?;
        let accounts = serde_json::from_value(answer.clone())
            .map_err(|_| NodeError::unexpected("eth_accounts", &answer))?;
        Ok(Self { process, rpc, config, folder, port, accounts })
    }

    /// The address of the JSON-RPC interface.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The folder of the log and the state.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process, for pausing, killing and looking at its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The funded development accounts; the node signs for them.
    pub fn accounts(&self) -> &[String] {
        &self.accounts
    }

    /// One of the development accounts; they repeat.
    ///
    /// # Errors
    /// [`NodeError::Unexpected`] when the node has none.
    pub fn account(&self, number: usize) -> Result<&str, NodeError> {
        let index = number.checked_rem(self.accounts.len()).unwrap_or_default();
        self.accounts
            .get(index)
            .map(String::as_str)
            .ok_or_else(|| NodeError::unexpected("eth_accounts", &json!([])))
    }

    /// Calls a JSON-RPC method.
    ///
    /// # Errors
    /// [`NodeError::Rpc`] with the node's error, [`NodeError::Transport`] when it does not answer.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, NodeError> {
        self.rpc.call(method, params).await
    }

    /// The newest block's number.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn block_number(&self) -> Result<u64, NodeError> {
        let answer = self.call("eth_blockNumber", json!([])).await?;
        quantity(&answer).ok_or_else(|| NodeError::unexpected("eth_blockNumber", &answer))
    }

    /// Hash of the block with a number on the current chain.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn block_hash(&self, number: u64) -> Result<String, NodeError> {
        let answer =
            self.call("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await?;
        answer["hash"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| NodeError::unexpected("eth_getBlockByNumber", &answer))
    }

    /// Mines blocks.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn mine(&self, blocks: u64) -> Result<(), NodeError> {
        self.call("anvil_mine", json!([format!("{blocks:#x}")])).await.map(drop)
    }

    /// Replaces the last `depth` blocks by as many empty others.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn reorg(&self, depth: u64) -> Result<(), NodeError> {
        self.call("anvil_reorg", json!([depth, []])).await.map(drop)
    }

    /// Takes the last `depth` blocks away.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn rollback(&self, depth: u64) -> Result<(), NodeError> {
        self.call("anvil_rollback", json!([depth])).await.map(drop)
    }

    /// Sends a transaction from a development account; returns its hash.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn send(
        &self,
        from: &str,
        to: Option<&str>,
        data: &str,
        value: u128,
    ) -> Result<String, NodeError> {
        let mut transaction = json!({
            "from": from, "data": data, "value": format!("{value:#x}"), "gas": GAS,
        });
        if let Some(to) = to {
            transaction["to"] = json!(to);
        }
        let answer = self.call("eth_sendTransaction", json!([transaction])).await?;
        answer
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| NodeError::unexpected("eth_sendTransaction", &answer))
    }

    /// Waits for the receipt of a transaction.
    ///
    /// # Errors
    /// [`NodeError::Deadline`] if it is not mined within `limit`.
    pub async fn receipt(&self, hash: &str, limit: Duration) -> Result<Value, NodeError> {
        crate::wait_for(format!("the receipt of {hash}"), limit, || async {
            match self.call("eth_getTransactionReceipt", json!([hash])).await {
                Ok(Value::Null) => Err(String::from("not mined")),
                Ok(receipt) => Ok(receipt),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// Fails if the node has ended by itself.
    ///
    /// # Errors
    /// [`NodeError::Ended`] with the end of its log.
    pub fn check(&self) -> Result<(), NodeError> {
        self.process.check_running()
    }

    /// Stops the node in an orderly way; with [`AnvilConfig::keep_state`] its chain is on disk
    /// afterwards.
    ///
    /// # Errors
    /// [`NodeError::Deadline`] if it had to be killed.
    pub async fn stop(&mut self) -> Result<(), NodeError> {
        self.process.stop(STOP).await.map(drop)
    }

    /// Starts the node again, after [`Self::stop`] or a kill, on the same port.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&mut self) -> Result<(), NodeError> {
        let (process, rpc) = launch(&self.config, &self.folder, self.port).await?;
        self.process = process;
        self.rpc = rpc;
        Ok(())
    }
}

async fn launch(
    config: &AnvilConfig,
    folder: &Folder,
    port: u16,
) -> Result<(Process, Rpc), NodeError> {
    let mut args: Vec<OsString> = vec!["--host".into(), "127.0.0.1".into()];
    let mut option = |name: &str, value: String| {
        args.push(name.into());
        args.push(value.into());
    };
    option("--port", port.to_string());
    option("--chain-id", config.chain_id.to_string());
    option("--slots-in-an-epoch", config.slots_in_epoch.to_string());
    if let Some(seconds) = config.block_time {
        option("--block-time", seconds.to_string());
    }
    if config.keep_state {
        option("--state", folder.path().join("state.json").display().to_string());
        // Also while it runs, so that a crash costs seconds of the chain and not all of it.
        option("--state-interval", String::from("10"));
    }
    args.extend(config.args.iter().map(OsString::from));
    let spec = Spec {
        name: String::from("anvil"),
        program: programs::anvil()?,
        args,
        env: Vec::new(),
        folder: folder.path().to_owned(),
        log: folder.path().join("anvil.log"),
    };
    let mut process = Process::start(&spec)?;
    let rpc = Rpc::new(format!("http://127.0.0.1:{port}"));
    process
        .wait_ready(READY, || async {
            let answer = rpc.call("eth_chainId", json!([])).await?;
            // Another program may listen on the port; the node itself has ended then.
            (quantity(&answer) == Some(config.chain_id))
                .then_some(())
                .ok_or_else(|| NodeError::unexpected("eth_chainId", &answer))
        })
        .await?;
    process.check_running()?;
    Ok((process, rpc))
}

/// A JSON-RPC quantity: `0x` and hexadecimal digits.
pub(crate) fn quantity(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}
