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
    /// Why a message with a payload of so many bytes is not carried; `None` where it is.
    pub(super) fn refusal(&self, sender: &B256, recipient: &B256, bytes: u64) -> Option<String> {
        let misses = |list: &BTreeSet<B256>, one| !list.is_empty() && !list.contains(one);
        if misses(&self.senders, sender) {
            return Some(format!("this relayer's list of senders does not have {sender}"));
        }
        if misses(&self.recipients, recipient) {
            return Some(format!("this relayer's list of recipients does not have {recipient}"));
        }
        let most = self.max_payload;
        (bytes > most)
            .then(|| format!("the payload has {bytes} bytes, this relayer carries at most {most}"))
    }
}

/// Which of so many searched blocks, the newest first, are compared with the source's: a search goes on above the first one
/// that the source still has. They lie ever further apart: too low a start costs a search of what is known already.
pub(super) fn probes(count: usize) -> impl Iterator<Item = usize> {
    let next = |at: &usize| Some(at.saturating_mul(2).saturating_add(1));
    let all = core::iter::successors(Some(0), next).take_while(move |at| *at < count);
    let last = count.checked_sub(1).filter(|last| !(last + 1).is_power_of_two());
    all.chain(last)
}

/// Where the first search of a chain begins.
pub(super) fn first_search(first: u64, confirmed: Option<BlockRef>, lookback: u64) -> u64 {
    let above = confirmed.map_or(first, |at| at.height.saturating_add(1));
    above.saturating_sub(lookback).max(first)
}

/// What is known of a message beside its row, once its block is deep enough on the main chain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    /// The block that the main chain has confirmed at the message's height.
    pub(super) indexed: Option<B256>,
    /// How the message stands there, and whether the block that it took effect by is gone.
    pub(super) standing: Option<(State, bool)>,
    /// The item that carries it.
    pub(super) item: Option<Stage>,
    /// The most bytes of a payload on the route.
    pub(super) max_payload: u64,
    /// Whether the route lets the sender's messages, and those to the recipient, pass.
    pub(super) listed: (bool, bool),
    /// The number of the sender's next ordered message, where this one is ordered.
    pub(super) next_nonce: Option<u64>,
    /// The main chain's time, seconds since 1970.
    pub(super) now: u64,
}

/// What to do with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is at its end.
    End(MessageStage, String),
    /// It is looked at again after a pause, for this reason.
    Pause(String),
    /// Its item is on its way.
    Carried,
    /// Prove it and hand it in.
    Deliver,
}

/// Judges an open message.
pub(super) fn judge(row: &MessageRow, filter: &Filter, facts: &Facts) -> Verdict {
    match facts.standing {
        // Its transaction is still to be settled.
        Some((State::Delivered, false) | (State::Expired | State::Guaranteed, _))
            if facts.item == Some(Stage::Sent) =>
        {
            return Verdict::Carried;
        }
        Some((State::Delivered, false)) => {
            return Verdict::End(MessageStage::Delivered, "it took effect".into());
        }
        Some((State::Guaranteed, _)) => {
            return Verdict::End(
                MessageStage::Delivered,
                "it took effect under a guarantee".into(),
            );
        }
        Some((State::Expired, _)) => {
            let reason = "the main chain saw it after its deadline";
            return Verdict::End(MessageStage::Expired, reason.into());
        }
        _ => {}
    }
    let carried = matches!(facts.item, Some(Stage::Planned | Stage::Sent | Stage::Included));
    if row.stage == MessageStage::Delivering && carried {
        return Verdict::Carried;
    }
    if let Some(reason) = filter.refusal(&row.sender, &row.recipient, row.bytes) {
        return Verdict::End(MessageStage::Filtered, reason);
    }
    let late = row.deadline != 0 && facts.now > row.deadline;
    // An ordered one is shown all the same: those behind it wait for it.
    if late && !row.ordered {
        let reason =
            format!("its deadline, {}, was over before it could be delivered", row.deadline);
        return Verdict::End(MessageStage::Expired, reason);
    }
    if row.attempt >= MOST_REFUSALS {
        let last = row.reason.as_deref().unwrap_or_default();
        let reason = format!("given up after {MOST_REFUSALS} refusals, the last: {last}");
        return Verdict::End(MessageStage::Filtered, reason);
    }
    let height = row.block.height;
    match facts.indexed {
        Some(found) if found != row.block.hash => {
            let reason = format!("the main chain has confirmed block {found} at height {height}");
            Verdict::End(MessageStage::Orphaned, reason)
        }
        None => Verdict::Pause(format!("the main chain's index has no block {height} now")),
        Some(_) if facts.item == Some(Stage::Parked) => Verdict::Pause(
            "its item is parked: look at it with `grid relayer explain`, then `grid relayer retry`"
                .into(),
        ),
        Some(_) => held_up(row, facts, late).map_or(Verdict::Deliver, Verdict::Pause),
    }
}

