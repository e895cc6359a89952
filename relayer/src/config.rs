//! What a relayer needs to know, with its defaults.

use core::{net::SocketAddr, time::Duration};

use alloy_signer_local::PrivateKeySigner;
use grid_adapters::{EndpointMetrics, Secret};
use grid_core::Level;

use crate::{
    attest::AttestConfig, guarantee::GuaranteeConfig, messages::MessagesConfig,
    store::StoreLocation,
};

/// Bytes of evidence in one transaction: 6,048 Bitcoin headers and a margin. The main chain's own limit
/// on a transaction is above it.
pub const MAX_BATCH_BYTES: usize = 484_000;

/// Bitcoin headers in one transaction: what a node hands out at once.
pub const MAX_BITCOIN_BATCH: usize = 2_000;

/// Ethereum headers in one transaction: about 600 bytes each.
pub const MAX_ETHEREUM_BATCH: usize = 256;

/// Ethereum headers in one run below a final block; the limit on bytes is met first.
pub const MAX_FINAL_RUN: usize = 1_024;

/// Everything that one relayer is told when it starts.
#[derive(Debug, Clone)]
pub struct RelayerConfig {
    /// What people call it, at every start; `None` for a new name each time.
    pub name: Option<String>,
    /// The database.
    pub database: StoreLocation,
    /// Signs and pays submissions.
    pub signer: PrivateKeySigner,
    /// Sign headers of attested chains.
    pub attesters: Vec<PrivateKeySigner>,
    /// Attested chains, their other attesters, and who may ask this one.
    pub attest: AttestConfig,
    /// Where `/livez`, `/readyz`, `/metrics` and `/v1/status` are served; `None` for nowhere.
    pub http: Option<SocketAddr>,
    /// Where the API's changing routes are served, and for whom; `None` for nowhere.
    pub admin: Option<AdminConfig>,
    /// Where calls to endpoints are counted, exported with the relayer's own metrics.
    pub endpoints: Option<EndpointMetrics>,
    /// Lanes by level, fastest first.
    pub lanes: [LaneConfig; 4],
    /// Submission.
    pub submit: SubmitConfig,
    /// How guarantees are ended; `None` leaves that to others.
    pub guarantee: Option<GuaranteeConfig>,
    /// Which messages are carried to the main chain.
    pub messages: MessagesConfig,
    /// How long finished work is kept.
    pub retention: Retention,
    /// Deadline of one round of one chain. A chain that needs longer is taken up again in the next
    /// round; the others never wait for it.
    pub round: Duration,
    /// Most time for finishing running work after a stop.
    pub drain: Duration,
}

/// The API's changing routes.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Where they are served.
    pub listen: SocketAddr,
    /// Who has it may use them.
    pub token: Secret,
}

/// One lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneConfig {
    /// Time between two rounds.
    pub poll: Duration,
    /// Most items handed to the main chain in one round of the whole lane.
    pub budget: u32,
    /// Part of the budget for chains at their tip while others catch up, percent. The rest is for those.
    pub live_share: u8,
    /// Most unfinished items of one chain.
    pub in_flight: u32,
    /// Most headers of one item.
    pub batch: usize,
    /// First pause after a failure; doubles with every further one.
    pub backoff: Duration,
    /// Longest pause, and the pause of a halted chain.
    pub max_backoff: Duration,
}

/// How submissions are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmitConfig {
    /// Time between two looks at unsettled transactions.
    pub poll: Duration,
    /// A transaction that is not in the main chain's mempool is sent again after this time.
    pub resend_after: Duration,
    /// The next transaction in line is replaced by one with higher fees after this time.
    pub replace_after: Duration,
    /// Failures after which an item is parked.
    pub max_attempts: u64,
    /// Part of the fee per gas that goes to the proposer, smallest unit of GRID.
    pub priority_fee: u128,
    /// How long a relayer keeps chains and items without a sign of life; then another one that shares the
    /// database takes them over.
    pub lease: Duration,
    /// An included range that the main chain's best branch does not show is submitted again after this
    /// time.
    pub stale_after: Duration,
    /// Do everything up to signing, and send nothing.
    pub dry_run: bool,
    /// Where several relayers submit headers of a chain: how long each waits for one that goes first. Longer than
    /// a submission takes until the main chain shows it: a few blocks.
    pub turn_delay: Duration,
}

