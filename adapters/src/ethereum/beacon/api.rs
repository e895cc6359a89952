//! One beacon node's REST API, as far as a light client needs it.
//!
//! Everything is asked for in SSZ with JSON as the alternative. A node whose SSZ turns out unusable is asked
//! in JSON from then on. Every answer has a deadline and a limit of its own on its length.

use core::sync::atomic::{AtomicBool, Ordering};

use alloy_primitives::{B256, FixedBytes};
use grid_core::ethereum::sync::{
    BeaconBlockHeader, Bootstrap, FinalityUpdate, NetworkConfig, OptimisticUpdate, Update,
};
use reqwest::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    BeaconError,
    events::Events,
    wire::{ACCEPT_ANY, ACCEPT_JSON, Object, Origin},
};
use crate::{
    AdapterError, Endpoint,
    http::{Answer, HttpClient},
};

/// What is asked of a node, as its metrics tell it apart.
const METHODS: [&str; 8] = [
    "eth/v1/beacon/light_client/bootstrap",
    "eth/v1/beacon/light_client/updates",
    "eth/v1/beacon/light_client/finality_update",
    "eth/v1/beacon/light_client/optimistic_update",
    "eth/v1/beacon/genesis",
    "eth/v1/beacon/headers",
    "eth/v1/config/spec",
    "eth/v1/node/syncing",
];

/// Most updates in one request. `MAX_REQUEST_LIGHT_CLIENT_UPDATES`.
pub(super) const MAX_UPDATES: u64 = 128;

/// Longest answer with one object: JSON of a bootstrap has 64,000 bytes, pretty-printed.
const MAX_OBJECT: usize = 256 << 10;
/// Longest update in a list: JSON with spaces has 106,000 bytes.
const MAX_UPDATE: usize = 128 << 10;

/// `genesis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Genesis {
    #[serde(deserialize_with = "quoted")]
    pub(super) genesis_time: u64,
    pub(super) genesis_validators_root: B256,
    pub(super) genesis_fork_version: FixedBytes<4>,
}

/// `node/syncing`.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Syncing {
    #[serde(deserialize_with = "quoted")]
    head_slot: u64,
    #[serde(deserialize_with = "quoted")]
    sync_distance: u64,
    is_syncing: bool,
}

/// `headers/{block}`.
#[derive(Debug, Deserialize)]
struct Head {
    root: B256,
    header: Signed,
}

#[derive(Debug, Deserialize)]
struct Signed {
    message: BeaconBlockHeader,
}

#[derive(Debug, Deserialize)]
struct Data<T> {
    data: T,
}

fn quoted<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

/// A beacon node.
#[derive(Debug)]
pub(super) struct BeaconApi {
    http: HttpClient,
    network: NetworkConfig,
    /// Its SSZ failed once.
    json_only: AtomicBool,
    /// It was found to be of the network.
    checked: AtomicBool,
    events: Events,
}

