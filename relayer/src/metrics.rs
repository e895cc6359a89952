//! Every number that the relayer exports, in one struct.
//!
//! A field's documentation is its HELP text. Series are made for every configured chain and every known
//! label value when the relayer starts, so that a rate over the first event is right.

mod make;
mod modules;
#[cfg(test)]
mod tests;

use alloy_primitives::U256;
use prometheus::{
    Encoder as _, Gauge, GaugeVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use grid_core::{ChainId, api::SyncStatus, modules::ChainStatus as Registered};

use self::make::Make;
use crate::{
    clock::now_ms,
    main_chain::Refusal,
    status::{ChainStatus, MainStatus, WalletStatus},
    store::{ChainState, MessageStage, Stage},
};

/// What is known of a metric without running anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricInfo {
    /// Name.
    pub name: &'static str,
    /// Prometheus' word for its type.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// HELP text.
    pub help: &'static str,
}

/// Declares the struct, its registration and the table of names and HELP texts in one place. A histogram's buckets, upper
/// bounds in base units, follow its labels.
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $field:ident: $kind:ty = $name:literal [$($label:literal),*]
        $(buckets $buckets:expr)?;)+) => {
        /// The relayer's metrics.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $($(#[doc = $help])+ pub $field: $kind,)+
        }

        impl Metrics {
            /// Every metric, in order.
            pub const TABLE: &'static [MetricInfo] = &[$(MetricInfo {
                name: $name,
                kind: <$kind as Make>::KIND,
                labels: &[$($label),*],
                help: concat!($($help),+),
            }),+];

            /// Registers every metric.
            ///
            /// # Errors
            /// When a name is registered twice.
            pub fn new() -> Result<Self, prometheus::Error> {
                let registry = Registry::new();
                $(let opts = Opts::new($name, concat!($($help),+).trim());
                let buckets: &[&[f64]] = &[$($buckets)?];
                let $field = <$kind as Make>::make(opts, &[$($label),*], &buckets.concat())?;
                registry.register(Box::new($field.clone()))?;)+
                Ok(Self { registry, $($field),+ })
            }
        }
    };
}

