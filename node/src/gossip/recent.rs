//! What was seen lately.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use alloy_primitives::B256;

/// A set of hashes that forgets: between one and two spans after a hash came, or sooner where many come.
#[derive(Debug)]
pub(super) struct Recent {
    young: HashSet<B256>,
    old: HashSet<B256>,
    turned: Instant,
    span: Duration,
    /// Most hashes of one span.
    most: usize,
}

impl Recent {
    pub(super) fn new(span: Duration, most: usize, now: Instant) -> Self {
        Self { young: HashSet::new(), old: HashSet::new(), turned: now, span, most }
    }

    pub(super) fn contains(&self, hash: &B256, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.turned);
        (age < self.span && self.old.contains(hash))
            || (age < self.span * 2 && self.young.contains(hash))
    }

    /// Forgets a hash; says whether it was there.
    pub(super) fn remove(&mut self, hash: &B256) -> bool {
        self.young.remove(hash) | self.old.remove(hash)
    }

    pub(super) fn insert(&mut self, hash: B256, now: Instant) {
        let age = now.saturating_duration_since(self.turned);
        if self.young.len() >= self.most || age >= self.span {
            let young = std::mem::take(&mut self.young);
            self.old = if age < self.span * 2 { young } else { HashSet::new() };
            self.turned = now;
        }
        self.young.insert(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_for_a_span_and_stays_small() {
        let start = Instant::now();
        let span = Duration::from_secs(30);
        let mut recent = Recent::new(span, 100, start);
        let hash = |byte| B256::repeat_byte(byte);
        let at = |spans| start + span * spans;
        recent.insert(hash(1), start);
        recent.insert(hash(2), at(1));
        assert!(recent.contains(&hash(1), at(1)) && recent.contains(&hash(2), at(1)));
        assert!(!recent.contains(&hash(1), at(2)), "time goes on without insertions, too");
        recent.insert(hash(3), at(2));
        assert!(!recent.contains(&hash(1), at(2)));
        assert!(recent.contains(&hash(2), at(2)) && recent.contains(&hash(3), at(3)));
        recent.insert(hash(4), at(9));
        assert!(!recent.contains(&hash(3), at(9)));
        assert!(recent.remove(&hash(4)) && !recent.remove(&hash(4)));
        for number in 0..1_000u64 {
            recent.insert(B256::left_padding_from(&number.to_be_bytes()), at(9));
            assert!(recent.young.len() + recent.old.len() <= 200);
        }
    }
}
