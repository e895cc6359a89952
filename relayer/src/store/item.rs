//! What a unit of work is, and where it stands.

use core::{fmt, str::FromStr};

use alloy_primitives::{Address, B256, Bytes};
use grid_core::{
    ChainId,
    api::BlockRef,
    modules::abi::{GUARANTEE, LIGHT_CLIENTS, MAILBOX},
};
use serde::{Deserialize, Serialize};

use super::{Row, StoreError, hash, uint};

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Stage {
    /// Has a row, waits for a worker.
    Planned,
    /// Has a signed transaction and a nonce; sent again until its nonce is used.
    Sent,
    /// The main chain executed it; waits until the tracked branch shows it.
    Included,
    /// The main chain's best tracked branch has passed it.
    Done,
    /// Failed too often: waits for an operator, or for the source to move on.
    Parked,
    /// The source left its branch before it was sent, or an operator dropped it.
    Dropped,
}

impl Stage {
    /// All stages.
    pub const ALL: [Self; 6] =
        [Self::Planned, Self::Sent, Self::Included, Self::Done, Self::Parked, Self::Dropped];

    /// The word in the database and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sent => "sent",
            Self::Included => "included",
            Self::Done => "done",
            Self::Parked => "parked",
            Self::Dropped => "dropped",
        }
    }

    /// Whether work on it goes on by itself.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Planned | Self::Sent | Self::Included)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == text)
            .ok_or_else(|| StoreError::Row { what: "an item's stage", value: text.into() })
    }
}

/// What an item brings to the main chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// Headers above the tracked branch, submitted in the order of their heights.
    Headers,
    /// A run of headers below a hash that the main chain wants, submitted in the order of planning.
    Run,
    /// Light-client objects, submitted in the order of planning. Their heights are the newest finalized
    /// slot among them, their hashes those of the objects themselves.
    Sync,
    /// The end of a guarantee, whose id is the hash. Those of the queue stand side by side.
    Guarantee,
    /// The delivery of a message, whose id is the hash. Those of the queue stand side by side.
    Message,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Headers, Self::Run, Self::Sync, Self::Guarantee, Self::Message];

    /// The word in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Run => "run",
            Self::Sync => "sync",
            Self::Guarantee => "guarantee",
            Self::Message => "message",
        }
    }

    /// The contract that it is submitted to.
    #[must_use]
    pub const fn contract(self) -> Address {
        match self {
            Self::Headers | Self::Run | Self::Sync => LIGHT_CLIENTS,
            Self::Guarantee => GUARANTEE,
            Self::Message => MAILBOX,
        }
    }

    /// Whether it is made of headers.
    #[must_use]
    pub const fn has_headers(self) -> bool {
        !matches!(self, Self::Guarantee | Self::Message)
    }

    /// Whether the order of planning is the order of submission.
    #[must_use]
    pub const fn in_line(self) -> bool {
        matches!(self, Self::Run | Self::Sync)
    }
}

impl FromStr for Kind {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| StoreError::Row { what: "an item's kind", value: text.into() })
    }
}

/// Something to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    /// What it is.
    pub kind: Kind,
    /// The source.
    pub chain: ChainId,
    /// Height of the first header.
    pub from: u64,
    /// Parent of the first header.
    pub parent: B256,
    /// The last header.
    pub last: BlockRef,
    /// Call data of the submission.
    pub payload: Bytes,
}

impl NewItem {
    /// The item's name: the same headers always have the same one.
    #[must_use]
    pub fn key(&self) -> String {
        let Self { chain, from, last, .. } = self;
        match self.kind {
            Kind::Headers | Kind::Run => format!("{chain}:{from}:{}:{:x}", last.height, last.hash),
            Kind::Sync => format!("{chain}:sync:{}:{:x}", last.height, last.hash),
            Kind::Guarantee | Kind::Message => format!("{chain}:{:x}", last.hash),
        }
    }