impl BeaconApi {
    pub(super) fn new(endpoint: Endpoint, network: NetworkConfig) -> Result<Self, AdapterError> {
        let http = HttpClient::new(endpoint, &METHODS)?;
        let (json_only, checked) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { http, network, json_only, checked, events: Events::default() })
    }

    pub(super) const fn network(&self) -> &NetworkConfig {
        &self.network
    }

    pub(super) fn endpoint(&self) -> &str {
        self.http.endpoint().origin()
    }

    pub(super) fn is_checked(&self) -> bool {
        self.checked.load(Ordering::Relaxed)
    }

    pub(super) fn set_checked(&self, checked: bool) {
        self.checked.store(checked, Ordering::Relaxed);
    }

    /// Returns when the node announces new finality.
    pub(super) async fn changed(&self) {
        self.events.changed(&self.http).await;
    }

    pub(super) async fn bootstrap(&self, root: &B256) -> Result<Bootstrap, AdapterError> {
        let path = format!("/eth/v1/beacon/light_client/bootstrap/{root}");
        self.object(&path).await
    }

    pub(super) async fn finality_update(&self) -> Result<FinalityUpdate, AdapterError> {
        self.object("/eth/v1/beacon/light_client/finality_update").await
    }

    pub(super) async fn optimistic_update(&self) -> Result<OptimisticUpdate, AdapterError> {
        self.object("/eth/v1/beacon/light_client/optimistic_update").await
    }

    /// The updates of up to `count` periods from `start` on, at most [`MAX_UPDATES`]. A node may send
    /// fewer.
    pub(super) async fn updates(
        &self,
        start: u64,
        count: u64,
    ) -> Result<Vec<Update>, AdapterError> {
        let count = count.clamp(1, MAX_UPDATES);
        let most = usize::try_from(count).unwrap_or(1);
        let path = "/eth/v1/beacon/light_client/updates";
        let query = format!("start_period={start}&count={count}");
        let limit = most.saturating_mul(MAX_UPDATE);
        self.negotiated(path, Some(&query), limit, |from, answer| {
            from.updates(&self.network, answer, most)
        })
        .await
    }

    pub(super) async fn genesis(&self) -> Result<Genesis, AdapterError> {
        self.json("/eth/v1/beacon/genesis").await
    }

    /// Every number of the node's configuration, by its name in the spec.
    pub(super) async fn spec(&self) -> Result<Map<String, Value>, AdapterError> {
        self.json("/eth/v1/config/spec").await
    }

    /// Root and header of a block: a slot, a root, `finalized`. The root is recomputed.
    pub(super) async fn header(&self, id: &str) -> Result<BeaconBlockHeader, AdapterError> {
        let path = format!("/eth/v1/beacon/headers/{id}");
        let Head { root, header } = self.json(&path).await?;
        let found = header.message.root();
        if found != root {
            let reason = format!("header has root {found}, claimed is {root}");
            return Err(self.from(&path).unusable(reason).into());
        }
        Ok(header.message)
    }

    /// Refuses a node that has not caught up.
    pub(super) async fn require_synced(&self) -> Result<(), AdapterError> {
        let Syncing { head_slot, sync_distance, is_syncing } =
            self.json("/eth/v1/node/syncing").await?;
        // Nodes call themselves syncing while they import the newest slot.
        if !is_syncing || sync_distance <= self.network.preset.slots_per_epoch {
            return Ok(());
        }
        let endpoint = self.endpoint().into();
        Err(BeaconError::Syncing { endpoint, head: head_slot, distance: sync_distance }.into())
    }

    async fn object<T: Object>(&self, path: &str) -> Result<T, AdapterError> {
        self.negotiated(path, None, MAX_OBJECT, |from, answer| from.object(&self.network, answer))
            .await
    }

    /// Asks for SSZ, and for JSON where the node has no SSZ that can be used.
    async fn negotiated<T>(
        &self,
        path: &str,
        query: Option<&str>,
        limit: usize,
        read: impl Fn(Origin<'_>, &Answer) -> Result<T, BeaconError>,
    ) -> Result<T, AdapterError> {
        if !self.json_only.load(Ordering::Relaxed) {
            let answer = self.http.get_as(path, query, ACCEPT_ANY, limit).await?;
            let unacceptable = [StatusCode::NOT_ACCEPTABLE, StatusCode::UNSUPPORTED_MEDIA_TYPE];
            if !unacceptable.contains(&answer.status) {
                self.require_success(path, &answer)?;
                match read(self.from(path), &answer) {
                    Err(BeaconError::NoVersion { .. } | BeaconError::ContentType { .. }) => {}
                    outcome => return Ok(outcome?),
                }
            }
        }
        let answer = self.http.get_as(path, query, ACCEPT_JSON, limit).await?;
        self.require_success(path, &answer)?;
        let value = read(self.from(path), &answer)?;
        self.json_only.store(true, Ordering::Relaxed);
        Ok(value)
    }

    /// The `data` of an answer that only exists in JSON.
    async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, AdapterError> {
        let answer = self.http.get_as(path, None, ACCEPT_JSON, MAX_OBJECT).await?;
        self.require_success(path, &answer)?;
        match serde_json::from_slice::<Data<T>>(&answer.body) {
            Ok(Data { data }) => Ok(data),
            Err(error) => Err(self.from(path).unusable(error.to_string()).into()),
        }
    }

    fn from<'a>(&'a self, path: &'a str) -> Origin<'a> {
        Origin { endpoint: self.endpoint(), path }
    }

    fn require_success(&self, path: &str, answer: &Answer) -> Result<(), AdapterError> {
        Err(match answer.status {
            StatusCode::OK => return Ok(()),
            StatusCode::NOT_FOUND => BeaconError::Missing {
                endpoint: self.endpoint().into(),
                what: path.into(),
                hint: "; it is too old for this node, or the node serves no light clients",
            }
            .into(),
            // 206 is how a node says that it is syncing.
            _ => self.http.exchange().status(path, answer).into(),
        })
    }
}
