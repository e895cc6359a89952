//! Several relayers on one database: who is alive, and who works on which chain.
//!
//! A relayer renews its row and its chains by one beat. When it stops beating, its chains are free as soon as
//! their time has passed; nobody has to find out that it is dead. Times are those of the relayers' own
//! clocks: clocks that differ cost a needless change of hands, never a double effect, because what counts
//! in the end is whose name is in the row.

use core::time::Duration;

use alloy_primitives::Address;
use grid_core::ChainId;

use super::{
    ChainRow, Row, Store, StoreError, chains::read_chain, db::sql, item::parse_chain, millis,
};

/// A relayer that was dead for so many leases is forgotten.
const FORGOTTEN: u32 = 100;

/// A relayer of this database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayerRow {
    /// What its leases carry: a new one for every start.
    pub owner: String,
    /// The key that it submits with.
    pub signer: Address,
    /// Milliseconds since 1970.
    pub started_at: u64,
}

/// A chain and the relayer that works on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// CAIP-2 id.
    pub chain: ChainId,
    /// The relayer's name.
    pub holder: String,
    /// The key that it submits with, while it is known.
    pub signer: Option<Address>,
    /// End of the lease, milliseconds since 1970.
    pub until: u64,
}

impl Store {
    /// Says that a relayer is alive for another `lease`, and renews the chains that it holds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn beat(
        &self,
        relayer: &RelayerRow,
        now: u64,
        lease: Duration,
    ) -> Result<(), StoreError> {
        const WHAT: &str = "renewing leases";
        let until = now.saturating_add(millis(lease));
        let mut tx = self.begin().await?;
        let alive = sql(
            WHAT,
            "INSERT INTO relayers (owner, signer, alive_until, started_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (owner) DO UPDATE SET alive_until = excluded.alive_until",
        );
        let RelayerRow { owner, signer, started_at } = relayer;
        tx.run(alive.bind(owner).bind(signer).bind(until).bind(*started_at)).await?;
        let renew = sql(WHAT, "UPDATE chains SET held_until = $1 WHERE holder = $2");
        tx.run(renew.bind(until).bind(owner)).await?;
        let long_ago = now.saturating_sub(millis(lease * FORGOTTEN));
        tx.run(sql(WHAT, "DELETE FROM relayers WHERE alive_until <= $1").bind(long_ago)).await?;
        tx.commit().await
    }

    /// The relayers that are alive.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn relayers(&self, now: u64) -> Result<Vec<RelayerRow>, StoreError> {
        let alive = sql(
            "reading relayers",
            "SELECT owner, signer, started_at FROM relayers WHERE alive_until > $1 ORDER BY owner",
        );
        let read = |row: &Row| {
            let signer: Vec<u8> = row.get(1)?;
            Ok(RelayerRow {
                owner: row.text(0)?,
                signer: address(&signer)?,
                started_at: row.number(2)?,
            })
        };
        self.read(alive.bind(now)).await?.iter().map(read).collect()
    }

    /// The keys of the relayers that share this database, of those too that died lately.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn signers(&self) -> Result<Vec<Address>, StoreError> {
        let all = sql("reading relayers", "SELECT DISTINCT signer FROM relayers");
        self.read(all).await?.iter().map(|row| address(&row.get::<Vec<u8>>(0)?)).collect()
    }

    /// The chains that somebody holds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holdings(&self, now: u64) -> Result<Vec<Holding>, StoreError> {
        let held = sql(
            "reading leases",
            "SELECT c.chain, c.holder, c.held_until, r.signer FROM chains c \
             LEFT JOIN relayers r ON r.owner = c.holder \
             WHERE c.holder IS NOT NULL AND c.held_until > $1 ORDER BY c.chain",
        );
        let read = |row: &Row| {
            let signer: Option<Vec<u8>> = row.get(3)?;
            Ok(Holding {
                chain: parse_chain(row.text(0)?)?,
                holder: row.text(1)?,
                until: row.number(2)?,
                signer: signer.map(|signer| address(&signer)).transpose()?,
            })
        };
        self.read(held.bind(now)).await?.iter().map(read).collect()
    }

    /// Takes a chain for `lease` when nobody holds it, or keeps it; returns what is stored of it, or `None`
    /// while another relayer holds it. `patience` is how long it must have been free: who holds enough
    /// chains already lets others go first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hold_chain(
        &self,
        owner: &str,
        chain: &ChainId,
        now: u64,
        lease: Duration,
        patience: Duration,
    ) -> Result<Option<ChainRow>, StoreError> {
        const WHAT: &str = "holding a chain";
        let look = sql(
            WHAT,
            "SELECT state, attempt, next_at, reason, holder, held_until FROM chains WHERE chain = $1",
        );
        if let Some(row) = self.read_one(look.bind(chain.as_str())).await? {
            let (holder, until): (Option<String>, u64) = (row.get(4)?, row.number(5)?);
            let mine = holder.as_deref() == Some(owner);
            // Renewed by the next beat, or here when there is none.
            if mine && until > now.saturating_add(millis(lease) / 3) {
                return read_chain(&row).map(Some);
            }
            if !mine && until > now {
                return Ok(None);
            }
        }
        let mut tx = self.begin().await?;
        let hold = sql(
            WHAT,
            "INSERT INTO chains (chain, state, attempt, next_at, reason, updated_at, holder, held_until) \
             VALUES ($1, 'active', 0, 0, NULL, $2, $3, $4) ON CONFLICT (chain) DO UPDATE SET \
             holder = excluded.holder, held_until = excluded.held_until \
             WHERE chains.holder = excluded.holder OR chains.held_until <= $5 \
             RETURNING state, attempt, next_at, reason",
        )
        .bind(chain.as_str())
        .bind(now)
        .bind(owner)
        .bind(now.saturating_add(millis(lease)))
        .bind(now.saturating_sub(millis(patience)));
        let held = tx.row(hold).await?;
        tx.commit().await?;
        held.as_ref().map(read_chain).transpose()
    }

    /// Leaves a chain to others.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn leave_chain(
        &self,
        owner: &str,
        chain: &ChainId,
        now: u64,
    ) -> Result<(), StoreError> {
        let leave = sql(
            "leaving a chain",
            "UPDATE chains SET holder = NULL, held_until = $1 WHERE chain = $2 AND holder = $3",
        );
        self.write(leave.bind(now).bind(chain.as_str()).bind(owner)).await.map(drop)
    }

    /// Leaves everything to others at once: the relayer stops.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn let_go(&self, owner: &str) -> Result<(), StoreError> {
        const WHAT: &str = "letting leases go";
        let mut tx = self.begin().await?;
        let leave = "UPDATE chains SET holder = NULL, held_until = 0 WHERE holder = $1";
        tx.run(sql(WHAT, leave).bind(owner)).await?;
        tx.run(sql(WHAT, "DELETE FROM relayers WHERE owner = $1").bind(owner)).await?;
        tx.commit().await
    }

    /// Frees what relayers of the past have held.
    pub(super) async fn forget_relayers(&self) -> Result<(), StoreError> {
        const WHAT: &str = "freeing leases";
        let mut tx = self.begin().await?;
        let free = "UPDATE chains SET holder = NULL, held_until = 0 WHERE holder IS NOT NULL";
        tx.run(sql(WHAT, free)).await?;
        tx.run(sql(WHAT, "DELETE FROM relayers")).await?;
        tx.commit().await
    }

    /// Keys with open transactions whose relayer is not alive. `own` is never among them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn orphans(&self, own: &Address, now: u64) -> Result<Vec<Address>, StoreError> {
        let orphans = sql(
            "looking for transactions of dead relayers",
            "SELECT DISTINCT n.signer FROM nonces n WHERE n.state = 'live' AND n.signer <> $1 \
             AND NOT EXISTS (SELECT 1 FROM relayers r WHERE r.signer = n.signer AND r.alive_until > $2)",
        );
        let rows = self.read(orphans.bind(own).bind(now)).await?;
        rows.iter().map(|row| address(&row.get::<Vec<u8>>(0)?)).collect()
    }
}

fn address(bytes: &[u8]) -> Result<Address, StoreError> {
    Address::try_from(bytes)
        .map_err(|_| StoreError::Row { what: "a signer", value: format!("{} bytes", bytes.len()) })
}
