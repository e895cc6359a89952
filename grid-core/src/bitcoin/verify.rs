//! Verifies a run of headers in one pass and keeps none of them: what an auditor does with a file.
//!
//! The rules are those of the light client ([`super::rules`]). A run that starts above genesis has a
//! trusted first header, and some rules look at headers below it: the parent, the eleven times of
//! the median, the period's first block, the last real difficulty. Where what is known does not
//! decide such a rule, the case is counted in [`Unchecked`]; nothing passes in silence. Where it
//! does decide (six known times above a header's own are enough to call it too old), the rule holds.

#[cfg(test)]
mod tests;

use alloy_primitives::{B256, U256};
use serde::Serialize;

use super::{
    header::{Header, shown},
    multihash::hash_all,
    network::NetworkParams,
    pow::ProofOfWork,
    rules::{
        self, BranchContext, HeaderError, MAX_FUTURE_BLOCK_TIME, MAX_TIMEWARP, MEDIAN_TIME_SPAN,
        Parent, PeriodStart,
    },
    target,
};

/// How often a rule could not be decided for want of older headers; by Core's reject names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Unchecked {
    /// The first header's parent.
    #[serde(rename = "prev-blk-not-found")]
    pub parent: u64,
    /// Difficulties.
    #[serde(rename = "bad-diffbits")]
    pub bits: u64,
    /// Times against the median of the last eleven.
    #[serde(rename = "time-too-old")]
    pub median_time: u64,
    /// BIP94's bound on a period's first time.
    #[serde(rename = "time-timewarp-attack")]
    pub timewarp: u64,
}

/// The first header of a run that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadHeader {
    /// Its height.
    pub height: u64,
    /// Its hash, internal byte order.
    pub hash: B256,
    /// The broken rule.
    pub error: HeaderError,
    /// What the rule asks for.
    pub expected: String,
    /// What the header has.
    pub found: String,
}

/// The last good header.
#[derive(Debug, Clone)]
struct Tip {
    height: u64,
    hash: B256,
    bits: u32,
    context: BranchContext,
    /// Whether the context's last real difficulty is known.
    real_known: bool,
    /// Whether the context's period start is known.
    period_known: bool,
}

/// Verifies headers one after the other. See the module's introduction.
#[derive(Debug, Clone)]
pub struct HeaderVerifier {
    params: NetworkParams,
    start_height: u64,
    now_ms: u64,
    pow: ProofOfWork,
    tip: Option<Tip>,
    work: U256,
    retargets: u64,
    unchecked: Unchecked,
}

impl HeaderVerifier {
    /// A verifier of headers from `start_height` on: 0 expects the network's genesis header first,
    /// above it the first header is trusted. `now_ms` is the time against which headers are too new,
    /// milliseconds since 1970.
    #[must_use]
    pub fn new(params: NetworkParams, start_height: u64, now_ms: u64) -> Self {
        Self {
            pow: ProofOfWork::new(params.pow_limit),
            params,
            start_height,
            now_ms,
            tip: None,
            work: U256::ZERO,
            retargets: 0,
            unchecked: Unchecked::default(),
        }
    }

    /// Height and hash (internal byte order) of the last good header.
    #[must_use]
    pub fn tip(&self) -> Option<(u64, B256)> {
        self.tip.as_ref().map(|tip| (tip.height, tip.hash))
    }

