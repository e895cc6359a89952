//! Messages that were seen on sources, and how far each source has been searched.

use core::{fmt, str::FromStr};

use alloy_primitives::{B256, Bytes};
use grid_adapters::message::Sighting;
use grid_core::{ChainId, api::BlockRef};
use serde::{Deserialize, Serialize};

use super::{Row, Store, StoreError, db::sql, item::parse_chain};

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MessageStage {
    /// Seen; its block is not confirmed on the main chain, or the main chain would refuse it now.
    Waiting,
    /// An item carries it to the main chain.
    Delivering,
    /// **End**: it took effect, by whomever.
    Delivered,
    /// **End**: its deadline has passed.
    Expired,
    /// **End**: this relayer does not carry it. Another one may.
    Filtered,
    /// The main chain has confirmed another block in the place of its block. It waits again if its block comes back.
    Orphaned,
}

impl MessageStage {
    /// All stages.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Delivering,
        Self::Delivered,
        Self::Expired,
        Self::Filtered,
        Self::Orphaned,
    ];

    /// Stages that a message leaves by itself.
    pub const OPEN: [Self; 2] = [Self::Waiting, Self::Delivering];

    /// The word in the database and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivering => "delivering",
            Self::Delivered => "delivered",
            Self::Expired => "expired",
            Self::Filtered => "filtered",
            Self::Orphaned => "orphaned",
        }
    }
}

impl fmt::Display for MessageStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for MessageStage {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|stage| stage.as_str() == text);
        found.ok_or_else(|| StoreError::Row { what: "a message's stage", value: text.into() })
    }
}

/// A message in one place of a source, without what delivers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageRow {
    /// The place: chain, hash of the block, transaction and position.
    pub key: String,
    /// Id of the message.
    pub id: B256,
    /// CAIP-2 id of the source.
    pub chain: ChainId,
    /// The source's block with it.
    pub block: BlockRef,
    /// The transaction with it, internal byte order.
    pub tx: B256,
    /// Number of the output, or of the log in the receipt.
    pub position: u64,
    /// Who sent it.
    pub sender: B256,
    /// Whom it is for.
    pub recipient: B256,
    /// Its number.
    pub nonce: u64,
    /// Whether it takes effect only after those of its sender with lower numbers.
    pub ordered: bool,
    /// The last second in which it may take effect, since 1970; 0 for no end.
    pub deadline: u64,
    /// Length of its payload.
    pub bytes: u64,
    /// Stage.
    pub stage: MessageStage,
    /// Why it is there.
    pub reason: Option<String>,
    /// How often the main chain would have refused it.
    pub attempt: u64,
    /// Not looked at before, milliseconds since 1970.
    pub next_at: u64,
    /// Milliseconds since 1970.
    pub seen_at: u64,
    /// Milliseconds since 1970.
    pub updated_at: u64,
}

/// How a message goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageStep {
    /// Its stage from now on.
    pub stage: MessageStage,
    /// Why.
    pub reason: Option<String>,
    /// Refusals so far.
    pub attempt: u64,
    /// Not before, milliseconds since 1970.
    pub next_at: u64,
}

/// Messages of one chain in one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageCount {
    /// The source.
    pub chain: ChainId,
    /// Stage.
    pub stage: MessageStage,
    /// How many.
    pub count: u64,
}

/// The columns that [`read_message`] reads, in its order.
macro_rules! columns {
    () => {
        "key, message, chain, height, block, tx, position, sender, recipient, nonce, ordered, deadline, \
         bytes, stage, reason, attempt, next_at, seen_at, updated_at"
    };
}

fn read_message(row: &Row) -> Result<MessageRow, StoreError> {
    Ok(MessageRow {
        key: row.text(0)?,
        id: row.hash(1, "a message's id")?,
        chain: parse_chain(row.text(2)?)?,
        block: BlockRef { height: row.number(3)?, hash: row.hash(4, "a block hash")? },
        tx: row.hash(5, "a transaction's id")?,
        position: row.number(6)?,
        sender: row.hash(7, "a sender")?,
        recipient: row.hash(8, "a recipient")?,
        nonce: row.number(9)?,
        ordered: row.number(10)? != 0,
        deadline: row.number(11)?,
        bytes: row.number(12)?,
        stage: row.text(13)?.parse()?,
        reason: row.get(14)?,
        attempt: row.number(15)?,
        next_at: row.number(16)?,
        seen_at: row.number(17)?,
        updated_at: row.number(18)?,
    })
}

/// The name of a place.
fn key(chain: &ChainId, block: &B256, sighting: &Sighting) -> String {
    format!("{chain}:{block:x}:{:x}:{}", sighting.tx, sighting.position)
}

