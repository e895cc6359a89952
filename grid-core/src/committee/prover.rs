//! What proves a chain's finality: sync committees, or the validators of another Grid chain.

use alloy_consensus::Header;
use alloy_primitives::B256;

use super::{
    anchors::Anchor,
    error::{CommitteeError, StoredError},
    evidence::FinalityConflict,
    finality::Held,
    grid::GridProver,
    stored::{Read, read_parts},
    sync::SyncProver,
};
use crate::{
    ethereum::sync::{KeyCache, NetworkSpec, Parts, Policy, SyncClient},
    grid::{Extension, ValidatorSet, light::LightPolicy},
    light_client::Finalized,
};

/// How a chain's finality is proven, with the trusted start.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum CommitteeParams<'a> {
    /// By Ethereum's sync committees.
    Sync {
        /// The beacon chain.
        network: &'a NetworkSpec,
        /// Rules on top of the consensus spec.
        policy: &'a Policy,
        /// Root of the trusted beacon block.
        checkpoint: B256,
    },
    /// By the validators of another Grid chain.
    Grid {
        /// Number in `eip155:<n>`: votes are signed for it.
        chain_id: u64,
        /// Who decides the block above the start.
        validators: &'a ValidatorSet,
        /// How long and how far is trusted.
        policy: &'a LightPolicy,
    },
}

/// What an object did to a prover.
#[derive(Debug)]
pub(super) enum Proved {
    /// Nothing: it was known.
    Known,
    /// It is new, and no other block is final by it.
    Moved,
    /// The trusted block was shown; whether it holds the registered start.
    Started(bool),
    /// A newer block is final.
    Final(Anchor),
    /// A block of this height is final, below the newest.
    Older(u64, B256),
    /// It contradicts what is final.
    Conflict(FinalityConflict),
}

/// The light client of a chain's finality. Small enough to work on a copy.
#[derive(Debug, Clone)]
pub(super) enum Prover {
    Sync(Box<SyncProver>),
    Grid(Box<GridProver>),
}

impl Prover {
    /// A prover whose lowest header is `start`: its RLP and hash.
    pub(super) fn new(
        params: CommitteeParams<'_>,
        start: (&[u8], B256),
    ) -> Result<Self, CommitteeError> {
        Ok(match params {
            CommitteeParams::Sync { network, policy, checkpoint } => {
                let prover = SyncProver::new(network.config()?, policy, start.1, checkpoint)?;
                Self::Sync(Box::new(prover))
            }
            CommitteeParams::Grid { chain_id, validators, policy } => {
                Self::Grid(Box::new(GridProver::new(chain_id, validators, *policy, start.0)?))
            }
        })
    }

    /// Takes one object at `now_ms`, milliseconds since 1970.
    pub(super) fn take(
        &mut self,
        index: usize,
        bytes: &[u8],
        keys: &KeyCache,
        now_ms: u64,
    ) -> Result<Proved, CommitteeError> {
        match self {
            Self::Sync(prover) => prover.take(index, bytes, keys, now_ms / 1_000),
            Self::Grid(prover) => prover.take(index, bytes, now_ms),
        }
    }

    /// Whether an object has nothing new. Cheap: no signature is looked at.
    pub(super) fn knows(&self, bytes: &[u8], held: Held<'_>) -> bool {
        match self {
            Self::Sync(prover) => prover.knows(bytes),
            Self::Grid(prover) => prover.knows(bytes, held),
        }
    }

    /// Starts anew from another trusted block, which it returns. `froze` allows one that is older.
    pub(super) fn restart(
        &mut self,
        checkpoint: B256,
        bytes: &[u8],
        froze: bool,
        now_ms: u64,
    ) -> Result<Anchor, CommitteeError> {
        match self {
            Self::Sync(prover) => prover.restart(checkpoint, bytes, froze, now_ms / 1_000),
            Self::Grid(prover) => prover.restart(checkpoint, bytes, froze),
        }
    }

    /// What is final now; nothing before the start was proven.
    pub(super) fn finalized(&self) -> Option<Finalized> {
        match self {
            Self::Sync(prover) => prover.finalized(),
            Self::Grid(prover) => Some(prover.finalized()),
        }
    }

    /// When the newest final block was made, Unix time in seconds.
    pub(super) fn finalized_time(&self) -> u64 {
        match self {
            Self::Sync(prover) => prover.finalized_time(),
            Self::Grid(prover) => prover.finalized_time(),
        }
    }

