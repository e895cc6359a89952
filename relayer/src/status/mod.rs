//! What the relayer tells people: one snapshot of everything it does.

mod board;

use core::fmt;
use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use grid_adapters::{Disagreement, Health, Vote};
use grid_core::{
    ChainId, Level, Security,
    api::{BlockRef, SyncStatus},
};
use serde::{Deserialize, Serialize};

use crate::{
    problem::Problem,
    store::{ChainState, LastDisagreement, Pause, Stage},
};

pub use board::Board;

/// The relayer's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The relayer's name among those of its database: `relayer.name`, or a new one for every start.
    #[serde(default)]
    pub name: String,
    /// Milliseconds since 1970.
    pub started_at: u64,
    /// Milliseconds since 1970.
    pub now: u64,
    /// Whether `/readyz` says yes.
    pub ready: bool,
    /// Whether nothing is signed or sent.
    #[serde(default)]
    pub dry_run: bool,
    /// Everything that keeps it from working fully, worst first.
    pub problems: Vec<Problem>,
    /// The main chain.
    pub main: MainStatus,
    /// The submitting key.
    pub wallet: WalletStatus,
    /// Chains that are registered or configured, by id.
    pub chains: Vec<ChainStatus>,
    /// Tasks of this process.
    pub tasks: Vec<TaskStatus>,
}

/// The main chain as last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MainStatus {
    /// Number in `eip155:<n>`; 0 before the first answer.
    pub chain_id: u64,
    /// Newest final block.
    pub height: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time, milliseconds since 1970.
    pub time_ms: u64,
    /// When it last answered, milliseconds since 1970; 0 for never.
    pub seen_at: u64,
    /// The failure since then.
    pub error: Option<String>,
    /// Its nodes; none where it runs in this process.
    #[serde(default)]
    pub nodes: Vec<SourceStatus>,
}

/// The submitting key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WalletStatus {
    /// Address.
    pub address: Address,
    /// Smallest unit of GRID.
    pub balance: U256,
    /// Next nonce by committed state.
    pub nonce: u64,
    /// Transactions whose fate is open.
    pub live: u64,
    /// Nonces between the committed one and the lowest open transaction that nobody owns.
    pub gap: u64,
}

/// One chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainStatus {
    /// CAIP-2 id.
    pub id: ChainId,
    /// Whether a source is configured here.
    #[serde(default)]
    pub configured: bool,
    /// Speed level, once the main chain has named it.
    pub level: Option<Level>,
    /// What stands behind its headers.
    pub security: Option<Security>,
    /// Its status on the main chain: `active`, `suspended`, `frozen` or `terminated`.
    #[serde(default)]
    pub main_status: Option<String>,
    /// How the relayer sees it.
    pub state: ChainState,
    /// Why it is not active.
    pub reason: Option<String>,
    /// Next attempt, milliseconds since 1970; 0 for the next round.
    pub next_at: u64,
    /// Its pause, if an operator paused it.
    #[serde(default)]
    pub paused: Option<Pause>,
    /// The relayer that works on it, among those of the same database.
    #[serde(default)]
    pub holder: Option<Holder>,
    /// The source's active tip.
    pub source: Option<BlockRef>,
    /// The main chain's best tracked header.
    pub tracked: Option<BlockRef>,
    /// The main chain's last confirmed header.
    pub confirmed: Option<BlockRef>,
    /// Blocks that the main chain's tracked tip is behind the source.
    pub lag_blocks: u64,
    /// Seconds since both tips were last equal; 0 while they are.
    pub lag_seconds: u64,
    /// Unfinished items by stage.
    pub items: BTreeMap<Stage, u64>,
    /// Age of the oldest item of each of these stages, seconds.
    #[serde(default)]
    pub ages: BTreeMap<Stage, u64>,
    /// Age of the oldest unfinished item, seconds.
    pub oldest_age_seconds: u64,
    /// Reorganisations of the source that were followed since the start.
    pub reorgs: u64,
    /// Depth of the last one.
    pub last_reorg_depth: u64,
    /// The sources that are configured for it, where there are several or they are verified here.
    #[serde(default)]
    pub sources: Vec<SourceStatus>,
    /// Headers of the longest branch beside the active one, near its tip.
    #[serde(default)]
    pub competing_blocks: u64,
    /// What the sources disagree about.
    #[serde(default)]
    pub disagreement: Option<DisagreementStatus>,
    /// What they disagreed about last, as any relayer of the same database has seen it.
    #[serde(default)]
    pub last_disagreement: Option<LastDisagreement>,
    /// What the operator has to know of the source although it works: loosened rules, trouble of single endpoints.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Where the main chain's light client stands, for a chain whose finality proves itself.
    #[serde(default)]
    pub sync: Option<SyncStatus>,
    /// Who signed the last header that signatures were collected for, where the chain is attested.
    #[serde(default)]
    pub attestation: Option<AttestationStatus>,
}