/// How long finished work is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Longest age.
    pub age: Duration,
    /// Most rows.
    pub count: u64,
}

impl LaneConfig {
    /// The defaults of a level: shorter rounds for faster chains.
    #[must_use]
    pub const fn of(level: Level) -> Self {
        let poll = match level {
            Level::L0 => Duration::from_millis(500),
            Level::L1 => Duration::from_secs(2),
            Level::L2 | Level::L3 => Duration::from_secs(5),
        };
        Self {
            poll,
            budget: 16,
            live_share: 50,
            in_flight: 8,
            batch: MAX_BITCOIN_BATCH,
            backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(30),
        }
    }
}

impl Default for SubmitConfig {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(400),
            resend_after: Duration::from_secs(3),
            replace_after: Duration::from_secs(30),
            max_attempts: 8,
            priority_fee: 1,
            lease: Duration::from_secs(10),
            stale_after: Duration::from_secs(60),
            dry_run: false,
            turn_delay: Duration::from_secs(3),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 3600), count: 20_000 }
    }
}

impl RelayerConfig {
    /// A configuration with every default and no HTTP server.
    #[must_use]
    pub fn new(database: impl Into<StoreLocation>, signer: PrivateKeySigner) -> Self {
        Self {
            name: None,
            database: database.into(),
            signer,
            attesters: Vec::new(),
            attest: AttestConfig::default(),
            http: None,
            admin: None,
            endpoints: None,
            lanes: Level::ALL.map(LaneConfig::of),
            submit: SubmitConfig::default(),
            guarantee: None,
            messages: MessagesConfig::default(),
            retention: Retention::default(),
            round: Duration::from_secs(30),
            drain: Duration::from_secs(8),
        }
    }

    /// The settings that an operator compares between two relayers, by name, for `grid_config_info`. No secrets, no addresses.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut settings = lane_settings(&self.lanes);
        let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
        let SubmitConfig { lease, replace_after, max_attempts, stale_after, turn_delay, .. } =
            self.submit;
        set("submit.lease", format!("{lease:?}"));
        set("submit.replace_after", format!("{replace_after:?}"));
        set("submit.max_attempts", max_attempts.to_string());
        set("submit.stale_after", format!("{stale_after:?}"));
        set("submit.turn_delay", format!("{turn_delay:?}"));
        set("retention.age", format!("{:?}", self.retention.age));
        set("retention.count", self.retention.count.to_string());
        let keeps =
            self.guarantee.map_or_else(|| "off".into(), |keeps| format!("{:?}", keeps.poll));
        set("guarantee", keeps);
        set("round", format!("{:?}", self.round));
        set("attesters", self.attesters.len().to_string());
        settings
    }

    /// The lane of a level.
    #[must_use]
    pub fn lane(&self, level: Level) -> &LaneConfig {
        &self.lanes[usize::from(level.code())]
    }
}

/// The lanes' part of [`RelayerConfig::settings`].
pub(crate) fn lane_settings(lanes: &[LaneConfig; Level::ALL.len()]) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for (level, lane) in Level::ALL.into_iter().zip(lanes) {
        let LaneConfig { poll, budget, live_share, in_flight, batch, max_backoff, .. } = lane;
        let mut set = |key: &str, value: String| {
            settings.push((format!("lanes.{}.{key}", level.to_string().to_lowercase()), value));
        };
        set("poll", format!("{poll:?}"));
        set("budget", budget.to_string());
        set("live_share", live_share.to_string());
        set("in_flight", in_flight.to_string());
        set("batch", batch.to_string());
        set("max_backoff", format!("{max_backoff:?}"));
    }
    settings
}
