//! Log output of the daemons: to standard error, filtered by `log.filter` or `RUST_LOG`.

use std::io::IsTerminal as _;

use eyre::{Result, WrapErr as _};
use tracing_subscriber::EnvFilter;

/// Installs the subscriber.
pub(crate) fn install(filter: &str, json: bool) -> Result<()> {
    let directives = std::env::var("RUST_LOG").unwrap_or_else(|_| filter.to_owned());
    let filter = EnvFilter::try_new(&directives)
        .wrap_err_with(|| format!("log.filter: {directives:?} is not a valid filter"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if json { builder.json().try_init() } else { builder.try_init() }
        .map_err(|error| eyre::eyre!("cannot install logging: {error}"))
}
