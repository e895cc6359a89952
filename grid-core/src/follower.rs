//! The follower: a light client and a confirmation rule as one machine of inputs and effects.
//!
//! Adapters feed it what a source says and the clock; it tells what changed. It holds no IO and
//! keeps no time of its own, so a recorded run can be replayed.

use alloy_primitives::B256;

use crate::{
    confirm::ConfirmationRule,
    header_tree::TipChange,
    light_client::{ClientError, Evidence, LightClient},
};

/// What a follower is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Headers from a source.
    Headers(Evidence),
    /// The time, milliseconds since 1970. It never runs backwards: an earlier time than the last is
    /// taken as the last.
    Clock(u64),
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// The best branch ends in another header.
    NewTip {
        /// Its height.
        height: u64,
        /// Its hash.
        hash: B256,
    },
    /// The best branch changed below its tip; follows the `NewTip` of the same step.
    Reorg {
        /// Height and hash of the last common header.
        common: (u64, B256),
        /// Headers left behind, highest first.
        removed: Vec<B256>,
        /// Headers taken up, lowest first.
        added: Vec<B256>,
    },
    /// Headers that were reported as confirmed are not on the best branch any more.
    Reverted {
        /// First such height.
        from: u64,
        /// Last such height.
        to: u64,
    },
    /// Headers of the best branch are confirmed now.
    Confirmed {
        /// First height.
        from: u64,
        /// Last height.
        to: u64,
    },
    /// A header was refused; those before it in the same input count.
    Rejected {
        /// Why.
        reason: ClientError,
    },
}

/// Follows one chain. See the module's introduction.
#[derive(Debug, Clone)]
pub struct Follower {
    client: LightClient,
    rule: ConfirmationRule,
    now_ms: u64,
    /// The last height reported as confirmed, or the height below the first.
    confirmed: Option<u64>,
}

impl Follower {
    /// A follower that has reported nothing. The clock stands at 0 until the first
    /// [`Input::Clock`], at which Bitcoin headers are too new: set it first.
    #[must_use]
    pub const fn new(client: LightClient, rule: ConfirmationRule) -> Self {
        Self { client, rule, now_ms: 0, confirmed: None }
    }

    /// The light client.
    #[must_use]
    pub const fn client(&self) -> &LightClient {
        &self.client
    }

    /// The greatest height reported as confirmed.
    #[must_use]
    pub const fn confirmed(&self) -> Option<u64> {
        self.confirmed
    }

    /// When the next [`Input::Clock`] may have an effect, milliseconds since 1970.
    #[must_use]
    pub fn next_clock_ms(&self) -> Option<u64> {
        self.rule.next_change_ms(self.client.tree(), self.now_ms)
    }

    /// Drops headers more than `window` below the confirmed tip, a whole chunk of heights at a time.
    pub fn prune(&mut self, window: u64) {
        let chunk = crate::header_tree::CHUNK_HEIGHTS;
        if let Some(height) = self.confirmed.and_then(|height| height.checked_sub(window)) {
            let first = (height / chunk).saturating_mul(chunk);
            self.client.prune(first);
        }
    }

