//! Execution nodes below a final block: whoever lags, forks, edits or refuses is passed over.

use std::collections::{BTreeMap, HashMap};

use alloy_consensus::Header;
use alloy_primitives::{B256, FixedBytes, U256};
use grid_adapters::{
    AdapterError, Class, Endpoint, SourceChain as _,
    ethereum::beacon::{BeaconError, LightConfig, LightSource},
};
use grid_core::{
    ChainId,
    ethereum::sync::{
        BeaconBlockHeader, Bootstrap, Fork, ForkActivation, LightClientHeader, NetworkConfig,
        Policy, Preset, SyncCommittee, merkle,
    },
};
use serde_json::Value;

use super::server::{Beacon, Data, Node, Object};
use crate::fake::Fake;

fn grow(count: u64, salt_from: u64) -> Vec<Header> {
    let mut out: Vec<Header> = Vec::new();
    for number in 0..count {
        let parent = out.last();
        out.push(Header {
            number,
            parent_hash: parent.map_or(B256::ZERO, Header::hash_slow),
            timestamp: 1 + number * 12,
            difficulty: U256::ZERO,
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(7),
            extra_data: vec![u8::from(number >= salt_from)].into(),
            ..Header::default()
        });
    }
    out
}

/// The root to which a leaf leads with a branch of zeros, which is as good as any.
fn up(leaf: B256, gindex: u64) -> B256 {
    merkle::branch_root(&leaf, &vec![B256::ZERO; gindex.ilog2() as usize], gindex)
}

/// A network whose trusted block carries `execution`; nothing newer is ever signed.
fn world(execution: B256) -> (Data, B256) {
    let forks = [
        Fork::Altair,
        Fork::Bellatrix,
        Fork::Capella,
        Fork::Deneb,
        Fork::Electra,
        Fork::Fulu,
        Fork::Gloas,
    ];
    let network = NetworkConfig {
        name: "made".into(),
        preset: Preset::MINIMAL,
        seconds_per_slot: 12,
        genesis_time: 1_000_000,
        genesis_validators_root: B256::repeat_byte(7),
        genesis_fork_version: FixedBytes([0; 4]),
        forks: (1..)
            .zip(forks)
            .map(|(n, fork)| ForkActivation { fork, version: FixedBytes([n, 0, 0, 1]), epoch: 0 })
            .collect(),
    };
    let current_sync_committee = SyncCommittee {
        pubkeys: vec![FixedBytes::repeat_byte(3); 32],
        aggregate_pubkey: FixedBytes::repeat_byte(4),
    };
    let gindex = merkle::block_hash_gindex(Some(Fork::Gloas)).unwrap();
    let body_root = up(execution, gindex);
    let gindex = merkle::current_committee_gindex(Some(Fork::Gloas));
    let state_root = up(current_sync_committee.root(), gindex);
    let beacon = BeaconBlockHeader {
        slot: 64,
        proposer_index: 1,
        parent_root: B256::repeat_byte(1),
        state_root,
        body_root,
    };
    let header = LightClientHeader {
        beacon,
        execution_block_hash: execution,
        execution_branch: Default::default(),
    };
    assert!(header.is_valid(&network));
    let bootstrap = Bootstrap {
        header,
        current_sync_committee,
        current_sync_committee_branch: Default::default(),
    };
    let data = Data {
        network,
        bootstraps: HashMap::from([(beacon.root(), Object::new(Value::Null, bootstrap))]),
        updates: BTreeMap::new(),
        finality: None,
        finalized: Value::Null,
        ssz: true,
    };
    (data, beacon.root())
}

async fn source(headers: &[Header], nodes: Vec<Endpoint>, agree: usize) -> (LightSource, Beacon) {
    let (data, checkpoint) = world(headers.last().unwrap().hash_slow());
    let config = LightConfig {
        chain: ChainId::eip155(1),
        network: data.network.clone(),
        policy: Policy::default(),
        checkpoint: Some(checkpoint),
        store: None,
        agree,
    };
    let beacon = Beacon::honest(data).await;
    let source = LightSource::new(config, vec![beacon.endpoint(0)], nodes).unwrap();
    (source.with_clock(|| 1_000_000 + 70 * 12), beacon)
}

async fn all(source: &LightSource, top: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut from = 0;
    while from <= top {
        let part = source.headers(from, 200).await.unwrap();
        assert!(!part.is_empty(), "at {from}");
        from += part.len() as u64;
        seen.extend(part.iter().map(|header| header.compat.height));
    }
    seen
}