/// Times in a stage: from a part of a Grid block to what nobody should wait for.
const STAGE_SECONDS: &[f64] =
    &[0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

metrics! {
    /// Height of the newest block that the source vouches for.
    source_height: IntGaugeVec = "grid_source_height" ["chain"];
    /// Height of the best header that the main chain's light client tracks.
    tracked_height: IntGaugeVec = "grid_tracked_height" ["chain"];
    /// Height of the last header in the main chain's index; -1 before the first.
    confirmed_height: IntGaugeVec = "grid_confirmed_height" ["chain"];
    /// Blocks that the main chain's tracked tip is behind the source.
    lag_blocks: IntGaugeVec = "grid_lag_blocks" ["chain"];
    /// Seconds since the main chain's tracked tip last was the source's.
    lag_seconds: IntGaugeVec = "grid_lag_seconds" ["chain"];
    /// Unfinished items by stage.
    items: IntGaugeVec = "grid_items" ["chain", "stage"];
    /// Age of a chain's oldest item in a stage in seconds; 0 where there is none.
    item_age_seconds: IntGaugeVec = "grid_item_age_seconds" ["chain", "stage"];
    /// Time that items spent in a stage before they left it, by the times in their rows.
    stage_seconds: HistogramVec = "grid_stage_seconds" ["chain", "stage"] buckets STAGE_SECONDS;
    /// 1 for the state that the chain is in: active, waiting, halted or paused.
    chain_state: IntGaugeVec = "grid_chain_state" ["chain", "state"];
    /// 1 for the chain's status on the main chain: active, suspended, frozen or terminated.
    chain_status: IntGaugeVec = "grid_chain_status" ["chain", "status"];
    /// Always 1; the labels are the chain's speed level and what stands behind its headers.
    chain_info: IntGaugeVec = "grid_chain_info" ["chain", "level", "security"];
    /// Reorganisations of the source that were followed.
    reorgs: IntCounterVec = "grid_reorgs_total" ["chain"];
    /// Headers that the last reorganisation removed from the main chain's best branch.
    reorg_depth: IntGaugeVec = "grid_reorg_depth" ["chain"];
    /// 1 while sources of the chain name different blocks two blocks or more below their tips.
    disagreement: IntGaugeVec = "grid_source_disagreement" ["chain"];
    /// 1 while nothing new of the chain is relayed because too few of its sources agree.
    held: IntGaugeVec = "grid_source_held" ["chain"];
    /// Headers of the longest branch beside the active one, near its tip.
    competing_blocks: IntGaugeVec = "grid_source_competing_blocks" ["chain"];
    /// 1 while a source answers as it should.
    source_up: IntGaugeVec = "grid_source_up" ["chain", "source"];
    /// Blocks that a source is behind the highest one of its chain.
    source_lag: IntGaugeVec = "grid_source_lag_blocks" ["chain", "source"];
    /// Slot of the newest finalized beacon block that the main chain's light client knows.
    finalized_slot: IntGaugeVec = "grid_finalized_slot" ["chain"];
    /// Age of that block in seconds.
    finalized_age: IntGaugeVec = "grid_finalized_age_seconds" ["chain"];
    /// Time until the main chain refuses every further update of the chain's light client, if none comes before; not there while no
    /// rule limits it.
    light_client_expiry: IntGaugeVec = "grid_light_client_expiry_seconds" ["chain"];
    /// Sync-committee period of that block.
    sync_period: IntGaugeVec = "grid_sync_period" ["chain"];
    /// Final execution blocks that the main chain knows by hash and waits for.
    sync_wanted: IntGaugeVec = "grid_sync_wanted" ["chain"];
    /// Headers that wait on the main chain for their ancestors or for their turn.
    sync_pending: IntGaugeVec = "grid_sync_pending_headers" ["chain"];
    /// Safety rules that the chain's record on the main chain gives up.
    loosened_rules: IntGaugeVec = "grid_loosened_rules" ["chain"];
    /// Signatures that the last collection for an attested chain was short of.
    attest_missing: IntGaugeVec = "grid_attest_missing_signatures" ["chain"];
    /// Requests for a signature by what came of them: signed, a typed refusal, or slow, garbage, unauthorized, unreachable.
    attest_requests: IntCounterVec = "grid_attest_requests_total" ["chain", "attester", "outcome"];
    /// Answers to other relayers' requests for a signature; the chain is empty where it is not attested here.
    attest_answers: IntCounterVec = "grid_attest_answers_total" ["chain", "answer"];
    /// Headers handed to the main chain.
    headers: IntCounterVec = "grid_headers_submitted_total" ["chain"];
    /// Submissions by outcome: included, failed, known, lost, resent, replaced, parked, or the class of a refusal.
    submissions: IntCounterVec = "grid_submissions_total" ["outcome"];
    /// Failed rounds by the class of the source's error: retry, wait, reject, halt or timeout.
    endpoint_errors: IntCounterVec = "grid_endpoint_errors_total" ["chain", "class"];
    /// Failed calls of the main chain by class.
    main_errors: IntCounterVec = "grid_main_errors_total" ["class"];
    /// Failures that no class of this program fits, by the place where they were met: refusal or visit.
    unclassified: IntCounterVec = "grid_unclassified_errors_total" ["place"];
    /// Height of the newest final block of the main chain.
    main_height: IntGauge = "grid_main_height" [];
    /// Time of the newest final block of the main chain, seconds since 1970.
    main_time: IntGauge = "grid_main_time_seconds" [];
    /// Nonces below an open transaction that no transaction owns.
    nonce_gap: IntGauge = "grid_nonce_gap" [];
    /// Transactions whose fate is open.
    live_transactions: IntGauge = "grid_live_transactions" [];
    /// Balance of the submitting key in GRID.
    wallet_balance: GaugeVec = "grid_wallet_balance" ["address"];
    /// Seconds since a task began its last round.
    task_heartbeat: IntGaugeVec = "grid_task_heartbeat_age_seconds" ["task"];
    /// Seconds since a task last finished a round as it should.
    task_progress: IntGaugeVec = "grid_task_progress_age_seconds" ["task"];
    /// Restarts of a task by its supervisor.
    task_restarts: IntCounterVec = "grid_task_restarts_total" ["task"];
    /// Open guarantees.
    guarantee_open: IntGaugeVec = "grid_guarantee_open" ["chain"];
    /// Open guarantees that can be ended now.
    guarantee_due: IntGaugeVec = "grid_guarantee_due" ["chain"];
    /// GRID that the open guarantees of a chain cover, by the limit that counts them: chain for all, reorganisation for those whose block
    /// is not confirmed.
    guarantee_cover: GaugeVec = "grid_guarantee_cover" ["chain", "limit"];
    /// The most GRID that they may cover by that limit.
    guarantee_capacity: GaugeVec = "grid_guarantee_capacity" ["chain", "limit"];
    /// GRID in the pool of guarantees: free or locked.
    guarantee_pool: GaugeVec = "grid_guarantee_pool" ["part"];
    /// GRID that the pool has paid for lost payments since genesis.
    guarantee_paid: Gauge = "grid_guarantee_paid" [];
    /// Messages that were seen on a chain and are not at their end, by stage: waiting or delivering.
    messages: IntGaugeVec = "grid_messages" ["chain", "stage"];
    /// Height of the last block of a chain that was searched for messages.
    message_search: IntGaugeVec = "grid_message_search_height" ["chain"];
    /// Rounds of a chain's messages that failed.
    message_failures: IntCounterVec = "grid_message_failures_total" ["chain"];
    /// Size of the relayer's database files in bytes.
    store_bytes: IntGauge = "grid_store_bytes" [];
    /// 1 while the relayer is ready.
    ready: IntGauge = "grid_ready" [];
    /// Always 1; the labels are a setting and its value in force.
    config: IntGaugeVec = "grid_config_info" ["setting", "value"];
    /// Always 1; the label is the program's version.
    build: IntGaugeVec = "grid_build_info" ["version"];
}

/// Outcomes of a submission besides the classes of a refusal.
const OUTCOMES: [&str; 7] = ["included", "failed", "known", "lost", "resent", "replaced", "parked"];

/// Answers to a request for a signature.
const ATTEST_ANSWERS: [&str; 7] =
    ["signed", "unknown", "behind", "disagree", "conflict", "unable", "busy"];

/// What comes of a request for a signature.
const ATTEST_OUTCOMES: [&str; 11] = [
    "signed",
    "unknown",
    "behind",
    "disagree",
    "conflict",
    "unable",
    "busy",
    "slow",
    "garbage",
    "unauthorized",
    "unreachable",
];

/// Classes of a source's failure.
const CLASSES: [&str; 5] = ["retry", "wait", "reject", "halt", "timeout"];

/// Stages of items that are counted: those that somebody still waits for.
const SHOWN: [Stage; 4] = [Stage::Planned, Stage::Sent, Stage::Included, Stage::Parked];

/// Where a failure without a class is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The main chain refused a transaction, and gave no class that this program knows.
    Refusal,
    /// A visit of a chain ended in the middle.
    Visit,
}

