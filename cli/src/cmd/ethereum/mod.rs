//! `grid ethereum`: light clients of Ethereum chains.

mod checkpoint;
mod sync_status;
mod verify_update;

pub(super) use checkpoint::newest;

use std::process::ExitCode;

use eyre::Result;

use super::block_on;
use crate::{args::EthereumCommand, home::Home, output::Output};

pub(super) fn run(home: &Home, command: &EthereumCommand, out: Output) -> Result<ExitCode> {
    let done = |result: Result<()>| result.map(|()| ExitCode::SUCCESS);
    match command {
        EthereumCommand::Checkpoint(args) => done(block_on(checkpoint::run(home, args, out))),
        EthereumCommand::SyncStatus(args) => done(block_on(sync_status::run(home, args, out))),
        EthereumCommand::VerifyUpdate(args) => verify_update::run(home, args, out),
    }
}
