//! Where one header, item or transaction stands, why, and what happens next.
//!
//! `gather` collects the facts from the store, the main chain and the sources, each question under a
//! deadline; `judge` makes a sentence of them and of nothing else. It also answers for what has no row:
//! the reason why nothing was planned is what an operator looks for.

mod facts;
mod gather;
mod id;
mod say;
mod stage;
#[cfg(test)]
mod tests;

use alloy_primitives::{B256, U256};
use grid_core::{ChainId, api::BlockRef};
use serde::{Deserialize, Serialize};

use crate::{
    main_chain::Receipt,
    status::Holder,
    store::{Carried, Item, Lease, Pause},
};

pub(crate) use gather::{ExplainError, explain};
pub use say::Place;

/// The answer about one header, item or transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What was asked for.
    pub id: String,
    /// Why it is where it is, and what happens next or has to be done: one sentence.
    pub summary: String,
    /// Where it stands, for programs.
    pub place: Place,
    /// Whether nothing happens before somebody does what [`summary`](Self::summary) says.
    pub needs_operator: bool,
    /// The page of `docs/runbooks` that tells more, without `.md`.
    pub runbook: Option<String>,
    /// Milliseconds since 1970.
    pub now: u64,
    /// CAIP-2 id of the source.
    pub chain: Option<ChainId>,
    /// Height of the header.
    pub height: Option<u64>,
    /// Hash of the header on the sources' active chain, internal byte order.
    pub hash: Option<B256>,
    /// Sources that have reached the height.
    pub sources: Vec<String>,
    /// The unit of work.
    pub item: Option<Item>,
    /// Who works on it right now.
    pub lease: Option<Lease>,
    /// What happened to it, oldest first.
    pub timeline: Vec<Moment>,
    /// The transactions that carried it, oldest first.
    pub transactions: Vec<Transaction>,
    /// The main chain's side.
    pub main: Option<OnMain>,
    /// The chain's pause, if an operator paused it.
    pub paused: Option<Pause>,
    /// The relayer that works on the chain, among those of the same database.
    pub holder: Option<Holder>,
}

/// A transaction that carried an item, or filled a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    /// What the relayer has stored of it.
    #[serde(flatten)]
    pub carried: Carried,
    /// What it cost; `None` where it was not executed, or the main chain did not say.
    pub cost: Option<Cost>,
}

/// What a transaction cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Height of the Grid block that it is in.
    pub block: u64,
    /// Gas that was used.
    pub gas: u64,
    /// The fee paid, smallest unit of GRID.
    pub fee: U256,
}

impl From<Receipt> for Cost {
    fn from(receipt: Receipt) -> Self {
        let fee = U256::from(receipt.gas_used).saturating_mul(U256::from(receipt.gas_price));
        Self { block: receipt.block, gas: receipt.gas_used, fee }
    }
}

/// One step of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// Milliseconds since 1970.
    pub at: u64,
    /// Milliseconds after the step before.
    pub after: u64,
    /// `planned`, `signed`, `refused`, `included`, …
    pub what: String,
    /// Values.
    pub detail: String,
}

/// The chain on the main chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnMain {
    /// Newest final Grid block that this was read at.
    pub grid_block: u64,
    /// `active`, `suspended`, `frozen` or `terminated`.
    pub status: String,
    /// First height of the index.
    pub first_height: u64,
    /// Best tracked header.
    pub tracked: BlockRef,
    /// Last confirmed header.
    pub confirmed: Option<BlockRef>,
    /// The confirmation rule, for people.
    pub rule: String,
    /// The header's confirmations as Bitcoin counts them: the tip has one.
    pub confirmations: Option<u64>,
    /// Blocks of the chain until the rule confirms the header, if it goes on as it stands; 0 once it has.
    pub more_blocks: Option<u64>,
    /// The Grid block that put the header into the index, where it is among the newest.
    pub indexed_in: Option<u64>,
}
