//! What the daemon does on signals: SIGINT and SIGTERM stop it in order, a second one at once; SIGHUP reads the
//! settings again.

use core::{fmt, future::Future};

use eyre::{Result, WrapErr as _};
use grid_relayer::Reload;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// The signals of this process.
#[derive(Debug)]
pub(super) struct Signals {
    /// Cancelled by the first signal to stop.
    pub(super) stop: CancellationToken,
    at_once: CancellationToken,
    hangup: Signal,
}

/// The daemon was told a second time to stop.
#[derive(Debug)]
pub(super) struct StoppedAtOnce;

impl fmt::Display for StoppedAtOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "stopped at once by a second signal; what was under way goes on with the next start",
        )
    }
}

impl std::error::Error for StoppedAtOnce {}

impl Signals {
    /// Takes the signals over.
    pub(super) fn install() -> Result<Self> {
        let on = |kind| signal(kind).wrap_err("signals cannot be handled");
        let (mut interrupt, mut terminate) =
            (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
        let hangup = on(SignalKind::hangup())?;
        let (stop, at_once) = (CancellationToken::new(), CancellationToken::new());
        let tokens = [(stop.clone(), "stopping"), (at_once.clone(), "stopping at once")];
        tokio::spawn(async move {
            for (token, word) in tokens {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                info!("{word}");
                token.cancel();
            }
        });
        Ok(Self { stop, at_once, hangup })
    }

    /// Runs the daemon to its end, or to the second signal.
    pub(super) async fn run(
        mut self,
        settings: &dyn Reload,
        daemon: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        tokio::pin!(daemon);
        loop {
            tokio::select! {
                result = &mut daemon => return result,
                () = self.at_once.cancelled() => return Err(StoppedAtOnce.into()),
                Some(()) = self.hangup.recv() => reload(settings).await,
            }
        }
    }
}

/// Reads the settings again and says line by line what came of it.
async fn reload(settings: &dyn Reload) {
    match settings.reload().await {
        Ok(changes) if changes.is_empty() => info!("settings read again: nothing has changed"),
        Ok(changes) => {
            for change in changes {
                info!("settings read again: {change}");
            }
        }
        Err(reason) => error!("settings read again and refused, nothing has changed: {reason}"),
    }
}
