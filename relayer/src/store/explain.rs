//! Reading for people: pages of items and of their history, and what belongs to one item.

use alloy_primitives::{Address, B256};
use grid_core::ChainId;
use serde::{Deserialize, Serialize};

use super::{Event, Item, Row, Stage, Store, StoreError, db::sql, item::read_item};

/// Longest range of one item that is looked for by a height inside of it. Every batch is far shorter.
const MAX_RANGE: u64 = 16_384;

/// Items of each stage whose ranges are compared with a height.
const MAX_RANGES: u32 = 8;

/// A place in a chain's items of one stage, which are in the order of their heights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Height of the first header.
    pub from: u64,
    /// Height of the last header.
    pub to: u64,
    /// The row's number, which tells items of the same heights apart.
    pub row: u64,
}

/// Who works on an item right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The worker's name.
    pub holder: String,
    /// When another may take over, milliseconds since 1970.
    pub until: u64,
}

/// A transaction that carried an item, or filled a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Carried {
    /// Hash.
    pub hash: B256,
    /// Sender.
    pub signer: Address,
    /// Nonce.
    pub nonce: u64,
    /// Most per gas, smallest unit of GRID.
    #[serde(with = "decimal")]
    pub max_fee: u128,
    /// Part of it for the proposer.
    #[serde(with = "decimal")]
    pub priority_fee: u128,
    /// `live`, `included`, `failed` or `lost`.
    pub outcome: String,
    /// How often it was sent.
    pub sends: u64,
    /// Last time, milliseconds since 1970; 0 for never.
    pub sent_at: u64,
    /// When it was signed, milliseconds since 1970.
    pub created_at: u64,
}

