//! A child process that cannot be left behind.
//!
//! - Dropping the value kills the process and waits for its end.
//! - If the starting process dies without dropping it (a killed test, a crash), the kernel kills
//!   the child: it is started through `setpriv --pdeathsig KILL` (util-linux), which asks for that
//!   and then becomes the program. The signal is bound to the *thread* that started the child, so
//!   all children are started by one thread that lives as long as this process.
//! - Each child has a process group of its own, so that Ctrl-C in a terminal reaches only the
//!   program that started the nodes, and that one can stop them in order.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::NodeError;

/// How often a child's end is looked for.
const POLL: Duration = Duration::from_millis(20);
/// How much of a log goes into an error.
const TAIL_BYTES: u64 = 4096;

/// What to start.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The name shown in errors.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Environment variables added to this process's own.
    pub env: Vec<(String, OsString)>,
    /// The folder it runs in.
    pub folder: PathBuf,
    /// The file that its output is appended to.
    pub log: PathBuf,
}

/// A running child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    /// Locked for moments only, so that a shared process can be watched.
    child: Mutex<Child>,
    id: u32,
}

impl Process {
    /// Starts a program.
    ///
    /// # Errors
    /// [`NodeError::Io`] when its log cannot be opened or it cannot be run.
    pub fn start(spec: &Spec) -> Result<Self, NodeError> {
        let open = || OpenOptions::new().create(true).append(true).open(&spec.log);
        let describe = || format!("opening the log {}", spec.log.display());
        let out = open().map_err(NodeError::io(describe()))?;
        let err = open().map_err(NodeError::io(describe()))?;
        let mut command = guarded(&spec.program);
        command
            .args(&spec.args)
            .envs(spec.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&spec.folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0);
        let child =
            spawn(command).map_err(NodeError::io(format!("running {}", spec.program.display())))?;
        let id = child.id();
        Ok(Self { name: spec.name.clone(), log: spec.log.clone(), child: Mutex::new(child), id })
    }

    /// The process id.
    pub const fn id(&self) -> u32 {
        self.id
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file its output goes to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Fails if the process has ended.
    ///
    /// # Errors
    /// [`NodeError::Ended`] with the end of its log.
    pub fn check_running(&self) -> Result<(), NodeError> {
        let looked = self.child().try_wait();
        match looked {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(source) => Err(NodeError::io(format!("watching {}", self.name))(source)),
        }
    }

    fn ended(&self, status: ExitStatus) -> NodeError {
        NodeError::Ended {
            name: self.name.clone(),
            status: status.to_string(),
            log: self.log.clone(),
            tail: self.log_tail(),
        }
    }

    /// Asks `probe` until it succeeds.
    ///
    /// # Errors
    /// [`NodeError::Ended`] when the process ends, [`NodeError::NotReady`] at the deadline.
    pub async fn wait_ready<T, F, Fut>(
        &mut self,
        limit: Duration,
        mut probe: F,
    ) -> Result<T, NodeError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, NodeError>>,
    {
        let started = Instant::now();
        loop {
            self.check_running()?;
            let left = limit.saturating_sub(started.elapsed());
            let reason = match tokio::time::timeout(left, probe()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => error.to_string(),
                Err(_) => String::from("it does not answer"),
            };
            if started.elapsed() >= limit {
                return Err(NodeError::NotReady {
                    name: self.name.clone(),
                    waited: limit,
                    reason,
                    log: self.log.clone(),
                    tail: self.log_tail(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// [`NodeError::Deadline`] if it still runs after `limit`; it is left running.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus, NodeError> {
        let started = Instant::now();
        loop {
            let status = self
                .child()
                .try_wait()
                .map_err(NodeError::io(format!("watching {}", self.name)))?;
            if let Some(status) = status {
                return Ok(status);
            }
            if started.elapsed() >= limit {
                return Err(NodeError::Deadline {
                    what: format!("the end of {}", self.name),
                    waited: limit,
                    last: format!("still running; end of its log:\n{}", self.log_tail()),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks the process to end (SIGTERM), and kills it if it has not within `limit`.
    ///
    /// # Errors
    /// [`NodeError::Deadline`] if it had to be killed: what it keeps may be incomplete.
    pub async fn stop(&mut self, limit: Duration) -> Result<ExitStatus, NodeError> {
        self.signal(Signal::TERM)?;
        let outcome = self.wait(limit).await;
        if outcome.is_err() {
            self.kill()?;
        }
        outcome
    }

    /// Kills the process at once (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// [`NodeError::Io`] when the system refuses.
    pub fn kill(&mut self) -> Result<(), NodeError> {
        let what = || format!("killing {}", self.name);
        self.child().kill().map_err(NodeError::io(what()))?;
        self.child().wait().map_err(NodeError::io(what()))?;
        Ok(())
    }

    /// Stops the process where it stands (SIGSTOP): it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// [`NodeError::Io`] when the system refuses.
    pub fn pause(&self) -> Result<(), NodeError> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on (SIGCONT).
    ///
    /// # Errors
    /// [`NodeError::Io`] when the system refuses.
    pub fn resume(&self) -> Result<(), NodeError> {
        self.signal(Signal::CONT)
    }

    /// Asks the process to end (SIGTERM) and does not wait for it.
    ///
    /// # Errors
    /// [`NodeError::Io`] when the system refuses.
    pub fn terminate(&self) -> Result<(), NodeError> {
        self.signal(Signal::TERM)
    }

    /// Asks the process to read its settings again (SIGHUP).
    ///
    /// # Errors
    /// [`NodeError::Io`] when the system refuses.
    pub fn hang_up(&self) -> Result<(), NodeError> {
        self.signal(Signal::HUP)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), NodeError> {
        // The child is not waited for by anyone else, so that its id cannot have been reused.
        let pid = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        let outcome = pid.map_or(Ok(()), |pid| kill_process(pid, signal));
        match outcome {
            // Ended already, and collected by an earlier look at it.
            Err(rustix::io::Errno::SRCH) => Ok(()),
            other => {
                other.map_err(|e| NodeError::io(format!("signalling {}", self.name))(e.into()))
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing is left to report to here; an error means that it has ended already.
        drop(self.child().kill());
        drop(self.child().wait());
    }
}

/// The command, asking the kernel to kill the program with this process where that is possible.
fn guarded(program: &Path) -> Command {
    static SETPRIV: OnceLock<bool> = OnceLock::new();
    let available = *SETPRIV.get_or_init(|| {
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "true"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    if !available {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    // A parent that died before the request was made sends no signal: the child is somebody else's then,
    // and does not become the program.
    command
        .args(["--pdeathsig", "KILL", "--", "sh", "-c", r#"[ "$PPID" = "$0" ] && exec "$@""#])
        .arg(std::process::id().to_string())
        .arg(program);
    command
}

type Order = (Command, mpsc::Sender<std::io::Result<Child>>);

/// Starts a child from the one thread that starts all of them.
fn spawn(command: Command) -> std::io::Result<Child> {
    static STARTER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (send, receive) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in receive {
                // Whoever asked may be gone: then the child is dropped, and nobody needs it.
                drop(answer.send(command.spawn()));
            }
        });
        send
    });
    let (send, receive) = mpsc::channel();
    let gone = |_| std::io::Error::other("the thread that starts processes is gone");
    starter.send((command, send)).map_err(|_| gone(mpsc::RecvError))?;
    receive.recv().map_err(gone)?
}

/// The last lines of a file, or why it cannot be read.
pub fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(unreadable: {error})"))
}