    /// Takes one input and tells what it changed, in the order in which it happened.
    pub fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Clock(now_ms) => self.now_ms = self.now_ms.max(now_ms),
            Input::Headers(evidence) => {
                let accepted = self.client.accept(&evidence, self.now_ms);
                self.report_tip(accepted.change, &mut effects);
                let (_, settled) = self.client.settle(u64::MAX, self.now_ms);
                self.report_tip(settled, &mut effects);
                effects.extend(accepted.rejected.map(|reason| Effect::Rejected { reason }));
            }
        }
        self.report_confirmed(&mut effects);
        effects
    }

    fn report_tip(&mut self, change: TipChange, effects: &mut Vec<Effect>) {
        if matches!(change, TipChange::Known | TipChange::Side) {
            return;
        }
        let tip = self.client.tip();
        effects.push(Effect::NewTip { height: tip.height(), hash: tip.hash() });
        let TipChange::Reorg(reorg) = change else { return };
        let common = reorg.common.0;
        effects.push(Effect::Reorg {
            common: reorg.common,
            removed: reorg.removed,
            added: reorg.added,
        });
        if let Some(to) = self.confirmed.filter(|confirmed| *confirmed > common) {
            effects.push(Effect::Reverted { from: common.saturating_add(1), to });
            self.confirmed = Some(common);
        }
    }

    fn report_confirmed(&mut self, effects: &mut Vec<Effect>) {
        let tree = self.client.tree();
        let Some(to) = self.rule.confirmed_height(tree, self.now_ms) else { return };
        let from = match self.confirmed {
            Some(last) if last >= to => return,
            Some(last) => last.saturating_add(1),
            None => tree.base().height(),
        };
        self.confirmed = Some(to);
        effects.push(Effect::Confirmed { from, to });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bitcoin::{BitcoinClient, Header, NetworkParams, testing::run},
        ethereum::AttestError,
    };

    const NOW_MS: u64 = 2_000_000_000_000;

    fn follower(blocks: u64) -> (Follower, Header) {
        let params = NetworkParams::regtest();
        let genesis = Header::parse(&params.genesis.0);
        let client = BitcoinClient::from_genesis(params).expect("built in");
        let rule = ConfirmationRule::Depth { blocks };
        let mut follower = Follower::new(LightClient::Bitcoin(client), rule);
        assert_eq!(
            follower.step(Input::Clock(NOW_MS)),
            if blocks > 1 { vec![] } else { vec![Effect::Confirmed { from: 0, to: 0 }] }
        );
        (follower, genesis)
    }

    fn headers(headers: &[Header]) -> Input {
        Input::Headers(Evidence::BitcoinHeaders(headers.iter().map(Header::to_bytes).collect()))
    }

    #[test]
    fn tips_and_confirmations_are_reported_once() {
        let (mut follower, genesis) = follower(3);
        let chain = run(&genesis, 5, 600, 1);
        let effects = follower.step(headers(&chain[..4]));
        let expected = [
            Effect::NewTip { height: 4, hash: chain[3].hash() },
            Effect::Confirmed { from: 0, to: 2 },
        ];
        assert_eq!(effects, expected);
        assert_eq!(follower.step(headers(&chain[..4])), []);
        let expected = [
            Effect::NewTip { height: 5, hash: chain[4].hash() },
            Effect::Confirmed { from: 3, to: 3 },
        ];
        assert_eq!(follower.step(headers(&chain)), expected);
        assert_eq!(follower.confirmed(), Some(3));
    }

    #[test]
    fn a_reorganisation_takes_back_what_it_unconfirms() {
        let (mut follower, genesis) = follower(2);
        let main = run(&genesis, 4, 600, 1);
        follower.step(headers(&main));
        let side = run(&main[0], 4, 601, 2);
        assert_eq!(follower.step(headers(&side[..3])), [], "a tie changes nothing");
        let hashes = |headers: &[Header]| headers.iter().map(Header::hash).collect::<Vec<_>>();
        let mut removed = hashes(&main[1..]);
        removed.reverse();
        let expected = [
            Effect::NewTip { height: 5, hash: side[3].hash() },
            Effect::Reorg { common: (1, main[0].hash()), removed, added: hashes(&side) },
            Effect::Reverted { from: 2, to: 3 },
            Effect::Confirmed { from: 2, to: 4 },
        ];
        assert_eq!(follower.step(headers(&side)), expected);
    }

    #[test]
    fn time_alone_confirms_and_never_runs_backwards() {
        let (follower, genesis) = follower(1);
        let client = follower.client().clone();
        let mut follower = Follower::new(client, ConfirmationRule::Age { secs: 60 });
        let chain = run(&genesis, 2, 600, 1);
        let ripe = |header: &Header| (u64::from(header.time) + 60) * 1000;
        follower.step(Input::Clock(u64::from(chain[0].time) * 1000));
        follower.step(headers(&chain));
        assert_eq!(follower.confirmed(), Some(0));
        assert_eq!(follower.next_clock_ms(), Some(ripe(&chain[0])));
        assert_eq!(follower.step(Input::Clock(ripe(&chain[0]) - 1)), []);
        let confirmed = [Effect::Confirmed { from: 1, to: 1 }];
        assert_eq!(follower.step(Input::Clock(ripe(&chain[0]))), confirmed);
        assert_eq!(follower.step(Input::Clock(0)), []);
        assert_eq!(follower.step(Input::Clock(u64::MAX)), [Effect::Confirmed { from: 2, to: 2 }]);
        assert_eq!(follower.next_clock_ms(), None);
    }

    #[test]
    fn what_is_refused_is_reported_after_what_was_stored() {
        let (mut follower, genesis) = follower(10);
        let mut chain = run(&genesis, 3, 600, 1);
        chain[2].version = 1;
        let chain = [chain[0], chain[1], crate::bitcoin::testing::mine(chain[2])];
        let effects = follower.step(headers(&chain));
        assert!(matches!(
            effects[..],
            [Effect::NewTip { height: 2, .. }, Effect::Rejected { reason: ClientError::Header(_) }]
        ));
        let foreign =
            Evidence::AttestedHeaders { headers: vec![Default::default()], signatures: vec![] };
        let expected = ClientError::WrongKind { expected: "bitcoin headers" };
        assert_eq!(follower.step(Input::Headers(foreign)), [Effect::Rejected { reason: expected }]);
        let nothing = Evidence::BitcoinHeaders(vec![]);
        let rejected = [Effect::Rejected { reason: ClientError::Empty }];
        assert_eq!(follower.step(Input::Headers(nothing)), rejected);
        assert!(!ClientError::from(AttestError::Order(1)).is_transient());
    }

    #[test]
    fn old_headers_are_pruned_by_whole_chunks() {
        let (mut follower, genesis) = follower(1);
        follower.step(headers(&run(&genesis, 300, 600, 1)));
        follower.prune(100);
        assert_eq!(follower.client().tree().base().height(), 192);
        follower.prune(1_000);
        assert_eq!(follower.client().tree().len(), 109);
    }
}
