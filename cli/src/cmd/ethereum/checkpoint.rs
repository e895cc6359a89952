//! `grid ethereum checkpoint`: what beacon nodes call finalized, for an operator who has to trust a block.

use std::time::{SystemTime, UNIX_EPOCH};

use eyre::{Result, bail, eyre};
use grid_adapters::{
    Endpoint,
    ethereum::beacon::{Checkpoint, newest_checkpoint},
};
use grid_core::{
    ChainId,
    ethereum::sync::{NetworkConfig, Policy},
};
use serde::Serialize;

use crate::{
    args::EthereumCheckpointArgs,
    config::{BeaconSection, ChainSection},
    home::Home,
    output::Output,
    sources,
};

/// A checkpoint as it is shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    network: String,
    root: String,
    slot: u64,
    epoch: u64,
    time: u64,
    age_seconds: u64,
    age: String,
    execution: Option<String>,
    agreeing: Vec<String>,
    others: Vec<(String, String)>,
    /// Whether it is older than what a light client starts from.
    too_old: bool,
}

pub(super) async fn run(home: &Home, args: &EthereumCheckpointArgs, out: Output) -> Result<()> {
    let (network, beacons) = asked(home, args)?;
    let agree = args.agree.unwrap_or(beacons.len());
    let found = newest(&network, beacons, agree).await?;
    let shown = Shown {
        network: network.name,
        root: found.root.to_string(),
        slot: found.slot,
        epoch: found.epoch,
        time: found.time,
        age_seconds: found.age,
        age: found.age_text(),
        execution: found.execution.map(|hash| hash.to_string()),
        agreeing: found.agreeing,
        others: found.others,
        too_old: found.age > Policy::default().max_checkpoint_age,
    };
    out.show(&shown, people)
}

/// The newest finalized block by the machine's clock.
pub(in crate::cmd) async fn newest(
    network: &NetworkConfig,
    beacons: Vec<Endpoint>,
    agree: usize,
) -> Result<Checkpoint> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    // Only for messages: a beacon chain has no CAIP-2 id of its own.
    let chain = ChainId::eip155(0);
    Ok(newest_checkpoint(&chain, network, beacons, agree, now).await?)
}

/// The network and the nodes that the arguments or the configuration mean.
fn asked(home: &Home, args: &EthereumCheckpointArgs) -> Result<(NetworkConfig, Vec<Endpoint>)> {
    if !args.beacon.is_empty() {
        let name = args.network.as_deref().ok_or_else(|| eyre!("--network is missing"))?;
        let network = sources::network(home, name)?.config()?;
        return Ok((network, sources::endpoints(&args.beacon, "--beacon")?));
    }
    let config = home.config()?;
    let with_beacon = |(n, chain): (usize, &ChainSection)| -> Option<(usize, BeaconSection)> {
        let wanted = args.on.as_ref().is_none_or(|id| *id == chain.id);
        Some((n, chain.beacon.clone().filter(|_| wanted)?))
    };
    let found: Vec<_> = config.chains.iter().enumerate().filter_map(with_beacon).collect();
    match found.as_slice() {
        [(n, beacon)] => {
            let name = args.network.as_deref().unwrap_or(&beacon.network);
            Ok((sources::network(home, name)?.config()?, sources::beacons(*n, beacon)?))
        }
        [] => bail!(
            "no chain with a [chain.beacon] section is configured in {}; name nodes with --beacon and --network",
            home.config_file().display()
        ),
        _ => bail!("several chains have beacon nodes; choose with --on"),
    }
}

fn people(shown: &Shown) -> String {
    let mut text = format!(
        "{}\n  checkpoint   {}\n  slot         {} (epoch {}), {} old\n",
        shown.network, shown.root, shown.slot, shown.epoch, shown.age
    );
    if let Some(hash) = &shown.execution {
        text.push_str(&format!("  execution    {hash}\n"));
    }
    for node in &shown.agreeing {
        text.push_str(&format!("  agrees       {node}\n"));
    }
    for (node, said) in &shown.others {
        text.push_str(&format!("  differs      {node}: {said}\n"));
    }
    if shown.too_old {
        text.push_str("  TOO OLD      a light client does not start from it: the network or the nodes stand still\n");
    }
    text + "compare the checkpoint with a source that you trust and that is not one of these nodes"
}
