//! What keeps the relayer from working fully, worst first, each with its fix and its runbook.

#[cfg(test)]
mod tests;

use core::fmt;

use grid_core::modules::ChainStatus as Registered;
use serde::{Deserialize, Serialize};

use crate::{
    clock::span,
    status::{ChainStatus, MainStatus, SourceStatus, WalletStatus},
    store::{ChainState, Stage},
};

/// How bad a problem is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is not relayed at all.
    Error,
    /// It works, not as it should.
    Warning,
    /// Somebody wants it so.
    Notice,
}

impl Severity {
    /// The word in status and on screens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// One thing that an operator has to know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: `main chain`, `wallet`, `chain <id>`, `task <name>`.
    pub subject: String,
    /// What is wrong.
    pub text: String,
    /// What to do about it.
    pub fix: String,
    /// The page of `docs/runbooks` that tells more, without `.md`.
    pub runbook: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.text)
    }
}

/// What the problems are found in.
#[derive(Debug, Clone)]
pub(crate) struct Look<'a> {
    pub(crate) now: u64,
    /// Why the database does not work, if it does not.
    pub(crate) database: Option<String>,
    pub(crate) main: &'a MainStatus,
    /// The submitting key, once the main chain was asked for it.
    pub(crate) wallet: Option<&'a WalletStatus>,
    pub(crate) chains: &'a [ChainStatus],
    /// Tasks whose heartbeat is late.
    pub(crate) late: &'a [&'static str],
    /// Tasks that beat without progress.
    pub(crate) stuck: &'a [&'static str],
}

/// A main chain that has not answered for so long, in milliseconds, is a problem.
pub(crate) const MAIN_SILENT: u64 = 30_000;

/// Every problem, worst first.
pub(crate) fn problems(look: &Look<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(trouble) = &look.database {
        Found { subject: "database".into(), list: &mut found }.error(
            format!("it does not work: {trouble}"),
            "start its server, or make room on its disk; work goes on by itself then",
            "GridDatabaseSlow",
        );
    }
    main_chain(look, &mut found);
    wallet(look, &mut found);
    for chain in look.chains {
        let mut of_chain = Found { subject: format!("chain {}", chain.id), list: &mut found };
        state(chain, look.now, &mut of_chain);
        sources(chain, &mut of_chain);
        rest(chain, &mut of_chain);
    }
    for task in look.late {
        Found { subject: format!("task {task}"), list: &mut found }.error(
            "it has not begun a round in time and is being restarted".into(),
            "look into the log for the time before; if it comes again, the machine is too slow",
            "GridTaskStuck",
        );
    }
    for task in look.stuck {
        Found { subject: format!("task {task}"), list: &mut found }.warning(
            "it runs and gets nothing done".into(),
            "the log says what each of its rounds ends with",
            "GridTaskNoProgress",
        );
    }
    found.sort();
    found
}

/// The problems of one subject.
struct Found<'a> {
    subject: String,
    list: &'a mut Vec<Problem>,
}

impl Found<'_> {
    fn add(&mut self, severity: Severity, text: String, fix: &str, runbook: &str) {
        let subject = self.subject.clone();
        let (fix, runbook) = (fix.to_owned(), runbook.to_owned());
        self.list.push(Problem { severity, subject, text, fix, runbook });
    }

    fn error(&mut self, text: String, fix: &str, runbook: &str) {
        self.add(Severity::Error, text, fix, runbook);
    }

    fn warning(&mut self, text: String, fix: &str, runbook: &str) {
        self.add(Severity::Warning, text, fix, runbook);
    }

    fn notice(&mut self, text: String, fix: &str, runbook: &str) {
        self.add(Severity::Notice, text, fix, runbook);
    }
}

fn main_chain(look: &Look<'_>, list: &mut Vec<Problem>) {
    let mut found = Found { subject: "main chain".into(), list };
    let silent = look.now.saturating_sub(look.main.seen_at);
    if silent <= MAIN_SILENT {
        if let Some((names, count)) = failing(&look.main.nodes) {
            found.warning(
                format!("{count} of its {} nodes fail: {names}", look.main.nodes.len()),
                "repair or replace them while the others answer",
                "GridMainChainErrors",
            );
        }
        return;
    }
    let why = look.main.error.as_deref().unwrap_or("no answer yet");
    let since = match look.main.seen_at {
        0 => "since the start".into(),
        _ => format!("for {}", span(silent)),
    };
    found.error(
        format!("it has not answered {since}: {why}"),
        "start the node, or correct relayer.main_chain; `grid node status` asks it directly",
        "GridMainChainErrors",
    );
}

