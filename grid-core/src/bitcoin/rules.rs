//! The rules that make a header valid on its branch.
//!
//! Source: Bitcoin Core `validation.cpp` (`ContextualCheckBlockHeader`) and `pow.cpp`
//! (`GetNextWorkRequired`). Errors carry Core's reject names. Everything that a rule looks up below
//! the parent — the last eleven times, the period's first block, the last real difficulty — is
//! carried along in a [`BranchContext`], so each rule is O(1) on any branch.

#[cfg(test)]
mod tests;

use alloy_primitives::{B256, U256};
use thiserror::Error;

use super::{header::Header, network::NetworkParams, target};
use crate::header_tree::TreeError;

/// Times that the median is taken of.
pub const MEDIAN_TIME_SPAN: usize = MEDIAN_COUNT as usize;

const MEDIAN_COUNT: u8 = 11;

/// How far a header's time may be ahead of the clock, seconds (Core `MAX_FUTURE_BLOCK_TIME`).
pub const MAX_FUTURE_BLOCK_TIME: u64 = 7_200;

/// How far a period's first block may be behind its parent under BIP94, seconds.
pub const MAX_TIMEWARP: i64 = 600;

/// Why a header is refused. The first word is the name that Bitcoin Core gives the reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The hash is above the target, or the target is not a valid one.
    #[error("high-hash: block {hash} does not meet bits {bits:08x}")]
    HighHash {
        /// The block hash, internal byte order.
        hash: B256,
        /// The claimed compact target.
        bits: u32,
    },
    /// The parent is unknown, or below the oldest tracked header. Refused headers are not kept, so
    /// what Core calls `bad-prevblk` is this as well.
    #[error("prev-blk-not-found: parent {parent} is not tracked; submit its ancestors first")]
    ParentNotFound {
        /// The parent, internal byte order.
        parent: B256,
    },
    /// Headers of one submission do not form a chain.
    #[error("non-continuous headers: header {index} does not follow the one before it")]
    NotContinuous {
        /// Position in the submission.
        index: usize,
    },
    /// The difficulty is not the one that the branch asks for.
    #[error("bad-diffbits: bits {found:08x} at height {height}, expected {expected:08x}")]
    BadDifficulty {
        /// Height of the header.
        height: u64,
        /// Its bits.
        found: u32,
        /// The bits required.
        expected: u32,
    },
    /// Not after the median time of the last eleven blocks.
    #[error("time-too-old: time {time} is not after the median time past {median}")]
    TimeTooOld {
        /// The header's time.
        time: u32,
        /// Median of the last eleven times.
        median: u32,
    },
    /// BIP94: the first block of a period goes back too far.
    #[error(
        "time-timewarp-attack: time {time} is more than {MAX_TIMEWARP} s before its parent's {parent}"
    )]
    Timewarp {
        /// The header's time.
        time: u32,
        /// The parent's time.
        parent: u32,
    },
    /// More than two hours ahead of the clock. It may become valid.
    #[error(
        "time-too-new: time {time} is more than {MAX_FUTURE_BLOCK_TIME} s after the block time {now}; try again later"
    )]
    TimeTooNew {
        /// The header's time.
        time: u32,
        /// The clock, seconds.
        now: u64,
    },
    /// A version that a soft fork has retired.
    #[error("bad-version(0x{version:08x}): height {height} asks for version {minimum} or above")]
    BadVersion {
        /// The header's version.
        version: i32,
        /// Height of the header.
        height: u64,
        /// The least version.
        minimum: i32,
    },
    /// The branch has too little work to be stored.
    #[error(
        "too-little-chainwork: branch has work {work}, {required} is needed to be stored beside the best chain"
    )]
    TooLittleWork {
        /// Cumulative work of the branch.
        work: U256,
        /// The least that is stored.
        required: U256,
    },
    /// The tree refused it.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl HeaderError {
    /// The name that Bitcoin Core gives the reason, without a version's number behind it.
    #[must_use]
    pub const fn reject_name(&self) -> &'static str {
        match self {
            Self::HighHash { .. } => "high-hash",
            Self::ParentNotFound { .. } => "prev-blk-not-found",
            Self::NotContinuous { .. } => "non-continuous-headers-sequence",
            Self::BadDifficulty { .. } => "bad-diffbits",
            Self::TimeTooOld { .. } => "time-too-old",
            Self::Timewarp { .. } => "time-timewarp-attack",
            Self::TimeTooNew { .. } => "time-too-new",
            Self::BadVersion { .. } => "bad-version",
            Self::TooLittleWork { .. } => "too-little-chainwork",
            Self::Tree(_) => "not-stored",
        }
    }

    /// Whether the same header may be accepted later without any change.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::TimeTooNew { .. } | Self::ParentNotFound { .. } | Self::Tree(TreeError::Full)
        )
    }
}

