//! One endpoint, asked as the daemon asks it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use grid_adapters::{AdapterError, Class, RpcError, SourceChain};

use super::{Finding, main_chain::now_ms};

/// The patience with one endpoint.
const PATIENCE: Duration = Duration::from_secs(8);
/// Bitcoin's rule for a header's time: at most two hours ahead. No chain allows more.
const MOST_AHEAD: u64 = 2 * 3_600;

/// What an endpoint answered.
#[derive(Debug)]
pub(super) struct Answered {
    /// Height of its tip.
    pub(super) height: u64,
    /// The tip's time, seconds since 1970.
    pub(super) time: u64,
    /// How long both questions took.
    pub(super) took: Duration,
}

/// Asks a source for its tip and the header there: the calls that the daemon makes, with their checks.
pub(super) async fn ask(
    path: &str,
    source: &Arc<dyn SourceChain>,
) -> Result<Answered, AdapterError> {
    let started = Instant::now();
    let questions = async {
        let tip = source.tip().await?;
        let header = source.header_at(tip.height).await?;
        Ok(Answered {
            height: tip.height,
            // The tip moved below that height in between.
            time: header.map_or_else(|| now_ms() / 1000, |header| header.compat.time),
            took: started.elapsed(),
        })
    };
    match tokio::time::timeout(PATIENCE, questions).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(AdapterError::Late { endpoint: path.to_owned(), after: PATIENCE }),
    }
}

/// What is said of an answer; `best` is the highest tip among the chain's endpoints.
pub(super) fn finding(path: &str, expected: &str, answered: &Answered, best: u64) -> Finding {
    let ahead = answered.time.saturating_sub(now_ms() / 1000);
    if ahead > MOST_AHEAD {
        let found = format!("its newest block is {ahead} s ahead of this machine's clock");
        let fix = "set this machine's clock by NTP, or use another endpoint";
        return Finding::problem("clock", path, "a block of the past", found, fix);
    }
    let found = format!("tip {}, {} ms", answered.height, answered.took.as_millis());
    let behind = best.saturating_sub(answered.height);
    if behind > 2 {
        let found = format!("{found}, {behind} blocks behind the others");
        let fix = "look at the node: its peers, its disk, its log";
        return Finding::problem("endpoint", path, expected, found, fix).only_a_warning();
    }
    Finding::good("endpoint", path, found)
}

/// What is said of a failure.
pub(super) fn failure(path: &str, expected: &str, error: &AdapterError) -> Finding {
    Finding::problem("endpoint", path, expected, error.to_string(), fix(error))
}

/// Whether the endpoint is the wrong one, rather than away: others cannot stand in for a mistake.
pub(super) const fn is_wrong(error: &AdapterError) -> bool {
    matches!(error.class(), Class::Halt { .. })
}

const fn fix(error: &AdapterError) -> &'static str {
    match error {
        AdapterError::WrongNetwork { .. } | AdapterError::WrongKind { .. } => {
            "name a node of this chain there, or correct the chain's id"
        }
        AdapterError::Syncing { .. } => "wait until the node has its chain, or use another one",
        AdapterError::Late { .. } | AdapterError::Rpc(RpcError::Timeout { .. }) => {
            "find out why the node hangs, or use another one"
        }
        AdapterError::Rpc(RpcError::Connect { .. }) => "start the node, or correct the address",
        AdapterError::Rpc(RpcError::Unauthorized { .. } | RpcError::Cookie { .. }) => {
            "correct cookie_file, or user and rpc_password_file"
        }
        AdapterError::Rpc(RpcError::Server { .. }) => {
            "let the node serve this method, or use another one"
        }
        _ => "look at the node's log, or use another one",
    }
}
