//! The Bitcoin light client: header rules over a header tree.

use alloy_primitives::{B256, FixedBytes, U256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    header::{Header, sha256d},
    multihash::hash_all,
    network::{NetworkError, NetworkParams},
    pow::ProofOfWork,
    rules::{BranchContext, HeaderError, MEDIAN_TIME_SPAN, Parent, PeriodStart, check_contextual},
    target,
};
use crate::{
    ChainKey,
    header_tree::{HeaderTree, RawHeader, TipChange, TrackedHeader, TreeError, TreeKind, TreeMeta},
    light_client::{Accepted, ClientError},
};

/// By how many blocks' work a branch may be behind the tip and still be stored: Bitcoin Core's
/// anti-spam threshold, a day of blocks.
pub const DEFAULT_MAX_BEHIND: u64 = 144;

/// The most headers in one submission: three difficulty periods, 484 KB. A branch is judged by the
/// work of a whole submission, so it is as long as the deepest reorganisation that must be possible:
/// two periods, and what was mined meanwhile.
pub const MAX_HEADERS_PER_SUBMISSION: usize = 6_048;

/// A trusted start: a header, and what the rules need to know from below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checkpoint {
    /// Height of the header.
    pub height: u64,
    /// The 80 bytes.
    pub header: FixedBytes<80>,
    /// Cumulative work up to and including the header.
    pub chain_work: U256,
    /// Times of the headers below it, oldest first, ending with its parent's: at least ten, or all
    /// there are; at most eleven.
    pub previous_times: Vec<u32>,
    /// The first block of the retargeting period that the header belongs to.
    pub period_start: PeriodStart,
    /// Only needed where the header has the least difficulty of a network that allows it at any
    /// time: the bits of the last header below it that is not such, or is a period's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_real_bits: Option<u32>,
}

/// Why a checkpoint cannot be started from.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The network's parameters are unusable.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The header does not meet its own target.
    #[error("checkpoint header {hash} has no valid proof of work for this network")]
    ProofOfWork {
        /// Its hash, internal byte order.
        hash: B256,
    },
    /// Height 0, but not the genesis header.
    #[error("checkpoint at height 0 is {hash}, not the network's genesis header")]
    Genesis {
        /// Its hash, internal byte order.
        hash: B256,
    },
    /// Too few or too many previous times.
    #[error("checkpoint at height {height} needs {needed} to 11 previous times, found {found}")]
    PreviousTimes {
        /// Height of the checkpoint.
        height: u64,
        /// The least number.
        needed: u64,
        /// The number given.
        found: usize,
    },
    /// The header is the first of its period, but `period_start` says something else.
    #[error(
        "checkpoint at height {height} starts a period, so periodStart must be its own time and bits"
    )]
    PeriodStart {
        /// Height of the checkpoint.
        height: u64,
    },
    /// The header's work alone is more than the chain's.
    #[error("checkpoint's chain work {chain_work} is less than the work {work} of its last header")]
    ChainWork {
        /// The work given.
        chain_work: U256,
        /// The work of the header alone.
        work: U256,
    },
    /// A minimum-difficulty header without the difficulty that resumes after it.
    #[error("checkpoint at height {height} has the least difficulty; give lastRealBits")]
    LastRealBits {
        /// Height of the checkpoint.
        height: u64,
    },
}

impl Checkpoint {
    /// The start that needs no trust: the network's genesis.
    #[must_use]
    pub fn genesis(params: &NetworkParams) -> Self {
        let header = Header::parse(&params.genesis.0);
        Self {
            height: 0,
            header: params.genesis,
            chain_work: target::work(&target::decode(header.bits).target),
            previous_times: Vec::new(),
            period_start: PeriodStart { time: header.time, bits: header.bits },
            last_real_bits: None,
        }
    }

    fn base(&self, params: &NetworkParams) -> Result<TrackedHeader, CheckpointError> {
        params.validate()?;
        let header = Header::parse(&self.header.0);
        let (height, hash) = (self.height, sha256d(self.header.as_slice()));
        let target = target::valid(header.bits, &params.pow_limit)
            .filter(|target| target::hash_number(&hash) <= *target)
            .ok_or(CheckpointError::ProofOfWork { hash })?;
        if height == 0 && self.header != params.genesis {
            return Err(CheckpointError::Genesis { hash });
        }
        let needed = height.min(const { MEDIAN_TIME_SPAN as u64 - 1 });
        let found = self.previous_times.len();
        if (found as u64) < needed || found > MEDIAN_TIME_SPAN || found as u64 > height {
            return Err(CheckpointError::PreviousTimes { height, needed, found });
        }
        let own = PeriodStart { time: header.time, bits: header.bits };
        let starts = params.starts_period(height);
        if starts && self.period_start != own {
            return Err(CheckpointError::PeriodStart { height });
        }
        let work = target::work(&target);
        if self.chain_work < work {
            return Err(CheckpointError::ChainWork { chain_work: self.chain_work, work });
        }
        let is_exception =
            params.allow_min_difficulty && !starts && header.bits == params.limit_bits();
        let last_real_bits = if is_exception {
            self.last_real_bits.ok_or(CheckpointError::LastRealBits { height })?
        } else {
            header.bits
        };
        let context = BranchContext::start(
            &self.previous_times,
            header.time,
            last_real_bits,
            self.period_start,
        );
        Ok(TrackedHeader {
            header: header.compat(params.chain_id().key(), height, hash),
            weight: self.chain_work,
            seen: 0,
            raw: RawHeader::Bitcoin { bytes: self.header.0, context },
        })
    }
}

