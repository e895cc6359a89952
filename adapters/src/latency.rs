//! How long an endpoint usually takes, and how long it is worth waiting for.

use core::time::Duration;

/// Smoothed time of an answer and its smoothed deviation, as TCP keeps them for its retransmissions
/// (RFC 6298).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Latency {
    seen: bool,
    smoothed: Duration,
    deviation: Duration,
}

impl Latency {
    /// Takes over how long an answer took.
    pub(crate) fn note(&mut self, took: Duration) {
        if !self.seen {
            *self = Self { seen: true, smoothed: took, deviation: took / 2 };
            return;
        }
        let off = self.smoothed.abs_diff(took);
        self.deviation = (self.deviation * 3 + off) / 4;
        self.smoothed = (self.smoothed * 7 + took) / 8;
    }

    /// How long to wait before another endpoint is asked as well: longer than nearly every answer so far
    /// took, between a quarter of `most` and `most`.
    pub(crate) fn patience(&self, most: Duration) -> Duration {
        if self.seen { (self.smoothed + self.deviation * 4).clamp(most / 4, most) } else { most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn patience_follows_the_endpoint_within_its_bounds() {
        let (mut latency, most) = (Latency::default(), ms(2_000));
        assert_eq!(latency.patience(most), most, "nothing is known");
        (0..50).for_each(|_| latency.note(ms(3)));
        assert_eq!(latency.patience(most), ms(500));
        (0..50).for_each(|_| latency.note(ms(800)));
        assert!(latency.patience(most) > ms(800), "{latency:?}");
        (0..50).for_each(|_| latency.note(ms(60_000)));
        assert_eq!(latency.patience(most), most);
    }
}
