//! Where the public networks' peers are found.

use std::net::SocketAddr;

use futures::future::join_all;
use grid_core::bitcoin::NetworkParams;
use tokio::{net::lookup_host, time::timeout};

use super::config::{P2pConfig, Timing};

/// DNS seeds, as in Bitcoin Core's `kernel/chainparams.cpp` (version 31).
const SEEDS: [(&str, &[&str]); 4] = [
    (
        "mainnet",
        &[
            "dnsseed.bluematt.me.",
            "seed.bitcoin.jonasschnelli.ch.",
            "seed.btc.petertodd.net.",
            "seed.bitcoin.sprovoost.nl.",
            "dnsseed.emzy.de.",
            "seed.bitcoin.wiz.biz.",
            "seed.mainnet.achownodes.xyz.",
        ],
    ),
    (
        "testnet3",
        &[
            "testnet-seed.bitcoin.jonasschnelli.ch.",
            "seed.tbtc.petertodd.net.",
            "seed.testnet.bitcoin.sprovoost.nl.",
            "testnet-seed.bluematt.me.",
            "seed.testnet.achownodes.xyz.",
        ],
    ),
    ("testnet4", &["seed.testnet4.bitcoin.sprovoost.nl.", "seed.testnet4.wiz.biz."]),
    ("signet", &["seed.signet.bitcoin.sprovoost.nl.", "seed.signet.achownodes.xyz."]),
];

/// Most addresses taken from one name, so that no seed can fill the address book.
const MOST_PER_NAME: usize = 64;

/// Names to ask for peers, under this configuration.
pub(super) fn names(params: &NetworkParams, config: &P2pConfig) -> Vec<String> {
    if !config.dns.unwrap_or(config.peers.is_empty()) {
        return Vec::new();
    }
    if !config.dns_seeds.is_empty() {
        return config.dns_seeds.clone();
    }
    // A network of one's own may carry a public one's name, never its genesis block.
    let same = |name: &str| {
        NetworkParams::by_name(name).is_ok_and(|known| known.genesis == params.genesis)
    };
    let found = SEEDS.iter().find(|(name, _)| same(name));
    found.map_or_else(Vec::new, |(_, names)| names.iter().map(|name| (*name).to_owned()).collect())
}

/// Looks names up, those of `host:port` form with their own port. What cannot be found is left out.
pub(super) async fn resolve(names: Vec<String>, port: u16, timing: Timing) -> Vec<SocketAddr> {
    let lookups = names.iter().map(|name| async move {
        match timeout(timing.connect, lookup(name, port)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::debug!(name, %error, "name not found");
                Vec::new()
            }
            Err(_) => {
                tracing::debug!(name, "no answer from DNS");
                Vec::new()
            }
        }
    });
    join_all(lookups).await.into_iter().flatten().collect()
}

async fn lookup(name: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    // `host:port`, but not the colons of an IPv6 address without one.
    let with_port = match name.parse::<std::net::IpAddr>() {
        Ok(_) => false,
        Err(_) => name.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()),
    };
    let found = if with_port {
        lookup_host(name).await?.take(MOST_PER_NAME).collect()
    } else {
        lookup_host((name, port)).await?.take(MOST_PER_NAME).collect()
    };
    Ok(found)
}
