//! What an item's row says of its way to the main chain.

use super::{
    facts::{Facts, Work},
    say::{Answer, Place, elsewhere, main_silent, paused},
};
use crate::{
    clock::span,
    store::{Kind, Stage},
};

/// What the row says.
pub(super) fn at_stage(facts: &Facts, work: &Work, what: &str) -> Answer {
    let item = &work.item;
    let reason = || item.reason.clone().unwrap_or_else(|| "no reason was kept".into());
    match item.stage {
        Stage::Planned => planned(facts, work, what),
        Stage::Sent => sent(facts, work, what),
        Stage::Included => {
            if let Some(answer) = main_silent(facts, what) {
                return answer;
            }
            let why = format!("the main chain executed the submission of {what}");
            let next = "it is done once the main chain's best branch shows it; submitted again if that \
                        takes longer than a minute";
            Answer::new(Place::Included, why, next)
        }
        Stage::Done if item.kind == Kind::Sync => {
            let why = format!("the main chain's light client has {what}");
            Answer::new(Place::Confirming, why, "nothing is left to do")
        }
        Stage::Done if item.kind == Kind::Guarantee => {
            let why = format!("{what} took effect: `grid guarantee explain {}`", item.last.hash);
            Answer::new(Place::Confirming, why, "nothing is left to do")
        }
        Stage::Done if item.kind == Kind::Message => {
            let why = format!("{what} took effect: `grid message explain {}`", item.last.hash);
            Answer::new(Place::Confirming, why, "nothing is left to do")
        }
        Stage::Done => {
            let why = format!(
                "{what} was on the main chain's best branch, which a reorganisation has since changed"
            );
            Answer::new(
                Place::TakenBack,
                why,
                "the next round plans it again if the sources have it",
            )
        }
        Stage::Parked => {
            let why = format!("{what} is parked after {} failures: {}", item.attempt, reason());
            let next = format!(
                "repair the cause, then `grid relayer retry {key}`, or give it up with `grid relayer drop \
                 {key}`",
                key = item.key
            );
            Answer::new(Place::Parked, why, next).act("GridParkedItems")
        }
        Stage::Dropped => {
            let why = format!("{what} was given up: {}", reason());
            Answer::new(Place::Dropped, why, "it is planned again if the sources come back to it")
        }
    }
}

fn planned(facts: &Facts, work: &Work, what: &str) -> Answer {
    let item = &work.item;
    if let Some(answer) = facts.follow.as_ref().and_then(|follow| paused(facts, follow, what)) {
        return answer;
    }
    if let Some(lease) = &work.lease {
        let left = span(lease.until.saturating_sub(facts.now));
        let why = format!("{what} is in the hands of {}", lease.holder);
        let next = format!("it is sent any moment; after {left} another worker may take it");
        return Answer::new(Place::Planned, why, next);
    }
    if let Some(answer) = main_silent(facts, what) {
        return answer;
    }
    let failures = match (item.attempt, &item.reason) {
        (0, None) => String::new(),
        (0, Some(reason)) => format!(" ({reason})"),
        (count, Some(reason)) => format!(" after {count} failure(s): {reason}"),
        (count, None) => format!(" after {count} failure(s)"),
    };
    if item.next_at > facts.now {
        let why = format!("{what} is planned and pauses{failures}");
        let next = format!("it is tried again in {}", span(item.next_at.saturating_sub(facts.now)));
        return Answer::new(Place::Planned, why, next).see("GridSubmissionsFailing");
    }
    if let Some(before) = &work.before {
        let why =
            format!("{what} is planned and builds on {}, which is {}", before.key, before.stage);
        if before.stage == Stage::Parked {
            let next = format!("look at that one first: `grid relayer explain {}`", before.key);
            return Answer::new(Place::Planned, why, next).act("GridParkedItems");
        }
        return Answer::new(Place::Planned, why, "it follows as soon as that one was sent");
    }
    if let Some(answer) = facts.follow.as_ref().and_then(|follow| elsewhere(facts, follow, what)) {
        return answer;
    }
    let why = format!("{what} is planned and waits for a worker{failures}");
    Answer::new(Place::Planned, why, "the next round of its lane sends it")
}

fn sent(facts: &Facts, work: &Work, what: &str) -> Answer {
    if let Some(answer) = main_silent(facts, what) {
        return answer;
    }
    let Some(newest) = &work.newest else {
        let why = format!("{what} was signed, its transaction's row is missing");
        return Answer::new(Place::Sent, why, "the next look at open transactions plans it again");
    };
    let times = format!("sent {} time(s)", newest.sends);
    let ahead = newest.nonce.saturating_sub(facts.wallet.nonce);
    let why = format!(
        "{what} travels in transaction {} with nonce {}, {times}",
        newest.hash, newest.nonce
    );
    if newest.signer != facts.wallet.address {
        let next = format!(
            "the relayer with the key {} sees to it; the others do once that one is gone",
            newest.signer
        );
        return Answer::new(Place::Sent, why, next);
    }
    if facts.wallet.gap > 0 && ahead > 0 {
        let next = format!(
            "it waits for {} nonce(s) from {} on that no transaction owns; the relayer fills them",
            facts.wallet.gap, facts.wallet.nonce
        );
        return Answer::new(Place::Sent, why, next).see("GridNonceGap");
    }
    if ahead > 0 {
        let next = format!("{ahead} transaction(s) of the same key go first");
        return Answer::new(Place::Sent, why, next);
    }
    let next = "the main chain takes it into one of its next blocks; it is sent again, and replaced with \
                higher fees, until then";
    Answer::new(Place::Sent, why, next)
}
