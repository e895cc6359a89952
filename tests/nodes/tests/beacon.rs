//! The simulated beacon chain over a real anvil, asked over HTTP.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt as _;
use grid_core::ethereum::sync::{
    Format, NetworkConfig, Policy, Preset, SyncClient, json as decode, ssz,
};
use grid_test_nodes::{
    Anvil, AnvilConfig, BeaconConfig, BeaconSim,
    beacon::{Clock, Fault, development, network::now},
    wait_for,
};
use serde_json::{Value, json};

/// Sixteen slots a period: rotations come soon.
const SHORT: Preset = Preset { committee_size: 32, slots_per_epoch: 4, epochs_per_period: 4 };
const LIMIT: Duration = Duration::from_secs(60);

/// A network whose genesis was an hour ago, so that slots can pass as fast as they are made.
fn network() -> NetworkConfig {
    development(SHORT, now() - 3600)
}

async fn start() -> (Anvil, BeaconSim) {
    let anvil = Anvil::start(AnvilConfig::default()).await.expect("anvil");
    let sim = BeaconSim::start(&anvil, BeaconConfig::stepped(network())).await.expect("simulator");
    (anvil, sim)
}

fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().expect("client")
}

/// Status, headers in lower case, body.
async fn get(
    sim: &BeaconSim,
    path: &str,
    accept: &str,
) -> (u16, BTreeMap<String, String>, Vec<u8>) {
    let request = client().get(format!("{}/{path}", sim.url())).header("accept", accept);
    let answer = request.timeout(LIMIT).send().await.expect("answer");
    let status = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    (status, headers, answer.bytes().await.expect("body").to_vec())
}

async fn get_json(sim: &BeaconSim, path: &str) -> Value {
    let (status, headers, body) = get(sim, path, "application/json").await;
    assert_eq!((status, headers["content-type"].as_str()), (200, "application/json"));
    serde_json::from_slice(&body).expect("JSON")
}

/// The updates of an SSZ page.
fn chunks(mut page: &[u8]) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    while let Some((length, rest)) = page.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_le_bytes(*length)).expect("a length");
        let (chunk, after) = rest.split_at(length);
        chunks.push(chunk[4..].to_vec());
        page = after;
    }
    chunks
}

#[tokio::test]
async fn a_light_client_reaches_anvils_finalized_block_in_both_encodings() {
    let (anvil, sim) = start().await;
    let checkpoint = sim.checkpoint();
    sim.advance(70).await.expect("slots");
    let newest = sim.finalize().await.expect("final");
    let network = sim.chain().network().clone();

    let path = format!("eth/v1/beacon/light_client/bootstrap/{checkpoint}");
    let answer = get_json(&sim, &path).await;
    let (format, data) = decode::envelope(answer.to_string().as_bytes()).expect("envelope");
    let bootstrap = decode::bootstrap(&network, format, &data).expect("bootstrap");
    let (_, headers, body) = get(&sim, &path, "application/octet-stream").await;
    assert_eq!(headers["eth-consensus-version"], "fulu");
    assert_eq!(ssz::bootstrap(&network, Format::Electra, &body).expect("SSZ"), bootstrap);

    let mut client =
        SyncClient::bootstrap(network.clone(), Policy::default(), &checkpoint, bootstrap, now())
            .expect("a start");
    let path = "eth/v1/beacon/light_client/updates?start_period=0&count=128";
    let page = get_json(&sim, path).await;
    let page = page.as_array().expect("a page");
    let (_, headers, body) =
        get(&sim, path, "application/octet-stream;q=1.0,application/json;q=0.9").await;
    assert_eq!(headers["content-type"], "application/octet-stream");
    let ssz_page = chunks(&body);
    assert_eq!(ssz_page.len(), page.len());
    assert!(page.len() >= 5, "{} periods", page.len());
    for (text, bytes) in page.iter().zip(ssz_page) {
        let update = decode::update(&network, Format::Electra, &text["data"]).expect("JSON");
        assert_eq!(ssz::update(&network, Format::Electra, &bytes).expect("SSZ"), update);
        client.process(update, now()).expect("accepted");
    }
    let answer = get_json(&sim, "eth/v1/beacon/light_client/finality_update").await;
    let update = decode::finality_update(&network, Format::Electra, &answer["data"]);
    client.process(update.expect("JSON"), now()).expect("accepted");

    let hash = anvil.block_hash(newest).await.expect("hash");
    let exported = client.finalized().expect("not frozen").execution_block_hash;
    assert_eq!(exported.to_string(), hash);
    let known = get_json(&sim, "eth/v1/beacon/headers/finalized").await;
    assert_eq!(known["data"]["root"], json!(client.finalized().expect("final").beacon.root()));
}