/// The first block of a retargeting period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeriodStart {
    /// Its time, seconds since 1970.
    pub time: u32,
    /// Its compact target.
    pub bits: u32,
}

/// What the next header's rules need to know of the branch that ends in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BranchContext {
    /// The last times, the header's own at the end; the first `11 - count` are unused and zero.
    times: [u32; MEDIAN_TIME_SPAN],
    count: u8,
    /// Where Core's walk back over minimum-difficulty blocks ends.
    last_real_bits: u32,
    period_start: PeriodStart,
}

impl BranchContext {
    /// Bytes of the stored form.
    pub const SIZE: usize = 57;

    /// The context of a trusted start: up to ten times before it (oldest first), its own fields,
    /// and what the branch below it holds.
    #[must_use]
    pub fn start(
        previous_times: &[u32],
        time: u32,
        last_real_bits: u32,
        period_start: PeriodStart,
    ) -> Self {
        let mut context = Self { last_real_bits, period_start, ..Self::default() };
        for time in previous_times.iter().chain([&time]) {
            context.push_time(*time);
        }
        context
    }

    fn push_time(&mut self, time: u32) {
        self.times.rotate_left(1);
        if let Some(last) = self.times.last_mut() {
            *last = time;
        }
        self.count = self.count.saturating_add(1).min(MEDIAN_COUNT);
    }

    /// The context of a child of this branch.
    #[must_use]
    pub fn extend(&self, params: &NetworkParams, height: u64, time: u32, bits: u32) -> Self {
        let mut next = *self;
        next.advance(params, height, time, bits);
        next
    }

    /// Becomes the context of a child of this branch.
    pub(crate) fn advance(&mut self, params: &NetworkParams, height: u64, time: u32, bits: u32) {
        self.push_time(time);
        if params.starts_period(height) {
            self.period_start = PeriodStart { time, bits };
        }
        self.last_real_bits = real_bits(params, height, bits, self.last_real_bits);
    }

    /// The last times, oldest first, the header's own at the end.
    #[must_use]
    pub fn times(&self) -> &[u32] {
        let unused = MEDIAN_TIME_SPAN.saturating_sub(usize::from(self.count));
        self.times.get(unused..).unwrap_or_default()
    }

    /// Where Core's walk back over minimum-difficulty blocks ends.
    #[must_use]
    pub const fn last_real_bits(&self) -> u32 {
        self.last_real_bits
    }

    /// The first block of the retargeting period that the header belongs to.
    #[must_use]
    pub const fn period_start(&self) -> PeriodStart {
        self.period_start
    }

    /// The median of the last eleven times, or of all where there are fewer.
    #[must_use]
    pub fn median_time(&self) -> u32 {
        let mut times = self.times;
        let count = usize::from(self.count.min(MEDIAN_COUNT));
        let unused = MEDIAN_TIME_SPAN.saturating_sub(count);
        let Some(used) = times.get_mut(unused..) else { return 0 };
        used.sort_unstable();
        used.get(count / 2).copied().unwrap_or_default()
    }

    /// The branch's last time, that is the header's own.
    #[must_use]
    pub fn time(&self) -> u32 {
        self.times.last().copied().unwrap_or_default()
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut out = [0u8; Self::SIZE];
        let numbers = [self.last_real_bits, self.period_start.time, self.period_start.bits];
        let fields = self.times.iter().chain(&numbers).flat_map(|number| number.to_be_bytes());
        for (to, from) in out.iter_mut().zip([self.count].into_iter().chain(fields)) {
            *to = from;
        }
        out
    }

    /// Reads the stored form; `None` for bytes that [`Self::to_bytes`] never writes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let (count, fields) = bytes.split_first()?;
        let (words, _) = fields.as_chunks::<4>();
        let mut words = words.iter().map(|word| u32::from_be_bytes(*word));
        let mut context = Self { count: *count, ..Self::default() };
        for time in &mut context.times {
            *time = words.next()?;
        }
        context.last_real_bits = words.next()?;
        context.period_start = PeriodStart { time: words.next()?, bits: words.next()? };
        let unused = MEDIAN_TIME_SPAN.checked_sub(usize::from(*count))?;
        let clean = context.times.iter().take(unused).all(|time| *time == 0);
        (clean && *count > 0).then_some(context)
    }
}

/// Where Core's walk back over minimum-difficulty blocks ends for a header of these bits: at
/// itself, or where its parent's ended.
pub(crate) fn real_bits(params: &NetworkParams, height: u64, bits: u32, parent: u32) -> u32 {
    let is_exception =
        params.allow_min_difficulty && bits == params.limit_bits() && !params.starts_period(height);
    if is_exception { parent } else { bits }
}

