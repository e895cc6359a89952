//! One sentence: why it is where it is, and what happens next.
//!
//! [`judge`] is a function of the facts alone. What is certain goes first: what the main chain has, then
//! what the item's row says (`stage`), then what keeps the chain from being planned.

use grid_core::{ChainId, Family, api::ChainInfo};
use serde::{Deserialize, Serialize};

use super::{
    facts::{Facts, Follow},
    stage::at_stage,
};
use crate::{
    clock::span,
    problem::MAIN_SILENT,
    store::{ChainState, Item, Kind},
};

/// Where what was asked for stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Place {
    /// Neither the store nor the chains know it.
    Unknown,
    /// A transaction that carries nothing: it fills a nonce.
    Filler,
    /// In the index: it can be proven.
    Indexed,
    /// Below the first header of the index.
    BelowIndex,
    /// Not on the active branch.
    OffBranch,
    /// On the main chain; the confirmation rule is not met yet.
    Confirming,
    /// Waits for a worker.
    Planned,
    /// Its transaction is under way.
    Sent,
    /// Executed; the main chain's best branch does not show it yet.
    Included,
    /// The main chain had it on its best branch and has it no more.
    TakenBack,
    /// Failed too often.
    Parked,
    /// Given up.
    Dropped,
    /// No source of the chain is configured here.
    NotFollowed,
    /// The main chain does not know the chain.
    NotRegistered,
    /// The main chain takes no headers of the chain.
    Stopped,
    /// The main chain does not answer.
    MainSilent,
    /// An operator paused the chain.
    Paused,
    /// The chain needs its operator.
    Halted,
    /// The chain has passing trouble.
    Waiting,
    /// The sources disagree.
    Held,
    /// Another relayer plans for the chain.
    Elsewhere,
    /// The source has not reached it.
    NotYet,
    /// Its turn comes.
    Due,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) place: Place,
    /// Why it is there.
    pub(crate) why: String,
    /// What happens next, or what has to be done.
    pub(crate) next: String,
    /// Whether nothing happens before somebody does it.
    pub(crate) needs_operator: bool,
    /// A page of `docs/runbooks`.
    pub(crate) runbook: Option<&'static str>,
}

impl Answer {
    pub(super) fn new(place: Place, why: impl Into<String>, next: impl Into<String>) -> Self {
        let (why, next) = (why.into(), next.into());
        Self { place, why, next, needs_operator: false, runbook: None }
    }

    pub(super) fn act(mut self, runbook: &'static str) -> Self {
        self.needs_operator = true;
        self.runbook = Some(runbook);
        self
    }

    pub(super) const fn see(mut self, runbook: &'static str) -> Self {
        self.runbook = Some(runbook);
        self
    }

    /// The sentence.
    pub(crate) fn sentence(&self) -> String {
        let Self { why, next, .. } = self;
        if next.is_empty() { format!("{why}.") } else { format!("{why}; {next}.") }
    }
}

/// Why it is where it is.
pub(crate) fn judge(facts: &Facts) -> Answer {
    let Some(chain) = &facts.chain else { return nowhere(facts) };
    let what = subject(facts);
    if let Some(answer) = on_main_chain(facts, &what) {
        return answer;
    }
    if let Some(work) = &facts.work {
        return at_stage(facts, work, &what);
    }
    if let Some(answer) = off_branch(facts, &what) {
        return answer;
    }
    let Some(follow) = &facts.follow else {
        return not_followed(facts, chain, &what);
    };
    if let Some(answer) = obstacle(facts, follow, &what) {
        return answer;
    }
    turn(facts, follow, &what)
}

fn not_followed(facts: &Facts, chain: &ChainId, what: &str) -> Answer {
    if facts.info.is_some() {
        let why = format!("{what} is no work of this relayer: {chain} has no source here");
        let next = "another relayer may bring it; to do it here, add a [[chain]] section";
        return Answer::new(Place::NotFollowed, why, next);
    }
    let why = format!("{chain} is neither configured here nor known on the main chain");
    let next = "check the id: `grid chains` lists what the main chain follows";
    Answer::new(Place::NotFollowed, why, next).act("GridNoProgress")
}

/// What is asked for, in words.
fn subject(facts: &Facts) -> String {
    let chain = facts.chain.as_ref().map_or_else(String::new, |chain| format!(" of {chain}"));
    match (&facts.work, facts.height, facts.hash) {
        (Some(work), height, _) => {
            let item = carried(&work.item);
            match height {
                Some(height)
                    if work.item.kind != Kind::Sync && work.item.from != work.item.last.height =>
                {
                    format!("header {height}{chain} (in the item of {item})")
                }
                _ => format!("the item of {item}{chain}"),
            }
        }
        (None, Some(height), _) => format!("header {height}{chain}"),
        (None, None, Some(hash)) => format!("block {hash}{chain}"),
        (None, None, None) => facts.asked.clone(),
    }
}

