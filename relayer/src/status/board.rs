//! What the tasks have last seen, for everybody who asks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use grid_adapters::SourceView;
use grid_core::{
    ChainId, Level, Security,
    api::{BlockRef, SyncStatus},
};

use super::{
    AttestationStatus, ChainStatus, DisagreementStatus, MainStatus, SourceStatus, WalletStatus,
};
use crate::{
    main_chain::MainView,
    store::{ChainState, Pause, StageCount},
};

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
                nodes: Vec::new(),
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

    /// All chains, with the store's numbers, and without what its rows say of holders and disagreements.
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
            holder: None,
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
            last_disagreement: None,
            sync: self.sync.clone(),
            warnings: self.warnings.clone(),
            attestation: self.attestation.clone(),
        }
    }
}
