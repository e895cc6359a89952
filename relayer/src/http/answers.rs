//! What the routes answer with, beside what other modules have already.

use grid_core::{ChainId, CompatHeader};
use serde::{Deserialize, Serialize};

use crate::{
    reload::Change,
    status::ChainStatus,
    store::{Carried, Event, Item, Lease, MessageRow, Pause},
};

/// `GET /v1/chains`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainList {
    /// Chains that are registered or configured, by id.
    pub chains: Vec<ChainStatus>,
}

/// `GET /v1/items`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemPage {
    /// Items, by chain, stage and height.
    pub items: Vec<Item>,
    /// `after` of the next page; none after the last.
    pub next: Option<String>,
}

/// `GET /v1/items/{key}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemDetail {
    /// The item.
    pub item: Item,
    /// Who works on it right now.
    pub lease: Option<Lease>,
    /// The transactions that carried it, oldest first.
    pub transactions: Vec<Carried>,
}

/// `GET /v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventPage {
    /// The item.
    pub item: Item,
    /// Its history, oldest first.
    pub events: Vec<Event>,
    /// `after` of the next page; none after the last.
    pub next: Option<u64>,
}

/// `GET /v1/messages` and `GET /v1/messages/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageList {
    /// Messages, those that were seen last first.
    pub messages: Vec<MessageRow>,
}

/// `GET /v1/headers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderPage {
    /// Confirmed headers, by height.
    pub headers: Vec<CompatHeader>,
    /// `after` of the next page; none after the last.
    pub next: Option<u64>,
}

/// What was done to an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemChanged {
    /// The item as it is now.
    pub item: Item,
}

/// What was done to parked items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// How many are planned again.
    pub retried: u64,
}

/// What a reload changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Settings that differ from those in force until now.
    pub changes: Vec<Change>,
}

/// Who pauses a chain, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PauseRequest {
    /// Who, at most 64 characters.
    pub by: Option<String>,
    /// Why, at most 256 characters.
    pub reason: Option<String>,
}

/// Whether a chain is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainPause {
    /// CAIP-2 id.
    pub chain: ChainId,
    /// Its pause; none where it is relayed.
    pub paused: Option<Pause>,
}
