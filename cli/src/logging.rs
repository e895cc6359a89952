//! Log output of the daemons: to standard error, filtered by `log.filter`.

use core::fmt;
use std::{io::IsTerminal as _, sync::Arc};

use eyre::{Result, WrapErr as _};
use tracing_subscriber::{EnvFilter, fmt::SubscriberBuilder, reload};

/// The filter of the installed log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogFilter(Arc<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>);

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogFilter")
    }
}

impl LogFilter {
    /// Filters by other directives from now on.
    pub(crate) fn set(&self, directives: &str) -> Result<()> {
        (self.0)(parse(directives)?).wrap_err("the log's filter cannot be changed")
    }
}

/// Installs the subscriber.
pub(crate) fn install(directives: &str, json: bool) -> Result<LogFilter> {
    let builder = builder(directives)?;
    let installed = if json {
        let builder = builder.json().with_filter_reloading();
        let handle = builder.reload_handle();
        builder.try_init().map(|()| LogFilter(Arc::new(move |filter| handle.reload(filter))))
    } else {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        builder.try_init().map(|()| LogFilter(Arc::new(move |filter| handle.reload(filter))))
    };
    installed.map_err(|error| eyre::eyre!("cannot install logging: {error}"))
}

type Builder = SubscriberBuilder<
    tracing_subscriber::fmt::format::DefaultFields,
    tracing_subscriber::fmt::format::Format,
    EnvFilter,
    fn() -> std::io::Stderr,
>;

fn builder(directives: &str) -> Result<Builder> {
    Ok(tracing_subscriber::fmt()
        .with_env_filter(parse(directives)?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr as fn() -> std::io::Stderr))
}

/// Reads directives such as `info,grid_relayer=debug`.
pub(crate) fn parse(directives: &str) -> Result<EnvFilter> {
    EnvFilter::try_new(directives)
        .wrap_err_with(|| format!("log.filter: {directives:?} is not a valid filter"))
}
