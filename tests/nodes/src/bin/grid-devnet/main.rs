//! The development network: real bitcoind and anvil with traffic, a simulated beacon chain over anvil, and the `grid` daemon that follows
//! them. `scripts/devnet` sets up what this needs and then becomes this program.

mod arguments;
mod check;
mod network;
mod screen;
mod settings;
mod tour;
mod traffic;

use std::process::ExitCode;

use arguments::Arguments;

/// One thread is enough to watch three processes and to send them a few calls a second.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{}", arguments::HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("devnet: {message}\n\n{}", arguments::HELP);
            return ExitCode::from(2);
        }
    };
    let outcome = match arguments {
        Arguments::Run => network::run().await,
        Arguments::Check => check::run().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("devnet: {error}");
            ExitCode::FAILURE
        }
    }
}
