//! Messages that were seen on sources, and how far each source has been searched.

use core::{fmt, str::FromStr};

use alloy_primitives::B256;
use grid_adapters::message::Sighting;
use grid_core::{ChainId, api::BlockRef};
use serde::{Deserialize, Serialize};

use super::{
    BATCH, Row, Store, StoreError, Tx,
    db::{Value, sql, sql_rows},
    item::parse_chain,
};

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

/// A message in one place of a source.
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

/// Searched blocks that are remembered of each chain: a reorganisation that is deeper makes a search begin anew.
pub const SEARCHED: u32 = 1_024;

/// Values of a new row.
const COLUMNS: usize = 17;

const STORING: &str = "storing the messages of a block";

/// Rows for messages in a block, where there are none.
async fn insert(
    tx: &mut Tx,
    (chain, block): (&ChainId, BlockRef),
    found: &Sightings,
    now: u64,
) -> Result<(), StoreError> {
    let waits = format!("the main chain has not confirmed block {} yet", block.height);
    let ids: Vec<B256> = found.iter().map(|(sighting, _)| sighting.message.id()).collect();
    let mut values = Vec::with_capacity(found.len() * COLUMNS);
    for ((Sighting { message, tx, position }, refused), id) in found.iter().zip(&ids) {
        let bytes = u64::try_from(message.payload.len()).unwrap_or(u64::MAX);
        let (stage, reason) = refused
            .as_deref()
            .map_or((MessageStage::Waiting, waits.as_str()), |why| (MessageStage::Filtered, why));
        values.extend([
            Value::from(format!("{chain}:{:x}:{tx:x}:{position}", block.hash)),
            id.into(),
            chain.as_str().into(),
            block.height.into(),
            (&block.hash).into(),
            tx.into(),
            (*position).into(),
            (&message.sender).into(),
            (&message.recipient).into(),
            message.nonce.into(),
            message.ordered.into(),
            message.deadline.into(),
            bytes.into(),
            stage.as_str().into(),
            reason.into(),
            now.into(),
            now.into(),
        ]);
    }
    let text = "INSERT INTO messages (key, message, chain, height, block, tx, position, sender, recipient, \
                nonce, ordered, deadline, bytes, stage, reason, seen_at, updated_at) VALUES {rows} \
                ON CONFLICT (key) DO UPDATE SET stage = excluded.stage, reason = excluded.reason, attempt = 0, \
                next_at = 0, updated_at = excluded.updated_at WHERE messages.stage = 'orphaned'";
    tx.run(sql_rows(STORING, text, found.len(), COLUMNS).bind_all(values)).await.map(drop)
}

/// What a block has, and for each message why this relayer does not carry it, if it does not.
pub type Sightings = [(Sighting, Option<String>)];

impl Store {
    /// The last blocks of a source that were searched, the newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn searched(&self, chain: &ChainId, most: u32) -> Result<Vec<BlockRef>, StoreError> {
        let look = sql(
            "reading how far a chain was searched",
            "SELECT height, hash FROM message_scans WHERE chain = $1 ORDER BY height DESC LIMIT +$2",
        );
        let read =
            |row: &Row| Ok(BlockRef { height: row.number(0)?, hash: row.hash(1, "a block hash")? });
        self.read(look.bind(chain.as_str()).bind(most)).await?.iter().map(read).collect()
    }

    /// A block was searched, and this was found: all of it is stored or nothing. What is known already stays as it is; what
    /// was orphaned waits again. Blocks above it that were searched are on a branch that the source has left.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn search_done(
        &self,
        chain: &ChainId,
        block: BlockRef,
        found: &Sightings,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for some in found.chunks(BATCH) {
            insert(&mut tx, (chain, block), some, now).await?;
        }
        let done = sql(
            STORING,
            "INSERT INTO message_scans (chain, height, hash) VALUES ($1, $2, $3) \
             ON CONFLICT (chain, height) DO UPDATE SET hash = excluded.hash",
        );
        tx.run(done.bind(chain.as_str()).bind(block.height).bind(&block.hash)).await?;
        let forget = sql(
            STORING,
            "DELETE FROM message_scans WHERE chain = $1 AND (height > $2 OR height < $3)",
        );
        let old = block.height.saturating_sub(u64::from(SEARCHED) - 1);
        tx.run(forget.bind(chain.as_str()).bind(block.height).bind(old)).await?;
        tx.commit().await
    }

    /// A chain's open messages up to a height that are due, at most `limit`: those that were never refused first, so that
    /// the others hold up nobody, and the lowest of them first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_messages(
        &self,
        chain: &ChainId,
        height: u64,
        now: u64,
        limit: u32,
    ) -> Result<Vec<MessageRow>, StoreError> {
        const OPEN: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM messages WHERE chain = $1 AND stage IN ('waiting', 'delivering') AND height <= $2 \
             AND next_at <= $3 ORDER BY attempt, height, position LIMIT +$4"
        );
        let open = sql("reading open messages", OPEN);
        let rows = self.read(open.bind(chain.as_str()).bind(height).bind(now).bind(limit)).await?;
        rows.iter().map(read_message).collect()
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
             WHERE key = $6 AND (stage IN ('waiting', 'delivering')) IS TRUE",
        )
        .bind(step.stage.as_str())
        .bind(step.reason.as_deref())
        .bind(step.attempt)
        .bind(step.next_at)
        .bind(now)
        .bind(key);
        self.write(update).await.map(drop)
    }

    /// A sender's ordered message with this number is looked at at once: the one before it came to its end.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wake_ordered(
        &self,
        chain: &ChainId,
        sender: &B256,
        nonce: u64,
    ) -> Result<(), StoreError> {
        let wake = sql(
            "waking an ordered message",
            "UPDATE messages SET next_at = 0 WHERE chain = $1 AND stage IN ('waiting', 'delivering') \
             AND sender = $2 AND nonce = $3 AND ordered = 1",
        );
        self.write(wake.bind(chain.as_str()).bind(sender).bind(nonce)).await.map(drop)
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
            " FROM messages ORDER BY seen_at DESC, key DESC LIMIT +$1"
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
        payload: b"hi".into(),
    };
    let tx = alloy_primitives::keccak256(number.to_be_bytes());
    Sighting { message, tx, position: 0 }
}
