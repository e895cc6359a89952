//! The `grid` daemon and its command line.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    NodeError,
    process::{Process, Spec},
    programs,
    rpc::{self, Rpc},
};

/// How long a start may take.
const READY: Duration = Duration::from_secs(60);
/// How long an orderly stop may take: the daemon promises ten seconds.
const STOP: Duration = Duration::from_secs(20);

/// The system contract with the index.
const LIGHT_CLIENTS: &str = "0x0000000000000000000000000000000000001002";

/// How to start the daemon. Its configuration is the home folder's `grid.toml`, which
/// [`Grid::run`] with `init` creates.
#[derive(Debug, Clone)]
pub struct GridConfig {
    /// Home folder: configuration, genesis, keys, data.
    pub home: PathBuf,
    /// Address of the main chain's JSON-RPC, as configured.
    pub rpc: String,
    /// Address of health, metrics and API, as configured.
    pub listen: String,
    /// The daemon's command: `["start"]`, `["node", "run"]`, …
    pub command: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
}

/// A running daemon.
#[derive(Debug)]
pub struct Grid {
    process: Process,
    rpc: Rpc,
    config: GridConfig,
}

impl Grid {
    /// Starts the daemon and waits until it is alive: the main chain answers and `/livez` is 200.
    ///
    /// # Errors
    /// [`NodeError::ProgramMissing`], [`NodeError::Ended`] or [`NodeError::NotReady`], the latter two
    /// with the end of the daemon's log.
    pub async fn start(config: GridConfig) -> Result<Self, NodeError> {
        let (process, rpc) = launch(&config).await?;
        Ok(Self { process, rpc, config })
    }

    /// Starts the daemon without waiting for anything, for configurations that must fail.
    ///
    /// # Errors
    /// [`NodeError::ProgramMissing`] or [`NodeError::Io`].
    pub fn spawn(config: &GridConfig) -> Result<Process, NodeError> {
        let mut args = vec![OsString::from("--home"), config.home.clone().into()];
        args.extend(config.command.iter().map(OsString::from));
        Process::start(&Spec {
            name: format!("grid {}", config.command.join(" ")),
            program: programs::grid()?,
            args,
            env: config.env.iter().map(|(k, v)| (k.clone(), v.into())).collect(),
            folder: config.home.clone(),
            log: config.home.join("daemon.log"),
        })
    }

    /// Runs a command of `grid` to its end and returns what it wrote to standard output.
    ///
    /// # Errors
    /// [`NodeError::Command`] with the end of its error output when it exits with an error.
    pub async fn run(home: &Path, args: &[&str]) -> Result<String, NodeError> {
        let program = programs::grid()?;
        let mut line = vec!["--home".to_owned(), home.display().to_string()];
        line.extend(args.iter().map(|a| (*a).to_owned()));
        run(&program, &line, &[]).await
    }

