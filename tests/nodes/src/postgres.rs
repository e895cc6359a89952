//! PostgreSQL, from Debian's package: a server of its own for tests of the relayer's storage.
//!
//! The server refuses to run as root; where the test does, it runs as the package's user `postgres`.
//! Its data is not synchronised to the disk unless that is asked for: killing the server loses nothing
//! then either, only a power failure would.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    NodeError,
    folder::Folder,
    ports,
    process::{Process, Spec},
    programs,
};

/// How long a start may take: after a kill the server repeats its log first, and waits for the children
/// of the one that was killed.
const READY: Duration = Duration::from_secs(60);
/// How long an orderly stop may take.
const STOP: Duration = Duration::from_secs(30);
/// The user that the server runs as where the test is root.
const USER: &str = "postgres";

/// The role with every right. It needs no password.
pub const ROLE: &str = "grid";
/// A role without a right to anything, which needs [`PASSWORD`].
pub const GUARDED: &str = "guarded";
/// The password of [`GUARDED`].
pub const PASSWORD: &str = "correct horse";

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct PostgresConfig {
    /// Wait for the disk at every commit, as a server in production does.
    pub durable: bool,
    /// Settings beside those that the server needs, as `name=value`.
    pub settings: Vec<String>,
}

/// A running PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    spec: Spec,
    port: u16,
    databases: AtomicU32,
    /// Removed after the process has ended.
    folder: Folder,
}

impl Postgres {
    /// Starts a server with the database `grid` and waits until it answers.
    ///
    /// # Errors
    /// [`NodeError::ProgramMissing`] (`scripts/setup-nodes --with-postgres` installs it),
    /// [`NodeError::Command`], [`NodeError::Ended`] or [`NodeError::NotReady`].
    pub async fn start() -> Result<Self, NodeError> {
        Self::start_with(PostgresConfig::default()).await
    }

    /// As [`Self::start`], with these settings.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(config: PostgresConfig) -> Result<Self, NodeError> {
        let program = programs::postgres()?;
        let folder = Folder::new(None)?;
        let port = ports::free()?;
        let data = folder.path().join("data");
        initialise(&program, folder.path(), &data)?;
        let (program, mut args) = unprivileged(&program);
        args.extend(["-D".into(), data.into(), "-k".into(), folder.path().into(), "-p".into()]);
        args.push(port.to_string().into());
        let mut settings = vec![String::from("listen_addresses=127.0.0.1")];
        if !config.durable {
            settings.extend(["fsync=off".into(), "full_page_writes=off".into()]);
        }
        settings.extend(config.settings);
        args.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting.into()]));
        let spec = Spec {
            name: String::from("postgres"),
            program,
            args,
            env: Vec::new(),
            folder: folder.path().to_owned(),
            log: folder.path().join("postgres.log"),
        };
        let process = Process::start(&spec)?;
        let mut server = Self { process, spec, port, databases: AtomicU32::new(0), folder };
        server.wait_ready().await?;
        server.sql("postgres", &format!("CREATE DATABASE {ROLE}"))?;
        server.sql("postgres", &format!("CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'"))?;
        Ok(server)
    }

    /// The URL of the database `grid`. No password is asked for.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(ROLE, ROLE)
    }

    /// The URL of a database for a role.
    #[must_use]
    pub fn url_of(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder of the server's unix socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// The port, also a part of the unix socket's name.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database and returns its URL.
    ///
    /// # Errors
    /// [`NodeError::Command`].
    pub fn database(&self) -> Result<String, NodeError> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} STRATEGY file_copy"))?;
        Ok(self.url_of(ROLE, &name))
    }

    /// Runs statements in a database and returns what they print, one row a line.
    ///
    /// # Errors
    /// [`NodeError::Command`] with the server's message.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String, NodeError> {
        let psql = sibling(&programs::postgres()?, "psql");
        let mut command = Command::new(psql);
        command
            .args(["-X", "-h", "127.0.0.1", "-U", ROLE, "-v", "ON_ERROR_STOP=1", "-Atc"])
            .arg(statements)
            .args(["-p", &self.port.to_string(), database]);
        let output = run(command, "psql")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Stops the server in order (its clients are cut off) and starts it again with the same data.
    ///
    /// # Errors
    /// As [`Self::start`], or [`NodeError::Deadline`] when it does not end.
    pub async fn restart(&mut self) -> Result<(), NodeError> {
        self.stop().await?;
        self.start_again().await
    }

    /// Stops the server in order: its clients are cut off.
    ///
    /// # Errors
    /// [`NodeError::Deadline`] when it does not end.
    pub async fn stop(&mut self) -> Result<(), NodeError> {
        self.process.signal(Signal::INT)?;
        self.process.wait(STOP).await.map(drop)
    }

    /// Kills the server at once (SIGKILL). Its children end as soon as they notice.
    ///
    /// # Errors
    /// [`NodeError::Io`] when the system refuses.
    pub fn kill(&mut self) -> Result<(), NodeError> {
        self.process.kill()
    }

    /// Starts a server that was stopped or killed, on the same data and port.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_again(&mut self) -> Result<(), NodeError> {
        let started = Instant::now();
        loop {
            self.process = Process::start(&self.spec)?;
            match self.wait_ready().await {
                // The children of a killed server still hold its memory.
                Err(NodeError::Ended { tail, .. })
                    if tail.contains("shared memory block") && started.elapsed() < READY =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Lets the server hang: connections stay, nothing answers. Connected clients are served by children
    /// of their own, so those hang too.
    ///
    /// # Errors
    /// [`NodeError::Command`] or [`NodeError::Io`] when the system refuses.
    pub fn pause(&self) -> Result<(), NodeError> {
        self.process.pause()?;
        self.signal_children("-STOP")
    }

    /// Lets a hanging server go on.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub fn resume(&self) -> Result<(), NodeError> {
        self.signal_children("-CONT")?;
        self.process.resume()
    }

    fn signal_children(&self, signal: &str) -> Result<(), NodeError> {
        let mut command = Command::new("pkill");
        command.args([signal, "-P", &self.process.id().to_string()]);
        run(command, "pkill").map(drop)
    }

    async fn wait_ready(&mut self) -> Result<(), NodeError> {
        let program = sibling(&programs::postgres()?, "pg_isready");
        let port = self.port.to_string();
        self.process
            .wait_ready(READY, || async {
                let mut command = Command::new(&program);
                command.args(["-q", "-h", "127.0.0.1", "-p", &port]);
                run(command, "pg_isready").map(drop)
            })
            .await
    }

    /// The process, for looking at its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        /// Longer than an immediate shutdown takes on a busy machine.
        const PATIENCE: Duration = Duration::from_secs(10);
        // With SIGQUIT the server also ends its children, which would still write into the folder.
        let asked = Instant::now();
        let mut alive = self.process.signal(Signal::QUIT).is_ok();
        while alive && asked.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
            alive = self.process.check_running().is_ok();
        }
    }
}

