//! The commands. Each calls the libraries and prints; none decides anything of its own.

mod audit;
mod bench;
mod bitcoin;
mod chains;
mod checkpoint;
mod completions;
mod config;
mod contracts;
mod doctor;
mod escrow;
mod ethereum;
mod genesis;
mod guarantee;
mod init;
mod keys;
mod localnet;
mod message;
mod node;
mod prove;
mod prove_eth;
mod proven;
mod relayer;
mod run;
mod send;
mod signals;
mod staking;
mod status;
mod submit;
mod trust;
mod verify;

use std::{future::Future, process::ExitCode, time::Duration};

use eyre::{Result, WrapErr as _};

use crate::{
    args::{Cli, Command},
    home::Home,
    output::Output,
};

pub(crate) use genesis::CHAIN_ID;

/// Runs a command.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    let home = Home::new(cli.home).with_settings(cli.set);
    let out = Output { json: cli.json };
    let done = |result: Result<()>| result.map(|()| ExitCode::SUCCESS);
    match cli.command {
        Command::Init(args) => done(block_on(init::run(&home, &args, out))),
        Command::Start(args) => done(block_on(run::start(&home, &args, out))),
        Command::Node(command) => node::run(&home, &command, out),
        Command::Localnet(args) => done(localnet::run(&args, out)),
        Command::Relayer(command) => done(block_on(relayer::run(&home, &command, out))),
        Command::Config(command) => config::run(&home, &command, out),
        Command::Doctor(args) => block_on(doctor::run(&home, &args, out)),
        Command::Status(args) => done(block_on(status::run(&home, &args, out))),
        Command::Chains => done(block_on(chains::chains(&home, out))),
        Command::Headers(args) => done(block_on(chains::headers(&home, &args, out))),
        Command::Prove(command) => done(block_on(prove::run(&home, &command, out))),
        Command::Verify(args) => verify::run(&home, &args, out),
        Command::Trust(command) => done(block_on(trust::run(&home, &command, out))),
        Command::Audit(args) => block_on(audit::run(&args, out)),
        Command::Submit(args) => done(block_on(submit::run(&home, &args, out))),
        Command::Staking(command) => done(block_on(staking::run(&home, &command, out))),
        Command::Contracts(args) => done(contracts::run(&args, out)),
        Command::Guarantee(command) => done(block_on(guarantee::run(&home, &command, out))),
        Command::Escrow(command) => done(block_on(escrow::run(&home, &command, out))),
        Command::Message(command) => done(block_on(message::run(&home, &command, out))),
        Command::Keys(command) => done(keys::run(&home, &command, out)),
        Command::Bench(command) => done(block_on(bench::run(&command, out))),
        Command::Bitcoin(command) => bitcoin::run(&command, out),
        Command::Ethereum(command) => ethereum::run(&home, &command, out),
        Command::Completions { shell } => done(completions::completions(shell)),
        Command::Man(args) => done(completions::man(&args, out)),
    }
}

/// How long work on blocking threads may go on after a command has ended.
const LINGER: Duration = Duration::from_secs(2);

fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    grid_adapters::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .wrap_err("cannot start the async runtime")?;
    let result = runtime.block_on(future);
    let at_once = result.as_ref().is_err_and(|error| error.is::<signals::StoppedAtOnce>());
    runtime.shutdown_timeout(if at_once { Duration::ZERO } else { LINGER });
    result
}
