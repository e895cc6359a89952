//! `grid bitcoin`: what an auditor does with files and numbers alone.

mod file;
mod prove;
mod report;
mod risk;
mod verify_headers;
mod verify_proof;

use std::{fs, path::Path, process::ExitCode};

use eyre::{Result, WrapErr as _};
use grid_core::bitcoin::NetworkParams;

use crate::{args::BitcoinCommand, output::Output};

pub(super) fn run(command: &BitcoinCommand, out: Output) -> Result<ExitCode> {
    match command {
        BitcoinCommand::VerifyHeaders(args) => verify_headers::run(args),
        BitcoinCommand::Risk(args) => risk::run(args, out).map(|()| ExitCode::SUCCESS),
        BitcoinCommand::Prove(args) => prove::run(args, out).map(|()| ExitCode::SUCCESS),
        BitcoinCommand::VerifyProof(args) => verify_proof::run(args, out),
    }
}

/// A built-in network by its name, or another one by a JSON file with its parameters.
fn network(name: &str) -> Result<NetworkParams> {
    if Path::new(name).extension().is_none_or(|extension| extension != "json") {
        return NetworkParams::by_name(name)
            .wrap_err("--network takes one of these names, or a file NAME.json with parameters");
    }
    let text = fs::read_to_string(name).wrap_err_with(|| format!("cannot read {name}"))?;
    let params: NetworkParams =
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(&text))
            .wrap_err_with(|| format!("{name} does not hold a network's parameters"))?;
    params.validate().wrap_err_with(|| format!("{name} cannot be used"))?;
    Ok(params)
}
