//! `[relayer]`: the daemon that brings headers to the main chain.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use grid_adapters::member::MAX_MEMBERS;
use grid_core::Level;
use grid_relayer::{
    LaneConfig, SubmitConfig,
    guarantee::GuaranteeConfig,
    store::{PostgresConfig, StoreLocation},
};
use serde::{Deserialize, Serialize};

use super::{Addresses, AdminSection, PoolSection, check::Faults};

/// A lane that looks for work more often than this only costs.
const SHORTEST_POLL: Duration = Duration::from_millis(50);

/// A longer name is in the way on screens.
const LONGEST_NAME: usize = 32;

/// A relayer that waits longer for others is of no use when they fail.
const LONGEST_DELAY: Duration = Duration::from_secs(600);

/// A round looks at so many unfinished submissions of a chain at most, with room for those on their way out.
const MOST_IN_FLIGHT: u32 = 64;

/// `[relayer]`: the daemon that brings headers to the main chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RelayerSection {
    /// What `grid status` and the others on its database call it; none for a new name at every start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The main chain's JSON-RPC for `grid relayer run` and for the commands that ask the chain: an address,
    /// or several, best first. `grid start` speaks to its own node in the same process.
    pub(crate) main_chain: Addresses,
    /// Encrypted key that pays for submissions and signs attestations.
    pub(crate) key: PathBuf,
    /// File that holds the key's password; `GRID_KEY_PASSWORD` goes first.
    pub(crate) password_file: PathBuf,
    /// Database: a file, or a `postgres://` URL.
    pub(crate) store: String,
    /// File that holds the password for the database's server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store_password_file: Option<PathBuf>,
    /// Address of `/livez`, `/readyz`, `/metrics` and `/v1`.
    pub(crate) listen: SocketAddr,
    /// Files with a token each: who has one may ask this relayer to attest a header (`POST /v1/attest`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) attest_tokens: Vec<PathBuf>,
    /// Relayers on one database: so long the chains and items of one that died wait for another. Also after a restart.
    #[serde(with = "humantime_serde")]
    pub(crate) lease: Duration,
    /// How long this relayer waits for another one that goes first.
    #[serde(with = "humantime_serde")]
    pub(crate) turn_delay: Duration,
    /// Where administration is served.
    pub(crate) admin: AdminSection,
    /// How often each speed level's lane looks for work.
    pub(crate) poll: PollSection,
    /// Whether it ends guarantees.
    pub(crate) guarantee: GuaranteeSection,
    /// How the main chain's nodes are treated.
    #[serde(skip_serializing_if = "PoolSection::is_default")]
    pub(crate) pool: PoolSection,
    /// What each speed level's lane may submit.
    pub(crate) lanes: LanesSection,
}

/// The setting that names the file with the token of administration.
pub(crate) const ADMIN_TOKEN: &str = "relayer.admin.token_file";

/// Shorter than that, a slow moment of the database looks like a death.
const SHORTEST_LEASE: Duration = Duration::from_secs(2);
/// So long nobody wants to wait.
const LONGEST_LEASE: Duration = Duration::from_secs(600);

impl Default for RelayerSection {
    fn default() -> Self {
        Self {
            name: None,
            main_chain: Addresses::One("http://127.0.0.1:8645".into()),
            key: "keys/relayer.json".into(),
            password_file: "keys/password".into(),
            store: "relayer.db".into(),
            store_password_file: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 9640)),
            attest_tokens: Vec::new(),
            lease: Duration::from_secs(10),
            turn_delay: SubmitConfig::default().turn_delay,
            admin: AdminSection::default(),
            poll: PollSection::default(),
            guarantee: GuaranteeSection::default(),
            pool: PoolSection::default(),
            lanes: LanesSection::default(),
        }
    }
}

/// `[relayer.poll]`: the timers of the four lanes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PollSection {
    /// Chains with blocks at most 5 s apart.
    #[serde(with = "humantime_serde")]
    pub(crate) l0: Duration,
    /// At most 60 s.
    #[serde(with = "humantime_serde")]
    pub(crate) l1: Duration,
    /// At most 5 min.
    #[serde(with = "humantime_serde")]
    pub(crate) l2: Duration,
    /// Slower.
    #[serde(with = "humantime_serde")]
    pub(crate) l3: Duration,
}

impl Default for PollSection {
    fn default() -> Self {
        Self {
            l0: Duration::from_millis(500),
            l1: Duration::from_secs(2),
            l2: Duration::from_secs(5),
            l3: Duration::from_secs(5),
        }
    }
}

/// `[relayer.guarantee]`: settling and claiming.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GuaranteeSection {
    /// Whether this relayer settles and claims the guarantees of the chains that it follows, as soon as it can.
    pub(crate) keep: bool,
    /// How often it looks for some.
    #[serde(with = "humantime_serde")]
    pub(crate) poll: Duration,
}

impl Default for GuaranteeSection {
    fn default() -> Self {
        Self { keep: false, poll: Duration::from_secs(5) }
    }
}

impl GuaranteeSection {
    /// As the relayer takes it.
    pub(crate) fn config(&self) -> Option<GuaranteeConfig> {
        self.keep.then_some(GuaranteeConfig { poll: self.poll })
    }
}