    /// The main chain's JSON-RPC.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &GridConfig {
        &self.config
    }

    /// The process, for pausing, killing and looking at its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Calls a method of the main chain.
    ///
    /// # Errors
    /// [`NodeError::Rpc`] with the node's error, [`NodeError::Transport`] when it does not answer.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, NodeError> {
        self.rpc.call(method, params).await
    }

    /// The main chain's view of the followed chain whose id begins with `family`, such as `bip122:`.
    ///
    /// # Errors
    /// As [`Self::call`]; [`NodeError::Unexpected`] where it follows no such chain.
    pub async fn chain(&self, family: &str) -> Result<Value, NodeError> {
        let mut chains = self.call("grid_chains", json!([])).await?;
        let list = chains.as_array_mut().map(std::mem::take).unwrap_or_default();
        let is = |chain: &Value| chain["id"].as_str().is_some_and(|id| id.starts_with(family));
        let none = || NodeError::unexpected("grid_chains", &json!({ "no": family }));
        list.into_iter().find(is).ok_or_else(none)
    }

    /// First height and number of the headers of a chain ([`Self::chain`]) in the index, by the system contract.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn indexed(&self, chain: &Value) -> Result<(u64, u64), NodeError> {
        // confirmed(bytes32): the selector, then the key.
        let key = chain["key"].as_str().unwrap_or_default().trim_start_matches("0x");
        let data = format!("0xdbfe791b{key}");
        let call = json!([{ "to": LIGHT_CLIENTS, "data": data }, "latest"]);
        let answer = self.call("eth_call", call).await?;
        let words = answer.as_str().unwrap_or_default().trim_start_matches("0x");
        let word = |at: usize| {
            let digits = words.get(64 * at + 48..64 * at + 64)?;
            u64::from_str_radix(digits, 16).ok()
        };
        word(0).zip(word(1)).ok_or_else(|| NodeError::unexpected("eth_call", &answer))
    }

    /// Fetches a page of the daemon's HTTP interface, such as `/readyz`: status and text.
    ///
    /// # Errors
    /// [`NodeError::Transport`] when it does not answer.
    pub async fn get(&self, path: &str) -> Result<(u16, String), NodeError> {
        rpc::get(&format!("http://{}{path}", self.config.listen)).await
    }

    /// Fails if the daemon has ended by itself.
    ///
    /// # Errors
    /// [`NodeError::Ended`] with the end of its log.
    pub fn check(&self) -> Result<(), NodeError> {
        self.process.check_running()
    }

    /// Stops the daemon in an orderly way.
    ///
    /// # Errors
    /// [`NodeError::Deadline`] if it had to be killed.
    pub async fn stop(&mut self) -> Result<(), NodeError> {
        self.process.stop(STOP).await.map(drop)
    }

    /// Starts the daemon again after a stop or a kill.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&mut self) -> Result<(), NodeError> {
        let (process, rpc) = launch(&self.config).await?;
        self.process = process;
        self.rpc = rpc;
        Ok(())
    }
}

async fn launch(config: &GridConfig) -> Result<(Process, Rpc), NodeError> {
    let mut process = Grid::spawn(config)?;
    let rpc = Rpc::new(format!("http://{}", config.rpc));
    let with_chain = config.command.first().is_none_or(|word| word != "relayer");
    let with_http = config.command.first().is_none_or(|word| word != "node");
    process
        .wait_ready(READY, || async {
            if with_chain {
                rpc.call("eth_blockNumber", Value::Array(Vec::new())).await?;
            }
            if with_http {
                let url = format!("http://{}/livez", config.listen);
                let (status, text) = rpc::get(&url).await?;
                if status != 200 {
                    return Err(NodeError::Unexpected { method: url, answer: text });
                }
            }
            Ok(())
        })
        .await?;
    process.check_running()?;
    Ok((process, rpc))
}

/// Runs a program to its end, away from the asynchronous threads, and returns its output.
pub(crate) async fn run(
    program: &Path,
    args: &[String],
    env: &[(String, String)],
) -> Result<String, NodeError> {
    let command_line = format!("{} {}", program.display(), args.join(" "));
    let mut command = Command::new(program);
    command.args(args).envs(env.iter().map(|(k, v)| (k, v))).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .map_err(|error| NodeError::io(command_line.clone())(std::io::Error::other(error)))?
        .map_err(NodeError::io(command_line.clone()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(NodeError::Command {
        command: command_line,
        status: output.status.to_string(),
        output: format!("{text}{}", String::from_utf8_lossy(&output.stderr)),
    })
}

/// Runs Foundry's `cast` to its end and returns its output without the final line break.
///
/// # Errors
/// [`NodeError::ProgramMissing`]; [`NodeError::Command`] when it exits with an error.
pub async fn cast(args: &[&str]) -> Result<String, NodeError> {
    let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
    // Its own terminal output is of no use to a program.
    let env = [(String::from("NO_COLOR"), String::from("1"))];
    run(&programs::cast()?, &args, &env).await.map(|text| text.trim_end().to_owned())
}