#[tokio::test]
async fn the_network_describes_itself_and_old_blocks_have_bootstraps() {
    let (_anvil, sim) = start().await;
    sim.advance(40).await.expect("slots");
    let network = sim.chain().network().clone();
    let genesis = get_json(&sim, "eth/v1/beacon/genesis").await;
    assert_eq!(genesis["data"]["genesis_time"], network.genesis_time.to_string());
    let spec = get_json(&sim, "eth/v1/config/spec").await;
    assert_eq!(spec["data"]["SLOTS_PER_EPOCH"], "4");
    assert_eq!(spec["data"]["FULU_FORK_EPOCH"], "0");
    assert_eq!(spec["data"]["GLOAS_FORK_EPOCH"], Value::Null);
    let syncing = get_json(&sim, "eth/v1/node/syncing").await;
    assert_eq!(syncing["data"]["head_slot"], "40");
    for slot in [0, 1, 17, 40] {
        let header = get_json(&sim, &format!("eth/v1/beacon/headers/{slot}")).await;
        let root = header["data"]["root"].as_str().expect("root").to_owned();
        let path = format!("eth/v1/beacon/light_client/bootstrap/{root}");
        let bootstrap = get_json(&sim, &path).await;
        assert_eq!(bootstrap["data"]["header"]["beacon"]["slot"], slot.to_string());
    }
    let unknown = format!("eth/v1/beacon/light_client/bootstrap/0x{}", "11".repeat(32));
    assert_eq!(get(&sim, &unknown, "*/*").await.0, 404);
}

#[tokio::test]
async fn faults_come_and_go() {
    let (_anvil, sim) = start().await;
    sim.advance(40).await.expect("slots");
    let (update, updates) = (
        "eth/v1/beacon/light_client/finality_update",
        "eth/v1/beacon/light_client/updates?start_period=0&count=9",
    );
    let honest = get_json(&sim, update).await;
    sim.fault(Fault::Status(503));
    let (status, headers, _) = get(&sim, update, "*/*").await;
    assert_eq!((status, headers["retry-after"].as_str()), (503, "1"));
    sim.honest();
    sim.fault_on("updates", Fault::ShortPage(1));
    assert_eq!(get_json(&sim, updates).await.as_array().map(Vec::len), Some(1));
    sim.fault_on("updates", Fault::ShiftedPage);
    assert_eq!(get_json(&sim, updates).await.as_array().map(Vec::len), Some(2));
    sim.fault_on("finality", Fault::Page);
    assert_eq!(get(&sim, update, "*/*").await.1["content-type"], "text/html");
    sim.fault_on("finality", Fault::Truncated);
    let (_, _, half) = get(&sim, update, "application/json").await;
    serde_json::from_slice::<Value>(&half).expect_err("half of it");
    sim.fault_on("finality", Fault::VersionName);
    assert_eq!(get_json(&sim, update).await["version"], "capella");
    sim.fault_on("finality", Fault::StaleFinality(20));
    assert_ne!(get_json(&sim, update).await, honest);
    sim.honest();
    assert_eq!(get_json(&sim, update).await, honest);
    assert!(sim.asked("finality_update") >= 7);
}