/// Numbers above 2^53 are written as text: readers of JSON may have no others than floats.
mod decimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(value: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Reads a fee.
fn fee(text: String) -> Result<u128, StoreError> {
    text.parse().map_err(|_| StoreError::Row { what: "a fee", value: text })
}

impl Store {
    /// A chain's items of one stage above a place, each with its own, in the order of their heights.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn page(
        &self,
        chain: &ChainId,
        stage: Stage,
        after: Place,
        limit: u32,
    ) -> Result<Vec<(Place, Item)>, StoreError> {
        let page = sql(
            "reading a page of items",
            "SELECT key, chain, kind, stage, from_height, parent_hash, to_height, last_hash, attempt, \
             next_at, reason, tx_hash, nonce, created_at, updated_at, id FROM items \
             WHERE chain = $1 AND stage = $2 AND (from_height, to_height, id) > ($3, $4, $5) \
             ORDER BY from_height, to_height, id LIMIT +$6",
        );
        let page = page.bind(chain.as_str()).bind(stage.as_str());
        let page = page.bind(after.from).bind(after.to).bind(after.row);
        let rows = self.read(page.bind(limit)).await?;
        let read = |row: &Row| {
            let item = read_item(row)?;
            Ok((Place { from: item.from, to: item.last.height, row: row.number(15)? }, item))
        };
        rows.iter().map(read).collect()
    }

    /// Items whose headers include a height, those that somebody waits for first, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn covering(&self, chain: &ChainId, height: u64) -> Result<Vec<Item>, StoreError> {
        const ORDER: [Stage; 6] = [
            Stage::Parked,
            Stage::Planned,
            Stage::Sent,
            Stage::Included,
            Stage::Done,
            Stage::Dropped,
        ];
        let mut found = Vec::new();
        for stage in ORDER {
            let items = sql(
                "reading items of a height",
                "SELECT key, chain, kind, stage, from_height, parent_hash, to_height, last_hash, attempt, \
                 next_at, reason, tx_hash, nonce, created_at, updated_at FROM items \
                 WHERE chain = $1 AND stage = $2 AND from_height <= $3 AND from_height >= $4 \
                 AND kind <> 'sync' ORDER BY from_height DESC LIMIT +$5",
            );
            let items = items.bind(chain.as_str()).bind(stage.as_str()).bind(height);
            let lowest = height.saturating_sub(MAX_RANGE);
            let rows = self.read(items.bind(lowest).bind(MAX_RANGES)).await?;
            let mut of_stage: Vec<Item> = rows.iter().map(read_item).collect::<Result<_, _>>()?;
            of_stage.retain(|item| item.last.height >= height);
            of_stage.sort_by_key(|item| core::cmp::Reverse(item.updated_at));
            found.extend(of_stage);
        }
        Ok(found)
    }

    /// Items that end with a header, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ending_with(&self, last: &B256) -> Result<Vec<Item>, StoreError> {
        let items = sql(
            "reading items of a hash",
            "SELECT key, chain, kind, stage, from_height, parent_hash, to_height, last_hash, attempt, \
             next_at, reason, tx_hash, nonce, created_at, updated_at FROM items \
             WHERE last_hash = $1 ORDER BY updated_at DESC LIMIT +$2",
        );
        let rows = self.read(items.bind(last).bind(MAX_RANGES)).await?;
        rows.iter().map(read_item).collect()
    }

    /// The unfinished item of the chain right below another that has to go first, if there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn before(&self, item: &Item) -> Result<Option<Item>, StoreError> {
        let before = sql(
            "reading the item before",
            "SELECT key, chain, kind, stage, from_height, parent_hash, to_height, last_hash, attempt, \
             next_at, reason, tx_hash, nonce, created_at, updated_at FROM items \
             WHERE chain = $1 AND stage IN ('planned', 'parked') AND (position, from_height) < \
             (SELECT i.position, i.from_height FROM items i WHERE i.key = $2) \
             ORDER BY position, from_height LIMIT 1",
        );
        let row = self.read_one(before.bind(item.chain.as_str()).bind(&item.key)).await?;
        row.as_ref().map(read_item).transpose()
    }

    /// The lease on an item, if it has one that has not ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lease(&self, key: &str, now: u64) -> Result<Option<Lease>, StoreError> {
        let lease = sql(
            "reading a lease",
            "SELECT lease_owner, lease_until FROM items WHERE key = $1 \
             AND lease_owner IS NOT NULL AND lease_until > $2",
        );
        let row = self.read_one(lease.bind(key).bind(now)).await?;
        row.map(|row| Ok(Lease { holder: row.text(0)?, until: row.number(1)? })).transpose()
    }

    /// Every transaction that carried an item, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn carried(&self, key: &str, limit: u32) -> Result<Vec<Carried>, StoreError> {
        let carried = sql(
            "reading an item's transactions",
            "SELECT t.hash, t.signer, t.nonce, t.max_fee, t.priority_fee, t.outcome, t.sends, \
             t.sent_at, t.created_at FROM nonces n JOIN transactions t ON t.signer = n.signer \
             AND t.nonce = n.nonce WHERE n.item_key = $1 ORDER BY t.created_at, t.nonce LIMIT +$2",
        );
        let rows = self.read(carried.bind(key).bind(limit)).await?;
        rows.iter().map(read_carried).collect()
    }

    /// A transaction by its hash, and the item that it carries; `None` as item for one that fills a gap.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn transaction(
        &self,
        hash: &B256,
    ) -> Result<Option<(Carried, Option<String>)>, StoreError> {
        let transaction = sql(
            "reading a transaction",
            "SELECT t.hash, t.signer, t.nonce, t.max_fee, t.priority_fee, t.outcome, t.sends, \
             t.sent_at, t.created_at, n.item_key FROM transactions t LEFT JOIN nonces n \
             ON n.signer = t.signer AND n.nonce = t.nonce WHERE t.hash = $1",
        );
        let row = self.read_one(transaction.bind(hash)).await?;
        row.map(|row| Ok((read_carried(&row)?, row.get(9)?))).transpose()
    }

    /// A part of an item's history, oldest first: what comes after the event of that number.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn history(
        &self,
        key: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Event)>, StoreError> {
        let history = sql(
            "reading events",
            "SELECT id, at, what, detail FROM events WHERE item_key = $1 AND id > $2 \
             ORDER BY id LIMIT +$3",
        );
        let rows = self.read(history.bind(key).bind(after).bind(limit)).await?;
        let read = |row: &Row| {
            let event = Event { at: row.number(1)?, what: row.text(2)?, detail: row.text(3)? };
            Ok((row.number(0)?, event))
        };
        rows.iter().map(read).collect()
    }
}

fn read_carried(row: &Row) -> Result<Carried, StoreError> {
    let signer: Vec<u8> = row.get(1)?;
    Ok(Carried {
        hash: row.hash(0, "a transaction hash")?,
        signer: Address::try_from(signer.as_slice()).map_err(|_| StoreError::Row {
            what: "an address",
            value: format!("{} bytes", signer.len()),
        })?,
        nonce: row.number(2)?,
        max_fee: fee(row.text(3)?)?,
        priority_fee: fee(row.text(4)?)?,
        outcome: row.text(5)?,
        sends: row.number(6)?,
        sent_at: row.number(7)?,
        created_at: row.number(8)?,
    })
}