/// Makes the data folder, and says who may connect how.
fn initialise(program: &Path, folder: &Path, data: &Path) -> Result<(), NodeError> {
    const ACCESS: &str = "local all all trust\n\
                          host all guarded 127.0.0.1/32 scram-sha-256\n\
                          host all all 127.0.0.1/32 trust\n";
    if let Some((user, group)) = other_user() {
        let user = std::os::unix::fs::chown(folder, Some(user), Some(group));
        user.map_err(NodeError::io(format!("giving {} to {USER}", folder.display())))?;
    }
    let (initdb, args) = unprivileged(&sibling(program, "initdb"));
    let mut command = Command::new(initdb);
    command
        .args(args)
        .args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", ROLE, "-D"])
        .arg(data)
        .current_dir(folder);
    run(command, "initdb")?;
    let access = data.join("pg_hba.conf");
    std::fs::write(&access, ACCESS).map_err(NodeError::io(format!("writing {}", access.display())))
}

/// The user and group of the server where this process is root.
fn other_user() -> Option<(u32, u32)> {
    let id = |flag: &str, user: &str| -> Option<u32> {
        let output = Command::new("id").args([flag, user]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    rustix::process::geteuid().is_root().then_some(())?;
    Some((id("-u", USER)?, id("-g", USER)?))
}

/// The program and its first arguments that run `program` as a user who is not root. The kernel forgets
/// whom to kill with whom when a process changes its user, so that is said again.
fn unprivileged(program: &Path) -> (PathBuf, Vec<OsString>) {
    if other_user().is_none() {
        return (program.to_owned(), Vec::new());
    }
    let user = ["--reuid", USER, "--regid", USER, "--clear-groups", "--pdeathsig", "KILL", "--"];
    let mut args: Vec<OsString> = user.into_iter().map(Into::into).collect();
    args.push(program.into());
    (PathBuf::from("setpriv"), args)
}

/// Another program of the same installation.
fn sibling(program: &Path, name: &str) -> PathBuf {
    program.with_file_name(name)
}

fn run(mut command: Command, name: &str) -> Result<Output, NodeError> {
    let output = command.output().map_err(NodeError::io(format!("running {name}")))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(NodeError::Command {
        command: name.to_owned(),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
