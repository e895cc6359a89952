//! `grid status`.

use std::time::Duration;

use alloy_primitives::utils::format_ether;
use eyre::Result;
use grid_core::api::{BlockRef, ChainInfo, GridTip};
use serde::Serialize;
use tokio::time::sleep;

use super::chains::security;
use crate::{
    args::StatusArgs,
    home::Home,
    main_chain::{GridRpc, relayer_status},
    output::{Output, table, write_line},
};

/// Everything on one screen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    main_chain: GridTip,
    chains: Vec<ChainInfo>,
    /// The relayer's `/v1/status`; null where it does not answer.
    relayer: Option<grid_relayer::Status>,
}

pub(super) async fn run(home: &Home, args: &StatusArgs, out: Output) -> Result<()> {
    let rpc = GridRpc::of(home)?;
    loop {
        let tip = rpc.tip().await;
        if args.watch && !out.json {
            // Clear the screen and go home.
            write_line("\u{1b}[2J\u{1b}[H")?;
        }
        match tip {
            Ok(main_chain) => {
                let status = Status {
                    main_chain,
                    chains: rpc.chains().await?,
                    relayer: relayer_status(home).await,
                };
                out.show(&status, people)?;
            }
            // A watcher survives a restart of what it watches.
            Err(error) if args.watch => write_line(&format!("{error:#}"))?,
            Err(error) => return Err(error),
        }
        if !args.watch {
            return Ok(());
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn people(status: &Status) -> String {
    let tip = &status.main_chain;
    let mut text = format!(
        "Grid eip155:{}  block {}  {}\nindex root  {}\n\n",
        tip.chain_id, tip.height, tip.hash, tip.index_root
    );
    let seen =
        |chain: &ChainInfo| status.relayer.as_ref()?.chains.iter().find(|seen| seen.id == chain.id);
    let height = |at: Option<BlockRef>| at.map_or_else(|| "-".into(), |at| at.height.to_string());
    text.push_str(&table(
        ["CHAIN", "SECURITY", "LEVEL", "SOURCE", "TRACKED", "CONFIRMED", "STATE", "LAG"],
        status.chains.iter().map(|chain| {
            let relayed = seen(chain);
            [
                chain.id.to_string(),
                security(chain.security),
                chain.level.to_string(),
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
    ));
    text.push_str(&relayer_lines(status.relayer.as_ref()));
    text
}

fn relayer_lines(relayer: Option<&grid_relayer::Status>) -> String {
    let Some(relayer) = relayer else {
        return "\nrelayer     does not answer at relayer.listen".into();
    };
    let mut text = format!(
        "\nrelayer     {}  {}  balance {} GRID  open transactions {}",
        match (relayer.ready, relayer.dry_run) {
            (_, true) => "DRY RUN",
            (true, false) => "ready",
            (false, false) => "NOT READY",
        },
        relayer.wallet.address,
        format_ether(relayer.wallet.balance),
        relayer.wallet.live,
    );
    for chain in &relayer.chains {
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
    for problem in &relayer.problems {
        text.push_str(&format!("\nproblem     {problem}"));
    }
    text
}
