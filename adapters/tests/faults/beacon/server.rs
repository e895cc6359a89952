//! A beacon node that serves what a test gives it, in both media types, and one execution node.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use alloy_primitives::{B256, hex};
use axum::http::StatusCode;
use grid_adapters::Endpoint;
use grid_core::ethereum::sync::{NetworkConfig, SyncData};
use serde_json::{Map, Value, json};

use crate::fake::{Fake, Reply, Request, limits};

/// One object as it is served: JSON of its own fork, SSZ of Gloas's form.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) json: Value,
    pub(crate) ssz: Vec<u8>,
}

impl Object {
    pub(crate) fn new(json: Value, data: impl Into<SyncData>) -> Self {
        // After the byte that names the kind.
        Self { json, ssz: data.into().encode()[1..].to_vec() }
    }

    fn reply(&self, ssz: bool) -> Reply {
        if ssz {
            let headers = vec![
                ("content-type", "application/octet-stream".into()),
                ("eth-consensus-version", "gloas".into()),
            ];
            return Reply::With(StatusCode::OK, headers, self.ssz.clone());
        }
        json_reply(&self.json)
    }
}

pub(crate) fn json_reply(value: &Value) -> Reply {
    let headers = vec![("content-type", "application/json; charset=utf-8".into())];
    Reply::With(StatusCode::OK, headers, value.to_string().into_bytes())
}

/// What a node has.
#[derive(Clone)]
pub(crate) struct Data {
    pub(crate) network: NetworkConfig,
    pub(crate) bootstraps: HashMap<B256, Object>,
    pub(crate) updates: BTreeMap<u64, Object>,
    pub(crate) finality: Option<Object>,
    pub(crate) finalized: Value,
    pub(crate) ssz: bool,
}

impl Data {
    fn spec(&self) -> Value {
        let network = &self.network;
        let mut spec = Map::new();
        let mut put = |key: &str, value: String| spec.insert(key.into(), value.into());
        put("SYNC_COMMITTEE_SIZE", network.preset.committee_size.to_string());
        put("SLOTS_PER_EPOCH", network.preset.slots_per_epoch.to_string());
        put("EPOCHS_PER_SYNC_COMMITTEE_PERIOD", network.preset.epochs_per_period.to_string());
        put("SECONDS_PER_SLOT", network.seconds_per_slot.to_string());
        put("GLOAS_FORK_EPOCH", u64::MAX.to_string());
        for activation in &network.forks {
            let name = format!("{:?}", activation.fork).to_uppercase();
            put(&format!("{name}_FORK_EPOCH"), activation.epoch.to_string());
            put(&format!("{name}_FORK_VERSION"), activation.version.to_string());
        }
        let mut spec = Value::Object(spec);
        spec["BLOB_SCHEDULE"] = json!([{"EPOCH": "1", "MAX_BLOBS_PER_BLOCK": "9"}]);
        spec
    }

    pub(crate) fn answer(&self, request: &Request) -> Reply {
        let accept = request.headers.get("accept").map_or("", |value| value.to_str().unwrap());
        let ssz = self.ssz && accept.contains("octet-stream");
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let path = path.strip_prefix("/eth/v1/").unwrap();
        let object = |object: Option<&Object>| {
            object.map_or(Reply::Send(StatusCode::NOT_FOUND, Vec::new()), |found| found.reply(ssz))
        };
        match path {
            "beacon/genesis" => json_reply(&json!({"data": {
                "genesis_time": self.network.genesis_time.to_string(),
                "genesis_validators_root": self.network.genesis_validators_root,
                "genesis_fork_version": self.network.genesis_fork_version,
            }})),
            "config/spec" => json_reply(&json!({"data": self.spec()})),
            "node/syncing" => json_reply(&json!({"data": {
                "head_slot": "1", "sync_distance": "0", "is_syncing": false, "is_optimistic": false,
            }})),
            "beacon/light_client/finality_update" => object(self.finality.as_ref()),
            "beacon/light_client/updates" => self.page(query, ssz),
            _ => {
                if let Some(root) = path.strip_prefix("beacon/light_client/bootstrap/") {
                    return object(self.bootstraps.get(&root.parse::<B256>().unwrap()));
                }
                if path.starts_with("beacon/headers/") {
                    return json_reply(&json!({"data": self.finalized}));
                }
                Reply::Send(StatusCode::NOT_FOUND, Vec::new())
            }
        }
    }

