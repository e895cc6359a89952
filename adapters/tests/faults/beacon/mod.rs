//! The light client over beacon nodes that fail and lie, with real mainnet data of August 2023. Needs the
//! test data (`GRID_TESTDATA`, by default `../shared/data` beside the project).

mod files;
mod following;
mod headers;
mod lies;
mod server;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use alloy_consensus::Header;
use alloy_eips::{eip2718::Decodable2718 as _, eip4895::Withdrawal};
use alloy_primitives::{B64, B256, Bytes, U256, hex};
use grid_adapters::{
    Endpoint,
    ethereum::beacon::{LightConfig, LightSource},
};
use grid_core::{
    ChainId,
    api::{BlockRef, SyncStatus},
    ethereum::{
        mpt,
        sync::{NetworkConfig, Policy, json},
    },
};
use serde_json::Value;

use self::server::{Data, Node, Object};

/// A slot shortly after the last signature in the data.
const NOW: u64 = 7_109_433;
/// The execution block that is final then.
const FINAL: u64 = 17_923_026;

/// Real data: what a beacon node had, and the execution header of the final block.
#[derive(Clone)]
struct Mainnet {
    data: Data,
    checkpoint: B256,
    header: Header,
}

fn read(name: &str) -> Option<Value> {
    let data = std::env::var_os("GRID_TESTDATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let file = data.join("ethereum/mainnet-lightclient/helios-capella-2023-08").join(name);
    let Ok(bytes) = std::fs::read(&file) else {
        println!("SKIPPED: there is no {}; set GRID_TESTDATA", file.display());
        return None;
    };
    Some(serde_json::from_slice(&bytes).unwrap())
}

fn decoded<T>(
    value: &Value,
    decode: impl Fn(
        &NetworkConfig,
        grid_core::ethereum::sync::Format,
        &Value,
    ) -> Result<T, grid_core::ethereum::sync::DecodeError>,
) -> T {
    let (format, data) = json::envelope(value.to_string().as_bytes()).unwrap();
    decode(&NetworkConfig::mainnet(), format, &data).unwrap()
}

fn mainnet() -> Option<Mainnet> {
    let network = NetworkConfig::mainnet();
    let bootstrap = read("bootstrap.json")?;
    let start = decoded(&bootstrap, json::bootstrap);
    let checkpoint = start.header.beacon.root();
    let mut updates = BTreeMap::new();
    for value in read("updates.json")?.as_array().unwrap() {
        let update = decoded(value, json::update);
        let period = network.preset.period(update.attested_header.beacon.slot);
        updates.insert(period, Object::new(value.clone(), update));
    }
    let finality = read("finality.json")?;
    let update = decoded(&finality, json::finality_update);
    let block = read("blocks/7109344.json")?;
    let header = execution_header(&block["data"]["message"]["body"]["execution_payload"]);
    assert_eq!(header.hash_slow(), update.finalized_header.execution_block_hash);
    let message = serde_json::to_value(update.finalized_header.beacon).unwrap();
    let root = update.finalized_header.beacon.root();
    let finalized = serde_json::json!({"root": root, "header": {"message": message}});
    let data = Data {
        network,
        bootstraps: HashMap::from([(checkpoint, Object::new(bootstrap, start))]),
        updates,
        finality: Some(Object::new(finality, update)),
        finalized,
        ssz: true,
    };
    Some(Mainnet { data, checkpoint, header })
}

/// The header of a Capella block, with the roots rebuilt from its body.
fn execution_header(payload: &Value) -> Header {
    fn take<T: serde::de::DeserializeOwned>(payload: &Value, field: &str) -> T {
        serde_json::from_value(payload[field].clone()).unwrap()
    }
    let number = |field: &str| take::<String>(payload, field).parse::<u64>().unwrap();
    let transactions: Vec<Bytes> = take(payload, "transactions");
    for raw in &transactions {
        alloy_consensus::TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
    }
    let plain = |value: &Value, field: &str| value[field].as_str().unwrap().parse::<u64>().unwrap();
    let withdrawals: Vec<Bytes> = payload["withdrawals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| {
            let withdrawal = Withdrawal {
                index: plain(value, "index"),
                validator_index: plain(value, "validator_index"),
                address: value["address"].as_str().unwrap().parse().unwrap(),
                amount: plain(value, "amount"),
            };
            alloy_rlp::encode(withdrawal).into()
        })
        .collect();
    Header {
        parent_hash: take(payload, "parent_hash"),
        ommers_hash: alloy_consensus::EMPTY_OMMER_ROOT_HASH,
        beneficiary: take(payload, "fee_recipient"),
        state_root: take(payload, "state_root"),
        transactions_root: mpt::ordered_trie_root(&transactions),
        receipts_root: take(payload, "receipts_root"),
        logs_bloom: take(payload, "logs_bloom"),
        difficulty: U256::ZERO,
        number: number("block_number"),
        gas_limit: number("gas_limit"),
        gas_used: number("gas_used"),
        timestamp: number("timestamp"),
        extra_data: take(payload, "extra_data"),
        mix_hash: take(payload, "prev_randao"),
        nonce: B64::ZERO,
        base_fee_per_gas: Some(number("base_fee_per_gas")),
        withdrawals_root: Some(mpt::ordered_trie_root(&withdrawals)),
        ..Header::default()
    }
}

impl Mainnet {
    fn config(&self) -> LightConfig {
        LightConfig {
            chain: ChainId::eip155(1),
            network: self.data.network.clone(),
            policy: Policy::default(),
            checkpoint: Some(self.checkpoint),
            store: None,
            agree: 0,
        }
    }

    fn now(&self) -> u64 {
        self.data.network.time_of(NOW)
    }

    async fn node(&self) -> Endpoint {
        let (fake, _) = Node::new(vec![self.header.clone()], 1).start().await;
        fake.endpoint()
    }

    async fn source(&self, beacons: Vec<Endpoint>) -> LightSource {
        let now = self.now();
        LightSource::new(self.config(), beacons, vec![self.node().await])
            .unwrap()
            .with_clock(move || now)
    }

    /// A position that has not started.
    fn nowhere(&self) -> SyncStatus {
        SyncStatus {
            started: false,
            checkpoint: self.checkpoint,
            finalized_slot: 0,
            finalized_root: B256::ZERO,
            finalized_time: 0,
            expires_at: 0,
            period: 0,
            next_committee_known: false,
            wanted: Vec::new(),
            pending: 0,
            missing_above: BlockRef { height: 0, hash: B256::ZERO },
            lowest_pending: None,
            loosened: Vec::new(),
        }
    }
}

/// A root of nothing in particular.
fn root(byte: u8) -> B256 {
    B256::new(hex!("00000000000000000000000000000000000000000000000000000000000000ee"))
        ^ B256::repeat_byte(byte)
}