fn wallet(look: &Look<'_>, list: &mut Vec<Problem>) {
    let mut found = Found { subject: "wallet".into(), list };
    let Some(wallet) = look.wallet else { return };
    if wallet.balance.is_zero() {
        let text = format!("{} has no GRID, nothing can be submitted", wallet.address);
        found.error(text, "send GRID to that address", "GridWalletEmpty");
    }
    if wallet.gap > 0 {
        found.warning(
            format!(
                "{} nonce(s) from {} on belong to no transaction and hold up those above",
                wallet.gap, wallet.nonce
            ),
            "nothing: the relayer fills them within seconds; if it stays, another program uses the key",
            "GridNonceGap",
        );
    }
}

fn state(chain: &ChainStatus, now: u64, found: &mut Found<'_>) {
    let reason = || chain.reason.clone().unwrap_or_else(|| "no reason given".into());
    match &chain.main_status {
        Some(word) if word == Registered::Frozen.as_str() => {
            found.error(
                "frozen on the main chain after a reorganisation that it cannot follow".into(),
                "its governor decides: compare the branches, then resume or restart the chain",
                "GridChainFrozen",
            );
            return;
        }
        Some(word) if word != Registered::Active.as_str() => {
            found.warning(
                format!("{word} on the main chain: it takes no headers"),
                "its governor resumes it; remove the chain's section if it should not come back",
                "GridChainSuspended",
            );
            return;
        }
        _ => {}
    }
    if let Some(pause) = &chain.paused {
        let since = span(now.saturating_sub(pause.since));
        let why = pause.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        found.notice(
            format!("paused by {} for {since}{why}", pause.by),
            &format!("`grid relayer resume {}` when the work is done", chain.id),
            "GridChainPaused",
        );
        return;
    }
    match chain.state {
        ChainState::Halted => found.error(
            format!("halted: {}", reason()),
            "waiting does not help: repair what the reason names",
            "GridChainHalted",
        ),
        // Whoever waits for something knows until when: nobody has looked at this chain yet.
        ChainState::Waiting if chain.configured && chain.next_at == 0 => found.notice(
            reason(),
            "nothing: its first round comes within seconds, or the main chain's problem is told, too",
            "GridChainWaiting",
        ),
        // A chain without a source here is somebody else's work.
        ChainState::Waiting if chain.configured => found.warning(
            format!("waiting: {}", reason()),
            "it goes on by itself once the reason is gone",
            "GridChainWaiting",
        ),
        ChainState::Active | ChainState::Waiting | ChainState::Paused => {}
    }
}

fn sources(chain: &ChainStatus, found: &mut Found<'_>) {
    if let Some(differ) = &chain.disagreement {
        let (height, branches) = (differ.height, differ.votes.len());
        if differ.held {
            found.error(
                format!("sources disagree at height {height} on {branches} branches; held there"),
                "find out which branch is right and repair or remove the sources on the other",
                "GridSourceHeld",
            );
        } else {
            found.warning(
                format!("sources disagree at height {height} on {branches} branches"),
                "watch it: the branch that enough of them share is followed",
                "GridSourcesDisagree",
            );
        }
    }
    let all = chain.sources.len();
    match failing(&chain.sources) {
        None => {}
        Some((_, down)) if down == all => found.error(
            format!("none of its {all} sources answers"),
            "repair one of them; `grid doctor` asks each",
            "GridAllSourcesDown",
        ),
        Some((names, down)) => found.warning(
            format!("{down} of {all} sources fail: {names}"),
            "repair or replace them while the others answer",
            "GridSourceDown",
        ),
    }
}

/// Names and number of the endpoints that fail; `None` where none does.
fn failing(endpoints: &[SourceStatus]) -> Option<(String, usize)> {
    let fails = |one: &&SourceStatus| !one.healthy && one.failures > 0;
    let names: Vec<&str> =
        endpoints.iter().filter(fails).map(|source| source.name.as_str()).collect();
    (!names.is_empty()).then(|| (names.join(", "), names.len()))
}

fn rest(chain: &ChainStatus, found: &mut Found<'_>) {
    if let Some(parked) = chain.items.get(&Stage::Parked).filter(|parked| **parked > 0) {
        let verb = if *parked == 1 { "item is" } else { "items are" };
        found.warning(
            format!("{parked} {verb} parked"),
            "`grid relayer items --parked` shows why; then `grid relayer retry KEY`, or `drop KEY`",
            "GridParkedItems",
        );
    }
    for warning in &chain.warnings {
        found.warning(warning.clone(), "see docs/sources.md", "GridSourceErrors");
    }
    for rule in chain.sync.iter().flat_map(|sync| &sync.loosened) {
        found.warning(
            format!("the main chain gives up the rule {rule}"),
            "ask the chain's governor why; proofs of this chain are worth less",
            "GridLightClientExpiring",
        );
    }
    if let Some(short) = chain.attestation.as_ref().filter(|one| one.missing_signatures() > 0) {
        found.warning(
            format!(
                "{} of {} signatures are missing for block {}",
                short.missing_signatures(),
                short.threshold,
                short.block.height
            ),
            "ask the operators of the attesters that did not sign",
            "GridAttestationShort",
        );
    }
}