    fn page(&self, query: &str, ssz: bool) -> Reply {
        let number = |name: &str| -> u64 {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(key, _)| *key == name).unwrap().1.parse().unwrap()
        };
        let (start, count) = (number("start_period"), number("count"));
        let page: Vec<&Object> =
            self.updates.range(start..start + count).map(|(_, object)| object).collect();
        if !ssz {
            return json_reply(&page.iter().map(|object| object.json.clone()).collect());
        }
        let mut body = Vec::new();
        for object in page {
            body.extend((object.ssz.len() as u64 + 4).to_le_bytes());
            body.extend([0xaa, 0xbb, 0xcc, 0xdd]);
            body.extend(&object.ssz);
        }
        let headers = vec![("content-type", "application/octet-stream".into())];
        Reply::With(StatusCode::OK, headers, body)
    }
}

/// A running beacon node.
pub(crate) struct Beacon {
    pub(crate) data: Arc<Mutex<Data>>,
    fake: Fake,
    /// Questions by the last part of their path.
    asked: Arc<AtomicUsize>,
}

impl Beacon {
    /// Serves `data`; `distort` makes of the honest reply what it likes.
    pub(crate) async fn start(
        data: Data,
        distort: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let data = Arc::new(Mutex::new(data));
        let asked = Arc::new(AtomicUsize::new(0));
        let (served, count) = (Arc::clone(&data), Arc::clone(&asked));
        let fake = Fake::start(move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            let honest = served.lock().unwrap().answer(request);
            distort(request, honest)
        })
        .await;
        Self { data, fake, asked }
    }

    pub(crate) async fn honest(data: Data) -> Self {
        Self::start(data, |_, honest| honest).await
    }

    pub(crate) fn endpoint(&self, number: usize) -> Endpoint {
        Endpoint::new(&self.fake.url(), &format!("chain[0].beacon[{number}]"))
            .unwrap()
            .with_limits(limits())
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// An execution node with some headers.
pub(crate) struct Node {
    pub(crate) headers: Vec<alloy_consensus::Header>,
    pub(crate) chain_id: u64,
    pub(crate) finalized: usize,
    /// Every method fails with this.
    pub(crate) refuses: Option<(i64, &'static str)>,
    /// Serves this field with another value, and the hash of the right one.
    pub(crate) edits: bool,
}

impl Node {
    pub(crate) fn new(headers: Vec<alloy_consensus::Header>, chain_id: u64) -> Self {
        let finalized = headers.len() - 1;
        Self { headers, chain_id, finalized, refuses: None, edits: false }
    }

    fn call(&self, method: &str, params: &Value) -> crate::fake::Outcome {
        if let Some(error) = self.refuses {
            return Err(error);
        }
        let shown = |header: Option<&alloy_consensus::Header>| {
            header.map_or(Value::Null, |header| {
                let sealed = alloy_rpc_types_eth::Header::new(header.clone());
                let mut json = serde_json::to_value(sealed).unwrap();
                if self.edits {
                    json["gasUsed"] = "0x1".into();
                }
                json
            })
        };
        match method {
            "eth_chainId" => Ok(format!("{:#x}", self.chain_id).into()),
            "eth_syncing" => Ok(false.into()),
            "eth_getBlockByHash" => {
                let hash: B256 = params[0].as_str().unwrap().parse().unwrap();
                Ok(shown(self.headers.iter().find(|header| header.hash_slow() == hash)))
            }
            "eth_getBlockByNumber" => Ok(match params[0].as_str().unwrap() {
                "finalized" => shown(self.headers.get(self.finalized)),
                text => {
                    let height = u64::from_str_radix(&text[2..], 16).unwrap();
                    shown(self.headers.iter().find(|header| header.number == height))
                }
            }),
            _ => Err((-32_601, "no such method")),
        }
    }

    pub(crate) async fn start(self) -> (Fake, Arc<Mutex<Self>>) {
        let node = Arc::new(Mutex::new(self));
        let called = Arc::clone(&node);
        let call = move |method: &str, params: &Value| called.lock().unwrap().call(method, params);
        (Fake::rpc(call, crate::fake::no_rest).await, node)
    }
}

/// Clears bits of an aggregate in JSON, so that fewer than two thirds have signed.
pub(crate) fn few_participants(object: &mut Value) {
    let bits = &mut object["data"]["sync_aggregate"]["sync_committee_bits"];
    let mut bytes = hex::decode(bits.as_str().unwrap()).unwrap();
    let half = bytes.len() / 2;
    bytes[..half].fill(0);
    *bits = hex::encode_prefixed(bytes).into();
}
