//! What the person at the terminal sees.

use std::{
    cell::RefCell,
    io::{IsTerminal as _, Write as _, stdout},
    time::{Duration, Instant},
};

use grid_test_nodes::NodeError;
use serde_json::{Value, json};

use crate::{
    network::{Failure, Network},
    settings::{BITCOIN_RULE, Ports},
    traffic::Counters,
};

/// How long both chains may take until their first header is indexed.
const FIRST_INDEXED: Duration = Duration::from_secs(180);
/// Lines of status without a terminal are for log files.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// A chain on both sides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// What the node has.
    node: u64,
    /// What the main chain has.
    tracked: Option<u64>,
    /// What the main chain has indexed.
    indexed: Option<u64>,
}

/// Both chains and the main chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    bitcoin: Progress,
    ethereum: Progress,
    grid: u64,
}

impl Status {
    /// Asks all three.
    pub(crate) async fn read(network: &Network) -> Result<Self, NodeError> {
        let chains = network.grid.call("grid_chains", json!([])).await?;
        let progress = |family: &str, node: u64| {
            let chain = chains.as_array().and_then(|list| {
                list.iter()
                    .find(|chain| chain["id"].as_str().is_some_and(|id| id.starts_with(family)))
            });
            let height = |field: &str| chain.and_then(|chain| chain[field]["height"].as_u64());
            Progress { node, tracked: height("tracked"), indexed: height("confirmed") }
        };
        let tip = network.grid.call("grid_tip", json!([])).await?;
        Ok(Self {
            bitcoin: progress("bip122:", network.bitcoind.tip().await?.0),
            ethereum: progress("eip155:", network.anvil.block_number().await?),
            grid: tip["height"].as_u64().or_else(|| hex(&tip["height"])).unwrap_or_default(),
        })
    }

    /// Whether a header of each chain is indexed, besides the trusted start.
    pub(crate) fn indexed(&self) -> bool {
        self.bitcoin.indexed > Some(0) && self.ethereum.indexed > Some(0)
    }

    /// Whether nothing that was there before is gone.
    pub(crate) fn continues(&self, before: &Self) -> bool {
        let chain = |now: &Progress, then: &Progress| {
            now.node >= then.node && now.tracked >= then.tracked && now.indexed >= then.indexed
        };
        self.grid >= before.grid
            && chain(&self.bitcoin, &before.bitcoin)
            && chain(&self.ethereum, &before.ethereum)
    }

    fn line(&self) -> String {
        let one = |name: &str, p: &Progress| {
            let shown = |height: Option<u64>| height.map_or_else(|| "-".into(), |h| h.to_string());
            format!(
                "{name} {} (tracked {}, indexed {})",
                p.node,
                shown(p.tracked),
                shown(p.indexed)
            )
        };
        format!(
            "{} | {} | Grid {}",
            one("Bitcoin", &self.bitcoin),
            one("Ethereum", &self.ethereum),
            self.grid
        )
    }
}

fn hex(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// Waits until a header of each chain is indexed, showing how far it is.
pub(crate) async fn wait_indexed(network: &Network, show: bool) -> Result<(), Failure> {
    let started = Instant::now();
    let mut last = String::from("no answer yet");
    while started.elapsed() < FIRST_INDEXED {
        match Status::read(network).await {
            Ok(status) if status.indexed() => {
                if show {
                    print_line(&status.line());
                    println!();
                }
                return Ok(());
            }
            Ok(status) => last = status.line(),
            Err(error) => last = error.to_string(),
        }
        if show {
            print_line(&last);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let log = grid_test_nodes::process::tail(&network.settings.home().join("daemon.log"));
    Err(Failure::Text(format!(
        "no header of both chains is indexed after {FIRST_INDEXED:?}; last seen: {last}; end of the \
         daemon's log:\n{log}"
    )))
}

/// Shows the way to the first indexed headers, then what runs where, then a line of status.
pub(crate) async fn show(network: &Network, counters: &RefCell<Counters>) -> Result<(), Failure> {
    println!("devnet: following both chains; the first headers are indexed in about 30 s ...");
    wait_indexed(network, true).await?;
    println!("{}", text(network));
    let mut logged = Instant::now();
    loop {
        let line = match Status::read(network).await {
            Ok(status) => {
                let counters = counters.borrow();
                let trouble = counters.trouble.as_deref().map_or_else(String::new, |trouble| {
                    let short: String = trouble.lines().flat_map(str::chars).take(60).collect();
                    format!(" | trouble: {short}")
                });
                let (payments, transfers) = (counters.payments, counters.transfers);
                format!("{} | {payments} payments, {transfers} transfers{trouble}", status.line())
            }
            Err(error) => error.to_string().lines().next().unwrap_or_default().to_owned(),
        };
        if stdout().is_terminal() {
            print_line(&line);
        } else if logged.elapsed() >= LOG_INTERVAL {
            logged = Instant::now();
            println!("{line}");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Prints over the last line on a terminal; without one, nothing: a log would fill with them.
fn print_line(line: &str) {
    if stdout().is_terminal() {
        print!("\r\x1b[2K{line}");
        // A terminal that is gone is noticed by the signal that comes with it.
        drop(stdout().flush());
    }
}

/// What runs where, and what to try.
fn text(network: &Network) -> String {
    let Ports { bitcoin, ethereum, beacon, grid, relayer } = network.settings.ports;
    let folder = network.settings.folder.display();
    let token = &network.token.address;
    let (depth, age) = BITCOIN_RULE;
    format!(
        "
  Bitcoin Core (regtest)   http://127.0.0.1:{bitcoin}   payments in a block every 5 s; indexed at
                           {depth} confirmations and {age} s of age
  anvil (Ethereum)         http://127.0.0.1:{ethereum}    transfers of the token {token};
                           indexed when the sync committee has proven them final, in about 8 s
  Beacon chain             http://127.0.0.1:{beacon}    simulated over anvil, with real signatures
  Grid main chain          http://127.0.0.1:{grid}    eth_* and grid_* JSON-RPC, a block each second
  Relayer                  http://127.0.0.1:{relayer}    /livez /readyz /metrics
  State and logs           {folder}

  In another terminal:
    . {folder}/env
    grid status
    grid chains
    grid prove btc-tx $(tail -n 1 {folder}/payments) --wait 2m -o payment.json
    grid verify payment.json
    grid prove eth-receipt $(tail -n 1 {folder}/transfers) --log 0 --wait 1m -o event.json
    grid verify event.json
    grid ethereum sync-status
    cast block-number --rpc-url $GRID_RPC

  Ctrl-C stops everything; the next start goes on from here.
"
    )
}
