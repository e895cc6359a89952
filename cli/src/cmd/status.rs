//! `grid status`.

use std::time::Duration;

use alloy_primitives::utils::format_ether;
use eyre::Result;
use grid_core::api::{BlockRef, ChainInfo, GridTip};
use grid_relayer::{Problem, Severity};
use serde::Serialize;
use tokio::time::sleep;

use super::chains::{level, security};
use crate::{
    api::RelayerApi,
    args::StatusArgs,
    home::Home,
    main_chain::GridRpc,
    output::{Output, table, write_line},
    screen,
};

/// Time between two looks of a watcher without a screen.
const REFRESH: Duration = Duration::from_secs(1);

/// Both daemons at one moment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    /// Null where the main chain does not answer.
    main_chain: Option<GridTip>,
    chains: Vec<ChainInfo>,
    /// The relayer's `/v1/status`; null where it does not answer.
    relayer: Option<grid_relayer::Status>,
    /// What is wrong, worst first.
    problems: Vec<Problem>,
}

pub(super) async fn run(home: &Home, args: &StatusArgs, out: Output) -> Result<()> {
    let api = RelayerApi::of(home)?;
    let rpc = GridRpc::of(home)?;
    if args.watch && !out.json && screen::possible() {
        return screen::run(&api, rpc).await;
    }
    loop {
        match look(&rpc, &api).await {
            Ok(status) => out.show(&status, people)?,
            // A watcher survives a restart of what it watches.
            Err(error) if args.watch => write_line(&format!("{error:#}"))?,
            Err(error) => return Err(error),
        }
        if !args.watch {
            return Ok(());
        }
        sleep(REFRESH).await;
    }
}

/// Asks both daemons; one of them is enough.
async fn look(rpc: &GridRpc, api: &RelayerApi) -> Result<Status> {
    let main = async { Ok::<_, eyre::Report>((rpc.tip().await?, rpc.chains().await?)) };
    let (main, relayer) = tokio::join!(main, api.get::<grid_relayer::Status>("/v1/status"));
    let mut problems = Vec::new();
    let (main_chain, chains) = match main {
        Ok((tip, chains)) => (Some(tip), chains),
        Err(error) if relayer.is_err() => return Err(error),
        Err(error) => {
            let fix = "start the node, or correct relayer.main_chain";
            problems.push(problem("main chain", &error, fix, "GridMainChainHalted"));
            (None, Vec::new())
        }
    };
    let relayer = match relayer {
        Ok(relayer) => {
            problems.extend(relayer.problems.iter().cloned());
            Some(relayer)
        }
        Err(error) => {
            let fix = "start it, or correct relayer.listen";
            problems.push(problem("relayer", &error, fix, "GridDown"));
            None
        }
    };
    Ok(Status { main_chain, chains, relayer, problems })
}

fn problem(subject: &str, error: &eyre::Report, fix: &str, runbook: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        subject: subject.into(),
        text: format!("{error:#}"),
        fix: fix.into(),
        runbook: runbook.into(),
    }
}

fn people(status: &Status) -> String {
    let mut text = String::new();
    for problem in &status.problems {
        text.push_str(&format!(
            "{:<7} {problem}\n        fix: {}; docs/runbooks/{}.md\n",
            problem.severity.as_str().to_uppercase(),
            problem.fix,
            problem.runbook,
        ));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    if let Some(tip) = &status.main_chain {
        text.push_str(&format!(
            "Grid eip155:{}  block {}  {}\nindex root  {}\n\n",
            tip.chain_id, tip.height, tip.hash, tip.index_root
        ));
    }
    text.push_str(&chains(status));
    if let Some(relayer) = &status.relayer {
        text.push_str(&relayer_lines(relayer));
    }
    text
}

fn chains(status: &Status) -> String {
    let seen =
        |chain: &ChainInfo| status.relayer.as_ref()?.chains.iter().find(|seen| seen.id == chain.id);
    let height = |at: Option<BlockRef>| at.map_or_else(|| "-".into(), |at| at.height.to_string());
    table(
        ["CHAIN", "SECURITY", "LEVEL", "SOURCE", "TRACKED", "CONFIRMED", "STATE", "LAG"],
        status.chains.iter().map(|chain| {
            let relayed = seen(chain).filter(|seen| seen.configured);
            [
                chain.id.to_string(),
                security(chain.security),
                level(chain),
                height(relayed.and_then(|seen| seen.source)),
                chain.tracked.height.to_string(),
                height(chain.confirmed),
                match (chain.status.as_str(), relayed) {
                    ("active", Some(seen)) => seen.state.to_string(),
                    ("active", None) => "not relayed".into(),
                    (other, _) => other.to_owned(),
                },
                relayed.map_or_else(|| "-".into(), |seen| format!("{} s", seen.lag_seconds)),
            ]
        }),
    )
}

fn relayer_lines(relayer: &grid_relayer::Status) -> String {
    let mut text = format!(
        "\nrelayer     {}  {}  {}  balance {} GRID  open transactions {}",
        relayer.name,
        match (relayer.ready, relayer.dry_run) {
            (_, true) => "DRY RUN",
            (true, false) => "ready",
            (false, false) => "NOT READY",
        },
        relayer.wallet.address,
        format_ether(relayer.wallet.balance),
        relayer.wallet.live,
    );
    for node in relayer.main.nodes.iter().filter(|node| !node.healthy) {
        let error = node.error.as_deref().unwrap_or("no answer yet");
        text.push_str(&format!("\n            {}: {error}", node.name));
    }
    for chain in &relayer.chains {
        if let Some(holder) = chain.holder.as_ref().filter(|holder| !holder.here) {
            text.push_str(&format!("\n            {}: held by the relayer {holder}", chain.id));
        }
        let open: Vec<String> =
            chain.items.iter().map(|(stage, count)| format!("{stage} {count}")).collect();
        if !open.is_empty() {
            text.push_str(&format!(
                "\n            {}: {}, oldest {} s",
                chain.id,
                open.join(", "),
                chain.oldest_age_seconds
            ));
        }
    }
    text
}
