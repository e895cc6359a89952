//! The endpoints of a foreign chain.

use std::sync::Arc;

use alloy_primitives::B256;
use futures::future::join_all;
use grid_adapters::{
    Endpoint, RpcError, SourceChain,
    ethereum::{EthereumSource, FollowHead, beacon::newest_checkpoint},
    http::JsonService,
};
use grid_core::ethereum::sync::NetworkConfig;
use grid_relayer::attest::{AttestAnswer, AttestRequest};

use super::{Finding, Site, endpoint, main_chain::now_ms};
use crate::{
    config::{BeaconSection, ChainKind, ChainSection, SourceSection},
    sources,
};

/// Every endpoint of a chain.
pub(super) async fn look(site: &Site<'_>, n: usize, chain: &ChainSection) -> Vec<Finding> {
    let beacons = async {
        match &chain.beacon {
            Some(beacon) => beacon_nodes(site, n, chain, beacon).await,
            None => Vec::new(),
        }
    };
    let (mut findings, beacons) = tokio::join!(endpoints(site, n, chain), beacons);
    findings.extend(beacons);
    findings
}

async fn endpoints(site: &Site<'_>, n: usize, chain: &ChainSection) -> Vec<Finding> {
    let expected = match chain.kind {
        ChainKind::Bitcoin => {
            format!("a node of Bitcoin {}", chain.network.as_deref().unwrap_or_default())
        }
        ChainKind::Ethereum | ChainKind::Grid => format!("a node of {}", chain.id),
    };
    let members = match members(site, n, chain) {
        Ok(members) => members,
        Err(error) => {
            let (path, found) = (format!("chain[{n}]"), format!("{error:#}"));
            let fix = "correct the section";
            return vec![Finding::problem(
                "endpoint",
                path,
                "sources that can be made",
                found,
                fix,
            )];
        }
    };
    let ask = |(path, source): (String, Arc<dyn SourceChain>)| async move {
        let answer = endpoint::ask(&path, &source).await;
        (path, answer)
    };
    let answers = join_all(members.into_iter().map(ask)).await;
    let good: Vec<_> = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok()).collect();
    let best = good.iter().map(|answered| answered.height).max().unwrap_or(0);
    let enough = good.len() >= chain.agree;
    let mut findings: Vec<Finding> = answers
        .iter()
        .map(|(path, answer)| match answer {
            Ok(answered) => endpoint::finding(path, &expected, answered, best),
            Err(error) => {
                let failure = endpoint::failure(path, &expected, error);
                if enough && !endpoint::is_wrong(error) {
                    failure.only_a_warning()
                } else {
                    failure
                }
            }
        })
        .collect();
    findings.extend(peers(site, n, chain));
    findings
}

/// The chain's sources, each by itself, with the places where they are configured.
fn members(
    site: &Site<'_>,
    n: usize,
    chain: &ChainSection,
) -> eyre::Result<Vec<(String, Arc<dyn SourceChain>)>> {
    if chain.beacon.is_none() {
        return Ok(sources::members(site.home, n, chain)?
            .into_iter()
            .map(|member| (member.name().to_owned(), member.source().clone()))
            .collect());
    }
    // Below a light client they serve headers and proofs.
    let execution = |(m, url): (usize, &String)| {
        let path = format!("chain[{n}].rpc[{m}]");
        let endpoint = Endpoint::new(url, &path)?;
        let source = EthereumSource::new(chain.id.clone(), endpoint, FollowHead::Latest)?;
        Ok((path, Arc::new(source) as Arc<dyn SourceChain>))
    };
    chain.rpc.iter().enumerate().map(execution).collect()
}

