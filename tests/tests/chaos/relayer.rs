//! One `grid relayer run` with its home, its line to the main chain and its disk.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use grid_test_nodes::{
    Disk, NodeError, Proxy, ports,
    process::{Process, Spec, tail},
    programs, rpc,
};
use serde_json::Value;

/// How long a dead relayer's work waits for another one, or for itself: shorter than by default, so that relayers which live for
/// seconds get something done.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// How long an answer about its state may take.
const ANSWER: Duration = Duration::from_secs(10);

/// What makes one relayer different from the next.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    /// Shown in messages; the folder's name.
    pub(crate) name: &'static str,
    /// The key of its home that pays.
    pub(crate) key: &'static str,
    /// A disk for its database that can be filled.
    pub(crate) disk: Option<Disk>,
    /// A database in place of its own file.
    pub(crate) store: Option<String>,
    /// Whether it leaves the Ethereum chain to others: that one's attester is the key `relayer`.
    pub(crate) bitcoin_only: bool,
}

/// A relayer that is started, killed and started again.
#[derive(Debug)]
pub(crate) struct Relayer {
    pub(crate) name: &'static str,
    /// To the main chain's node.
    pub(crate) line: Proxy,
    pub(crate) disk: Option<Disk>,
    /// A database in place of a file of its own.
    pub(crate) store: Option<String>,
    key: &'static str,
    home: PathBuf,
    listen: u16,
    process: Option<Process>,
}

impl Relayer {
    /// A relayer whose home exists, with a line of its own to the node's JSON-RPC. It does not run yet.
    pub(crate) async fn new(setup: Setup, home: PathBuf, rpc: u16) -> Result<Self, NodeError> {
        let Setup { name, key, disk, store, bitcoin_only: _ } = setup;
        let (line, listen) = (Proxy::to(rpc).await?, ports::free()?);
        Ok(Self { name, line, disk, store, key, home, listen, process: None })
    }

    /// Where Prometheus finds it.
    pub(crate) fn target(&self) -> String {
        format!("127.0.0.1:{}", self.listen)
    }

    /// Starts the process and waits for nothing.
    pub(crate) fn start(&mut self) -> Result<(), NodeError> {
        let folder = self.disk.as_ref().map_or_else(|| self.home.clone(), Disk::path);
        let file = folder.join("relayer.db").display().to_string();
        let env = [
            ("GRID_RELAYER_NAME", self.name.into()),
            ("GRID_RELAYER_KEY", format!("keys/{}.json", self.key)),
            ("GRID_RELAYER_STORE", self.store.clone().unwrap_or(file)),
            ("GRID_RELAYER_LISTEN", self.target()),
            ("GRID_RELAYER_ADMIN_LISTEN", String::from("127.0.0.1:0")),
            ("GRID_RELAYER_LEASE", format!("{}s", LEASE.as_secs())),
            ("GRID_RELAYER_MAIN_CHAIN", format!("http://127.0.0.1:{}", self.line.port())),
        ];
        let home = self.home.display().to_string();
        let spec = Spec {
            name: format!("relayer {}", self.name),
            program: programs::grid()?,
            args: ["--home", &home, "relayer", "run"].map(Into::into).to_vec(),
            env: env.map(|(name, value)| (name.to_owned(), value.into())).into(),
            folder: self.home.clone(),
            log: self.log_file(),
        };
        let spec = match &self.disk {
            Some(disk) => disk.inside(spec),
            None => spec,
        };
        self.process = Some(Process::start(&spec)?);
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<(), NodeError> {
        match self.process.take() {
            Some(mut process) => process.kill(),
            None => Ok(()),
        }
    }

    /// Fails if it has ended by itself.
    pub(crate) fn check_running(&self) -> Result<(), NodeError> {
        self.process.as_ref().map_or(Ok(()), Process::check_running)
    }

    fn log_file(&self) -> PathBuf {
        self.home.join("daemon.log")
    }

    /// Everything that it has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read(self.log_file())
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The end of its log.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log_file())
    }

    /// `/v1/status`.
    pub(crate) async fn status(&self) -> Result<Value, NodeError> {
        let url = format!("http://{}/v1/status", self.target());
        let answer = tokio::time::timeout(ANSWER, rpc::get(&url)).await;
        let (_, text) = answer.map_err(|_| NodeError::Transport {
            method: url.clone(),
            reason: format!("no answer within {ANSWER:?}"),
        })??;
        serde_json::from_str(&text).map_err(|_| NodeError::Unexpected { method: url, answer: text })
    }
}

/// Copies a home folder that was not started yet.
pub(crate) fn copy_home(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (source, target) = (entry?.path(), to.to_owned());
        let target = target.join(source.file_name().unwrap_or_default());
        if source.is_dir() {
            copy_home(&source, &target)?;
        } else {
            // Permissions go along: keys are for their owner only.
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
