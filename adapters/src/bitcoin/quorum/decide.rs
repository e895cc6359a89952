//! Which of the verified branches counts: pure, from what each member shows.

use std::collections::BTreeSet;

use alloy_primitives::B256;

use super::verified::VerifiedChain;
use crate::{Branch, Disagreement, SourceTip, Vote};

/// Branches of so many blocks on both sides are no accident of propagation any more.
const COMPETING: u64 = 2;

/// A branch that forked off further below the tip is history.
const NEAR: u64 = 144;

/// Most branches that are remembered beside the best one.
pub(super) const MAX_BRANCHES: usize = 8;

/// A member's active chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// Number of the member.
    pub(super) member: usize,
    /// Its tip, verified.
    pub(super) tip: SourceTip,
}

/// What the claims come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    /// The tip of most work that a member shows; of several, the one followed before.
    pub(super) best: SourceTip,
    /// The highest block below or at `best` that enough members have.
    pub(super) served: SourceTip,
    /// Set when members exclude each other.
    pub(super) disagreement: Option<Disagreement>,
}

/// Weighs the claims. `None` when there are fewer than `agree`, or none.
pub(super) fn decide(
    chain: &VerifiedChain,
    claims: &[Claim],
    names: &[&str],
    agree: usize,
    before: Option<SourceTip>,
) -> Option<Decision> {
    let work = |claim: &Claim| chain.get(&claim.tip.hash).map(|(_, work)| work);
    let most = claims.iter().filter_map(work).max()?;
    let mut strongest = claims.iter().filter(|claim| work(claim) == Some(most));
    let follows = |claim: &&Claim| {
        before.is_some_and(|before| chain.ancestor(&claim.tip.hash, before.height) == Some(before))
    };
    let best = strongest.clone().find(follows).or_else(|| strongest.next())?.tip;
    // How far up the best branch each member goes.
    let forks: Vec<(Claim, SourceTip)> = claims
        .iter()
        .filter_map(|claim| Some((*claim, chain.fork(&best.hash, &claim.tip.hash)?)))
        .collect();
    let mut shared: Vec<SourceTip> = forks.iter().map(|(_, fork)| *fork).collect();
    shared.sort_by_key(|fork| core::cmp::Reverse(fork.height));
    let served = *shared.get(agree.checked_sub(1)?)?;
    let competes = |claim: &Claim, fork: &SourceTip| {
        claim.tip.height >= fork.height.saturating_add(COMPETING)
            && best.height >= fork.height.saturating_add(COMPETING)
    };
    let lowest = forks
        .iter()
        .filter(|(claim, fork)| competes(claim, fork))
        .map(|(_, fork)| fork.height)
        .min();
    let disagreement = lowest.map(|fork| {
        let height = fork.saturating_add(1);
        let held = served.height <= fork;
        Disagreement { height, held, votes: votes(chain, claims, names, height) }
    });
    Some(Decision { best, served, disagreement })
}

/// Who names which hash at a height, most work first.
fn votes(chain: &VerifiedChain, claims: &[Claim], names: &[&str], height: u64) -> Vec<Vote> {
    let mut claims: Vec<&Claim> = claims.iter().collect();
    claims.sort_by_key(|claim| core::cmp::Reverse(chain.get(&claim.tip.hash).map(|(_, w)| w)));
    let mut votes: Vec<Vote> = Vec::new();
    for claim in claims {
        // A member that is not that far yet has no opinion.
        let Some(block) = chain.ancestor(&claim.tip.hash, height) else { continue };
        let name = names.get(claim.member).map_or_else(String::new, |name| (*name).to_owned());
        match votes.iter_mut().find(|vote| vote.hash == block.hash) {
            Some(vote) => vote.members.push(name),
            None => votes.push(Vote { hash: block.hash, members: vec![name] }),
        }
    }
    votes
}

/// The branches beside the best one that end in `leaves`, most work first. Drops the leaves that are
/// none: on the best branch, inside another one, forked off long ago, or one too many. Leaves of more
/// work than what is served stay, but are not told of: whoever relayed such a branch would make the main
/// chain follow what too few members have.
pub(super) fn branches(
    chain: &VerifiedChain,
    Decision { best, served, .. }: &Decision,
    claims: &[Claim],
    names: &[&str],
    leaves: &mut BTreeSet<B256>,
) -> Vec<Branch> {
    let inside = |leaf: &B256, other: &B256| {
        leaf != other && chain.fork(leaf, other).is_some_and(|fork| fork.hash == *leaf)
    };
    let mut found: Vec<(SourceTip, SourceTip)> = leaves
        .iter()
        .filter(|leaf| !leaves.iter().any(|other| inside(leaf, other)))
        .filter_map(|leaf| {
            let (height, _) = chain.get(leaf)?;
            let fork = chain.fork(&best.hash, leaf)?;
            let near = fork.height.saturating_add(NEAR) >= best.height;
            let beside = fork.hash != *leaf;
            (near && beside).then_some((SourceTip { height, hash: *leaf }, fork))
        })
        .collect();
    found.sort_by_key(|(leaf, _)| core::cmp::Reverse(chain.get(&leaf.hash).map(|(_, work)| work)));
    found.truncate(MAX_BRANCHES);
    *leaves = found.iter().map(|(leaf, _)| leaf.hash).collect();
    let most = chain.get(&served.hash).map(|(_, work)| work);
    let branch = |(leaf, fork): (SourceTip, SourceTip)| {
        chain.get(&leaf.hash).filter(|(_, work)| Some(*work) <= most)?;
        let above = fork.height.saturating_add(1);
        let length = usize::try_from(leaf.height.saturating_sub(fork.height)).unwrap_or(0);
        let length = length.min(crate::source::MAX_HEADERS);
        let on = |claim: &&Claim| {
            let common = chain.fork(&claim.tip.hash, &leaf.hash);
            common.is_some_and(|common| common.height > fork.height)
        };
        let name = |claim: &Claim| names.get(claim.member).map(|name| (*name).to_owned());
        let members = claims.iter().filter(on).filter_map(name).collect();
        Some(Branch { fork, headers: chain.headers(&leaf, above, length), members })
    };
    found.into_iter().filter_map(branch).filter(|branch| !branch.headers.is_empty()).collect()
}
