//! Header download from a peer that nobody vouches for, in two phases and bounded memory.
//!
//! Headers of little work cost nothing to make, so a peer could fill a node's memory with them.
//! Bitcoin Core's remedy (`headerssync.cpp`), written anew: headers are kept only once the branch
//! they belong to has shown the work that is asked for.
//!
//! 1. **Presync.** The peer's branch is walked without storing it: links, proof of work and the
//!    [bounds on difficulty](permitted_difficulty_transition) are checked and work is summed. Of
//!    each [`commitment_period`](PresyncLimits::commitment_period)-th header one salted bit is
//!    kept, which the peer cannot predict.
//! 2. **Redownload.** When the branch has enough work it is asked for again. The same checks are
//!    made and the bits compared. A header is released when
//!    [`buffer`](PresyncLimits::buffer) more have followed it, so that a peer that shows another
//!    branch than before gets one through with a chance of `2^-(buffer / commitment_period)`.
//!
//! Memory is bounded by the buffer and by the number of headers that can exist at all: the median
//! time past rises by a second in at most six blocks, so a branch up to two hours from now has at
//! most six headers for each second since its start.
//!
//! Pure: the caller moves messages, and gives the clock and the salt.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use alloy_primitives::{B256, U256};
use bitcoin_hashes::siphash24;
use thiserror::Error;

use super::{
    header::{Header, sha256d},
    network::NetworkParams,
    pow::ProofOfWork,
    rules::{HeaderError, MAX_FUTURE_BLOCK_TIME, retarget},
    target,
};

/// The most headers of one `headers` message (Core `MAX_HEADERS_RESULTS`).
pub const MAX_HEADERS_PER_MESSAGE: usize = 2_000;

/// The most headers whose times raise the median time past by one second.
const MAX_HEADERS_PER_SECOND: u64 = 6;

/// What memory is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresyncLimits {
    /// One bit is kept for so many headers. Zero counts as one.
    pub commitment_period: u64,
    /// So many headers are held back in the second phase.
    pub buffer: usize,
}

impl Default for PresyncLimits {
    /// For mainnet in 2026 some 0.7 MB of bits at most and 1.2 MB of buffer, and a chance of 2^-24
    /// for a cheating peer, once per attempt and connection.
    fn default() -> Self {
        Self { commitment_period: 600, buffer: 14_400 }
    }
}

/// The known header that a peer's branch starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresyncStart {
    /// Its height.
    pub height: u64,
    /// Its hash, internal byte order.
    pub hash: B256,
    /// Its compact target.
    pub bits: u32,
    /// Cumulative work up to and including it.
    pub chain_work: U256,
    /// Its median time past, seconds.
    pub median_time: u32,
}

/// Which of the two downloads is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The branch is being weighed.
    Presync,
    /// The branch is being downloaded again, to be kept.
    Redownload,
}

/// What the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask the same peer for the headers after this one.
    Request {
        /// A hash of the peer's branch, internal byte order.
        after: B256,
    },
    /// Everything is released; go on without this machine.
    Finished,
}

/// The effects of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "released headers are not kept here"]
pub struct Step {
    /// Headers that the branch has paid for, in order, to be fully checked and stored.
    pub released: Vec<[u8; 80]>,
    /// What to ask next.
    pub next: Next,
}

/// Why a peer's branch is given up. Nothing of it needs to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PresyncError {
    /// A header is no block header of the network.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The difficulty changes where it may not, or by more than it may.
    #[error("bits go from {from:08x} to {to:08x} at height {height}, which no retarget allows")]
    Transition {
        /// Height of the header.
        height: u64,
        /// Bits of its parent.
        from: u32,
        /// Its bits.
        to: u32,
    },
    /// More headers than can have been made since the start.
    #[error("more headers than can exist by now, at height {height}")]
    TooManyHeaders {
        /// Where it was noticed.
        height: u64,
    },
    /// The peer's branch ends before it has enough work.
    #[error("branch ends at height {height} with work {work}, {required} is needed")]
    TooLittleWork {
        /// Height of its end.
        height: u64,
        /// Its work.
        work: U256,
        /// The work asked for.
        required: U256,
    },
    /// The second download differs from the first.
    #[error("headers up to height {height} are not those shown before")]
    Commitment {
        /// Where it was noticed.
        height: u64,
    },
    /// The second download ends where the first went on.
    #[error("branch ends at height {height}, before the work that was shown before")]
    Shortened {
        /// Where it ends.
        height: u64,
    },
}