fn carried(item: &Item) -> String {
    match (item.kind, item.from == item.last.height) {
        (Kind::Sync, _) => format!("light-client objects up to slot {}", item.last.height),
        (Kind::Guarantee, _) => format!("the end of guarantee {}", item.last.hash),
        (Kind::Message, _) => format!("message {}", item.last.hash),
        (_, true) => format!("header {}", item.from),
        (_, false) => format!("headers {} to {}", item.from, item.last.height),
    }
}

fn nowhere(facts: &Facts) -> Answer {
    if let Some(transaction) = &facts.transaction {
        let why = format!(
            "this transaction of nonce {} carries nothing: it only fills a gap, and is {}",
            transaction.nonce, transaction.outcome
        );
        return Answer::new(Place::Filler, why, "nothing is to be done");
    }
    let why = format!(
        "{} is no item, no transaction of this relayer, no confirmed header and none of the newest \
         headers of its sources",
        facts.asked
    );
    let next =
        "ask by chain and height, such as eip155:1:19000000; finished work is deleted after a week";
    Answer::new(Place::Unknown, why, next)
}

/// What the main chain's own state decides.
fn on_main_chain(facts: &Facts, what: &str) -> Option<Answer> {
    let (info, height) = (facts.info.as_ref()?, facts.height?);
    let is_sync = facts.work.as_ref().is_some_and(|work| work.item.kind == Kind::Sync);
    if is_sync {
        return None;
    }
    if height < info.first_height {
        let why = format!(
            "{what} is below the start of the index, height {}: the main chain never verified it",
            info.first_height
        );
        return Some(Answer::new(
            Place::BelowIndex,
            why,
            "it can't be proven with this Grid chain",
        ));
    }
    if info.confirmed.is_some_and(|confirmed| height <= confirmed.height) {
        return Some(indexed(facts, what, height));
    }
    if height <= info.tracked.height && !leaves_branch(facts) {
        return Some(confirming(info, what, height));
    }
    None
}

fn indexed(facts: &Facts, what: &str, height: u64) -> Answer {
    if let (Some(asked), Some(indexed)) = (facts.hash, facts.indexed)
        && asked != indexed
    {
        let why = format!(
            "block {asked} is off the confirmed branch: the index holds {indexed} at height {height}"
        );
        return Answer::new(Place::OffBranch, why, "nothing happens to it any more");
    }
    let at = facts.indexed_in.map(|block| format!(" since Grid block {block}")).unwrap_or_default();
    let (family, chain) = (facts.info.as_ref().map(|info| info.family), facts.chain.as_ref());
    let prove = match (family, chain) {
        (Some(Family::Bitcoin), Some(_)) => "`grid prove btc-tx TXID`".to_owned(),
        (Some(Family::Ethereum), Some(chain)) => format!("`grid prove eth-tx TXHASH --on {chain}`"),
        _ => "`grid prove`".to_owned(),
    };
    Answer::new(
        Place::Indexed,
        format!("{what} is confirmed and in the index{at}"),
        format!("what is in it can be proven: {prove}"),
    )
}

/// Whether what was asked for is known not to be on the branch that the sources follow.
fn leaves_branch(facts: &Facts) -> bool {
    let active = facts.follow.as_ref().and_then(|follow| follow.active);
    matches!((facts.hash, active), (Some(asked), Some(active)) if asked != active)
}

fn confirming(info: &ChainInfo, what: &str, height: u64) -> Answer {
    let rule = &info.rule;
    let have = info.tracked.height.saturating_sub(height).saturating_add(1);
    let why = format!(
        "{what} is on the main chain with {have} confirmation(s) and waits for the rule {rule}"
    );
    let next = match info.confirmed {
        Some(confirmed) => {
            let more = height.saturating_sub(confirmed.height);
            format!(
                "as the rule stands now (confirmed up to {}, tip {}) it takes {more} more block(s) of \
                 the chain",
                confirmed.height, info.tracked.height
            )
        }
        None => "the rule has confirmed nothing of this chain yet".into(),
    };
    Answer::new(Place::Confirming, why, next).see("GridConfirmationStalled")
}

fn off_branch(facts: &Facts, what: &str) -> Option<Answer> {
    if !leaves_branch(facts) {
        return None;
    }
    let active = facts.follow.as_ref()?.active?;
    let why = format!("{what} is off the branch that the sources follow, which has {active} there");
    let next = "nothing, unless the chain comes back to it";
    Some(Answer::new(Place::OffBranch, why, next))
}

