//! The `grid` binary: parses arguments, loads the configuration and calls the libraries.

mod abi;
mod api;
mod args;
mod btc;
mod cmd;
mod config;
mod database;
mod eth;
mod home;
mod keys;
mod logging;
mod main_chain;
mod output;
mod proof_file;
mod reload;
#[cfg(test)]
mod runbooks;
mod screen;
mod sources;
mod trust;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let json = cli.json;
    match cmd::run(cli) {
        Ok(code) => code,
        Err(error) => {
            if json {
                let message = serde_json::json!({ "error": format!("{error:#}") });
                eprintln!("{message}");
            } else {
                eprintln!("error: {error:#}");
            }
            exit_code(&error)
        }
    }
}

/// 1, or 3 for what a restart would make worse (`RestartPreventExitStatus=3` in a systemd unit).
fn exit_code(error: &eyre::Report) -> ExitCode {
    let unsafe_to_restart = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<grid_node::NodeError>())
        .any(grid_node::NodeError::threatens_safety);
    if unsafe_to_restart { ExitCode::from(3) } else { ExitCode::FAILURE }
}