impl PresyncError {
    /// Whether an honest peer never does this. The others a reorganisation, or a chain that is
    /// just too young, explains as well.
    #[must_use]
    pub const fn is_offence(&self) -> bool {
        match self {
            Self::Header(_) | Self::Transition { .. } | Self::TooManyHeaders { .. } => true,
            Self::TooLittleWork { .. } | Self::Commitment { .. } | Self::Shortened { .. } => false,
        }
    }
}

/// The end of what was walked so far.
#[derive(Debug, Clone, Copy)]
struct Position {
    height: u64,
    hash: B256,
    bits: u32,
    work: U256,
}

/// One peer's two-phase download. After an error it is to be dropped.
#[derive(Debug, Clone)]
pub struct Presync {
    params: NetworkParams,
    limits: PresyncLimits,
    salt: [u64; 2],
    /// Heights with this remainder by the period are committed to.
    offset: u64,
    most_commitments: u64,
    required: U256,
    start: Position,
    at: Position,
    phase: Phase,
    pow: ProofOfWork,
    commitments: BitQueue,
    buffer: VecDeque<[u8; 80]>,
    /// The second download has shown the work as well: nothing is held back any more.
    paid: bool,
}

impl Presync {
    /// A download of the branch from `start` until it has `required` work in all. `salt` must be
    /// random and unknown to the peer; `now` is the clock, seconds since 1970.
    #[must_use]
    pub fn new(
        params: NetworkParams,
        limits: PresyncLimits,
        start: &PresyncStart,
        required: U256,
        now: u64,
        salt: [u64; 2],
    ) -> Self {
        let period = limits.commitment_period.max(1);
        let limits = PresyncLimits { commitment_period: period, ..limits };
        let latest = now.saturating_add(MAX_FUTURE_BLOCK_TIME);
        let seconds = latest.saturating_sub(u64::from(start.median_time));
        let most_headers = seconds.saturating_mul(MAX_HEADERS_PER_SECOND);
        let PresyncStart { height, hash, bits, chain_work: work, .. } = *start;
        let at = Position { height, hash, bits, work };
        Self {
            offset: salted(salt, &hash).checked_rem(period).unwrap_or_default(),
            most_commitments: most_headers.checked_div(period).unwrap_or_default(),
            pow: ProofOfWork::new(params.pow_limit),
            params,
            limits,
            salt,
            required,
            start: at,
            at,
            phase: Phase::Presync,
            commitments: BitQueue::default(),
            buffer: VecDeque::new(),
            paid: false,
        }
    }