/// The peers of a network show their chain only after a while: what the running daemon sees of them.
fn peers(site: &Site<'_>, n: usize, chain: &ChainSection) -> Vec<Finding> {
    let seen = site.running.as_ref();
    let seen = seen.and_then(|status| status.chains.iter().find(|seen| seen.id == chain.id));
    let is_p2p = |source: &SourceSection| matches!(source, SourceSection::P2p(_));
    let found =
        chain.sources.iter().enumerate().filter(|(_, source)| is_p2p(source)).map(|(m, _)| {
            let path = format!("chain[{n}].source[{m}]");
            let status =
                seen.and_then(|seen| seen.sources.iter().find(|source| source.name == path));
            match status {
                None => {
                    Finding::good("peers", path, "not asked: only the running daemon has peers")
                }
                Some(status) if status.healthy => Finding::good(
                    "peers",
                    path,
                    format!("tip {}", status.height.unwrap_or_default()),
                ),
                Some(status) => {
                    let found = status.error.clone().unwrap_or_else(|| "no tip yet".into());
                    let fix =
                        "open outgoing connections to the network's port, or name other peers";
                    Finding::problem("peers", path, "peers that show the chain", found, fix)
                        .only_a_warning()
                }
            }
        });
    found.collect()
}

/// The beacon nodes serve a light client of the network.
async fn beacon_nodes(
    site: &Site<'_>,
    n: usize,
    chain: &ChainSection,
    beacon: &BeaconSection,
) -> Vec<Finding> {
    let network = sources::network(site.home, &beacon.network)
        .and_then(|network| Ok(network.config()?))
        .map_err(|error| format!("{error:#}"));
    let network: NetworkConfig = match network {
        Ok(network) => network,
        Err(reason) => {
            let path = format!("chain[{n}].beacon.network");
            let fix = "name a known network or its file";
            return vec![Finding::problem("beacon", path, "a network's numbers", reason, fix)];
        }
    };
    let network = &network;
    let ask = |(m, url): (usize, &String)| {
        let (path, url) = (format!("chain[{n}].beacon.url[{m}]"), url.clone());
        async move {
            let now = now_ms() / 1000;
            let expected =
                format!("a synced beacon node of {} with light-client data", network.name);
            let asked = async {
                let endpoint = Endpoint::new(&url, &path)?;
                newest_checkpoint(&chain.id, network, vec![endpoint], 1, now).await
            };
            match asked.await {
                Ok(newest) if newest.execution.is_some() => {
                    let (slot, age) = (newest.slot, newest.age_text());
                    Finding::good("beacon", path, format!("finalized slot {slot}, {age} old"))
                }
                Ok(newest) => {
                    let found = format!("no bootstrap for {}", newest.root);
                    let fix = "use a node that serves light-client data, or switch that on";
                    Finding::problem("beacon", path, expected, found, fix)
                }
                Err(error) => endpoint::failure(&path, &expected, &error),
            }
        }
    };
    join_all(beacon.url.iter().enumerate().map(ask)).await
}

/// Other attesters answer this relayer's token. They are asked for a block that nobody has.
pub(super) async fn attesters(site: &Site<'_>) -> Vec<Finding> {
    // Files that cannot be read are named among the secrets.
    let Ok(attest) = sources::attestation(site.home, site.config) else { return Vec::new() };
    let mut asked = Vec::new();
    for (chain, attested) in attest.chains {
        for peer in attested.peers {
            let request =
                AttestRequest { chain: chain.clone(), height: u64::MAX, hash: B256::ZERO };
            asked.push(attester(peer, request));
        }
    }
    join_all(asked).await
}

async fn attester(peer: Endpoint, request: AttestRequest) -> Finding {
    let path = peer.section().to_owned();
    let expected = "an attester of the chain that knows the token";
    let fix = "ask its operator for the address and a token";
    let service = match JsonService::new(peer) {
        Ok(service) => service,
        Err(error) => return Finding::problem("attester", path, expected, error.to_string(), fix),
    };
    match service.post::<_, AttestAnswer>("attest", &request).await {
        Ok(AttestAnswer::Unknown) => {
            Finding::problem("attester", path, expected, "it does not attest this chain", fix)
        }
        Ok(answer) => Finding::good("attester", path, format!("answers: {}", answer.label())),
        Err(error @ RpcError::Unauthorized { .. }) => {
            Finding::problem("attester", path, expected, error.to_string(), fix)
        }
        // The others may be enough.
        Err(error) => {
            Finding::problem("attester", path, expected, error.to_string(), fix).only_a_warning()
        }
    }
}
