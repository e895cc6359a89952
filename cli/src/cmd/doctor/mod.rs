//! `grid doctor`: looks at everything that the daemon is going to use, in the way in which the daemon uses it, and
//! names all that is wrong at once.

mod chain;
mod endpoint;
mod machine;
mod main_chain;
mod report;
mod secrets;

use std::{process::ExitCode, time::Duration};

use eyre::Result;
use futures::future::{BoxFuture, FutureExt as _, join_all};

use self::{
    main_chain::Asked,
    report::{Finding, Report},
};
use crate::{
    api::relayer_status,
    args::{Daemon, DoctorArgs},
    config::{Config, ConfigError, Fault},
    home::Home,
    output::Output,
};

/// The longest that one look takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What several looks need.
struct Site<'a> {
    home: &'a Home,
    config: &'a Config,
    /// The daemon that is going to run.
    daemon: Daemon,
    /// What the relayer says that runs already.
    running: Option<grid_relayer::Status>,
    main: Asked,
}

pub(super) async fn run(home: &Home, args: &DoctorArgs, out: Output) -> Result<ExitCode> {
    let findings = match home.load() {
        Ok(loaded) => examine(home, &loaded.config, args).await,
        Err(ConfigError::Faults { faults, .. }) => faults.iter().map(fault).collect(),
        Err(error) => {
            let file = home.config_file().display().to_string();
            let text = "correct the file; `grid config check` looks at it alone";
            vec![Finding::problem(
                "configuration",
                file,
                "a configuration",
                error.to_string(),
                text,
            )]
        }
    };
    let report = Report::new(findings);
    out.show(&report, Report::people)?;
    Ok(report.exit_code())
}

/// Nothing can be looked at before the configuration is one.
fn fault(fault: &Fault) -> Finding {
    let place = fault.origin.as_ref().map_or_else(
        || "correct it".into(),
        |origin| {
            format!("correct it ({origin}); the rest is looked at once the configuration is good")
        },
    );
    Finding::problem("configuration", &fault.path, "a good value", &fault.message, place)
}

async fn examine(home: &Home, config: &Config, args: &DoctorArgs) -> Vec<Finding> {
    let daemon = args.daemon.unwrap_or_else(|| usual(home, config));
    let (running, main) = tokio::join!(relayer_status(home), main_chain::ask(home, config));
    let site = Site { home, config, daemon, running, main };
    let mut looks: Vec<(&'static str, BoxFuture<'_, Vec<Finding>>)> = vec![
        ("keys", secrets::keys(&site).boxed()),
        ("secrets", async { secrets::files(&site) }.boxed()),
        ("database", machine::database(&site).boxed()),
        ("disk", async { machine::disk(&site) }.boxed()),
        ("ports", machine::ports(&site).boxed()),
        ("files", async { machine::open_files() }.boxed()),
        ("main chain", async { main_chain::look(&site) }.boxed()),
        ("wallet", main_chain::wallet(&site).boxed()),
        ("attesters", chain::attesters(&site).boxed()),
    ];
    for (n, section) in config.chains.iter().enumerate() {
        looks.push(("chain", chain::look(&site, n, section).boxed()));
    }
    let in_time = looks.into_iter().map(|(name, look)| async move {
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| vec![late(name)])
    });
    join_all(in_time).await.into_iter().flatten().collect()
}

fn late(name: &'static str) -> Finding {
    let expected = format!("an end within {} s", PATIENCE.as_secs());
    Finding::problem(name, name, expected, "none", "look at this machine's load, and try again")
}

/// `grid start` where the main chain's genesis is here and the relayer is told to use this node.
fn usual(home: &Home, config: &Config) -> Daemon {
    let own = config.relayer.main_chain.list() == [format!("http://{}", config.node.rpc)];
    if own && home.resolve(&config.node.genesis).exists() { Daemon::Start } else { Daemon::Relayer }
}