    /// The phase under way.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// How far this phase has come.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.at.height
    }

    /// The header that the next message has to follow, internal byte order.
    #[must_use]
    pub const fn end(&self) -> B256 {
        self.at.hash
    }

    /// Bytes held, the struct itself included.
    #[must_use]
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>()
            .saturating_add(self.commitments.memory_usage())
            .saturating_add(self.buffer.capacity().saturating_mul(Header::SIZE))
    }

    /// Takes the headers of one message. A message of less than
    /// [`MAX_HEADERS_PER_MESSAGE`] is the end of the peer's branch.
    ///
    /// # Errors
    /// A [`PresyncError`]: give up this download.
    pub fn step(&mut self, headers: &[[u8; 80]]) -> Result<Step, PresyncError> {
        let more = headers.len() >= MAX_HEADERS_PER_MESSAGE;
        match self.phase {
            Phase::Presync => self.weigh(headers, more),
            Phase::Redownload => self.keep(headers, more),
        }
    }

    fn weigh(&mut self, headers: &[[u8; 80]], more: bool) -> Result<Step, PresyncError> {
        for (index, bytes) in headers.iter().enumerate() {
            self.advance(index, bytes)?;
            if let Some(bit) = self.commitment() {
                if self.commitments.pushed >= self.most_commitments {
                    return Err(PresyncError::TooManyHeaders { height: self.at.height });
                }
                self.commitments.push(bit);
            }
        }
        let Position { height, hash, work, .. } = self.at;
        let after = if work >= self.required {
            self.phase = Phase::Redownload;
            self.at = self.start;
            self.start.hash
        } else if more {
            hash
        } else {
            return Err(PresyncError::TooLittleWork { height, work, required: self.required });
        };
        Ok(Step { released: Vec::new(), next: Next::Request { after } })
    }

    fn keep(&mut self, headers: &[[u8; 80]], more: bool) -> Result<Step, PresyncError> {
        for (index, bytes) in headers.iter().enumerate() {
            self.advance(index, bytes)?;
            self.paid |= self.at.work >= self.required;
            // Beyond that point the branch may have grown since it was weighed.
            if !self.paid
                && let Some(bit) = self.commitment()
                && self.commitments.pop() != Some(bit)
            {
                return Err(PresyncError::Commitment { height: self.at.height });
            }
            self.buffer.push_back(*bytes);
        }
        let held = if self.paid { 0 } else { self.limits.buffer };
        let released = self.buffer.drain(..self.buffer.len().saturating_sub(held)).collect();
        let next = if self.paid {
            Next::Finished
        } else if more {
            Next::Request { after: self.at.hash }
        } else {
            return Err(PresyncError::Shortened { height: self.at.height });
        };
        Ok(Step { released, next })
    }

    /// Checks one header as far as that is possible without its branch, and moves onto it.
    fn advance(&mut self, index: usize, bytes: &[u8; 80]) -> Result<(), PresyncError> {
        let header = Header::parse(bytes);
        if header.prev != self.at.hash {
            return Err(HeaderError::NotContinuous { index }.into());
        }
        let hash = sha256d(bytes);
        let work = self.pow.check(&header, &hash)?;
        let (height, from, to) = (self.at.height.saturating_add(1), self.at.bits, header.bits);
        if !permitted_difficulty_transition(&self.params, height, from, to) {
            return Err(PresyncError::Transition { height, from, to });
        }
        let work = self.at.work.saturating_add(work);
        self.at = Position { height, hash, bits: to, work };
        Ok(())
    }

    /// The bit to be kept of the present position, where one is.
    fn commitment(&self) -> Option<bool> {
        let here = self.at.height.checked_rem(self.limits.commitment_period) == Some(self.offset);
        here.then(|| salted(self.salt, &self.at.hash) & 1 == 1)
    }
}

fn salted([k0, k1]: [u64; 2], hash: &B256) -> u64 {
    siphash24::Hash::hash_to_u64_with_keys(k0, k1, hash.as_slice())
}

/// Whether a header at `height` may have the bits `to` after a parent with `from`, whatever the
/// times of its branch: Core's `PermittedDifficultyTransition`. Networks with minimum-difficulty
/// blocks may change at any block, so there everything is permitted.
#[must_use]
pub fn permitted_difficulty_transition(
    params: &NetworkParams,
    height: u64,
    from: u32,
    to: u32,
) -> bool {
    if params.allow_min_difficulty {
        return true;
    }
    if !params.starts_period(height) || params.no_retargeting {
        return from == to;
    }
    // The bounds go through the compact form, as a real retarget does.
    let scaled = |span| target::decode(retarget(params, 0, span, from)).target;
    let found = target::decode(to).target;
    scaled(0) <= found && found <= scaled(u32::MAX)
}

/// A queue of bits, eight a byte. What is taken out stays allocated: all of it is pushed first.
#[derive(Debug, Clone, Default)]
struct BitQueue {
    bytes: Vec<u8>,
    pushed: u64,
    popped: u64,
}

impl BitQueue {
    const fn place(index: u64) -> (u64, u8) {
        (index / 8, 1u8.wrapping_shl((index % 8) as u32))
    }

    fn push(&mut self, bit: bool) {
        let (_, mask) = Self::place(self.pushed);
        if self.pushed.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if bit && let Some(byte) = self.bytes.last_mut() {
            *byte |= mask;
        }
        self.pushed = self.pushed.saturating_add(1);
    }

    fn pop(&mut self) -> Option<bool> {
        if self.popped >= self.pushed {
            return None;
        }
        let (index, mask) = Self::place(self.popped);
        self.popped = self.popped.saturating_add(1);
        self.bytes.get(usize::try_from(index).ok()?).map(|byte| byte & mask != 0)
    }

    const fn memory_usage(&self) -> usize {
        self.bytes.capacity()
    }
}