#[tokio::test]
async fn headers_are_linked_down_from_the_final_block() {
    let headers = grow(1_500, 0);
    let (fake, node) = Node::new(headers.clone(), 1).start().await;
    let (source, _beacon) = source(&headers, vec![fake.endpoint()], 0).await;
    let tip = source.tip().await.unwrap();
    assert_eq!((tip.height, tip.hash), (1_499, headers[1_499].hash_slow()));
    assert_eq!(all(&source, 1_499).await, (0..1_500).collect::<Vec<_>>());
    // What is known is not walked again.
    let part = source.headers(700, 3).await.unwrap();
    let hashes: Vec<B256> = part.iter().map(|header| header.compat.blockHash).collect();
    let expected: Vec<B256> = headers[700..703].iter().map(Header::hash_slow).collect();
    assert_eq!(hashes, expected);
    // The node forks off below: nothing of the other branch is handed out.
    node.lock().unwrap().headers = grow(1_500, 600);
    let error = source.headers(650, 3).await.unwrap_err();
    assert!(
        matches!(error, AdapterError::Beacon(BeaconError::Execution { height: 652, .. })),
        "{error:?}"
    );
    assert!(matches!(error.class(), Class::Retry { .. }));
}

#[tokio::test]
async fn nodes_that_lag_fork_edit_or_refuse_are_passed_over() {
    type Change = fn(&mut Node);
    let headers = grow(300, 0);
    let build = |change: Change| {
        let mut node = Node::new(grow(300, 0), 1);
        change(&mut node);
        node
    };
    let cases: [(&str, Change); 6] = [
        ("behind", |node| node.headers.truncate(100)),
        ("another branch", |node| node.headers = grow(300, 150)),
        ("an edited field", |node| node.edits = true),
        ("another chain", |node| node.chain_id = 5),
        ("invalid params", |node| node.refuses = Some((-32_602, "invalid block number"))),
        ("header not found", |node| node.refuses = Some((-32_000, "header not found"))),
    ];
    for (name, change) in cases {
        let (bad, _) = build(change).start().await;
        let (good, _) = Node::new(headers.clone(), 1).start().await;
        let (source, _beacon) = source(&headers, vec![bad.endpoint(), good.endpoint()], 0).await;
        let tip = source.tip().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tip.height, 299, "{name}");
        assert_eq!(all(&source, 299).await.len(), 300, "{name}");
        let view = source.view();
        let failures: Vec<u32> =
            view.members.iter().filter(|m| m.kind.as_str() == "rpc").map(|m| m.failures).collect();
        assert!(name == "behind" || failures[0] > 0, "{name}: {failures:?}");
        assert_eq!(failures[1], 0, "{name}");
    }
    // Alone, each is an error of its own, and never a header.
    for (name, change) in cases {
        let (bad, _) = build(change).start().await;
        let (source, _beacon) = source(&headers, vec![bad.endpoint()], 0).await;
        let error = match source.tip().await {
            Ok(_) => source.headers(200, 5).await.expect_err(name),
            Err(error) => error,
        };
        assert!(!error.to_string().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_node_that_hangs_is_overtaken() {
    let headers = grow(50, 0);
    let hanging = Fake::start(|_| crate::fake::Reply::Hang).await;
    let (good, _) = Node::new(headers.clone(), 1).start().await;
    let hasty = hanging.endpoint().with_limits(crate::fake::hasty());
    let (source, _beacon) = source(&headers, vec![hasty, good.endpoint()], 0).await;
    assert_eq!(source.tip().await.unwrap().height, 49);
    assert_eq!(all(&source, 49).await.len(), 50);
}

#[tokio::test]
async fn a_second_opinion_holds_what_the_nodes_do_not_call_final() {
    let headers = grow(40, 0);
    let (agreeing, node) = Node::new(headers.clone(), 1).start().await;
    let (forked, _) = Node::new(grow(45, 20), 1).start().await;
    let endpoints = || vec![agreeing.endpoint(), forked.endpoint()];
    let (one, _beacon) = source(&headers, endpoints(), 1).await;
    assert_eq!(one.tip().await.unwrap().height, 39);
    let disagreement = one.view().disagreement.expect("shown");
    assert!(!disagreement.held && disagreement.height == 39 && disagreement.votes.len() == 2);
    let (two, _beacon) = source(&headers, endpoints(), 2).await;
    let error = two.tip().await.unwrap_err();
    assert_eq!(error.class(), Class::Wait { until: "endpoints-agree" });
    assert!(error.to_string().contains("1 of 2 required"), "{error}");
    assert!(two.view().disagreement.expect("shown").held);
    // A node whose finality is lower has no opinion yet.
    node.lock().unwrap().finalized = 10;
    let (one, _beacon) = source(&headers, vec![agreeing.endpoint()], 1).await;
    let error = one.tip().await.unwrap_err();
    assert!(error.to_string().contains("none has it yet"), "{error}");
    assert!(one.view().disagreement.is_none());
}