impl Place {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Refusal => "refusal",
            Self::Visit => "visit",
        }
    }
}

/// Stages that an item leaves by itself.
const LEFT: [Stage; 3] = [Stage::Planned, Stage::Sent, Stage::Included];

/// A chain's statuses on the main chain.
const STATUSES: [&str; 4] = [
    Registered::Active.as_str(),
    Registered::Suspended.as_str(),
    Registered::Frozen.as_str(),
    Registered::Terminated.as_str(),
];

/// An amount in GRID, from its smallest unit.
fn grid(amount: U256) -> f64 {
    f64::from(amount) / 1e18
}

/// A height or count as Prometheus has it.
fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Metrics {
    /// Makes the series of these chains and of every label value that is known beforehand.
    pub fn initialise<'a>(&self, chains: impl IntoIterator<Item = &'a ChainId>) {
        for outcome in OUTCOMES {
            self.submissions.with_label_values(&[outcome]);
        }
        for refusal in Refusal::ALL {
            self.submissions.with_label_values(&[refusal.label()]);
        }
        for class in ["unreachable", "timeout", "server", "bad-answer"] {
            self.main_errors.with_label_values(&[class]);
        }
        for place in [Place::Refusal, Place::Visit] {
            self.unclassified.with_label_values(&[place.as_str()]);
        }
        self.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        for chain in chains {
            let chain = chain.as_str();
            for vector in [
                &self.source_height,
                &self.tracked_height,
                &self.lag_blocks,
                &self.lag_seconds,
                &self.reorg_depth,
                &self.disagreement,
                &self.held,
                &self.competing_blocks,
                &self.message_search,
            ] {
                vector.with_label_values(&[chain]);
            }
            self.confirmed_height.with_label_values(&[chain]).set(-1);
            self.reorgs.with_label_values(&[chain]);
            self.message_failures.with_label_values(&[chain]);
            for stage in MessageStage::OPEN {
                self.messages.with_label_values(&[chain, stage.as_str()]);
            }
            self.headers.with_label_values(&[chain]);
            for stage in SHOWN {
                self.items.with_label_values(&[chain, stage.as_str()]);
                self.item_age_seconds.with_label_values(&[chain, stage.as_str()]);
            }
            for stage in LEFT {
                self.stage_seconds.with_label_values(&[chain, stage.as_str()]);
            }
            for state in ChainState::ALL {
                self.chain_state.with_label_values(&[chain, state.as_str()]);
            }
            for class in CLASSES {
                self.endpoint_errors.with_label_values(&[chain, class]);
            }
        }
    }

    /// Takes over a snapshot.
    pub fn observe(&self, main: &MainStatus, wallet: &WalletStatus, chains: &[ChainStatus]) {
        self.main_height.set(gauge(main.height));
        self.main_time.set(gauge(main.time_ms / 1000));
        self.nonce_gap.set(gauge(wallet.gap));
        self.live_transactions.set(gauge(wallet.live));
        let balance = self.wallet_balance.with_label_values(&[&wallet.address.to_string()]);
        balance.set(grid(wallet.balance));
        for status in chains {
            let chain = status.id.as_str();
            let height = |at: Option<grid_core::api::BlockRef>| at.map_or(0, |at| gauge(at.height));
            self.source_height.with_label_values(&[chain]).set(height(status.source));
            self.tracked_height.with_label_values(&[chain]).set(height(status.tracked));
            let confirmed = status.confirmed.map_or(-1, |at| gauge(at.height));
            self.confirmed_height.with_label_values(&[chain]).set(confirmed);
            self.lag_blocks.with_label_values(&[chain]).set(gauge(status.lag_blocks));
            self.lag_seconds.with_label_values(&[chain]).set(gauge(status.lag_seconds));
            let held = status.disagreement.as_ref().is_some_and(|found| found.held);
            let differ = i64::from(status.disagreement.is_some());
            self.disagreement.with_label_values(&[chain]).set(differ);
            self.held.with_label_values(&[chain]).set(held.into());
            self.competing_blocks.with_label_values(&[chain]).set(gauge(status.competing_blocks));
            for source in &status.sources {
                self.source(&status.id, &source.name, source.healthy, source.lag_blocks);
            }
            if let Some(sync) = &status.sync {
                self.sync(chain, sync, now_ms() / 1_000);
            }
            for stage in SHOWN {
                let labels = [chain, stage.as_str()];
                let count = status.items.get(&stage).copied().unwrap_or(0);
                self.items.with_label_values(&labels).set(gauge(count));
                let age = status.ages.get(&stage).copied().unwrap_or(0);
                self.item_age_seconds.with_label_values(&labels).set(gauge(age));
            }
            self.registered(status);
            for state in ChainState::ALL {
                let is = i64::from(state == status.state);
                self.chain_state.with_label_values(&[chain, state.as_str()]).set(is);
            }
        }
    }

    /// What the main chain says of a chain. Nothing before its first answer.
    fn registered(&self, status: &ChainStatus) {
        let chain = status.id.as_str();
        if let Some(registered) = &status.main_status {
            for word in STATUSES {
                let is = i64::from(word == registered.as_str());
                self.chain_status.with_label_values(&[chain, word]).set(is);
            }
        }
        if let (Some(level), Some(security)) = (status.level, status.security) {
            let labels = [chain, &level.to_string(), &security.to_string()];
            self.chain_info.with_label_values(&labels).set(1);
        }
    }

    /// Where the main chain's light client of a chain stands at a time, seconds since 1970.
    fn sync(&self, chain: &str, sync: &SyncStatus, now: u64) {
        let count = |list: &[_]| i64::try_from(list.len()).unwrap_or(i64::MAX);
        let age = if sync.started { now.saturating_sub(sync.finalized_time) } else { 0 };
        self.finalized_slot.with_label_values(&[chain]).set(gauge(sync.finalized_slot));
        self.finalized_age.with_label_values(&[chain]).set(gauge(age));
        self.sync_period.with_label_values(&[chain]).set(gauge(sync.period));
        self.sync_wanted.with_label_values(&[chain]).set(count(&sync.wanted));
        self.sync_pending.with_label_values(&[chain]).set(gauge(sync.pending));
        if sync.expires_at > 0 {
            let left = gauge(sync.expires_at) - gauge(now);
            self.light_client_expiry.with_label_values(&[chain]).set(left);
        }
        let loosened = i64::try_from(sync.loosened.len()).unwrap_or(i64::MAX);
        self.loosened_rules.with_label_values(&[chain]).set(loosened);
    }

    /// How a source of a chain does.
    pub fn source(&self, chain: &ChainId, name: &str, up: bool, lag: u64) {
        self.source_up.with_label_values(&[chain.as_str(), name]).set(up.into());
        self.source_lag.with_label_values(&[chain.as_str(), name]).set(gauge(lag));
    }

    /// A source of a chain is none any more. Series that were never made are none either.
    pub fn forget_source(&self, chain: &ChainId, name: &str) {
        let labels = [chain.as_str(), name];
        let _ = self.source_up.remove_label_values(&labels);
        let _ = self.source_lag.remove_label_values(&labels);
    }

    /// Makes the series of an attester that is asked for signatures.
    pub fn attest_peer(&self, chain: &ChainId, attester: &str) {
        for outcome in ATTEST_OUTCOMES {
            self.attest_requests.with_label_values(&[chain.as_str(), attester, outcome]);
        }
        for answer in ATTEST_ANSWERS {
            self.attest_answers.with_label_values(&[chain.as_str(), answer]);
        }
        self.attest_missing.with_label_values(&[chain.as_str()]);
    }

    /// An attester was asked for a signature.
    pub fn attest_request(&self, chain: &ChainId, attester: &str, outcome: &str) {
        self.attest_requests.with_label_values(&[chain.as_str(), attester, outcome]).inc();
    }

    /// Another relayer was answered; an empty chain for one that is not attested here.
    pub fn attest_answer(&self, chain: &str, answer: &str) {
        self.attest_answers.with_label_values(&[chain, answer]).inc();
    }

    /// A collection ended so many signatures short.
    pub fn attest_missing(&self, chain: &ChainId, missing: u64) {
        self.attest_missing.with_label_values(&[chain.as_str()]).set(gauge(missing));
    }

    /// A failure that no class fits.
    pub fn unclassified(&self, place: Place) {
        self.unclassified.with_label_values(&[place.as_str()]).inc();
    }

    /// An item left a stage after this many milliseconds.
    pub fn stage_left(&self, chain: &str, stage: Stage, after: u64) {
        // Far below 2^53 milliseconds.
        #[allow(clippy::cast_precision_loss)]
        let seconds = after as f64 / 1_000.0;
        self.stage_seconds.with_label_values(&[chain, stage.as_str()]).observe(seconds);
    }

    /// Shows settings in force.
    pub fn configured(&self, settings: impl IntoIterator<Item = (String, String)>) {
        for (setting, value) in settings {
            self.config.with_label_values(&[&setting, &value]).set(1);
        }
    }

    /// Shows settings in place of those before.
    pub fn reconfigured(&self, before: Vec<(String, String)>, now: Vec<(String, String)>) {
        for (setting, value) in before {
            // One that was never shown need not go.
            let _ = self.config.remove_label_values(&[&setting, &value]);
        }
        self.configured(now);
    }

    /// A submission came to this outcome.
    pub fn submission(&self, outcome: &str) {
        self.submissions.with_label_values(&[outcome]).inc();
    }

    /// A round of a chain failed.
    pub fn endpoint_error(&self, chain: &ChainId, class: &str) {
        self.endpoint_errors.with_label_values(&[chain.as_str(), class]).inc();
    }

    /// A task's signs of life, ages in milliseconds.
    pub fn task(&self, name: &str, heartbeat_age: u64, progress_age: u64) {
        self.task_heartbeat.with_label_values(&[name]).set(gauge(heartbeat_age / 1000));
        self.task_progress.with_label_values(&[name]).set(gauge(progress_age / 1000));
        self.task_restarts.with_label_values(&[name]);
    }

    /// A task was started again.
    pub fn restarted(&self, name: &str) {
        self.task_restarts.with_label_values(&[name]).inc();
    }

    /// The registry, for metrics of the embedding program.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything in Prometheus' text format, with the process's own numbers.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        let encoder = TextEncoder::new();
        encoder.encode(&self.registry.gather(), &mut text)?;
        encoder.encode(&prometheus::gather(), &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}
