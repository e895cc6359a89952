//! `grid status`.

use std::time::Duration;

use eyre::Result;
use grid_core::api::{ChainInfo, GridTip};
use serde::Serialize;
use serde_json::Value;
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
    relayer: Option<Value>,
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
        "Grid eip155:{}  block {}  {}\nindex root    {}\n\n",
        tip.chain_id, tip.height, tip.hash, tip.index_root
    );
    let relayed = |chain: &ChainInfo, key: &str| -> Option<Value> {
        status
            .relayer
            .as_ref()?
            .get("chains")?
            .as_array()?
            .iter()
            .find(|entry| entry.get("id").and_then(Value::as_str) == Some(chain.id.as_str()))?
            .get(key)
            .cloned()
    };
    let text_of = |value: Option<Value>| match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    text.push_str(&table(
        ["CHAIN", "SECURITY", "LEVEL", "SOURCE", "TRACKED", "CONFIRMED", "STATE"],
        status.chains.iter().map(|chain| {
            [
                chain.id.to_string(),
                security(chain.security),
                chain.level.to_string(),
                text_of(relayed(chain, "sourceHeight")),
                chain.tracked.height.to_string(),
                chain.confirmed.map_or_else(|| "-".into(), |at| at.height.to_string()),
                match chain.status.as_str() {
                    "active" => text_of(relayed(chain, "state")),
                    other => other.to_owned(),
                },
            ]
        }),
    ));
    for chain in &status.chains {
        if let Some(Value::String(reason)) = relayed(chain, "reason") {
            text.push_str(&format!("\n{}: {reason}", chain.id));
        }
    }
    match &status.relayer {
        None => text.push_str("\nrelayer       does not answer at relayer.listen"),
        Some(relayer) => {
            let field = |key: &str| text_of(relayer.get(key).cloned());
            text.push_str(&format!(
                "\nrelayer       ready {}  pending {}  parked {}  oldest {} s",
                field("ready"),
                field("pending"),
                field("parked"),
                field("oldestSeconds"),
            ));
        }
    }
    text
}