    /// Good headers so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.tip
            .as_ref()
            .map_or(0, |tip| tip.height.saturating_sub(self.start_height).saturating_add(1))
    }

    /// Work of the good headers; the chain work if the run starts at genesis.
    #[must_use]
    pub const fn work(&self) -> U256 {
        self.work
    }

    /// Period starts whose difficulty was computed again and compared.
    #[must_use]
    pub const fn retargets(&self) -> u64 {
        self.retargets
    }

    /// Rules that could not be decided.
    #[must_use]
    pub const fn unchecked(&self) -> Unchecked {
        self.unchecked
    }

    /// Verifies the next headers.
    ///
    /// # Errors
    /// The first bad header. Those before it count, and the next call goes on behind them.
    pub fn verify(&mut self, headers: &[[u8; 80]]) -> Result<(), Box<BadHeader>> {
        self.verify_hashed(headers, &hash_all(headers))
    }

    /// As [`Self::verify`], for a caller that has hashed the headers itself with [`hash_all`], on
    /// another thread for example. Wrong hashes give a wrong verdict.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_hashed(
        &mut self,
        headers: &[[u8; 80]],
        hashes: &[B256],
    ) -> Result<(), Box<BadHeader>> {
        headers.iter().zip(hashes).try_for_each(|(raw, hash)| {
            let header = Header::parse(raw);
            self.next(&header, *hash).map_err(|error| Box::new(self.explain(*hash, error)))
        })
    }

    fn next(&mut self, header: &Header, hash: B256) -> Result<(), HeaderError> {
        let work = self.pow.check(header, &hash)?;
        let tip = match self.tip.take() {
            None => self.first(header, hash)?,
            Some(tip) => {
                let next = self.child(&tip, header, hash);
                // A refused header leaves the tip where it was.
                next.inspect_err(|_| self.tip = Some(tip))?
            }
        };
        self.tip = Some(tip);
        self.work = self.work.saturating_add(work);
        Ok(())
    }

    /// The trusted start, or genesis.
    fn first(&mut self, header: &Header, hash: B256) -> Result<Tip, HeaderError> {
        let height = self.start_height;
        if height == 0 && hash != self.params.genesis_hash() {
            return Err(HeaderError::ParentNotFound { parent: header.prev });
        }
        let starts = self.params.starts_period(height);
        if height > 0 {
            rules::check_future(header.time, self.now_ms)?;
            rules::check_version(&self.params, header.version, height)?;
            let timewarp = u64::from(self.params.bip94 && starts);
            self.unchecked = Unchecked { parent: 1, bits: 1, median_time: 1, timewarp };
        }
        let own = PeriodStart { time: header.time, bits: header.bits };
        Ok(Tip {
            height,
            hash,
            bits: header.bits,
            context: BranchContext::start(&[], header.time, header.bits, own),
            real_known: starts || !self.may_be_exception(header.bits),
            period_known: starts,
        })
    }

    fn child(&mut self, tip: &Tip, header: &Header, hash: B256) -> Result<Tip, HeaderError> {
        if header.prev != tip.hash {
            return Err(HeaderError::ParentNotFound { parent: header.prev });
        }
        let height = tip.height.saturating_add(1);
        let starts = self.params.starts_period(height);
        let bits = self.check_bits(tip, header)?;
        let median = check_median_time(tip, header.time)?;
        rules::check_timewarp(&self.params, header.time, height, tip.context.time())?;
        rules::check_future(header.time, self.now_ms)?;
        rules::check_version(&self.params, header.version, height)?;
        self.unchecked.bits = self.unchecked.bits.saturating_add(u64::from(!bits));
        self.unchecked.median_time = self.unchecked.median_time.saturating_add(u64::from(!median));
        self.retargets = self.retargets.saturating_add(u64::from(starts && bits));
        Ok(Tip {
            height,
            hash,
            bits: header.bits,
            context: tip.context.extend(&self.params, height, header.time, header.bits),
            real_known: tip.real_known || starts || !self.may_be_exception(header.bits),
            period_known: tip.period_known || starts,
        })
    }

    /// Whether a header with these bits may be one of least difficulty, after which another returns.
    fn may_be_exception(&self, bits: u32) -> bool {
        self.params.allow_min_difficulty && bits == self.params.limit_bits()
    }

    /// Checks the difficulty; `false` where that takes older headers.
    fn check_bits(&self, tip: &Tip, header: &Header) -> Result<bool, HeaderError> {
        let params = &self.params;
        let starts = params.starts_period(tip.height.saturating_add(1));
        let decided = if starts {
            params.no_retargeting || tip.period_known
        } else {
            !params.allow_min_difficulty
                || tip.real_known
                || rules::is_late(params, tip.context.time(), header.time)
        };
        let parent = Parent { height: tip.height, bits: tip.bits, context: &tip.context };
        if decided {
            rules::check_bits(params, header, &parent)?;
        } else if starts && !params.allow_min_difficulty {
            self.check_factor(tip, header)?;
        }
        Ok(decided)
    }

    /// Whatever the period's first time, the target changes by no more than a factor of four.
    fn check_factor(&self, tip: &Tip, header: &Header) -> Result<(), HeaderError> {
        let bound = |last_time| rules::retarget(&self.params, 0, last_time, tip.bits);
        let (hardest, easiest) = (bound(0), bound(u32::MAX));
        let target = |bits| target::decode(bits).target;
        let expected = if target(header.bits) < target(hardest) {
            hardest
        } else if target(header.bits) > target(easiest) {
            easiest
        } else {
            return Ok(());
        };
        let height = tip.height.saturating_add(1);
        Err(HeaderError::BadDifficulty { height, found: header.bits, expected })
    }

    fn explain(&self, hash: B256, error: HeaderError) -> BadHeader {
        let height = self.tip().map_or(self.start_height, |(height, _)| height.saturating_add(1));
        let limit = &self.params.pow_limit;
        let (expected, found) = match &error {
            HeaderError::HighHash { bits, .. } => match target::valid(*bits, limit) {
                Some(target) => (format!("a hash of at most {target:064x}"), shown(&hash)),
                None => (format!("bits of a target from 1 to {limit:064x}"), format!("{bits:08x}")),
            },
            HeaderError::ParentNotFound { parent } => match &self.tip {
                Some(tip) => (format!("parent {}", shown(&tip.hash)), shown(parent)),
                None => {
                    let genesis = shown(&self.params.genesis_hash());
                    (format!("genesis {genesis}, or a start height above 0"), shown(&hash))
                }
            },
            HeaderError::BadDifficulty { expected, found, .. } => {
                (format!("{expected:08x}"), format!("{found:08x}"))
            }
            HeaderError::TimeTooOld { time, median } => {
                (format!("a time after {median}"), time.to_string())
            }
            HeaderError::Timewarp { time, parent } => {
                let least = i64::from(*parent).saturating_sub(MAX_TIMEWARP);
                (format!("a time from {least} on"), time.to_string())
            }
            HeaderError::TimeTooNew { time, now } => {
                let most = now.saturating_add(MAX_FUTURE_BLOCK_TIME);
                (format!("a time of at most {most}"), time.to_string())
            }
            HeaderError::BadVersion { version, minimum, .. } => {
                (format!("version {minimum} or above"), version.to_string())
            }
            other => (String::from("a valid header"), other.to_string()),
        };
        BadHeader { height, hash, error, expected, found }
    }
}

/// Checks the time against the median of the last eleven; `false` where that takes older headers.
fn check_median_time(tip: &Tip, time: u32) -> Result<bool, HeaderError> {
    let known = tip.context.times();
    let span = usize::try_from(tip.height.saturating_add(1)).unwrap_or(usize::MAX);
    let span = span.min(MEDIAN_TIME_SPAN);
    if known.len() >= span {
        return rules::check_median_time(time, tip.context.median_time()).map(|()| true);
    }
    // The median is the (span / 2)-th of the sorted times, counted from 0: below `time` if more than
    // span / 2 times are, and at least its value with all unknown times as 0.
    let mut sorted = known.to_vec();
    sorted.sort_unstable();
    let unknown = span.saturating_sub(known.len());
    let least = (span / 2).checked_sub(unknown).and_then(|at| sorted.get(at)).copied();
    rules::check_median_time(time, least.unwrap_or_default())?;
    Ok(sorted.iter().filter(|other| **other < time).count() > span / 2)
}
