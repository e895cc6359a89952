//! What to do next, from what is known and from nothing else.

use std::collections::BTreeSet;

use alloy_primitives::B256;
use grid_core::{api::BlockRef, message::State};

use crate::store::{MessageRow, MessageStage, Stage};

/// A message that was refused so often is given up: a week, at the longest pause.
const MOST_REFUSALS: u64 = 1_000;

/// Which messages of a chain this relayer carries. The main chain's own lists come on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Whose messages; everybody's where empty.
    pub senders: BTreeSet<B256>,
    /// For whom; for everybody where empty.
    pub recipients: BTreeSet<B256>,
    /// The most bytes of a payload.
    pub max_payload: u64,
}

impl Filter {
    /// Why a message is not carried; `None` where it is.
    fn refusal(&self, row: &MessageRow) -> Option<String> {
        let misses = |list: &BTreeSet<B256>, one| !list.is_empty() && !list.contains(one);
        if misses(&self.senders, &row.sender) {
            return Some(format!("this relayer's list of senders does not have {}", row.sender));
        }
        if misses(&self.recipients, &row.recipient) {
            let recipient = row.recipient;
            return Some(format!("this relayer's list of recipients does not have {recipient}"));
        }
        let (bytes, most) = (row.bytes, self.max_payload);
        (bytes > most)
            .then(|| format!("the payload has {bytes} bytes, this relayer carries at most {most}"))
    }
}

/// What is known of a source before it is searched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// The last block that was searched.
    pub(super) searched: Option<BlockRef>,
    /// The source's block at that height now.
    pub(super) still: Option<B256>,
    /// The last block that the main chain has confirmed.
    pub(super) confirmed: Option<BlockRef>,
    /// The source's block at that height now.
    pub(super) agreed: Option<B256>,
    /// The first height of the main chain's index.
    pub(super) first: u64,
    /// Confirmed blocks that a first search takes in.
    pub(super) lookback: u64,
}

/// Where a search begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// At this height.
    From(u64),
    /// Nowhere: the main chain and the source follow different branches, and what lies below is not known before they agree.
    Wait,
}

/// Where the search of a source goes on. After a reorganisation it begins again above what is confirmed: nothing of the
/// branch that was left is below that.
pub(super) fn search(reach: &Reach) -> Search {
    let Reach { searched, still, confirmed, agreed, first, lookback } = *reach;
    let Some(searched) = searched else {
        let tip = confirmed.map_or(first, |at| at.height.saturating_add(1));
        return Search::From(tip.saturating_sub(lookback).max(first));
    };
    if still == Some(searched.hash) {
        return Search::From(searched.height.saturating_add(1));
    }
    match confirmed {
        None => Search::From(first),
        Some(at) if agreed == Some(at.hash) => Search::From(at.height.saturating_add(1)),
        Some(_) => Search::Wait,
    }
}

/// What is known of a message beside its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The last height that the main chain has confirmed.
    pub(super) confirmed: Option<u64>,
    /// The block that it has confirmed at the message's height.
    pub(super) indexed: Option<B256>,
    /// How the message stands there, and whether the block that it took effect by is gone.
    pub(super) standing: Option<(State, bool)>,
    /// The item that carries it.
    pub(super) item: Option<Stage>,
    /// Seconds since 1970.
    pub(super) now: u64,
}

/// What to do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is at its end.
    End(MessageStage, String),
    /// It waits, for this reason.
    Wait(String),
    /// Its item is on its way.
    Carried,
    /// Prove it and hand it in.
    Deliver,
}

