//! What the relayer tells people: one snapshot of everything it does.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::{Address, B256, U256};
use grid_adapters::{Disagreement, Health, SourceView, Vote};
use grid_core::{
    ChainId, Level, Security,
    api::{BlockRef, SyncStatus},
};
use serde::{Deserialize, Serialize};

use crate::{
    main_chain::MainView,
    problem::Problem,
    store::{ChainState, Pause, Stage, StageCount},
};

/// The relayer's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The program's version.
    pub version: String,
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

/// What the tasks have last seen. Cheap to clone; every write is short.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    main: MainStatus,
    wallet: WalletStatus,
    /// Whether the wallet is more than an address.
    wallet_known: bool,
    chains: BTreeMap<ChainId, SeenChain>,
    pauses: BTreeMap<ChainId, Pause>,
}

#[derive(Debug, Clone, Default)]
struct SeenChain {
    level: Option<Level>,
    security: Option<Security>,
    main_status: Option<String>,
    has_source: bool,
    rounds: u64,
    state: Option<ChainState>,
    reason: Option<String>,
    next_at: u64,
    source: Option<BlockRef>,
    tracked: Option<BlockRef>,
    confirmed: Option<BlockRef>,
    behind_since: Option<u64>,
    reorgs: u64,
    last_reorg_depth: u64,
    sources: Vec<SourceStatus>,
    competing_blocks: u64,
    disagreement: Option<DisagreementStatus>,
    attestation: Option<AttestationStatus>,
    sync: Option<SyncStatus>,
    warnings: Vec<String>,
}

impl Board {
    /// A board for these sources.
    #[must_use]
    pub fn new<'a>(sources: impl IntoIterator<Item = &'a ChainId>) -> Self {
        let board = Self::default();
        board.with(|seen| {
            for id in sources {
                seen.chains.entry(id.clone()).or_default().has_source = true;
            }
        });
        board
    }

    /// A chain is followed from now on, or no more.
    pub fn put(&self, id: &ChainId, has_source: bool) {
        self.with(|seen| seen.chains.entry(id.clone()).or_default().has_source = has_source);
    }

    /// The sources of a chain, which count no more.
    pub fn take_sources(&self, id: &ChainId) -> Vec<SourceStatus> {
        self.with(|seen| {
            let Some(chain) = seen.chains.get_mut(id) else { return Vec::new() };
            (chain.disagreement, chain.competing_blocks) = (None, 0);
            chain.warnings.clear();
            core::mem::take(&mut chain.sources)
        })
    }

    fn with<R>(&self, change: impl FnOnce(&mut Seen) -> R) -> R {
        // Nothing in here panics half-way through a change.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The main chain answered.
    pub fn main_seen(&self, view: &MainView, now: u64) {
        self.with(|seen| {
            seen.main = MainStatus {
                chain_id: view.tip.chain_id,
                height: view.tip.height,
                hash: view.tip.hash,
                time_ms: view.tip.time_ms,
                seen_at: now,
                error: None,
            };
            for info in &view.chains {
                let chain = seen.chains.entry(info.id.clone()).or_default();
                chain.level = Some(info.level);
                chain.security = Some(info.security);
                chain.main_status = Some(info.status.clone());
                chain.tracked = Some(info.tracked);
                chain.confirmed = info.confirmed;
                chain.sync.clone_from(&info.sync);
                chain.settle_lag(now);
            }
        });
    }

    /// The main chain did not answer.
    pub fn main_failed(&self, error: &str) {
        self.with(|seen| seen.main.error = Some(error.into()));
    }

    /// The submitting key's state.
    pub fn wallet_seen(&self, wallet: WalletStatus) {
        self.with(|seen| {
            seen.wallet_known = seen.wallet.address == wallet.address;
            seen.wallet = wallet;
        });
    }

    /// The submitting key, once the main chain was asked for it.
    #[must_use]
    pub fn known_wallet(&self) -> Option<WalletStatus> {
        self.with(|seen| seen.wallet_known.then(|| seen.wallet.clone()))
    }

    /// The operators' pauses as the database has them.
    pub fn pauses_seen(&self, pauses: BTreeMap<ChainId, Pause>) {
        self.with(|seen| seen.pauses = pauses);
    }

    /// A chain's pause, if an operator paused it.
    #[must_use]
    pub fn pause(&self, id: &ChainId) -> Option<Pause> {
        self.with(|seen| seen.pauses.get(id).cloned())
    }

    /// Chains that are registered or configured.
    #[must_use]
    pub fn ids(&self) -> Vec<ChainId> {
        self.with(|seen| seen.chains.keys().cloned().collect())
    }

    /// A source answered.
    pub fn source_seen(&self, id: &ChainId, tip: BlockRef, now: u64) {
        self.with(|seen| {
            let chain = seen.chains.entry(id.clone()).or_default();
            chain.source = Some(tip);
            chain.settle_lag(now);
        });
    }

    /// What a source tells beside its headers.
    pub fn sources_seen(&self, id: &ChainId, view: SourceView) {
        self.with(|seen| {
            let chain = seen.chains.entry(id.clone()).or_default();
            chain.competing_blocks = u64::try_from(view.competing_blocks()).unwrap_or(u64::MAX);
            chain.sources = view.members.into_iter().map(Into::into).collect();
            chain.disagreement = view.disagreement.map(Into::into);
            chain.warnings = view.warnings;
        });
    }

    /// Signatures were collected.
    pub fn attested(&self, id: &ChainId, attestation: AttestationStatus) {
        self.with(|seen| {
            seen.chains.entry(id.clone()).or_default().attestation = Some(attestation);
        });
    }

    /// A round of a chain ended.
    pub fn chain_state(&self, id: &ChainId, state: ChainState, reason: Option<&str>, next_at: u64) {
        self.with(|seen| {
            let chain = seen.chains.entry(id.clone()).or_default();
            chain.rounds += 1;
            chain.state = Some(state);
            chain.reason = reason.map(Into::into);
            chain.next_at = next_at;
        });
    }

    /// A reorganisation of the source was seen.
    pub fn reorganised(&self, id: &ChainId, depth: u64) {
        self.with(|seen| {
            let chain = seen.chains.entry(id.clone()).or_default();
            chain.reorgs += 1;
            chain.last_reorg_depth = depth;
        });
    }

    /// The main chain as last seen.
    #[must_use]
    pub fn main(&self) -> MainStatus {
        self.with(|seen| seen.main.clone())
    }

    /// The submitting key as last seen.
    #[must_use]
    pub fn wallet(&self) -> WalletStatus {
        self.with(|seen| seen.wallet.clone())
    }

    /// Configured chains that had no round yet.
    #[must_use]
    pub fn unvisited(&self) -> Vec<ChainId> {
        self.with(|seen| {
            let waiting =
                |(_, chain): &(&ChainId, &SeenChain)| chain.has_source && chain.rounds == 0;
            seen.chains.iter().filter(waiting).map(|(id, _)| id.clone()).collect()
        })
    }

    /// All chains, with the store's numbers.
    #[must_use]
    pub fn chains(&self, counts: &[StageCount], now: u64) -> Vec<ChainStatus> {
        self.with(|seen| {
            let status = |(id, chain): (&ChainId, &SeenChain)| {
                chain.status(id, seen.pauses.get(id), counts, now)
            };
            seen.chains.iter().map(status).collect()
        })
    }
}

