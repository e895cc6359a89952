//! Blocks with real traffic: payments on Bitcoin, token transfers on Ethereum.
//!
//! A node that does not answer for a moment is nothing to end the network for: a failed round is
//! noted and the next one tries again. A node that has ended is noticed elsewhere.

use std::{
    cell::RefCell, convert::Infallible, fs::OpenOptions, io::Write as _, path::Path, time::Duration,
};

use grid_test_nodes::{Anvil, Bitcoind, NodeError, Token};

use crate::settings::{BITCOIN_INTERVAL, ETHEREUM_INTERVAL, Settings};

/// Satoshis of a payment.
const PAYMENT: u64 = 12_345_678;
/// The largest number of payments in a block.
const MOST_PAYMENTS: u64 = 3;
/// How long a transfer may take to be mined.
const MINED: Duration = Duration::from_secs(30);

/// What has been produced since the start, and what went wrong last.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Bitcoin payments mined.
    pub(crate) payments: u64,
    /// Token transfers mined.
    pub(crate) transfers: u64,
    /// The last failure of a round.
    pub(crate) trouble: Option<String>,
}

/// Mines a Bitcoin block with a few payments, over and over.
pub(crate) async fn bitcoin(
    node: &Bitcoind,
    settings: &Settings,
    counters: &RefCell<Counters>,
) -> Infallible {
    let mut round = 0;
    loop {
        round += 1;
        let outcome = bitcoin_block(node, settings, round).await;
        note(counters, "bitcoind", outcome, |counters, mined| counters.payments += mined);
        tokio::time::sleep(BITCOIN_INTERVAL).await;
    }
}

/// One block with payments; returns how many.
pub(crate) async fn bitcoin_block(
    node: &Bitcoind,
    settings: &Settings,
    round: u64,
) -> Result<u64, NodeError> {
    let mut txids = Vec::new();
    let mut refused = None;
    for number in 0..=(round % MOST_PAYMENTS) {
        // Before there are enough mature rewards a block is empty, as real ones sometimes are.
        match node.pay(None, PAYMENT + round * 10 + number).await {
            Ok(txid) => txids.push(txid),
            Err(NodeError::Unexpected { .. }) => break,
            // After a reorganisation the coin may be spent by a payment that went back to the mempool. The
            // block is mined all the same: it takes that payment in and frees the chain.
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    node.mine(1).await?;
    append(&settings.payments(), &txids)?;
    match refused {
        Some(error) if txids.is_empty() => Err(error),
        _ => Ok(txids.len() as u64),
    }
}

/// Sends token transfers between the development accounts, one for each block.
pub(crate) async fn ethereum(
    node: &Anvil,
    token: &Token,
    settings: &Settings,
    counters: &RefCell<Counters>,
) -> Infallible {
    let mut round = 0;
    loop {
        round += 1;
        let outcome = transfer(node, token, settings, round).await;
        note(counters, "anvil", outcome, |counters, mined| counters.transfers += mined);
        tokio::time::sleep(Duration::from_secs(ETHEREUM_INTERVAL)).await;
    }
}

/// One transfer, mined; returns how many.
pub(crate) async fn transfer(
    node: &Anvil,
    token: &Token,
    settings: &Settings,
    round: u64,
) -> Result<u64, NodeError> {
    let receiver = 1 + usize::try_from(round % 8).unwrap_or_default();
    let to = node.account(receiver)?;
    let hash = token.transfer(node, to, u128::from(round) * 1_000_000_000_000_000_000).await?;
    node.receipt(&hash, MINED).await?;
    append(&settings.transfers(), &[hash])?;
    Ok(1)
}

fn note(
    counters: &RefCell<Counters>,
    what: &str,
    outcome: Result<u64, NodeError>,
    count: impl FnOnce(&mut Counters, u64),
) {
    let mut counters = counters.borrow_mut();
    match outcome {
        Ok(mined) => {
            count(&mut counters, mined);
            // What works again is no trouble any more.
            counters.trouble.take_if(|trouble| trouble.starts_with(what));
        }
        Err(error) => counters.trouble = Some(format!("{what}: {error}")),
    }
}

/// Adds lines to a list.
fn append(path: &Path, lines: &[String]) -> Result<(), NodeError> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        lines.iter().try_for_each(|line| writeln!(file, "{line}"))
    };
    write().map_err(|source| NodeError::Io { what: path.display().to_string(), source })
}