/// Judges an open message.
pub(super) fn judge(row: &MessageRow, filter: &Filter, facts: &Facts) -> Verdict {
    let Facts { confirmed, indexed, standing, item, now } = *facts;
    match standing {
        Some((State::Delivered, false)) => {
            return Verdict::End(MessageStage::Delivered, "it took effect".into());
        }
        Some((State::Expired, _)) => {
            let reason = "the main chain saw it after its deadline";
            return Verdict::End(MessageStage::Expired, reason.into());
        }
        _ => {}
    }
    let carried = matches!(item, Some(Stage::Planned | Stage::Sent | Stage::Included));
    if row.stage == MessageStage::Delivering && carried {
        return Verdict::Carried;
    }
    if let Some(reason) = filter.refusal(row) {
        return Verdict::End(MessageStage::Filtered, reason);
    }
    let (height, deadline) = (row.block.height, row.deadline);
    // An ordered one is shown all the same: those behind it wait for it.
    if deadline != 0 && now > deadline && !row.ordered {
        let reason = format!("its deadline, {deadline}, was over before it could be delivered");
        return Verdict::End(MessageStage::Expired, reason);
    }
    if row.attempt >= MOST_REFUSALS {
        let last = row.reason.as_deref().unwrap_or_default();
        let reason = format!("given up after {MOST_REFUSALS} refusals, the last: {last}");
        return Verdict::End(MessageStage::Filtered, reason);
    }
    let Some(confirmed) = confirmed.filter(|confirmed| *confirmed >= height) else {
        let have = confirmed.map_or_else(|| "nothing".into(), |at| format!("block {at}"));
        return Verdict::Wait(format!(
            "block {height} is not confirmed on the main chain, which has confirmed {have}"
        ));
    };
    match indexed {
        Some(found) if found != row.block.hash => {
            let reason = format!("the main chain has confirmed block {found} at height {height}");
            Verdict::End(MessageStage::Orphaned, reason)
        }
        None => Verdict::Wait(format!(
            "the main chain's index has no block {height}, although it has confirmed block {confirmed}"
        )),
        Some(_) if item == Some(Stage::Parked) => Verdict::Wait(
            "its item is parked: look at it with `grid relayer explain`, then `grid relayer retry`"
                .into(),
        ),
        Some(_) => Verdict::Deliver,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(byte: u8) -> B256 {
        B256::repeat_byte(byte)
    }

    fn at(height: u64, byte: u8) -> BlockRef {
        BlockRef { height, hash: hash(byte) }
    }

    fn row() -> MessageRow {
        MessageRow {
            key: "k".into(),
            id: hash(1),
            chain: "eip155:1".parse().unwrap(),
            block: at(10, 2),
            tx: hash(3),
            position: 0,
            sender: hash(4),
            recipient: hash(5),
            nonce: 0,
            ordered: false,
            deadline: 0,
            bytes: 32,
            stage: MessageStage::Waiting,
            reason: None,
            attempt: 0,
            next_at: 0,
            seen_at: 0,
            updated_at: 0,
        }
    }

    fn everything() -> Filter {
        Filter { senders: BTreeSet::new(), recipients: BTreeSet::new(), max_payload: 64 }
    }

    fn facts() -> Facts {
        Facts { confirmed: Some(12), indexed: Some(hash(2)), standing: None, item: None, now: 100 }
    }

    #[test]
    fn a_search_goes_on_where_it_ended_and_begins_anew_above_what_is_confirmed() {
        let reach = Reach {
            searched: Some(at(20, 7)),
            still: Some(hash(7)),
            confirmed: Some(at(15, 5)),
            agreed: Some(hash(5)),
            first: 3,
            lookback: 10,
        };
        assert_eq!(search(&reach), Search::From(21));
        let new = Reach { searched: None, ..reach };
        assert_eq!(search(&new), Search::From(6));
        assert_eq!(search(&Reach { lookback: 100, ..new }), Search::From(3));
        assert_eq!(search(&Reach { confirmed: None, ..new }), Search::From(3));
        for still in [None, Some(hash(8))] {
            let left = Reach { still, ..reach };
            assert_eq!(search(&left), Search::From(16));
            // The reorganisation goes below what is confirmed: the main chain has not seen it yet.
            for agreed in [None, Some(hash(6))] {
                assert_eq!(search(&Reach { agreed, ..left }), Search::Wait);
            }
            assert_eq!(search(&Reach { confirmed: None, ..left }), Search::From(3));
        }
    }

    #[test]
    fn a_message_waits_for_its_block_and_is_delivered_once_it_is_confirmed() {
        let judge = |facts| judge(&row(), &everything(), &facts);
        for confirmed in [None, Some(9)] {
            let verdict = judge(Facts { confirmed, indexed: None, ..facts() });
            assert!(matches!(&verdict, Verdict::Wait(why) if why.contains("not confirmed")));
        }
        assert_eq!(judge(facts()), Verdict::Deliver);
        let other = judge(Facts { indexed: Some(hash(9)), ..facts() });
        assert!(matches!(other, Verdict::End(MessageStage::Orphaned, _)));
        assert!(matches!(judge(Facts { indexed: None, ..facts() }), Verdict::Wait(_)));
        let parked = Facts { item: Some(Stage::Parked), ..facts() };
        assert!(matches!(judge(parked), Verdict::Wait(why) if why.contains("parked")));
        // Breached, or about to be: shown in another block it stands again.
        for state in [(State::Breached, false), (State::Delivered, true)] {
            assert_eq!(judge(Facts { standing: Some(state), ..facts() }), Verdict::Deliver);
        }
    }

    #[test]
    fn lists_and_sizes_keep_messages_away() {
        let refused = |filter: Filter| match judge(&row(), &filter, &facts()) {
            Verdict::End(MessageStage::Filtered, why) => why,
            other => panic!("{other:?}"),
        };
        assert!(refused(Filter { senders: [hash(9)].into(), ..everything() }).contains("senders"));
        let recipients = Filter { recipients: [hash(9)].into(), ..everything() };
        assert!(refused(recipients).contains("recipients"));
        assert!(refused(Filter { max_payload: 31, ..everything() }).contains("32 bytes"));
        let (senders, recipients) = ([hash(4)].into(), [hash(5)].into());
        let listed = Filter { senders, recipients, max_payload: 32 };
        assert_eq!(judge(&row(), &listed, &facts()), Verdict::Deliver);
    }

    #[test]
    fn what_is_refused_for_a_week_is_given_up_with_the_last_reason() {
        let reason = Some("no open escrow".to_owned());
        let tired = MessageRow { attempt: MOST_REFUSALS, reason, ..row() };
        let verdict = judge(&tired, &everything(), &facts());
        let told = |why: &String| why.contains("no open escrow");
        assert!(matches!(&verdict, Verdict::End(MessageStage::Filtered, why) if told(why)));
    }

    #[test]
    fn a_late_message_is_given_up_unless_others_wait_behind_it() {
        let late = MessageRow { deadline: 99, ..row() };
        let verdict = judge(&late, &everything(), &facts());
        assert!(matches!(verdict, Verdict::End(MessageStage::Expired, _)));
        let ordered = MessageRow { ordered: true, ..late };
        assert_eq!(judge(&ordered, &everything(), &facts()), Verdict::Deliver);
        let in_time = MessageRow { deadline: 100, ..row() };
        assert_eq!(judge(&in_time, &everything(), &facts()), Verdict::Deliver);
    }

    fn stages() -> impl Strategy<Value = Option<Stage>> {
        proptest::option::of(proptest::sample::select(Stage::ALL.to_vec()))
    }

    proptest! {
        /// What took effect is never handed in again, and nothing is handed in before it is confirmed or while it is under way.
        #[test]
        fn nothing_is_delivered_that_should_not_be(
            state in proptest::option::of((1..5u8, any::<bool>())),
            item in stages(),
            confirmed in proptest::option::of(0..20u64),
            indexed in proptest::option::of(1..4u8),
            delivering in any::<bool>(),
        ) {
            let stage = if delivering { MessageStage::Delivering } else { MessageStage::Waiting };
            let row = MessageRow { stage, ..row() };
            let standing = state.and_then(|(code, broken)| Some((State::from_code(code)?, broken)));
            let facts = Facts { confirmed, indexed: indexed.map(hash), standing, item, now: 0 };
            if judge(&row, &everything(), &facts) == Verdict::Deliver {
                prop_assert!(!matches!(standing, Some((State::Delivered, false) | (State::Expired, _))));
                prop_assert!(confirmed.is_some_and(|at| at >= 10) && indexed == Some(2));
                let under_way = matches!(item, Some(Stage::Planned | Stage::Sent | Stage::Included));
                prop_assert!(!(delivering && under_way));
            }
        }
    }
}