pub(super) fn main_silent(facts: &Facts, what: &str) -> Option<Answer> {
    let silent = facts.now.saturating_sub(facts.main.seen_at);
    if silent <= MAIN_SILENT {
        return None;
    }
    let error = facts.main.error.as_deref().unwrap_or("no answer yet");
    let why = format!("{what} waits for the main chain, which does not answer: {error}");
    let next = "start the node or correct relayer.main_chain; everything goes on by itself then";
    Some(Answer::new(Place::MainSilent, why, next).act("GridMainChainErrors"))
}

pub(super) fn paused(facts: &Facts, follow: &Follow, what: &str) -> Option<Answer> {
    let pause = follow.pause.as_ref()?;
    let chain = facts.chain.as_ref()?;
    let since = span(facts.now.saturating_sub(pause.since));
    let reason = pause.reason.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
    let why = format!("{what} waits because {} paused {chain} {since} ago{reason}", pause.by);
    Some(
        Answer::new(Place::Paused, why, format!("run `grid relayer resume {chain}`"))
            .act("GridChainPaused"),
    )
}

/// What keeps the chain from being planned.
fn obstacle(facts: &Facts, follow: &Follow, what: &str) -> Option<Answer> {
    let chain = facts.chain.as_ref()?;
    if let Some(answer) = paused(facts, follow, what).or_else(|| main_silent(facts, what)) {
        return Some(answer);
    }
    let Some(info) = &facts.info else {
        let why = format!("{what} waits because {chain} is not registered on the main chain");
        let next = "register it, or remove its section";
        return facts
            .registry_known
            .then(|| Answer::new(Place::NotRegistered, why, next).act("GridChainWaiting"));
    };
    if info.status != "active" {
        let why = format!("{what} waits because {chain} is {} on the main chain", info.status);
        let next = "the chain's governor has to resume it";
        return Some(Answer::new(Place::Stopped, why, next).act("GridChainSuspended"));
    }
    let reason = || follow.reason.clone().unwrap_or_else(|| "no reason was kept".into());
    let wait = span(follow.next_at.saturating_sub(facts.now));
    match follow.state {
        ChainState::Halted => {
            let why = format!("{what} waits because {chain} is halted: {}", reason());
            let next = format!("repair that; the relayer looks again in {wait}");
            return Some(Answer::new(Place::Halted, why, next).act("GridChainHalted"));
        }
        ChainState::Waiting => {
            let why = format!("{what} waits because {chain} has trouble: {}", reason());
            let next = format!("the relayer looks again in {wait}");
            return Some(Answer::new(Place::Waiting, why, next).see("GridChainWaiting"));
        }
        ChainState::Active | ChainState::Paused => {}
    }
    if let (Some(from), Some(height)) = (follow.held_from, facts.height)
        && height >= from
    {
        let why = format!("{what} waits because the sources disagree from height {from} on");
        let next = "it goes on when enough of them share a branch; repair those on the wrong one";
        return Some(Answer::new(Place::Held, why, next).act("GridSourceHeld"));
    }
    elsewhere(facts, follow, what)
}

/// Another relayer of the same database works on the chain.
pub(super) fn elsewhere(facts: &Facts, follow: &Follow, what: &str) -> Option<Answer> {
    let holder = follow.holder.as_ref().filter(|holder| !holder.here)?;
    let chain = facts.chain.as_ref()?;
    let why = format!("{what} is not this relayer's work: {holder} holds {chain}");
    let left = span(holder.until.saturating_sub(facts.now));
    let next = format!("ask that one; another takes over in {left} unless it gives a sign of life");
    Some(Answer::new(Place::Elsewhere, why, next))
}

/// Nothing is in the way: it comes.
fn turn(facts: &Facts, follow: &Follow, what: &str) -> Answer {
    let (Some(height), Some(tip)) = (facts.height, follow.tip) else {
        let why = format!("{what} is not planned, and the chain's source was not seen yet");
        return Answer::new(Place::Due, why, "the first rounds of the relayer tell more");
    };
    if height > tip.height {
        let why = format!("{what} does not exist yet for the sources, whose tip is {}", tip.height);
        return Answer::new(Place::NotYet, why, "it is planned when a source has it");
    }
    let tracked = facts.info.as_ref().map_or(0, |info| info.tracked.height);
    let ahead = height.saturating_sub(tracked).saturating_sub(1);
    if ahead == 0 || follow.open == 0 {
        let why = format!("{what} is known to the sources and not planned yet");
        return Answer::new(Place::Due, why, "the next round of its lane plans it");
    }
    let why = format!(
        "{what} is not planned yet: {ahead} header(s) below it go first, {} item(s) of the chain are on \
         their way",
        follow.open
    );
    Answer::new(Place::Due, why, "its turn comes when they are on the main chain")
        .see("GridFallingBehind")
}