    /// When what is final is too old to go on from, Unix time in seconds; 0 before the start, or without a limit.
    pub(super) fn expires_at(&self) -> u64 {
        let age = match self {
            Self::Sync(prover) => prover.policy.max_checkpoint_age,
            Self::Grid(prover) => prover.trusting_seconds(),
        };
        match self.finalized_time() {
            0 => 0,
            _ if age == 0 => 0,
            time => time.saturating_add(age),
        }
    }

    /// Hash of the registered start, and the trusted block.
    pub(super) fn trusted(&self) -> (B256, B256) {
        match self {
            Self::Sync(prover) => (prover.start, prover.checkpoint),
            Self::Grid(prover) => (prover.start, prover.checkpoint),
        }
    }

    /// The period of what is final, whether the committee after it is known, and settings that are looser than the
    /// default. The validators after a block are always known.
    pub(super) fn committees(&self) -> (u64, bool, Vec<String>) {
        match self {
            Self::Sync(prover) => prover.committees(),
            Self::Grid(_) => (0, true, Vec::new()),
        }
    }

    /// Whether it stops at a contradiction.
    pub(super) fn freezes(&self) -> bool {
        match self {
            Self::Sync(prover) => prover.policy.freeze_on_conflict,
            Self::Grid(_) => true,
        }
    }

    /// Whether what it calls slots are heights of the headers.
    pub(super) const fn slots_are_heights(&self) -> bool {
        matches!(self, Self::Grid(_))
    }

    /// Whether the start needs no proof: it is given with the validators that follow it.
    pub(super) const fn is_proven(&self) -> bool {
        matches!(self, Self::Grid(_))
    }

    /// The index root that a header of this chain commits to; zero where it has none.
    pub(super) fn index_root(&self, header: &Header) -> B256 {
        match self {
            Self::Sync(_) => B256::ZERO,
            Self::Grid(_) => Extension::of(header).map_or(B256::ZERO, |found| found.indexRoot),
        }
    }

    /// The points that are decompressed.
    pub(super) fn keys(&self) -> Option<&KeyCache> {
        match self {
            Self::Sync(prover) => prover.sync.as_ref().map(|sync| sync.keys()),
            Self::Grid(_) => None,
        }
    }

    /// Takes over points that are decompressed.
    pub(super) fn set_keys(&mut self, keys: &KeyCache) {
        if let Self::Sync(prover) = self {
            let with = |sync: SyncClient| sync.with_keys(keys.clone());
            prover.sync = prover.sync.take().map(with);
        }
    }

    /// The stored form of evidence.
    pub(super) fn encode(&self, conflict: &FinalityConflict) -> Vec<u8> {
        match self {
            Self::Sync(prover) => conflict.encode(Some(&prover.network)),
            Self::Grid(_) => conflict.encode(None),
        }
    }

    /// Reads the stored form of evidence.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<FinalityConflict, StoredError> {
        match self {
            Self::Sync(prover) => FinalityConflict::decode(Some(&prover.network), bytes),
            Self::Grid(_) => FinalityConflict::decode(None, bytes),
        }
    }

    /// The stored form; nothing before the start was proven.
    pub(super) fn to_parts(&self) -> Option<Parts> {
        match self {
            Self::Sync(prover) => prover.sync.as_ref().map(|sync| sync.to_parts()),
            Self::Grid(prover) => Some(prover.to_parts()),
        }
    }

    /// The numbers of the proofs that belong to a stored head.
    pub(super) fn proofs(&self, head: &[u8]) -> Result<Vec<u64>, StoredError> {
        match self {
            Self::Sync(_) => Ok(Parts::slots(head)?),
            Self::Grid(_) => GridProver::heights(head),
        }
    }

    /// Reads the stored form of a prover with this start and this trusted block; `None` before the start was proven.
    pub(super) fn load<E: From<StoredError>>(
        params: CommitteeParams<'_>,
        (start, checkpoint): (B256, B256),
        started: bool,
        read: &mut Read<'_, E>,
    ) -> Result<Self, E> {
        match params {
            CommitteeParams::Sync { network, policy, .. } => {
                let network = network.config().map_err(StoredError::from)?;
                let mut prover = SyncProver::waiting(network, policy.clone(), start, checkpoint);
                if started {
                    prover.load(&read_parts(|head| Ok(Parts::slots(head)?), read)?)?;
                }
                Ok(Self::Sync(Box::new(prover)))
            }
            CommitteeParams::Grid { chain_id, policy, .. } => {
                let parts = read_parts(GridProver::heights, read)?;
                let prover = GridProver::load(chain_id, *policy, (start, checkpoint), &parts)?;
                Ok(Self::Grid(Box::new(prover)))
            }
        }
    }
}