/// `[relayer.lanes]`: one section for each speed level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LanesSection {
    /// Chains with blocks at most 5 s apart.
    pub(crate) l0: LaneSection,
    /// At most 60 s.
    pub(crate) l1: LaneSection,
    /// At most 5 min.
    pub(crate) l2: LaneSection,
    /// Slower.
    pub(crate) l3: LaneSection,
}

/// `[relayer.lanes.l0]` to `l3`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LaneSection {
    /// Most submissions of all its chains in one round.
    pub(crate) budget: u32,
    /// Percent of the budget that chains which catch up leave to chains at their tip.
    pub(crate) live_share: u8,
    /// Most unfinished submissions of one chain.
    pub(crate) in_flight: u32,
}

impl LaneSection {
    const fn of(level: Level) -> Self {
        let LaneConfig { budget, live_share, in_flight, .. } = LaneConfig::of(level);
        Self { budget, live_share, in_flight }
    }
}

impl Default for LaneSection {
    fn default() -> Self {
        Self::of(Level::L0)
    }
}

impl Default for LanesSection {
    fn default() -> Self {
        let [l0, l1, l2, l3] = Level::ALL.map(LaneSection::of);
        Self { l0, l1, l2, l3 }
    }
}

impl RelayerSection {
    /// The lanes, in the order of [`Level::ALL`].
    pub(crate) fn lanes(&self) -> [LaneConfig; Level::ALL.len()] {
        let (poll, lanes) = (&self.poll, &self.lanes);
        let polls = [poll.l0, poll.l1, poll.l2, poll.l3];
        let lanes = [&lanes.l0, &lanes.l1, &lanes.l2, &lanes.l3];
        Level::ALL.map(|level| {
            let number = usize::from(level.code());
            let (poll, LaneSection { budget, live_share, in_flight }) =
                (polls[number], lanes[number].clone());
            LaneConfig { poll, budget, live_share, in_flight, ..LaneConfig::of(level) }
        })
    }

    /// The addresses that it listens on, each with its path.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let admin = self.admin.token_file.as_ref();
        let admin = admin.map(|_| ("relayer.admin.listen", self.admin.listen));
        [("relayer.listen", self.listen)].into_iter().chain(admin).collect()
    }

    /// The files with its tokens, each with its path.
    pub(crate) fn token_files(&self) -> Vec<(String, &Path)> {
        let attest = self.attest_tokens.iter().enumerate();
        let attest =
            attest.map(|(n, file)| (format!("relayer.attest_tokens[{n}]"), file.as_path()));
        let admin = self.admin.token_file.as_deref();
        attest.chain(admin.map(|file| (ADMIN_TOKEN.into(), file))).collect()
    }

    /// What types alone cannot say.
    pub(super) fn check(&self, faults: &mut Faults<'_>) {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if let Some(name) = &self.name
            && (name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(good))
        {
            faults
                .note("name", format!("{name:?} must be 1 to {LONGEST_NAME} of a-z A-Z 0-9 - _ ."));
        }
        let nodes = self.main_chain.named("main_chain");
        if nodes.is_empty() || nodes.len() > MAX_MEMBERS {
            faults.note(
                "main_chain",
                format!("names {} nodes; expected 1 to {MAX_MEMBERS}", nodes.len()),
            );
        }
        for (place, url) in nodes {
            faults.http_url(&place, url);
        }
        self.pool.check(&mut faults.inside("pool"));
        let server = StoreLocation::is_url(&self.store);
        if server && let Err(error) = PostgresConfig::new(&self.store, None) {
            faults.note("store", error.to_string());
        }
        if !server && self.store_password_file.is_some() {
            faults.note("store_password_file", "only a server asks for a password");
        }
        if self.lease < SHORTEST_LEASE || self.lease > LONGEST_LEASE {
            faults.note("lease", "must be 2s to 10m");
        }
        let poll = &self.poll;
        for (lane, interval) in [("l0", poll.l0), ("l1", poll.l1), ("l2", poll.l2), ("l3", poll.l3)]
        {
            if interval < SHORTEST_POLL {
                faults.note(&format!("poll.{lane}"), "must be at least 50ms");
            }
        }
        if self.guarantee.poll < SHORTEST_POLL {
            faults.note("guarantee.poll", "must be at least 50ms");
        }
        if self.turn_delay > LONGEST_DELAY {
            faults.note("turn_delay", "must be at most 10m");
        }
        let lanes = &self.lanes;
        for (name, lane) in
            [("l0", &lanes.l0), ("l1", &lanes.l1), ("l2", &lanes.l2), ("l3", &lanes.l3)]
        {
            let mut check = |key: &str, wrong: bool, text: &str| {
                if wrong {
                    faults.note(&format!("lanes.{name}.{key}"), text);
                }
            };
            check("budget", lane.budget == 0, "must be at least 1");
            check("live_share", lane.live_share > 100, "must be at most 100");
            let range = 1..=MOST_IN_FLIGHT;
            check("in_flight", !range.contains(&lane.in_flight), "must be 1 to 64");
        }
    }
}