/// A branch's last header as the rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Parent<'a> {
    /// Its height.
    pub height: u64,
    /// Its compact target.
    pub bits: u32,
    /// Its branch.
    pub context: &'a BranchContext,
}

/// The bits that a child of `parent` with time `time` must have: Core's `GetNextWorkRequired`.
#[must_use]
pub fn next_work_required(params: &NetworkParams, parent: &Parent<'_>, time: u32) -> u32 {
    if !params.starts_period(parent.height.saturating_add(1)) {
        if !params.allow_min_difficulty {
            return parent.bits;
        }
        return if is_late(params, parent.context.time(), time) {
            params.limit_bits()
        } else {
            parent.context.last_real_bits
        };
    }
    if params.no_retargeting {
        return parent.bits;
    }
    // The period has one interval less than blocks: the off-by-one is consensus.
    let first = parent.context.period_start;
    let base = if params.bip94 { first.bits } else { parent.bits };
    retarget(params, first.time, parent.context.time(), base)
}

/// Whether a block comes so late after its parent that the least difficulty is allowed, where a
/// network allows it at all.
pub(super) fn is_late(params: &NetworkParams, parent_time: u32, time: u32) -> bool {
    let patience = i64::from(params.spacing).saturating_mul(2);
    i64::from(time) > i64::from(parent_time).saturating_add(patience)
}

/// The bits after a period that started and ended at these times: Core's
/// `CalculateNextWorkRequired`. `base` is the compact target that is scaled.
#[must_use]
pub fn retarget(params: &NetworkParams, first_time: u32, last_time: u32, base: u32) -> u32 {
    let wanted = i64::from(params.timespan);
    // Times may run backwards; a negative span counts as the shortest.
    let span = i64::from(last_time)
        .saturating_sub(i64::from(first_time))
        .clamp(wanted / 4, wanted.saturating_mul(4));
    // Core cuts the product to 256 bits; `NetworkParams::validate` refuses limits that get there.
    let scaled = target::decode(base)
        .target
        .wrapping_mul(U256::from(span.unsigned_abs()))
        .checked_div(U256::from(params.timespan))
        .unwrap_or_default();
    target::encode(&scaled.min(params.pow_limit))
}

/// Checks a header, whose proof of work is checked already, against its branch.
///
/// # Errors
/// The first broken rule, in Core's order.
pub fn check_contextual(
    params: &NetworkParams,
    header: &Header,
    parent: &Parent<'_>,
    now_ms: u64,
) -> Result<(), HeaderError> {
    let height = parent.height.saturating_add(1);
    check_bits(params, header, parent)?;
    check_median_time(header.time, parent.context.median_time())?;
    check_timewarp(params, header.time, height, parent.context.time())?;
    check_future(header.time, now_ms)?;
    check_version(params, header.version, height)
}

/// The difficulty is the one that the branch asks for.
pub(super) fn check_bits(
    params: &NetworkParams,
    header: &Header,
    parent: &Parent<'_>,
) -> Result<(), HeaderError> {
    let (found, expected) = (header.bits, next_work_required(params, parent, header.time));
    if found == expected {
        return Ok(());
    }
    Err(HeaderError::BadDifficulty { height: parent.height.saturating_add(1), found, expected })
}

/// The time is after the median of the last eleven.
pub(super) const fn check_median_time(time: u32, median: u32) -> Result<(), HeaderError> {
    if time > median { Ok(()) } else { Err(HeaderError::TimeTooOld { time, median }) }
}

/// BIP94: a period's first block is at most ten minutes before its parent.
pub(super) fn check_timewarp(
    params: &NetworkParams,
    time: u32,
    height: u64,
    parent: u32,
) -> Result<(), HeaderError> {
    let least = i64::from(parent).saturating_sub(MAX_TIMEWARP);
    if params.bip94 && params.starts_period(height) && i64::from(time) < least {
        return Err(HeaderError::Timewarp { time, parent });
    }
    Ok(())
}

/// The time is at most two hours after the clock's.
pub(super) fn check_future(time: u32, now_ms: u64) -> Result<(), HeaderError> {
    let now = now_ms / 1000;
    if u64::from(time) > now.saturating_add(MAX_FUTURE_BLOCK_TIME) {
        return Err(HeaderError::TimeTooNew { time, now });
    }
    Ok(())
}

/// No soft fork has retired the version.
pub(super) fn check_version(
    params: &NetworkParams,
    version: i32,
    height: u64,
) -> Result<(), HeaderError> {
    let forks = [(2, params.bip34_height), (3, params.bip66_height), (4, params.bip65_height)];
    for (minimum, from) in forks {
        if version < minimum && height >= from {
            return Err(HeaderError::BadVersion { version, height, minimum });
        }
    }
    Ok(())
}
