//! The `grid` binary: parses arguments, loads the configuration and calls the libraries.

mod abi;
mod args;
mod btc;
mod cmd;
mod config;
mod eth;
mod home;
mod keys;
mod logging;
mod main_chain;
mod output;
#[cfg(test)]
mod runbooks;
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
            ExitCode::FAILURE
        }
    }
}
