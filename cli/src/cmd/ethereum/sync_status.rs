//! `grid ethereum sync-status`: the main chain's light clients beside the relayer's own.

use std::time::{SystemTime, UNIX_EPOCH};

use eyre::{Result, bail};
use grid_core::{
    Family,
    api::{ChainInfo, SyncStatus},
};
use grid_relayer::ChainStatus;
use serde::Serialize;

use crate::{
    api::RelayerApi, args::SyncStatusArgs, home::Home, main_chain::GridRpc, output::Output,
};

/// One chain with both of its light clients.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Both {
    /// The main chain's view of the chain; `sync` is its light client.
    main_chain: ChainInfo,
    /// The age of what it calls finalized, seconds.
    age_seconds: Option<u64>,
    /// The relayer's view of the chain; null where it does not answer or does not follow it.
    relayer: Option<ChainStatus>,
}

pub(super) async fn run(home: &Home, args: &SyncStatusArgs, out: Output) -> Result<()> {
    let chains = GridRpc::of(home)?.chains().await?;
    let relayer: Option<grid_relayer::Status> = RelayerApi::of(home)?.get("/v1/status").await.ok();
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let wanted = |chain: &ChainInfo| {
        chain.family == Family::Ethereum && args.chain.as_ref().is_none_or(|id| *id == chain.id)
    };
    let both: Vec<Both> = chains
        .into_iter()
        .filter(wanted)
        .map(|main_chain| {
            let followed = |seen: &&ChainStatus| seen.id == main_chain.id;
            let relayer =
                relayer.as_ref().and_then(|all| all.chains.iter().find(followed)).cloned();
            let age_seconds = main_chain
                .sync
                .as_ref()
                .filter(|sync| sync.started)
                .map(|sync| now.saturating_sub(sync.finalized_time));
            Both { main_chain, age_seconds, relayer }
        })
        .collect();
    if both.is_empty() {
        match &args.chain {
            Some(id) => bail!("{id} is no Ethereum chain that the main chain follows"),
            None => bail!("the main chain follows no Ethereum chain"),
        }
    }
    out.show(&both, |both| both.iter().map(people).collect::<Vec<_>>().join("\n"))
}

fn people(both: &Both) -> String {
    let chain = &both.main_chain;
    let mut text = format!("{}  {}  {}\n", chain.id, chain.status, chain.security.describe());
    match &chain.sync {
        Some(sync) => text.push_str(&client(sync, both.age_seconds)),
        None => text.push_str("  main chain   no light client: attested headers\n"),
    }
    let confirmed = chain.confirmed.map_or_else(|| "none yet".into(), |at| at.height.to_string());
    text.push_str(&format!(
        "  blocks       tracked {}, indexed {confirmed}\n",
        chain.tracked.height
    ));
    let Some(seen) = &both.relayer else {
        return text + "  relayer      does not answer, or does not follow the chain\n";
    };
    text.push_str(&format!("  relayer      {}", seen.state));
    if let Some(tip) = seen.source {
        text.push_str(&format!(", finalized block {} ({})", tip.height, tip.hash));
    }
    text.push_str(&seen.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}")));
    text.push('\n');
    for source in &seen.sources {
        let error = source.error.as_deref().unwrap_or("good");
        text.push_str(&format!("  endpoint     {:<24} {:<8} {error}\n", source.name, source.kind));
    }
    text
}

fn client(sync: &SyncStatus, age: Option<u64>) -> String {
    let mut text = String::new();
    if !sync.started {
        return format!(
            "  main chain   not started: waits for the bootstrap of {}\n",
            sync.checkpoint
        );
    }
    let next = if sync.next_committee_known { "known" } else { "NOT KNOWN" };
    text.push_str(&format!(
        "  main chain   finalized slot {} ({}), {} old, period {}, next committee {next}\n",
        sync.finalized_slot,
        sync.finalized_root,
        humantime::format_duration(core::time::Duration::from_secs(age.unwrap_or(0))),
        sync.period
    ));
    text.push_str(&format!(
        "  headers      {} hashes wanted, {} headers wait, the gap starts above {}",
        sync.wanted.len(),
        sync.pending,
        sync.missing_above.height
    ));
    if let Some(lowest) = sync.lowest_pending {
        text.push_str(&format!(" and ends below {}", lowest.height));
    }
    text.push('\n');
    for rule in &sync.loosened {
        text.push_str(&format!(
            "  LOOSENED     {rule}: this chain's record gives up a safety rule\n"
        ));
    }
    text
}
