//! `grid audit`: every block of a Grid chain from genesis, verified by grid-core alone. The node is only asked for
//! bytes; nothing it says is believed.

use std::{
    fs,
    process::ExitCode,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::B256;
use eyre::{Result, WrapErr as _, bail, eyre};
use grid_core::{
    audit::{AuditError, Audited, Auditor},
    genesis::Genesis,
};
use serde::Serialize;

use crate::{args::AuditArgs, main_chain::GridRpc, output::Output};

/// Blocks asked for at once: what a node gives at most.
const PAGE: u64 = 256;
/// A genesis file larger than this is not read.
const MAX_GENESIS: u64 = 64 * 1024 * 1024;

/// What an audit found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Whether every block passed.
    verified: bool,
    chain_id: u64,
    /// Hash of the block that the genesis file gives.
    genesis_hash: B256,
    /// The newest block that passed.
    height: u64,
    block_hash: B256,
    state_root: Option<B256>,
    time_ms: Option<u64>,
    blocks: u64,
    transactions: u64,
    /// How often other validators took over.
    hand_overs: u64,
    /// How many validators decide the next block.
    validators: usize,
    /// Whether every block was executed again.
    executed: bool,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

/// The first block that failed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    height: u64,
    reason: String,
}

pub(super) async fn run(args: &AuditArgs, out: Output) -> Result<ExitCode> {
    let genesis = read_genesis(args)?;
    let mut walk = Walk::new(Auditor::new(&genesis, args.execute)?);
    let genesis_hash = walk.auditor.hash();
    let rpc = GridRpc::new(&args.rpc)?;
    let failure = walk
        .to(&rpc, args.to)
        .await?
        .map(|AuditError { height, fault }| Failure { height, reason: fault.to_string() });
    let report = Report {
        verified: failure.is_none(),
        chain_id: genesis.chain_id,
        genesis_hash,
        height: walk.auditor.height(),
        block_hash: walk.auditor.hash(),
        state_root: walk.last.as_ref().map(|last| last.state_root),
        time_ms: walk.last.as_ref().map(|last| last.time_ms),
        blocks: walk.auditor.height(),
        transactions: walk.transactions,
        hand_overs: walk.hand_overs,
        validators: walk.auditor.validators().as_slice().len(),
        executed: args.execute,
        seconds: walk.started.elapsed().as_secs_f64(),
        failure,
    };
    out.show(&report, people)?;
    Ok(if report.verified { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_genesis(args: &AuditArgs) -> Result<Genesis> {
    let file = &args.genesis;
    let name = || format!("--genesis: cannot read {}", file.display());
    let size = fs::metadata(file).wrap_err_with(name)?.len();
    if size > MAX_GENESIS {
        bail!("--genesis: {} has {size} bytes, at most {MAX_GENESIS}", file.display());
    }
    let text = fs::read_to_string(file).wrap_err_with(name)?;
    serde_json::from_str(&text)
        .wrap_err_with(|| format!("--genesis: {} is not a genesis", file.display()))
}

/// An audit under way.
struct Walk {
    auditor: Auditor,
    started: Instant,
    last: Option<Audited>,
    transactions: u64,
    hand_overs: u64,
}

impl Walk {
    fn new(auditor: Auditor) -> Self {
        Self { auditor, started: Instant::now(), last: None, transactions: 0, hand_overs: 0 }
    }

    /// Goes up to a height, or to the node's newest block; the first block that fails ends the walk.
    async fn to(&mut self, rpc: &GridRpc, target: Option<u64>) -> Result<Option<AuditError>> {
        let tip = rpc.tip().await?.height;
        let target = target.unwrap_or(tip);
        if target > tip {
            bail!("--to {target} is above the node's newest block {tip}");
        }
        while self.auditor.height() < target {
            let from = self.auditor.height().saturating_add(1);
            let most = target.saturating_sub(from).saturating_add(1).min(PAGE);
            let page = rpc.raw_blocks(from, most).await?;
            if page.is_empty() || u64::try_from(page.len())? > most {
                return Err(eyre!(
                    "the node gave {} blocks from {from} on, asked for 1 to {most}",
                    page.len()
                ));
            }
            for raw in &page {
                match self.auditor.follow(raw, now_ms()?) {
                    Ok(audited) => self.count(audited),
                    Err(error) => return Ok(Some(error)),
                }
            }
        }
        Ok(None)
    }

    fn count(&mut self, audited: Audited) {
        self.transactions = self.transactions.saturating_add(audited.transactions as u64);
        self.hand_overs = self.hand_overs.saturating_add(u64::from(audited.hand_over));
        self.last = Some(audited);
    }
}

fn now_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

fn people(report: &Report) -> String {
    let Report { height, block_hash, transactions, hand_overs, validators, .. } = report;
    let head = match &report.failure {
        None => "VERIFIED".to_owned(),
        Some(failure) => format!("REFUSED  block {}\n  {}", failure.height, failure.reason),
    };
    let executed = if report.executed {
        "every block executed again from genesis"
    } else {
        "headers, certificates and transaction roots; not executed (--execute)"
    };
    let root = report.state_root.map(|root| format!("\n  state root    {root}"));
    format!(
        "{head}\n  chain         {}\n  genesis       {}\n  up to         block {height} {block_hash}{}\n  \
         transactions  {transactions}\n  validators    {validators} decide the next block, {hand_overs} hand-over(s)\n  \
         checked       {executed}, {:.1} s",
        report.chain_id,
        report.genesis_hash,
        root.unwrap_or_default(),
        report.seconds,
    )
}