/// The relayer that works on a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Its name: [`Status::name`] of its own status.
    pub relayer: String,
    /// The key that it submits with, while it is known.
    pub signer: Option<Address>,
    /// Whether it is the one that answers.
    pub here: bool,
    /// When another one may take over unless it renews its lease, milliseconds since 1970.
    pub until: u64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signer {
            Some(signer) => write!(f, "{} with the key {signer}", self.relayer),
            None => f.write_str(&self.relayer),
        }
    }
}

/// Signatures of one header of an attested chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestationStatus {
    /// How many are needed.
    pub threshold: u32,
    /// Registered attesters.
    pub attesters: u32,
    /// The header.
    pub block: BlockRef,
    /// Who signed it.
    pub signed: Vec<Address>,
    /// Who was asked and did not.
    pub missing: Vec<MissingSignature>,
}

impl AttestationStatus {
    /// Signatures short of the threshold.
    #[must_use]
    pub fn missing_signatures(&self) -> u64 {
        let signed = u64::try_from(self.signed.len()).unwrap_or(u64::MAX);
        u64::from(self.threshold).saturating_sub(signed)
    }
}

/// An attester that did not sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingSignature {
    /// Where it is configured, or `own key`.
    pub attester: String,
    /// Why.
    pub reason: String,
}

/// One source of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Where it is configured.
    pub name: String,
    /// `rpc`, `esplora`, `p2p` or `import`.
    pub kind: String,
    /// Whether its last exchange went well.
    pub healthy: bool,
    /// Height of its last tip, as it says.
    pub height: Option<u64>,
    /// Blocks behind the chain's highest source.
    pub lag_blocks: u64,
    /// Cumulative work of its tip, where it was verified here.
    pub work: Option<U256>,
    /// Failures in a row.
    pub failures: u64,
    /// The last of them.
    pub error: Option<String>,
    /// Answers that did not verify, since the start.
    #[serde(default)]
    pub refused: u64,
    /// Questions that it was asked because another source was slow, since the start.
    #[serde(default)]
    pub hedges: u64,
    /// Its circuit breaker: `closed`, `half-open` or `open`; absent where it has none.
    #[serde(default)]
    pub breaker: Option<String>,
}

/// Sources that exclude each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DisagreementStatus {
    /// The first height at which they differ.
    pub height: u64,
    /// Whether nothing from that height on is relayed until enough of them agree.
    pub held: bool,
    /// The blocks that they name there, most work first.
    pub votes: Vec<VoteStatus>,
}

/// A block and who names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VoteStatus {
    /// Its hash, the chain's internal byte order.
    pub hash: B256,
    /// Names of the sources.
    pub sources: Vec<String>,
}

impl From<Health> for SourceStatus {
    fn from(health: Health) -> Self {
        Self {
            name: health.name,
            kind: health.kind.to_string(),
            healthy: health.failures == 0 && health.height.is_some(),
            height: health.height,
            lag_blocks: health.lag,
            work: health.work,
            failures: health.failures.into(),
            error: health.last_error.map(|error| error.to_string()),
            refused: health.refused,
            hedges: health.hedges,
            breaker: health.breaker.map(|state| state.as_str().into()),
        }
    }
}

impl SourceStatus {
    /// A node of the main chain, which is not asked for its height apart from the others.
    pub(crate) fn node(health: Health) -> Self {
        let healthy = health.failures == 0;
        Self { healthy, ..health.into() }
    }
}

impl From<Disagreement> for DisagreementStatus {
    fn from(Disagreement { height, held, votes }: Disagreement) -> Self {
        let vote = |vote: Vote| VoteStatus { hash: vote.hash, sources: vote.members };
        Self { height, held, votes: votes.into_iter().map(vote).collect() }
    }
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// Name.
    pub name: String,
    /// Seconds since its last heartbeat.
    pub heartbeat_age_seconds: u64,
    /// Seconds since it last finished a round.
    pub progress_age_seconds: u64,
    /// How often it was restarted.
    pub restarts: u64,
}