/// A header whose proof of work is checked.
struct Proven {
    header: Header,
    hash: B256,
    work: U256,
}

/// The end of a branch as the rules see it; carried along while the branch grows.
struct Branch {
    height: u64,
    bits: u32,
    context: BranchContext,
}

impl Branch {
    const fn as_parent(&self) -> Parent<'_> {
        Parent { height: self.height, bits: self.bits, context: &self.context }
    }
}

/// Follows one Bitcoin network by its headers, all branches, from a trusted start.
#[derive(Debug, Clone)]
pub struct BitcoinClient {
    params: NetworkParams,
    chain: ChainKey,
    tree: HeaderTree,
    max_behind: u64,
    proof_of_work: ProofOfWork,
}

impl BitcoinClient {
    /// A client that trusts `start`.
    ///
    /// # Errors
    /// [`CheckpointError`] where the start contradicts itself or the network.
    pub fn new(params: NetworkParams, start: &Checkpoint) -> Result<Self, CheckpointError> {
        let base = start.base(&params)?;
        Ok(Self::over(params, HeaderTree::new(base)))
    }

    /// A client from genesis.
    ///
    /// # Errors
    /// [`CheckpointError`] where the parameters are unusable.
    pub fn from_genesis(params: NetworkParams) -> Result<Self, CheckpointError> {
        let start = Checkpoint::genesis(&params);
        Self::new(params, &start)
    }

    /// A client from its stored tree; see [`HeaderTree::from_chunks`].
    ///
    /// # Errors
    /// [`TreeError`] where a chunk cannot be read.
    pub fn load(
        params: NetworkParams,
        meta: &TreeMeta,
        chunks: impl IntoIterator<Item = (u64, Vec<u8>)>,
    ) -> Result<Self, TreeError> {
        let kind = TreeKind::Bitcoin { chain: params.chain_id().key(), params: &params };
        let tree = HeaderTree::from_chunks(kind, meta, chunks)?;
        Ok(Self::over(params, tree))
    }

    fn over(params: NetworkParams, tree: HeaderTree) -> Self {
        let chain = tree.chain();
        let proof_of_work = ProofOfWork::new(params.pow_limit);
        Self { params, chain, tree, max_behind: DEFAULT_MAX_BEHIND, proof_of_work }
    }

    /// Stores branches up to this many blocks' work behind the tip, instead of
    /// [`DEFAULT_MAX_BEHIND`].
    #[must_use]
    pub const fn with_max_behind(mut self, blocks: u64) -> Self {
        self.max_behind = blocks;
        self
    }

    /// The network's rules.
    #[must_use]
    pub const fn params(&self) -> &NetworkParams {
        &self.params
    }

    /// The chain's key.
    #[must_use]
    pub const fn chain(&self) -> ChainKey {
        self.chain
    }

    /// The tracked headers.
    #[must_use]
    pub const fn tree(&self) -> &HeaderTree {
        &self.tree
    }

    /// The tracked headers, to prune or store them.
    pub const fn tree_mut(&mut self) -> &mut HeaderTree {
        &mut self.tree
    }

    /// Checks one header and stores it. `now_ms` is the Grid block time.
    ///
    /// # Errors
    /// The broken rule; nothing is stored then.
    pub fn accept(&mut self, raw: &[u8; 80], now_ms: u64) -> Result<TipChange, HeaderError> {
        let (header, hash) = (Header::parse(raw), sha256d(raw));
        let work = self.proof_of_work.check(&header, &hash)?;
        let proven = Proven { header, hash, work };
        if self.tree.get(&proven.hash).is_some() {
            return Ok(TipChange::Known);
        }
        self.check_work(&proven.header.prev, proven.work)?;
        let mut branch = self.branch(&proven.header.prev)?;
        self.store(&mut branch, &proven, now_ms)
    }

