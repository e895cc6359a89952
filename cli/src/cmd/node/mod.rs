//! `grid node`.

mod run;

use std::process::ExitCode;

use eyre::Result;

use super::block_on;
use crate::{args::NodeCommand, home::Home, output::Output};

pub(super) use run::start;

/// Runs a command.
pub(super) fn run(home: &Home, command: &NodeCommand, out: Output) -> Result<ExitCode> {
    match command {
        NodeCommand::Run => block_on(run::run(home, out)),
    }?;
    Ok(ExitCode::SUCCESS)
}
