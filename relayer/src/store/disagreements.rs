//! What the sources of each chain disagreed on last: evidence for people, which survives the disagreement and a restart.

use std::collections::BTreeMap;

use grid_core::ChainId;
use serde::{Deserialize, Serialize};

use super::{Row, Store, StoreError, db::sql, item::parse_chain};
use crate::status::DisagreementStatus;

/// A chain's last disagreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastDisagreement {
    /// When it was first seen, milliseconds since 1970.
    pub began_at: u64,
    /// When the sources were seen to agree again; `None` while they do not.
    pub ended_at: Option<u64>,
    /// What it was about, as last seen.
    #[serde(flatten)]
    pub what: DisagreementStatus,
}

impl Store {
    /// The last disagreement of every chain that had one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn disagreements(&self) -> Result<BTreeMap<ChainId, LastDisagreement>, StoreError> {
        let all = sql(
            "reading disagreements",
            "SELECT chain, what, began_at, ended_at FROM disagreements",
        );
        let read = |row: &Row| {
            let text = row.text(1)?;
            let what = serde_json::from_str(&text);
            let what = what.map_err(|_| StoreError::Row { what: "a disagreement", value: text })?;
            let (began_at, ended_at) = (row.number(2)?, row.get::<Option<i64>>(3)?);
            let last = LastDisagreement { began_at, ended_at: ended_at.map(super::uint), what };
            Ok((parse_chain(row.text(0)?)?, last))
        };
        self.read(all).await?.iter().map(read).collect()
    }

    /// The sources of a chain disagree, or go on to, or (`None`) agree.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_disagreement(
        &self,
        chain: &ChainId,
        what: Option<&DisagreementStatus>,
        now: u64,
    ) -> Result<(), StoreError> {
        const WHAT: &str = "storing a disagreement";
        let change = match what {
            // Numbers, hashes and names always have a text.
            Some(what) => sql(
                WHAT,
                "INSERT INTO disagreements (chain, what, began_at) VALUES ($1, $3, $2) \
                 ON CONFLICT (chain) DO UPDATE SET what = excluded.what, ended_at = NULL, \
                 began_at = CASE WHEN disagreements.ended_at IS NULL \
                 THEN disagreements.began_at ELSE excluded.began_at END",
            )
            .bind(chain.as_str())
            .bind(now)
            .bind(serde_json::to_string(what).unwrap_or_default()),
            None => sql(
                WHAT,
                "UPDATE disagreements SET ended_at = $2 WHERE chain = $1 AND ended_at IS NULL",
            )
            .bind(chain.as_str())
            .bind(now),
        };
        self.write(change).await.map(drop)
    }
}
