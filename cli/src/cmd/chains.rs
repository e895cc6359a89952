//! `grid chains` and `grid headers`.

use alloy_primitives::B256;
use eyre::{Result, bail};
use grid_core::{ChainId, CompatHeader, Family, Security, api::ChainInfo};

use crate::{
    args::HeadersArgs,
    home::Home,
    main_chain::GridRpc,
    output::{Output, short, table},
};

/// The most headers that one command shows.
const MAX_HEADERS: u64 = 1_000;

pub(super) async fn chains(home: &Home, out: Output) -> Result<()> {
    let chains = GridRpc::of(home)?.chains().await?;
    out.show(&chains, |chains| {
        table(
            ["CHAIN", "SECURITY", "LEVEL", "STATUS", "RULE", "TRACKED", "CONFIRMED"],
            chains.iter().map(|chain| {
                [
                    chain.id.to_string(),
                    security(chain.security),
                    level(chain),
                    chain.status.clone(),
                    chain.rule.clone(),
                    chain.tracked.height.to_string(),
                    chain.confirmed.map_or_else(|| "none yet".into(), |at| at.height.to_string()),
                ]
            }),
        )
    })
}

/// A level, with what was measured last where it follows the headers.
pub(super) fn level(chain: &ChainInfo) -> String {
    match chain.median_interval {
        Some(median) => format!("{} ({median} s)", chain.level),
        None => chain.level.to_string(),
    }
}

/// A security class as every screen shows it: what is only attested must catch the eye.
pub(super) fn security(class: Security) -> String {
    match class {
        Security::Attested => "ATTESTED".into(),
        other => other.to_string(),
    }
}

pub(super) async fn headers(home: &Home, args: &HeadersArgs, out: Output) -> Result<()> {
    if args.count == 0 || args.count > MAX_HEADERS {
        bail!("--count must be between 1 and {MAX_HEADERS}");
    }
    let rpc = GridRpc::of(home)?;
    let id = match &args.chain {
        Some(id) => id.clone(),
        None => only_chain(&rpc).await?,
    };
    let chain = rpc.chain(&id).await?;
    let Some(confirmed) = chain.confirmed else {
        bail!(
            "{id} has no confirmed header yet: its rule is {}, it is tracked up to {}",
            chain.rule,
            chain.tracked.height
        );
    };
    let newest = confirmed.height;
    let from = args.from.unwrap_or_else(|| {
        newest.saturating_sub(args.count.saturating_sub(1)).max(chain.first_height)
    });
    if from < chain.first_height {
        bail!("height {from} is below the start of {id}'s index, {}", chain.first_height);
    }
    if from > newest {
        bail!("height {from} is not confirmed yet: {id} is confirmed up to {newest}");
    }
    let to = newest.min(from.saturating_add(args.count - 1));
    let mut headers = Vec::new();
    for height in from..=to {
        headers.push(rpc.header(&id, height).await?);
    }
    out.show(&headers, |headers| people(&chain, headers))
}

fn people(chain: &ChainInfo, headers: &[CompatHeader]) -> String {
    let rows = headers.iter().map(|header| {
        [
            header.height.to_string(),
            display_hash(chain.family, header.blockHash),
            header.time.to_string(),
            short(&header.txRoot.to_string()),
        ]
    });
    format!(
        "{} — {}\n{}",
        chain.id,
        chain.security.describe(),
        table(["HEIGHT", "HASH", "TIME", "TX ROOT"], rows)
    )
}

/// A block or transaction hash as its own chain's tools display it.
pub(super) fn display_hash(family: Family, mut hash: B256) -> String {
    if family == Family::Bitcoin {
        hash.0.reverse();
        return format!("{hash:x}").trim_start_matches("0x").to_owned();
    }
    hash.to_string()
}

async fn only_chain(rpc: &GridRpc) -> Result<ChainId> {
    let chains = rpc.chains().await?;
    match chains.as_slice() {
        [one] => Ok(one.id.clone()),
        [] => bail!("no chain is registered"),
        several => bail!(
            "name a chain: {}",
            several.iter().map(|chain| chain.id.as_str()).collect::<Vec<_>>().join(", ")
        ),
    }
}
