//! What a server does wrong on demand.

use alloy_primitives::B256;
use grid_core::ethereum::sync::NetworkConfig;

use super::{
    chain::Chain,
    data::{Bootstrap, Update},
};

/// A fault. The first half changes what is said, the second how it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// So many members signed, correctly.
    Participation(usize),
    /// No update tells the next committee.
    WithheldCommittee,
    /// Updates and bootstraps name the committee of another period, with the honest proof.
    SwappedCommittee,
    /// Finality updates are of so many slots ago.
    StaleFinality(u64),
    /// Signatures are made for a version that no fork has.
    ForkVersion,
    /// Signatures are of another network, and so is the genesis.
    OtherGenesis,
    /// Each branch is that of something else in the same state.
    SwappedBranches,
    /// Branches have their lowest node twice.
    DeepBranches,
    /// Branches lack their lowest node.
    ShallowBranches,
    /// Another execution block's hash, with the honest proof.
    EditedExecution,
    /// A bit of the signature is flipped.
    Signature,
    /// Signatures are of a slot so far in the future.
    Future(u64),
    /// A page of updates has at most so many.
    ShortPage(usize),
    /// Pages of updates begin a period later than asked for.
    ShiftedPage,
    /// This status, with an error's body; 429 and 503 ask for a second's pause.
    Status(u16),
    /// The answer never begins.
    Hang,
    /// A byte each tenth of a second.
    Slow,
    /// A body without end.
    Endless,
    /// An error page of some other server.
    Page,
    /// Half of the body.
    Truncated,
    /// The other encoding's content type.
    ContentType,
    /// The version of another fork.
    VersionName,
}

impl Fault {
    /// Changes an update.
    pub fn apply(self, chain: &Chain, update: &mut Update) {
        match self {
            Self::Participation(participants) => {
                let members = chain.network().preset.committee_size;
                update.bits =
                    super::committee::participation(members, participants, update.signature_slot);
                chain.sign_again(update);
            }
            Self::WithheldCommittee => update.without_committee(),
            Self::SwappedCommittee if update.next.is_some() => {
                let period = chain.network().preset.period(update.attested.beacon.slot);
                update.next = chain.committee(period).cloned();
            }
            Self::ForkVersion => {
                let genesis = chain.network().genesis_validators_root;
                chain.sign(update, [0xee; 4].into(), genesis);
            }
            Self::OtherGenesis => {
                let slot = update.signature_slot.max(1) - 1;
                chain.sign(update, chain.network().fork_version(slot), other_genesis());
            }
            Self::SwappedBranches => {
                let (next, finality) = (&mut update.next_branch, &mut update.finality_branch);
                let common = next.len().min(finality.len());
                next[..common].swap_with_slice(&mut finality[..common]);
            }
            Self::DeepBranches => {
                [&mut update.next_branch, &mut update.finality_branch].into_iter().for_each(deepen);
            }
            Self::ShallowBranches => {
                update.next_branch.remove(0);
                update.finality_branch.remove(0);
            }
            Self::EditedExecution => {
                update.attested.payload.block_hash.0[7] ^= 1;
                update.finalized.payload.block_hash.0[7] ^= 1;
            }
            Self::Signature => update.signature.0[50] ^= 1,
            Self::Future(slots) => {
                update.signature_slot += slots;
                chain.sign_again(update);
            }
            _ => {}
        }
    }

    /// Changes a bootstrap.
    pub fn apply_to_bootstrap(self, chain: &Chain, bootstrap: &mut Bootstrap) {
        match self {
            Self::SwappedCommittee => {
                let period = chain.network().preset.period(bootstrap.header.beacon.slot);
                if let Some(other) = chain.committee(period + 1) {
                    bootstrap.committee = other.clone();
                }
            }
            Self::SwappedBranches => bootstrap.branch.reverse(),
            Self::DeepBranches => deepen(&mut bootstrap.branch),
            Self::ShallowBranches => {
                bootstrap.branch.remove(0);
            }
            Self::EditedExecution => bootstrap.header.payload.block_hash.0[7] ^= 1,
            _ => {}
        }
    }

    /// The genesis validators' root that the server names.
    pub(super) fn genesis(self, network: &NetworkConfig) -> B256 {
        if self == Self::OtherGenesis { other_genesis() } else { network.genesis_validators_root }
    }
}

fn deepen(branch: &mut Vec<B256>) {
    branch.insert(0, branch[0]);
}

/// No network's.
const fn other_genesis() -> B256 {
    B256::repeat_byte(0x66)
}
