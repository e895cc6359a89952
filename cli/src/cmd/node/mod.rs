//! `grid node`.

mod ask;
mod init;
mod run;

use std::process::ExitCode;

use eyre::Result;

use super::block_on;
use crate::{args::NodeCommand, home::Home, output::Output};

pub(super) use run::start;

/// Runs a command.
pub(super) fn run(home: &Home, command: &NodeCommand, out: Output) -> Result<ExitCode> {
    match command {
        NodeCommand::Init(args) => init::run(home, args, out),
        NodeCommand::Run => block_on(run::run(home, out)),
        NodeCommand::Status(args) => block_on(ask::status(home, args, out)),
        NodeCommand::Peers(args) => block_on(ask::peers(home, args, out)),
    }?;
    Ok(ExitCode::SUCCESS)
}
