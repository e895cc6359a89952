//! From a checkpoint to real finality, in both media types, and what others are handed on the way.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use grid_adapters::{
    AdapterError, Class, FinalityChain as _, SourceChain as _,
    ethereum::beacon::{BeaconError, LightSource, newest_checkpoint},
};
use grid_core::{
    ChainId,
    ethereum::sync::{Policy, SyncClient, SyncData},
};

use super::{FINAL, Mainnet, mainnet, root, server::Beacon};
use crate::fake::Reply;

/// Takes what a source handed out, as the main chain would.
fn replay(world: &Mainnet, data: Vec<SyncData>) -> SyncClient {
    let mut data = data.into_iter();
    let Some(SyncData::Bootstrap(bootstrap)) = data.next() else { panic!("no bootstrap first") };
    let (network, now) = (world.data.network.clone(), world.now());
    let policy = Policy::default();
    let mut client =
        SyncClient::bootstrap(network, policy, &world.checkpoint, *bootstrap, now).unwrap();
    for item in data {
        match item {
            SyncData::Update(update) => client.process(*update, now).unwrap(),
            SyncData::FinalityUpdate(update) => client.process(*update, now).unwrap(),
            other => panic!("{other:?}"),
        };
    }
    client
}

#[tokio::test]
async fn real_finality_is_reached_in_both_media_types() {
    let Some(world) = mainnet() else { return };
    for ssz in [false, true] {
        let beacon = Beacon::honest(super::server::Data { ssz, ..world.data.clone() }).await;
        let source = world.source(vec![beacon.endpoint(0)]).await;
        let tip = source.tip().await.unwrap();
        assert_eq!((tip.height, tip.hash), (FINAL, world.header.hash_slow()));
        let headers = source.headers(FINAL, 5).await.unwrap();
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[0].compat.blockHash, tip.hash);
        assert!(source.headers(FINAL + 1, 5).await.unwrap().is_empty());
        let status = source.status().unwrap();
        assert_eq!((status.finalized_slot, status.period), (7_109_344, 867));
        assert!(status.next_committee_known && status.frozen.is_none());
        let view = source.view();
        assert_eq!(view.members.len(), 2);
        assert_eq!(view.members[0].height, Some(7_109_344));
        assert!(view.members.iter().all(|member| member.failures == 0), "{view:?}");
        assert!(view.warnings.is_empty(), "{view:?}");
        let known = source.block(tip.hash).await.unwrap();
        assert_eq!(known, Some(tip));
        assert_eq!(source.block(root(1)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_is_handed_out_brings_another_client_to_the_same_finality() {
    let Some(world) = mainnet() else { return };
    let beacon = Beacon::honest(world.data.clone()).await;
    let source = world.source(vec![beacon.endpoint(0)]).await;
    let data = source.sync_data(&world.nowhere()).await.unwrap();
    assert_eq!(data.len(), 1 + 6 + 1);
    let client = replay(&world, data.clone());
    let reached = client.finalized().unwrap().execution_block_hash;
    assert_eq!(reached, world.header.hash_slow());
    // Any beginning makes progress by itself, and what is missing then is handed out.
    for taken in 1..=data.len() {
        let client = replay(&world, data[..taken].to_vec());
        let beacon = &client.store().finalized_header().beacon;
        let mut position = world.nowhere();
        position.started = true;
        position.finalized_slot = beacon.slot;
        position.finalized_root = beacon.root();
        position.period = world.data.network.preset.period(beacon.slot);
        position.next_committee_known = client.store().next_sync_committee().is_some();
        let rest = source.sync_data(&position).await.unwrap();
        assert_eq!(rest, data[taken..], "after {taken}");
    }
}

#[tokio::test]
async fn a_client_from_elsewhere_is_served_from_where_it_stands() {
    let Some(world) = mainnet() else { return };
    let beacon = Beacon::honest(world.data.clone()).await;
    let mut position = world.nowhere();
    position.started = true;
    position.finalized_slot = 7_069_376;
    position.finalized_root = world.checkpoint;
    position.period = 862;
    // This one has only the last two periods in its history.
    let source = world.source(vec![beacon.endpoint(0)]).await;
    source.tip().await.unwrap();
    let before = beacon.asked();
    assert_eq!(source.sync_data(&position).await.unwrap().len(), 7);
    assert_eq!(beacon.asked(), before, "all of it was known");
    position.finalized_root = root(3);
    position.period = 500;
    let error = source.sync_data(&position).await.unwrap_err();
    assert!(matches!(&error, AdapterError::Beacon(BeaconError::Missing { .. })), "{error:?}");
}

#[tokio::test]
async fn without_a_checkpoint_the_main_chains_is_taken() {
    let Some(world) = mainnet() else { return };
    let beacon = Beacon::honest(world.data.clone()).await;
    let mut config = world.config();
    config.checkpoint = None;
    let now = world.now();
    let source = LightSource::new(config, vec![beacon.endpoint(0)], vec![world.node().await])
        .unwrap()
        .with_clock(move || now);
    let error = source.tip().await.unwrap_err();
    assert_eq!(error.class(), Class::Wait { until: "checkpoint" });
    assert!(!source.sync_data(&world.nowhere()).await.unwrap().is_empty());
    assert_eq!(source.tip().await.unwrap().height, FINAL);
}

#[tokio::test]
async fn what_is_too_old_is_refused_with_advice() {
    let Some(world) = mainnet() else { return };
    let beacon = Beacon::honest(world.data.clone()).await;
    // At the start.
    let late = world.now() + 2 * 86_400;
    let source =
        LightSource::new(world.config(), vec![beacon.endpoint(0)], vec![world.node().await])
            .unwrap()
            .with_clock(move || late);
    let error = source.tip().await.unwrap_err();
    assert_eq!(error.class(), Class::Halt { reason: "stale-checkpoint" });
    let text = error.to_string();
    for part in ["7 d 13 h old", "at most 7 d 0 h", "grid ethereum checkpoint", "slot 7069376"] {
        assert!(text.contains(part), "{text}");
    }
    // After a sleep of a fortnight the same client halts, and nothing that it proved goes bad.
    let clock = Arc::new(AtomicU64::new(world.now()));
    let read = Arc::clone(&clock);
    let source =
        LightSource::new(world.config(), vec![beacon.endpoint(0)], vec![world.node().await])
            .unwrap()
            .with_clock(move || read.load(Ordering::Relaxed));
    source.tip().await.unwrap();
    clock.fetch_add(14 * 86_400, Ordering::Relaxed);
    let error = source.tip().await.unwrap_err();
    assert!(matches!(error, AdapterError::Beacon(BeaconError::Stale { .. })), "{error:?}");
    assert_eq!(source.headers(FINAL, 1).await.unwrap().len(), 1);
    // A clock before the chain is no better.
    clock.store(world.data.network.time_of(7_000_000), Ordering::Relaxed);
    let source =
        LightSource::new(world.config(), vec![beacon.endpoint(0)], vec![world.node().await])
            .unwrap()
            .with_clock(move || clock.load(Ordering::Relaxed));
    let error = source.tip().await.unwrap_err();
    assert_eq!(error.class(), Class::Halt { reason: "clock" }, "{error}");
}

#[tokio::test]
async fn a_checkpoint_is_what_enough_endpoints_call_finalized() {
    let Some(world) = mainnet() else { return };
    let network = &world.data.network;
    let honest = Beacon::honest(world.data.clone()).await;
    let mut other = world.data.clone();
    other.finalized["header"]["message"]["proposer_index"] = "1".into();
    let liar = Beacon::honest(other.clone()).await;
    let message = serde_json::from_value::<grid_core::ethereum::sync::BeaconBlockHeader>(
        other.finalized["header"]["message"].clone(),
    )
    .unwrap();
    other.finalized["root"] = serde_json::to_value(message.root()).unwrap();
    let elsewhere = Beacon::honest(other).await;
    let chain = ChainId::eip155(1);
    let ask = async |endpoints, agree| {
        newest_checkpoint(&chain, network, endpoints, agree, world.now()).await
    };
    let found = ask(vec![honest.endpoint(0), honest.endpoint(1)], 2).await.unwrap();
    assert_eq!((found.slot, found.epoch), (7_109_344, 222_167));
    assert_eq!((found.age, found.agreeing.len()), ((NOW_AGE), 2));
    assert_eq!(found.age_text(), "17 min");
    let endpoints = vec![honest.endpoint(0), elsewhere.endpoint(1)];
    let error = ask(endpoints, 2).await.unwrap_err();
    assert!(matches!(error, AdapterError::Disagreement { .. }), "{error:?}");
    // A root that is not the header's is noticed, and named.
    let endpoints = vec![honest.endpoint(0), liar.endpoint(1)];
    let found = ask(endpoints, 1).await.unwrap();
    assert_eq!(found.agreeing.len(), 1);
    assert!(found.others.iter().any(|(_, said)| said.contains("header has root")), "{found:?}");
}

/// From the finalized slot to the present.
const NOW_AGE: u64 = (super::NOW - 7_109_344) * 12;

#[tokio::test]
async fn an_event_wakes_and_a_dropped_wait_keeps_the_stream() {
    let Some(world) = mainnet() else { return };
    let (events, stream) = tokio::sync::mpsc::unbounded_channel();
    let stream = std::sync::Mutex::new(Some(stream));
    let beacon = Beacon::start(world.data.clone(), move |request, honest| {
        if !request.path.starts_with("/eth/v1/events") {
            return honest;
        }
        // A node without a light-client server refuses its topics first.
        if request.path.contains("light_client") {
            return Reply::Send(axum::http::StatusCode::BAD_REQUEST, Vec::new());
        }
        stream.lock().unwrap().take().map_or(Reply::Hang, Reply::Stream)
    })
    .await;
    let source = world.source(vec![beacon.endpoint(0)]).await;
    let wait = core::time::Duration::from_secs(3);
    events.send(b": hello\n\n".to_vec()).unwrap();
    assert!(tokio::time::timeout(wait, source.changed()).await.is_err(), "woken by nothing");
    events.send(b"event: finalized_checkpoint\ndata: {}\n\n".to_vec()).unwrap();
    tokio::time::timeout(wait, source.changed()).await.expect("woken by the event");
}