    /// What its row will be.
    #[must_use]
    pub fn planned(&self, now: u64) -> Item {
        let Self { kind, from, parent, last, .. } = *self;
        Item {
            key: self.key(),
            chain: self.chain.clone(),
            kind,
            stage: Stage::Planned,
            from,
            parent,
            last,
            attempt: 0,
            next_at: 0,
            reason: None,
            tx_hash: None,
            nonce: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// What [`Store::plan`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// The row is new.
    Inserted,
    /// A finished or dropped row of the same content was taken up again.
    Revived,
    /// The row exists in this stage; nothing changed.
    Exists(Stage),
}

/// An item without its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Name.
    pub key: String,
    /// CAIP-2 id of the source.
    pub chain: ChainId,
    /// What it is.
    pub kind: Kind,
    /// Stage.
    pub stage: Stage,
    /// Height of the first header.
    pub from: u64,
    /// Parent of the first header.
    pub parent: B256,
    /// The last header.
    pub last: BlockRef,
    /// Failures so far.
    pub attempt: u64,
    /// No attempt before, milliseconds since 1970.
    pub next_at: u64,
    /// The last failure.
    pub reason: Option<String>,
    /// Newest transaction.
    pub tx_hash: Option<B256>,
    /// Its nonce.
    pub nonce: Option<u64>,
    /// Milliseconds since 1970.
    pub created_at: u64,
    /// Milliseconds since 1970.
    pub updated_at: u64,
}

/// An item leased to one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Name.
    pub key: String,
    /// The source.
    pub chain: ChainId,
    /// What it is.
    pub kind: Kind,
    /// Height of the first header.
    pub from: u64,
    /// Height of the last header.
    pub to: u64,
    /// Its place among the items that are not in the order of heights.
    pub position: u64,
    /// Failures so far.
    pub attempt: u64,
    /// Call data.
    pub payload: Bytes,
    /// Holder of the lease.
    pub owner: String,
    /// End of the lease, milliseconds since 1970.
    pub until: u64,
}

impl Claim {
    /// Number of headers.
    #[must_use]
    pub const fn headers(&self) -> u64 {
        self.to.saturating_sub(self.from).saturating_add(1)
    }
}

/// Items of one chain in one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageCount {
    /// CAIP-2 id.
    pub chain: ChainId,
    /// Stage.
    pub stage: Stage,
    /// How many.
    pub count: u64,
    /// Creation of the oldest, milliseconds since 1970.
    pub oldest: u64,
}

pub(super) fn parse_chain(text: String) -> Result<ChainId, StoreError> {
    text.parse().map_err(|_| StoreError::Row { what: "a chain id", value: text })
}

/// The columns that [`read_item`] reads, in its order.
macro_rules! item_columns {
    () => {
        "key, chain, kind, stage, from_height, parent_hash, to_height, last_hash, attempt, next_at, \
         reason, tx_hash, nonce, created_at, updated_at"
    };
}
pub(super) use item_columns;

pub(super) fn read_item(row: &Row) -> Result<Item, StoreError> {
    let tx_hash: Option<Vec<u8>> = row.get(11)?;
    Ok(Item {
        key: row.text(0)?,
        chain: parse_chain(row.text(1)?)?,
        kind: row.text(2)?.parse()?,
        stage: row.text(3)?.parse()?,
        from: row.number(4)?,
        parent: row.hash(5, "a parent hash")?,
        last: BlockRef { height: row.number(6)?, hash: row.hash(7, "a block hash")? },
        attempt: row.number(8)?,
        next_at: row.number(9)?,
        reason: row.get(10)?,
        tx_hash: tx_hash.map(|bytes| hash("a transaction hash", &bytes)).transpose()?,
        nonce: row.get::<Option<i64>>(12)?.map(uint),
        created_at: row.number(13)?,
        updated_at: row.number(14)?,
    })
}