    /// Checks a run of headers, each the child of the one before, and stores those up to the first
    /// bad one. Headers that are known already are skipped.
    ///
    /// A branch is judged by the work of the whole run, all of it proven before anything is stored:
    /// a long branch may start far behind the tip if it ends near it.
    ///
    /// Refused headers are not kept, so what Core calls `bad-prevblk` does not occur: within a run
    /// nothing after a refused header is looked at, and later its children have an unknown parent.
    #[must_use = "the outcome says which headers were refused"]
    pub fn accept_all(&mut self, raw: &[[u8; 80]], now_ms: u64) -> Accepted {
        let old_tip = self.tree.tip().hash();
        let (run, rejected) = self.prove_all(raw);
        let known = run.iter().take_while(|proven| self.tree.get(&proven.hash).is_some()).count();
        let mut accepted = Accepted { known, ..Accepted::default() };
        let run = run.get(known..).unwrap_or_default();
        let stored = self.store_all(run, now_ms, &mut accepted.added);
        accepted.rejected = stored.err().map(ClientError::from).or(rejected);
        accepted.finish(&self.tree, old_tip)
    }

    /// The run up to the first header without proof of work or link to the one before, and why it
    /// ends there.
    fn prove_all(&mut self, raw: &[[u8; 80]]) -> (Vec<Proven>, Option<ClientError>) {
        let taken = raw.get(..MAX_HEADERS_PER_SUBMISSION).unwrap_or(raw);
        let mut run: Vec<Proven> = Vec::with_capacity(taken.len());
        for (index, (bytes, hash)) in taken.iter().zip(hash_all(taken)).enumerate() {
            let header = Header::parse(bytes);
            let work = match self.proof_of_work.check(&header, &hash) {
                Ok(work) => work,
                Err(error) => return (run, Some(error.into())),
            };
            if run.last().is_some_and(|previous| previous.hash != header.prev) {
                return (run, Some(HeaderError::NotContinuous { index }.into()));
            }
            run.push(Proven { header, hash, work });
        }
        let too_many = ClientError::TooMany { found: raw.len(), most: taken.len() };
        (run, (taken.len() < raw.len()).then_some(too_many))
    }

    /// Anti-spam: a branch that ends more than `max_behind` blocks' work behind the tip is not
    /// stored. Bounded by work, not by count, so that nobody can crowd out an honest branch.
    fn check_work(&self, parent: &B256, added: U256) -> Result<(), HeaderError> {
        let below = self.tree.get(parent).ok_or(HeaderError::ParentNotFound { parent: *parent })?;
        let work = below.weight().saturating_add(added);
        let tip = self.tree.tip();
        if work >= tip.weight() {
            return Ok(());
        }
        let tip_bits = tip.bitcoin().map_or(0, |header| header.bits);
        let tip_work = target::work(&target::decode(tip_bits).target);
        let allowed = tip_work.saturating_mul(U256::from(self.max_behind));
        let required = tip.weight().saturating_sub(allowed);
        if work < required {
            return Err(HeaderError::TooLittleWork { work, required });
        }
        Ok(())
    }

    /// Checks a proven run in its context and stores it, counting.
    fn store_all(
        &mut self,
        run: &[Proven],
        now_ms: u64,
        added: &mut usize,
    ) -> Result<(), HeaderError> {
        let Some(first) = run.first() else { return Ok(()) };
        let work = run.iter().fold(U256::ZERO, |sum, proven| sum.saturating_add(proven.work));
        self.check_work(&first.header.prev, work)?;
        let mut branch = self.branch(&first.header.prev)?;
        self.tree.reserve(run.len());
        for proven in run {
            self.store(&mut branch, proven, now_ms)?;
            *added = added.saturating_add(1);
        }
        Ok(())
    }

    /// The branch that ends in a tracked header.
    fn branch(&self, hash: &B256) -> Result<Branch, HeaderError> {
        let end = self.tree.get(hash);
        end.and_then(|end| {
            let context = end.context()?;
            Some(Branch { height: end.height(), bits: end.bitcoin()?.bits, context })
        })
        .ok_or(HeaderError::ParentNotFound { parent: *hash })
    }

    /// Checks a proven header on its branch and extends the branch by it.
    fn store(
        &mut self,
        branch: &mut Branch,
        proven: &Proven,
        now_ms: u64,
    ) -> Result<TipChange, HeaderError> {
        let Proven { header, hash, work } = proven;
        check_contextual(&self.params, header, &branch.as_parent(), now_ms)?;
        branch.height = branch.height.saturating_add(1);
        branch.bits = header.bits;
        branch.context.advance(&self.params, branch.height, header.time, header.bits);
        Ok(self.tree.insert_bitcoin(*hash, header, work, now_ms, &branch.context)?)
    }
}