impl Store {
    /// The last block of a source that was searched.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn searched(&self, chain: &ChainId) -> Result<Option<BlockRef>, StoreError> {
        let look = sql(
            "reading how far a chain was searched",
            "SELECT height, hash FROM message_scans WHERE chain = $1",
        );
        let row = self.read_one(look.bind(chain.as_str())).await?;
        let read =
            |row: Row| Ok(BlockRef { height: row.number(0)?, hash: row.hash(1, "a block hash")? });
        row.map(read).transpose()
    }

    /// A block was searched, and this was found: all of it is stored or nothing. What is known already stays as it is; what
    /// was orphaned waits again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn search_done(
        &self,
        chain: &ChainId,
        block: BlockRef,
        found: &[Sighting],
        now: u64,
    ) -> Result<(), StoreError> {
        const WHAT: &str = "storing the messages of a block";
        let mut tx = self.begin().await?;
        for sighting in found {
            let (key, message) = (key(chain, &block.hash, sighting), &sighting.message);
            let bytes = u64::try_from(message.payload.len()).unwrap_or(u64::MAX);
            let insert = sql(
                WHAT,
                "INSERT INTO messages (key, message, chain, height, block, tx, position, sender, recipient, \
                 nonce, ordered, deadline, bytes, evidence, stage, seen_at, updated_at) VALUES ($1, $2, $3, \
                 $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'waiting', $15, $15) \
                 ON CONFLICT (key) DO UPDATE SET stage = 'waiting', reason = NULL, attempt = 0, next_at = 0, \
                 updated_at = excluded.updated_at WHERE messages.stage = 'orphaned'",
            );
            let id = message.id();
            let insert = insert
                .bind(&key)
                .bind(&id)
                .bind(chain.as_str())
                .bind(block.height)
                .bind(&block.hash)
                .bind(&sighting.tx)
                .bind(sighting.position)
                .bind(&message.sender)
                .bind(&message.recipient)
                .bind(message.nonce)
                .bind(message.ordered)
                .bind(message.deadline)
                .bind(bytes)
                .bind(sighting.evidence.as_ref())
                .bind(now);
            tx.run(insert).await?;
        }
        let done = sql(
            WHAT,
            "INSERT INTO message_scans (chain, height, hash) VALUES ($1, $2, $3) \
             ON CONFLICT (chain) DO UPDATE SET height = excluded.height, hash = excluded.hash",
        );
        tx.run(done.bind(chain.as_str()).bind(block.height).bind(&block.hash)).await?;
        tx.commit().await
    }

    /// A chain's open messages that are due, lowest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_messages(
        &self,
        chain: &ChainId,
        now: u64,
        limit: u32,
    ) -> Result<Vec<MessageRow>, StoreError> {
        const OPEN: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM messages WHERE chain = $1 AND stage IN ('waiting', 'delivering') AND next_at <= $2 \
             ORDER BY height, position LIMIT $3"
        );
        let open = sql("reading open messages", OPEN);
        let rows = self.read(open.bind(chain.as_str()).bind(now).bind(limit)).await?;
        rows.iter().map(read_message).collect()
    }

    /// What a delivery needs beside the proof.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn evidence(&self, key: &str) -> Result<Bytes, StoreError> {
        let look =
            sql("reading a message's evidence", "SELECT evidence FROM messages WHERE key = $1");
        let row = self.read_one(look.bind(key)).await?;
        row.map_or_else(|| Ok(Bytes::new()), |row| Ok(row.get::<Vec<u8>>(0)?.into()))
    }

    /// Moves an open message on. Does nothing to one that is at its end.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn step_message(
        &self,
        key: &str,
        step: &MessageStep,
        now: u64,
    ) -> Result<(), StoreError> {
        let update = sql(
            "moving a message on",
            "UPDATE messages SET stage = $1, reason = $2, attempt = $3, next_at = $4, updated_at = $5 \
             WHERE key = $6 AND stage IN ('waiting', 'delivering')",
        )
        .bind(step.stage.as_str())
        .bind(step.reason.as_deref())
        .bind(step.attempt)
        .bind(step.next_at)
        .bind(now)
        .bind(key);
        self.write(update).await.map(drop)
    }

    /// The ordered messages of a sender are looked at at once: one before them came to its end.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wake_ordered(&self, chain: &ChainId, sender: &B256) -> Result<(), StoreError> {
        let wake = sql(
            "waking ordered messages",
            "UPDATE messages SET next_at = 0 WHERE chain = $1 AND stage IN ('waiting', 'delivering') \
             AND sender = $2 AND ordered = 1",
        );
        self.write(wake.bind(chain.as_str()).bind(sender)).await.map(drop)
    }

    /// The places of a message, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn message(&self, id: &B256) -> Result<Vec<MessageRow>, StoreError> {
        const PLACES: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM messages WHERE message = $1 ORDER BY seen_at DESC LIMIT 16"
        );
        let rows = self.read(sql("reading a message", PLACES).bind(id)).await?;
        rows.iter().map(read_message).collect()
    }

    /// The messages that were seen last, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recent_messages(&self, limit: u32) -> Result<Vec<MessageRow>, StoreError> {
        const RECENT: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM messages ORDER BY seen_at DESC, key DESC LIMIT $1"
        );
        let rows = self.read(sql("reading messages", RECENT).bind(limit)).await?;
        rows.iter().map(read_message).collect()
    }

    /// Numbers of the open messages, by chain and stage.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn message_counts(&self) -> Result<Vec<MessageCount>, StoreError> {
        let count = sql(
            "counting messages",
            "SELECT chain, stage, COUNT(*) FROM messages WHERE stage IN ('waiting', 'delivering') \
             GROUP BY chain, stage",
        );
        let read = |row: &Row| {
            Ok(MessageCount {
                chain: parse_chain(row.text(0)?)?,
                stage: row.text(1)?.parse()?,
                count: row.number(2)?,
            })
        };
        self.read(count).await?.iter().map(read).collect()
    }
}

/// A message that is told from others by its number, for tests.
#[cfg(test)]
pub(crate) fn sighting(number: u64) -> Sighting {
    let message = grid_core::message::Message {
        source: B256::repeat_byte(1),
        nonce: number,
        sender: B256::repeat_byte(2),
        destination: B256::repeat_byte(3),
        recipient: B256::repeat_byte(4),
        deadline: 0,
        ordered: false,
        payload: Bytes::from_static(b"hi"),
    };
    let tx = alloy_primitives::keccak256(number.to_be_bytes());
    Sighting { message, tx, position: 0, evidence: Bytes::from_static(b"spent") }
}