/// Why the main chain would refuse a message now, as far as that can be told without a proof.
fn held_up(row: &MessageRow, facts: &Facts, late: bool) -> Option<String> {
    let turn = facts.next_nonce.filter(|next| *next < row.nonce);
    if let Some(next) = turn {
        return Some(format!(
            "the sender's next ordered message has nonce {next}, this one {}",
            row.nonce
        ));
    }
    if late {
        // It only becomes expired, whoever it is of.
        return None;
    }
    let (sender, recipient) = facts.listed;
    if !sender {
        return Some(format!("sender {} is not on the route's list", row.sender));
    }
    if !recipient {
        return Some(format!("recipient {} is not on the route's list", row.recipient));
    }
    let (bytes, most) = (row.bytes, facts.max_payload);
    (bytes > most).then(|| format!("the payload has {bytes} bytes, the route takes {most}"))
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
        Facts {
            indexed: Some(hash(2)),
            standing: None,
            item: None,
            max_payload: 64,
            listed: (true, true),
            next_nonce: None,
            now: 100,
        }
    }

    /// Where a search goes on that was in `searched`, the newest first.
    fn resume(searched: &[BlockRef], has: impl Fn(&BlockRef) -> bool) -> Option<u64> {
        let known = probes(searched.len()).map(|at| &searched[at]).find(|block| has(block))?;
        Some(known.height + 1)
    }

    #[test]
    fn a_first_search_takes_in_some_of_what_is_confirmed() {
        let confirmed = Some(at(15, 5));
        assert_eq!(first_search(3, confirmed, 10), 6);
        assert_eq!(first_search(3, confirmed, 100), 3);
        assert_eq!(first_search(3, None, 10), 3);
    }

    #[test]
    fn a_message_of_a_confirmed_block_is_delivered_and_one_of_another_block_is_not() {
        let judge = |facts| judge(&row(), &everything(), &facts);
        assert_eq!(judge(facts()), Verdict::Deliver);
        let other = judge(Facts { indexed: Some(hash(9)), ..facts() });
        assert!(matches!(other, Verdict::End(MessageStage::Orphaned, _)));
        assert!(matches!(judge(Facts { indexed: None, ..facts() }), Verdict::Pause(_)));
        let parked = Facts { item: Some(Stage::Parked), ..facts() };
        assert!(matches!(judge(parked), Verdict::Pause(why) if why.contains("parked")));
        // Breached, or about to be: shown in another block it stands again.
        for state in [(State::Breached, false), (State::Delivered, true)] {
            assert_eq!(judge(Facts { standing: Some(state), ..facts() }), Verdict::Deliver);
        }
    }

    #[test]
    fn what_took_effect_is_at_its_end_once_its_transaction_is_settled() {
        for (standing, end) in [
            ((State::Delivered, false), MessageStage::Delivered),
            ((State::Expired, false), MessageStage::Expired),
        ] {
            for item in [None].into_iter().chain(Stage::ALL.map(Some)) {
                let facts = Facts { standing: Some(standing), item, ..facts() };
                let verdict = judge(&row(), &everything(), &facts);
                let ended = matches!(verdict, Verdict::End(stage, _) if stage == end);
                assert_eq!(ended, item != Some(Stage::Sent), "{item:?}: {verdict:?}");
            }
        }
    }

    #[test]
    fn what_the_route_refuses_is_not_proven() {
        let held = |row: &MessageRow, facts| match judge(row, &everything(), &facts) {
            Verdict::Pause(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(held(&row(), Facts { listed: (false, true), ..facts() }).contains("sender"));
        assert!(held(&row(), Facts { listed: (true, false), ..facts() }).contains("recipient"));
        assert!(held(&row(), Facts { max_payload: 31, ..facts() }).contains("32 bytes"));
        let third = MessageRow { ordered: true, nonce: 2, deadline: 200, ..row() };
        let behind = Facts { next_nonce: Some(1), ..facts() };
        assert!(held(&third, behind).contains("nonce 1"));
        // After its deadline only its turn counts.
        let late = MessageRow { deadline: 99, ..third };
        assert!(held(&late, behind).contains("nonce 1"));
        let turn = Facts { next_nonce: Some(2), listed: (false, false), max_payload: 0, ..facts() };
        assert_eq!(judge(&late, &everything(), &turn), Verdict::Deliver);
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
        /// A search goes on above a block that both have, and above the newest one unless the source has left it.
        #[test]
        fn a_search_goes_on_above_what_the_source_still_has(
            count in 0..1_100usize, kept in 0..1_100usize,
        ) {
            // Heights 1 to `count`, of which the source still has the lowest `kept`.
            let heights = (1..=u64::try_from(count).unwrap()).rev();
            let searched: Vec<_> = heights.map(|height| at(height, 1)).collect();
            let kept = u64::try_from(kept.min(count)).unwrap();
            let from = resume(&searched, |block| block.height <= kept);
            prop_assert_eq!(from.is_none(), kept == 0 || count == 0);
            prop_assert!(from.is_none_or(|from| from <= kept + 1));
            if kept > 0 && usize::try_from(kept).unwrap() == count {
                prop_assert_eq!(from, Some(kept + 1));
            }
            prop_assert!(probes(count).count() <= 12);
        }

        /// What took effect is never handed in again, and nothing is handed in of another block or while it is under way.
        #[test]
        fn nothing_is_delivered_that_should_not_be(
            state in proptest::option::of((1..6u8, any::<bool>())),
            item in stages(),
            indexed in proptest::option::of(1..4u8),
            delivering in any::<bool>(),
        ) {
            let stage = if delivering { MessageStage::Delivering } else { MessageStage::Waiting };
            let row = MessageRow { stage, ..row() };
            let standing = state.and_then(|(code, broken)| Some((State::from_code(code)?, broken)));
            let facts = Facts { indexed: indexed.map(hash), standing, item, ..facts() };
            if judge(&row, &everything(), &facts) == Verdict::Deliver {
                prop_assert!(!matches!(
                    standing,
                    Some((State::Delivered, false) | (State::Expired | State::Guaranteed, _))
                ));
                prop_assert_eq!(indexed, Some(2));
                let under_way = matches!(item, Some(Stage::Planned | Stage::Sent | Stage::Included));
                prop_assert!(!(delivering && under_way));
            }
        }
    }
}
