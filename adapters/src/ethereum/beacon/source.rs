//! The light client as a source.

use core::fmt;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::B256;
use async_trait::async_trait;
use grid_core::{
    ChainId,
    api::SyncStatus,
    ethereum::sync::{NetworkConfig, Policy, SyncData},
};
use tokio::sync::Mutex as AsyncMutex;

use super::{
    BeaconError,
    execution::Execution,
    follow,
    nodes::Nodes,
    store::{Kept, StoreFile},
};
use crate::{
    AdapterError, Disagreement, Endpoint, FinalityChain, FinalityData, Material, ProofRequest,
    SourceChain, SourceHeader, SourceTip, SourceView, source::MAX_SYNC_DATA,
};

/// Most objects that one call takes on its way to the present: a year of mainnet's periods.
const MAX_TAKEN: usize = 512;

/// Seconds within which two questions are answered from the same look at the beacon nodes.
const FRESH: u64 = 2;

/// Epochs that finality lags behind the clock when all is well: three, and one for a missed vote.
const USUAL_LAG: u64 = 4;

/// How a chain is followed by its sync committees.
#[derive(Debug, Clone)]
pub struct LightConfig {
    /// The execution chain's CAIP-2 id.
    pub chain: ChainId,
    /// The beacon chain.
    pub network: NetworkConfig,
    /// Rules on top of the spec.
    pub policy: Policy,
    /// Root of a beacon block that the operator trusts; otherwise [`LightSource::trust`] tells it, or the
    /// position of the first [`FinalityChain::finality_data`].
    pub checkpoint: Option<B256>,
    /// Where the verified client is kept.
    pub store: Option<PathBuf>,
    /// So many execution nodes must call a proven block finalized before it is handed out; 0 asks none.
    pub agree: usize,
}

/// Where the light client stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LightStatus {
    /// The network's name.
    pub network: String,
    /// The trusted block from which it started.
    pub checkpoint: B256,
    /// Slot of the newest finalized beacon block.
    pub finalized_slot: u64,
    /// Its root.
    pub finalized_root: B256,
    /// When its slot began, Unix time in seconds.
    pub finalized_time: u64,
    /// Hash of its execution block.
    pub execution_hash: B256,
    /// Slot of the newest header that enough members signed; it may be reorganised.
    pub optimistic_slot: u64,
    /// The finalized slot's sync-committee period.
    pub period: u64,
    /// Whether the committee of the next period is known.
    pub next_committee_known: bool,
    /// Rules that the operator has loosened, by name.
    pub loosened: Vec<String>,
    /// Why it is frozen, if it is.
    pub frozen: Option<String>,
}

type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A chain followed by its sync committees.
pub struct LightSource {
    config: LightConfig,
    nodes: Nodes,
    execution: Execution,
    store: Option<StoreFile>,
    clock: Clock,
    state: AsyncMutex<State>,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct State {
    running: Option<Kept>,
    /// When the beacon nodes were asked last.
    asked: Option<u64>,
}

/// What can be told without asking anybody.
#[derive(Default)]
struct Shown {
    trusted: Option<B256>,
    tip: Option<SourceTip>,
    status: Option<LightStatus>,
    disagreement: Option<Disagreement>,
    /// About the store's file, and about the last look at the beacon nodes.
    store: Option<String>,
    trouble: Option<String>,
}

impl fmt::Debug for LightSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LightSource").field("config", &self.config).finish_non_exhaustive()
    }
}