impl SeenChain {
    fn settle_lag(&mut self, now: u64) {
        let equal = match (self.source, self.tracked) {
            (Some(source), Some(tracked)) => tracked.height >= source.height,
            _ => true,
        };
        self.behind_since = if equal { None } else { self.behind_since.or(Some(now)) };
    }

    fn status(
        &self,
        id: &ChainId,
        pause: Option<&Pause>,
        counts: &[StageCount],
        now: u64,
    ) -> ChainStatus {
        let mine = || counts.iter().filter(|count| count.chain == *id);
        let age = |count: &StageCount| now.saturating_sub(count.oldest) / 1000;
        let lag_blocks = match (self.source, self.tracked) {
            (Some(source), Some(tracked)) => source.height.saturating_sub(tracked.height),
            _ => 0,
        };
        let (state, reason) = match (self.has_source, self.state) {
            (true, _) if pause.is_some() => {
                (ChainState::Paused, pause.and_then(|pause| pause.reason.clone()))
            }
            (false, _) => {
                (ChainState::Waiting, Some("registered, but no source is configured".into()))
            }
            (true, None) => (ChainState::Waiting, Some("no round yet".into())),
            (true, Some(state)) => (state, self.reason.clone()),
        };
        ChainStatus {
            id: id.clone(),
            configured: self.has_source,
            level: self.level,
            security: self.security,
            main_status: self.main_status.clone(),
            state,
            reason,
            next_at: self.next_at,
            paused: pause.cloned(),
            source: self.source,
            tracked: self.tracked,
            confirmed: self.confirmed,
            lag_blocks,
            lag_seconds: self.behind_since.map_or(0, |since| now.saturating_sub(since) / 1000),
            items: mine().map(|count| (count.stage, count.count)).collect(),
            ages: mine().map(|count| (count.stage, age(count))).collect(),
            oldest_age_seconds: mine().map(age).max().unwrap_or(0),
            reorgs: self.reorgs,
            last_reorg_depth: self.last_reorg_depth,
            sources: self.sources.clone(),
            competing_blocks: self.competing_blocks,
            disagreement: self.disagreement.clone(),
            sync: self.sync.clone(),
            warnings: self.warnings.clone(),
            attestation: self.attestation.clone(),
        }
    }
}
