//! Four validators and a follower over libp2p on the loopback interface.

mod common;

use std::{net::TcpListener, path::Path, sync::Arc};

use common::{Engine, FileChain, address, validators};
use grid_consensus::{Chain, Net};

/// Validators; the node after them has a key that is not in the set.
const COUNT: u8 = 4;

/// Validators and the follower.
const NODES: u8 = COUNT + 1;

/// Bodies of two parts.
const PADDING: usize = 70_000;

/// Ports that were free a moment ago.
fn ports() -> Vec<u16> {
    let listeners: Vec<_> =
        (0..NODES).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    listeners.iter().map(|l| l.local_addr().expect("an address").port()).collect()
}

fn start(dir: &Path, chain: &Arc<FileChain>, number: u8, ports: &[u16]) -> Engine {
    let at = |port: &u16| format!("/ip4/127.0.0.1/tcp/{port}");
    let own = usize::from(number);
    let peers = ports.iter().enumerate().filter(|(other, _)| *other != own);
    let net = Net::P2p {
        listen: at(&ports[own]),
        peers: peers.map(|(_, port)| at(port)).collect(),
        peers_only: false,
    };
    Engine::with_net(&dir.join(format!("home-{number}")), chain, number, 100, net)
}

fn open(dir: &Path, number: u8) -> Arc<FileChain> {
    FileChain::with_padding(&dir.join(format!("chain-{number}")), validators(COUNT), PADDING)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_validators_agree_and_one_that_lost_its_disk_catches_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    let ports = ports();
    let mut chains: Vec<_> = (0..NODES).map(|number| open(dir, number)).collect();
    let mut engines: Vec<_> =
        (0..NODES).map(|number| start(dir, &chains[usize::from(number)], number, &ports)).collect();
    for (engine, chain) in engines.iter_mut().zip(&chains) {
        engine.reach(chain, 8).await;
    }

    // Without one of them, the others go on (at heights that are its turn, a round later).
    let last = usize::from(COUNT - 1);
    engines.remove(last).stop().await;
    let away = chains[last].head().height;
    engines[0].reach(&chains[0], away + 3).await;

    // It comes back without its disk: it must not vote before it knows that it is past what it signed.
    for what in ["chain", "home"] {
        std::fs::remove_dir_all(dir.join(format!("{what}-{last}"))).expect("removed");
    }
    chains[last] = open(dir, COUNT - 1);
    engines.insert(last, start(dir, &chains[last], COUNT - 1, &ports));
    engines[last].reach(&chains[last], away + 6).await;
    for engine in engines {
        engine.stop().await;
    }

    assert!(chains.iter().all(|chain| chain.evidence().is_empty()), "somebody voted twice");
    let blocks: Vec<_> = chains.iter().map(|chain| chain.check()).collect();
    let lowest = blocks.iter().map(|blocks| blocks.len()).min().expect("four");
    assert!(lowest as u64 >= away + 3, "lowest head {lowest}");
    for height in 1..=lowest as u64 {
        assert!(blocks.iter().all(|other| other[&height] == blocks[0][&height]), "at {height}");
    }
    let builders: std::collections::BTreeSet<_> = (1..=8)
        .map(|height| chains[0].decided(height).expect("readable").expect("there").0)
        .map(|body| alloy_primitives::Address::from_slice(&body[40..60]))
        .collect();
    assert!(builders.len() >= 3, "validators take turns: {builders:?}");
    assert!((0..COUNT).any(|number| builders.contains(&address(number))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_fixed_peers_turns_others_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let ports = ports();
    let [validator, friend, stranger] = [0, 1, 2];
    let chains: Vec<_> = (0..3)
        .map(|number| FileChain::open(&dir.path().join(format!("chain-{number}")), validators(1)))
        .collect();
    let run = |number: u8, peer: u8, peers_only: bool| {
        let at = |number: u8| format!("/ip4/127.0.0.1/tcp/{}", ports[usize::from(number)]);
        let net = Net::P2p { listen: at(number), peers: vec![at(peer)], peers_only };
        let home = dir.path().join(format!("home-{number}"));
        Engine::with_net(&home, &chains[usize::from(number)], number, 100, net)
    };
    // The stranger comes first, so that it has had the time when the friend has its blocks.
    let mut outside = run(stranger, validator, false);
    let inside = run(validator, friend, true);
    let mut beside = run(friend, validator, false);
    beside.reach(&chains[1], 8).await;
    assert_eq!(chains[2].head().height, 0, "the stranger got blocks");
    let heard = outside.status.borrow().peers.iter().filter_map(|peer| peer.height).max();
    assert_eq!(heard, None, "the stranger hears of blocks");

    // It would follow, were it let in.
    inside.stop().await;
    let inside = run(validator, friend, false);
    outside.reach(&chains[2], 8).await;
    for engine in [inside, beside, outside] {
        engine.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_none_is_told_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let chain = open(dir.path(), 0);
    for (listen, field) in [("localhost:26656", "listen"), ("/ip4/127.0.0.1/udp/1", "listen")] {
        let net = Net::P2p { listen: listen.to_owned(), peers: Vec::new(), peers_only: false };
        let engine = Engine::with_net(&dir.path().join("home"), &chain, 0, 100, net);
        let text = engine.failure().await.to_string();
        assert!(text.contains(field) && text.contains(listen), "{text}");
    }
}