fn system_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl LightSource {
    /// A light client over `beacons` with headers from `execution`, best first. Nothing is sent or read yet.
    ///
    /// # Errors
    /// When the network's numbers make no sense, an endpoint list is empty or too long, or `agree` is more
    /// than there are execution nodes.
    pub fn new(
        config: LightConfig,
        beacons: Vec<Endpoint>,
        execution: Vec<Endpoint>,
    ) -> Result<Self, AdapterError> {
        config.network.validate().map_err(|error| AdapterError::Invalid(error.to_string()))?;
        let nodes = Nodes::new(config.chain.clone(), &config.network, beacons)?;
        let execution = Execution::new(config.chain.clone(), execution)?;
        if config.agree > execution.len() {
            let (chain, agree, count) = (&config.chain, config.agree, execution.len());
            return Err(AdapterError::Invalid(format!(
                "{chain}: `agree` is {agree}; expected 0 to {count}, the number of execution nodes"
            )));
        }
        let shown = Shown { trusted: config.checkpoint, ..Shown::default() };
        Ok(Self {
            nodes,
            execution,
            store: config.store.clone().map(StoreFile::new),
            config,
            clock: Arc::new(system_time),
            state: AsyncMutex::default(),
            shown: Mutex::new(shown),
        })
    }

    /// Takes the time, Unix seconds, from another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Names the block to start from, unless one is configured or known.
    pub fn trust(&self, root: B256) {
        self.shown().trusted.get_or_insert(root);
    }

    /// Where the client stands, as of the last question; `None` before it has started.
    #[must_use]
    pub fn status(&self) -> Option<LightStatus> {
        self.shown().status.clone()
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        // Nothing in here panics half-way through a change.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the client on, starting it if need be. Trouble with the beacon nodes is shown, and no reason
    /// to take back what is proven; an error is what stops the client itself.
    async fn advance(&self, state: &mut State) -> Result<(), AdapterError> {
        let now = (self.clock)();
        let kept = match &mut state.running {
            Some(kept) => kept,
            slot => slot.insert(self.start(now).await?),
        };
        if state.asked.is_some_and(|asked| now.abs_diff(asked) < FRESH) {
            return Ok(());
        }
        let outcome = follow::catch_up(&self.nodes, &mut kept.client, now, MAX_TAKEN).await;
        let changed = match outcome {
            Ok(taken) => {
                state.asked = Some(now);
                self.shown().trouble = None;
                let changed = !taken.is_empty();
                taken.into_iter().for_each(|(item, _)| kept.note(item));
                changed
            }
            Err(
                error
                @ AdapterError::Beacon(BeaconError::Stale { .. } | BeaconError::Halted { .. }),
            ) => {
                self.save(kept).await;
                self.show(kept, now);
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(chain = %self.config.chain, %error, "no newer finality");
                self.shown().trouble = Some(error.to_string());
                false
            }
        };
        if changed {
            self.save(kept).await;
        }
        self.show(kept, now);
        Ok(())
    }

    /// The kept client, or a new one from the trusted block.
    async fn start(&self, now: u64) -> Result<Kept, AdapterError> {
        let (network, policy) = (&self.config.network, &self.config.policy);
        let trusted = self.shown().trusted;
        let loaded = match &self.store {
            Some(file) => self.load(file, now).await,
            None => Ok(None),
        };
        let fault = match loaded {
            Ok(Some(kept)) if trusted.is_none_or(|root| root == kept.checkpoint) => {
                self.shown().trusted = Some(kept.checkpoint);
                return Ok(kept);
            }
            Ok(Some(kept)) => Some(format!(
                "it started from checkpoint {}, which is not the trusted one",
                kept.checkpoint
            )),
            Ok(None) => None,
            // The file is sound; the clock is not.
            Err(error @ BeaconError::Halted { .. }) => return Err(error.into()),
            Err(error) if trusted.is_none() => return Err(error.into()),
            Err(error) => Some(error.to_string()),
        };
        let Some(root) = trusted else {
            return Err(BeaconError::NoCheckpoint { network: network.name.clone() }.into());
        };
        let (client, _) = follow::bootstrap(&self.nodes, network, policy, &root, now).await?;
        if let (Some(fault), Some(file)) = (fault, &self.store) {
            let aside = file.set_aside();
            let text = format!("{fault}; moved to {}, started from {root}", aside.display());
            tracing::warn!(chain = %self.config.chain, text, "light-client store not used");
            self.shown().store = Some(text);
        }
        let kept = Kept::new(root, client);
        self.save(&kept).await;
        Ok(kept)
    }

    async fn load(&self, file: &StoreFile, now: u64) -> Result<Option<Kept>, BeaconError> {
        let (file, network) = (file.clone(), self.config.network.clone());
        let policy = self.config.policy.clone();
        let read = tokio::task::spawn_blocking(move || file.load(&network, &policy, now));
        // The task only fails to join where the runtime is going down.
        read.await.unwrap_or(Ok(None))
    }

    /// Keeps the client. A disk that fails is shown, and does not stop what is verified in memory.
    async fn save(&self, kept: &Kept) {
        let Some(file) = &self.store else { return };
        let draft = file.draft(kept);
        let saved = tokio::task::spawn_blocking(move || draft.save()).await;
        if let Ok(outcome) = saved {
            let fault = outcome.err().map(|error| error.to_string());
            if let Some(fault) = &fault {
                tracing::error!(fault, "the light client cannot be kept");
                self.shown().store = Some(fault.clone());
            }
        }
    }

    fn show(&self, kept: &Kept, now: u64) {
        let (client, network) = (&kept.client, &self.config.network);
        let store = client.store();
        let finalized = store.finalized_header();
        let slot = finalized.beacon.slot;
        let status = LightStatus {
            network: network.name.clone(),
            checkpoint: kept.checkpoint,
            finalized_slot: slot,
            finalized_root: finalized.beacon.root(),
            finalized_time: network.time_of(slot),
            execution_hash: finalized.execution_block_hash,
            optimistic_slot: store.optimistic_header().beacon.slot,
            period: network.preset.period(slot),
            next_committee_known: store.next_sync_committee().is_some(),
            loosened: client.policy().loosened().into_iter().map(Into::into).collect(),
            frozen: client.finalized().err().map(|error| error.to_string()),
        };
        let lag = network.preset.epoch(network.slot_at(now).saturating_sub(slot));
        let mut shown = self.shown();
        if lag > USUAL_LAG && shown.trouble.is_none() {
            shown.trouble = Some(format!(
                "finality is {lag} epochs behind the clock: the chain does not finalize, or every beacon node withholds it"
            ));
        }
        shown.status = Some(status);
    }

    /// The block that is handed out: the newest final one, once its height is known and, where it is
    /// asked for, enough execution nodes agree.
    async fn vouched(&self) -> Result<SourceTip, AdapterError> {
        let hash = {
            let mut state = self.state.lock().await;
            self.advance(&mut state).await?;
            let Some(kept) = &state.running else {
                let network = self.config.network.name.clone();
                return Err(BeaconError::NoCheckpoint { network }.into());
            };
            let finalized = kept.client.finalized();
            let header = finalized.map_err(|error| follow::halted(&self.config.network, error))?;
            header.execution_block_hash
        };
        let known = self.shown().tip.filter(|tip| tip.hash == hash);
        let tip = match known {
            Some(tip) => tip,
            None => match self.execution.anchor(hash).await {
                Ok(tip) => tip,
                // Execution nodes learn of finality a little later; what was final before still is.
                Err(error) => return self.last_tip(error),
            },
        };
        if self.config.agree > 0 && known.is_none() {
            self.require_agreement(&tip).await?;
        }
        self.shown().tip = Some(tip);
        Ok(tip)
    }

    /// The last block that was handed out, if any, where the new one cannot be yet.
    fn last_tip(&self, error: AdapterError) -> Result<SourceTip, AdapterError> {
        let mut shown = self.shown();
        let Some(tip) = shown.tip else { return Err(error) };
        tracing::debug!(chain = %self.config.chain, %error, "the last tip stays");
        shown.trouble = Some(error.to_string());
        Ok(tip)
    }

    async fn require_agreement(&self, tip: &SourceTip) -> Result<(), AdapterError> {
        let opinion = self.execution.opinion(tip).await;
        let (agreeing, required) = (opinion.agreeing, self.config.agree);
        let held = agreeing < required;
        let differing = opinion.votes.iter().any(|vote| vote.hash != tip.hash);
        let votes: Vec<String> = opinion
            .votes
            .iter()
            .map(|vote| format!("{} by {}", vote.hash, vote.members.join(", ")))
            .collect();
        self.shown().disagreement =
            differing.then_some(Disagreement { height: tip.height, held, votes: opinion.votes });
        if differing {
            tracing::error!(
                chain = %self.config.chain, proven = %tip.hash, votes = votes.join("; "),
                "execution nodes call another block finalized than the sync committee has"
            );
        }
        if !held {
            return Ok(());
        }
        let votes = if votes.is_empty() { "none has it yet".into() } else { votes.join("; ") };
        let (height, hash) = (tip.height, tip.hash);
        Err(BeaconError::Opinion { height, hash, agreeing, required, votes }.into())
    }

    /// What a client at `position` lacks, from a client that starts where it stands: its finalized block
    /// is as good as a checkpoint.
    async fn missing_from(
        &self,
        position: &SyncStatus,
        now: u64,
    ) -> Result<Vec<SyncData>, AdapterError> {
        let root = if position.started { position.finalized_root } else { position.checkpoint };
        let mut policy = self.config.policy.clone();
        if position.loosened.iter().any(|name| name == "max_checkpoint_age") {
            policy.max_checkpoint_age = 0;
        }
        let network = &self.config.network;
        let (mut client, bootstrap) =
            follow::bootstrap(&self.nodes, network, &policy, &root, now).await?;
        let first: Option<SyncData> = (!position.started).then(|| bootstrap.into());
        let most = MAX_SYNC_DATA - usize::from(first.is_some());
        let taken = match follow::catch_up(&self.nodes, &mut client, now, most).await {
            Ok(taken) => taken,
            Err(
                error
                @ AdapterError::Beacon(BeaconError::Stale { .. } | BeaconError::Halted { .. }),
            ) => return Err(error),
            // The bootstrap alone is progress, and all there is where nothing newer is final yet.
            Err(error) if first.is_some() => {
                tracing::debug!(%error, "nothing newer than the bootstrap");
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let learned_before = |item: &SyncData| match item {
            SyncData::Update(update) => {
                position.next_committee_known
                    && update.finalized_header.beacon.slot <= position.finalized_slot
            }
            _ => false,
        };
        let taken = taken.into_iter().map(|(item, _)| item);
        Ok(first.into_iter().chain(taken.filter(|item| !learned_before(item))).collect())
    }
}

#[async_trait]
impl SourceChain for LightSource {
    fn id(&self) -> &ChainId {
        &self.config.chain
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        self.vouched().await
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        let known = self.shown().tip;
        let tip = match known {
            Some(tip) => tip,
            None => self.vouched().await?,
        };
        self.execution.headers(&tip, from, count).await
    }

    async fn proof_material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        self.execution.material(&request).await
    }

    async fn changed(&self) {
        self.nodes.changed().await;
    }

    fn view(&self) -> SourceView {
        let mut members = self.nodes.health();
        members.extend(self.execution.health());
        let mut warnings = self.nodes.warnings();
        let shown = self.shown();
        warnings.extend(shown.store.iter().chain(&shown.trouble).cloned());
        let disagreement = shown.disagreement.clone();
        SourceView { members, disagreement, warnings, ..SourceView::default() }
    }
}

impl LightSource {
    /// What a light client at `position` is missing; see [`FinalityChain::finality_data`].
    ///
    /// # Errors
    /// The first obstacle, with its fix.
    pub async fn sync_data(&self, position: &SyncStatus) -> Result<Vec<SyncData>, AdapterError> {
        self.trust(position.checkpoint);
        let mut state = self.state.lock().await;
        self.advance(&mut state).await?;
        let Some(kept) = &state.running else { return Ok(Vec::new()) };
        kept.client.finalized().map_err(|error| follow::halted(&self.config.network, error))?;
        let network = &self.config.network;
        if position.started {
            let own = kept.client.store().finalized_header().beacon.slot;
            let taught = kept.client.store().next_sync_committee().is_none()
                || position.next_committee_known;
            if position.finalized_slot >= own && taught {
                return Ok(Vec::new());
            }
            if let Some(missing) = kept.history.missing(network, position, MAX_SYNC_DATA) {
                return Ok(missing);
            }
        }
        drop(state);
        self.missing_from(position, (self.clock)()).await
    }
}

#[async_trait]
impl FinalityChain for LightSource {
    async fn finality_data(
        &self,
        position: &SyncStatus,
    ) -> Result<Vec<FinalityData>, AdapterError> {
        let data = self.sync_data(position).await?;
        Ok(data.iter().map_while(FinalityData::of_sync).collect())
    }

    async fn block(&self, hash: B256) -> Result<Option<SourceTip>, AdapterError> {
        let header = self.execution.by_hash(hash).await?;
        Ok(header.map(|header| SourceTip { height: header.compat.height, hash }))
    }
}