#[tokio::test]
async fn events_tell_of_finality() {
    let (_anvil, sim) = start().await;
    let url = format!(
        "{}/eth/v1/events?topics=finalized_checkpoint,light_client_finality_update",
        sim.url()
    );
    let mut events = client().get(url).send().await.expect("answer").bytes_stream();
    let mut text = String::new();
    let step = async {
        loop {
            sim.advance(1).await.expect("slot");
            tokio::task::yield_now().await;
        }
    };
    let read = async {
        while !text.contains("event: finalized_checkpoint") {
            let part = events.next().await.expect("no end").expect("part");
            text.push_str(&String::from_utf8_lossy(&part));
        }
    };
    let both = async {
        tokio::select! { () = step => {}, () = read => {} }
    };
    tokio::time::timeout(LIMIT, both).await.expect("an event");
    assert!(text.starts_with(": open"));
    assert!(text.contains("event: light_client_finality_update\ndata: {"));
    assert!(!text.contains("event: head"));
}

#[tokio::test]
async fn the_wall_clock_makes_blocks_and_a_journal_outlives_a_restart() {
    let mut anvil = Anvil::start(AnvilConfig { keep_state: true, ..AnvilConfig::default() })
        .await
        .expect("anvil");
    let folder = tempfile::tempdir().expect("folder");
    // Twenty periods have passed already: they are filled sparsely.
    let network = development(SHORT, now() - 20 * 16);
    let config = BeaconConfig {
        clock: Clock::Wall,
        journal: Some(folder.path().join("slots")),
        ..BeaconConfig::stepped(network)
    };
    let sim = BeaconSim::start(&anvil, config.clone()).await.expect("simulator");
    let head = |sim: &BeaconSim| sim.chain().head().map_or(0, |head| head.header.slot);
    wait_for("the present", LIMIT, || async {
        let (slot, now) = (head(&sim), sim.chain().network().slot_at(now()));
        let late = now.saturating_sub(slot);
        if late == 0 { Ok(()) } else { Err(format!("{late} slots behind")) }
    })
    .await
    .expect("in time");
    for period in 0..20 {
        assert!(sim.chain().best_update(period).is_some(), "period {period}");
    }
    let (slot, before) = (head(&sim), sim.checkpoint());
    drop(sim);
    anvil.stop().await.expect("stop");
    anvil.restart().await.expect("restart");
    let sim = BeaconSim::start(&anvil, config).await.expect("again");
    assert!(head(&sim) >= slot);
    assert!(sim.chain().by_root(&before).is_some(), "the same chain");
}

#[tokio::test]
async fn a_rival_has_another_history_of_the_same_committees() {
    let (_anvil, sim) = start().await;
    sim.advance(60).await.expect("slots");
    let rival = sim.rival(30).await.expect("rival");
    let (ours, theirs) = (sim.chain(), rival.chain());
    assert_eq!(ours.block(29).expect("shared").root, theirs.block(29).expect("shared").root);
    assert_ne!(ours.block(40).expect("ours").root, theirs.block(40).expect("theirs").root);
    assert_eq!(ours.committee(3), theirs.committee(3));
}

#[tokio::test]
async fn the_beacon_chain_follows_anvils_reorganisations_above_its_finality() {
    let (anvil, sim) = start().await;
    sim.advance(40).await.expect("slots");
    let checkpoint = sim.checkpoint();
    let number = anvil.block_number().await.expect("number");
    anvil.reorg(3).await.expect("reorg");
    sim.advance(1).await.expect("slot");
    let last = sim.chain().block_until(40).expect("a block").execution.block_number;
    assert_eq!(last, number - 3, "three beacon blocks are gone");
    assert_eq!(sim.checkpoint(), checkpoint);
    anvil.rollback(2).await.expect("rollback");
    sim.advance(20).await.expect("slots");
    let carried: Vec<_> = sim.chain().blocks().map(|block| block.execution.clone()).collect();
    for block in carried {
        let hash = anvil.block_hash(block.block_number).await.expect("hash");
        assert_eq!(block.block_hash.to_string(), hash);
    }
}
