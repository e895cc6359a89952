//! Several sources of one Bitcoin network, none of them believed.
//!
//! One light client of our own verifies the headers of all members, from a trusted start. The active
//! chain is the most work that any member shows; a member with an invalid chain or with less work is
//! outvoted by that alone, whatever the number of those that say the same. What work cannot tell is
//! whether the blocks behind the headers are valid, so the members' opinions count as well:
//!
//! * `agree = k`: nothing is handed out that fewer than `k` members have on their active chain. While
//!   they differ, the chain stands still at the last block that `k` of them share, and with it everything
//!   that would be confirmed on top. With `k = 1` work alone decides.
//! * Whatever `k` is, two members whose branches exclude each other by two blocks or more are a
//!   [`Disagreement`]: it shows in [`SourceView`], and is logged once.
//! * Branches beside the active one are kept near the tip, for the main chain to know of: those of
//!   other members, those that a member has left, and those that a node has never been on.
//!
//! Members are asked at the same time. One that is slow is not waited for when enough others have
//! answered, and a long download is left to one member as long as it makes progress.

mod decide;
mod follow;
#[cfg(test)]
mod tests;
mod verified;

use core::time::Duration;
use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use alloy_primitives::B256;
use async_trait::async_trait;
use futures::{StreamExt as _, stream::FuturesUnordered};
use grid_core::{
    ChainId,
    bitcoin::{Checkpoint, NetworkParams},
};

use self::{decide::Claim, verified::VerifiedChain};
use crate::{
    AdapterError, Disagreement, Material, Member, ProofRequest, SourceChain, SourceHeader,
    SourceTip, SourceView, member, pool,
};

/// Longest time for one look at all members. A longer download goes on with the next look.
const PATIENCE: Duration = Duration::from_secs(20);

/// A member that has not answered for so long has no say any more.
const SILENCE: Duration = Duration::from_secs(60);

/// Sources of one Bitcoin network behind one [`SourceChain`]. See the module's introduction.
#[derive(Debug)]
pub struct Quorum {
    chain: ChainId,
    members: Vec<Member>,
    agree: usize,
    state: Mutex<State>,
    /// Held by the member that downloads many headers.
    download: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    verified: VerifiedChain,
    /// What each member showed last, and when.
    shown: Vec<Option<(SourceTip, Instant)>>,
    /// Ends of branches beside the best one.
    leaves: BTreeSet<B256>,
    /// What the last decision was made of.
    basis: Option<(Vec<Claim>, BTreeSet<B256>)>,
    best: Option<SourceTip>,
    served: Option<SourceTip>,
    view: SourceView,
    progress: follow::Progress,
}

impl Quorum {
    /// Sources of one network, best first, verified from `start` on. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no source, too many, one of another network, fewer than `agree`, or when the start
    /// contradicts the network's rules.
    pub fn new(
        members: Vec<Member>,
        agree: usize,
        params: NetworkParams,
        start: &Checkpoint,
    ) -> Result<Self, AdapterError> {
        let chain = Member::check(&members, agree)?;
        if params.chain_id() != chain {
            let (name, id) = (&params.name, params.chain_id());
            let text = format!("{chain} cannot be verified by the rules of {name}, which is {id}");
            return Err(AdapterError::Invalid(text));
        }
        let verified = VerifiedChain::new(params, start)
            .map_err(|error| AdapterError::Invalid(format!("{chain}: {error}")))?;
        let state = State {
            verified,
            shown: vec![None; members.len()],
            leaves: BTreeSet::new(),
            basis: None,
            best: None,
            served: None,
            view: SourceView::default(),
            progress: follow::Progress::default(),
        };
        let download = tokio::sync::Mutex::new(());
        Ok(Self { chain, members, agree, state: Mutex::new(state), download })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the others are waited for once enough members have answered.
    fn grace(&self) -> Duration {
        self.members.iter().map(Member::hedge_after).max().unwrap_or_default()
    }

    /// Asks the members and takes over what they show. Returns those that failed.
    async fn look(&self) -> Vec<(&Member, AdapterError)> {
        let (now, begun) = (Instant::now(), tokio::time::Instant::now());
        let (paused, due): (Vec<_>, Vec<_>) =
            self.members.iter().enumerate().partition(|(_, member)| member.paused(begun));
        // Those in a pause are only asked where the others are too few.
        let asked = if due.len() >= self.agree { due } else { [due, paused].concat() };
        let mut late: Vec<usize> = asked.iter().map(|(number, _)| *number).collect();
        let mut running: FuturesUnordered<_> =
            asked
                .into_iter()
                .map(|(number, member)| async move {
                    (number, member, self.follow(number, member).await)
                })
                .collect();
        let deadline = tokio::time::sleep(PATIENCE);
        tokio::pin!(deadline);
        let (mut answered, mut failures) = (0, Vec::new());
        while !running.is_empty() {
            let next = async {
                if answered < self.agree {
                    running.next().await
                } else {
                    tokio::time::timeout(self.grace(), running.next()).await.unwrap_or(None)
                }
            };
            let ended = tokio::select! { ended = next => ended, () = &mut deadline => None };
            let Some((number, member, outcome)) = ended else { break };
            late.retain(|other| *other != number);
            match outcome {
                Ok(()) => answered += 1,
                Err(error) => failures.push((member, error)),
            }
        }
        drop(running);
        self.overtaken(&late, now);
        member::measure_lag(&self.members, begun);
        failures
    }

    /// Notes who was not waited for, except those that were busy downloading.
    fn overtaken(&self, late: &[usize], since: Instant) {
        let state = self.state();
        let idle = late.iter().filter(|number| !state.progress.moved(**number, since));
        idle.filter_map(|number| self.members.get(*number))
            .for_each(|member| member.overtaken(member.hedge_after()));
    }

    /// Weighs what the members show.
    fn settle(&self) -> Option<SourceTip> {
        let mut guard = self.state();
        let state = &mut *guard;
        let alive = |at: &Instant| at.elapsed() < SILENCE;
        let claims: Vec<Claim> = state
            .shown
            .iter()
            .enumerate()
            .filter_map(|(member, shown)| {
                let (tip, _) = shown.filter(|(_, at)| alive(at))?;
                // Pruned meanwhile: it has not moved for very long.
                state.verified.get(&tip.hash).map(|_| Claim { member, tip })
            })
            .collect();
        let basis = (claims, state.leaves.clone());
        if state.basis.as_ref() == Some(&basis) && state.served.is_some() {
            return state.served;
        }
        let names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        let claims = &basis.0;
        let decision = decide::decide(&state.verified, claims, &names, self.agree, state.best)?;
        state.leaves.extend(claims.iter().map(|claim| claim.tip.hash));
        state.leaves.extend(state.best.map(|best| best.hash));
        let verified = &state.verified;
        state.view.branches =
            decide::branches(verified, &decision, claims, &names, &mut state.leaves);
        self.tell(state.view.disagreement.as_ref(), decision.disagreement.as_ref());
        state.view.disagreement = decision.disagreement;
        state.best = Some(decision.best);
        state.served = Some(decision.served);
        state.basis = Some((basis.0, state.leaves.clone()));
        state.served
    }

    /// Logs a disagreement when it begins, changes its place or ends.
    fn tell(&self, before: Option<&Disagreement>, now: Option<&Disagreement>) {
        let place = |of: Option<&Disagreement>| of.map(|of| (of.height, of.held));
        if place(before) == place(now) {
            return;
        }
        let chain = &self.chain;
        match now {
            None => tracing::info!(%chain, "the sources agree again"),
            Some(Disagreement { height, held, votes }) => {
                let votes: Vec<String> = votes
                    .iter()
                    .map(|vote| {
                        let hash = crate::bitcoin::header::shown(&vote.hash);
                        format!("{hash} by {}", vote.members.join(", "))
                    })
                    .collect();
                let votes = votes.join("; ");
                tracing::warn!(%chain, height, held, votes, "the sources disagree");
            }
        }
    }

    /// Why there is nothing to hand out.
    fn obstacle(&self, failures: Vec<(&Member, AdapterError)>) -> AdapterError {
        let state = self.state();
        match state.progress.target() {
            Some(headers) => {
                let endpoint = format!("the light client of {}", self.chain);
                AdapterError::Syncing { endpoint, blocks: state.verified.top().height, headers }
            }
            None => member::all_failed(&self.chain, failures),
        }
    }
}

#[async_trait]
impl SourceChain for Quorum {
    fn id(&self) -> &ChainId {
        &self.chain
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        let begun = Instant::now();
        let failures = self.look().await;
        // An answer of an earlier look is no answer: the trouble must show.
        let fresh =
            |shown: &&Option<(SourceTip, Instant)>| shown.is_some_and(|(_, at)| at >= begun);
        if self.state().shown.iter().filter(fresh).count() == 0 {
            return Err(self.obstacle(failures));
        }
        self.settle().ok_or_else(|| self.obstacle(failures))
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        let count = count.min(crate::source::MAX_HEADERS);
        let below = self.state().verified.first().saturating_sub(from);
        if below > 0 {
            // What was not verified here, the members can only be asked about.
            let count = count.min(usize::try_from(below).unwrap_or(usize::MAX));
            let (_, headers) =
                pool::first(&self.chain, &self.members, |source| source.headers(from, count))
                    .await?;
            return Ok(headers);
        }
        let known = |state: &State| {
            let served = state.served.filter(|tip| state.verified.get(&tip.hash).is_some())?;
            Some(state.verified.headers(&served, from, count))
        };
        if let Some(headers) = known(&self.state()) {
            return Ok(headers);
        }
        // Nothing was decided yet.
        self.tip().await?;
        known(&self.state()).ok_or_else(|| self.obstacle(Vec::new()))
    }

    async fn proof_material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        let (_, material) = pool::first(&self.chain, &self.members, |source| {
            source.proof_material(request.clone())
        })
        .await?;
        Ok(material)
    }

    async fn changed(&self) {
        member::any_changed(&self.members).await;
    }

    fn view(&self) -> SourceView {
        let mut members = member::health(&self.members);
        let state = self.state();
        for (health, shown) in members.iter_mut().zip(&state.shown) {
            let work = |(tip, _): &(SourceTip, Instant)| state.verified.get(&tip.hash);
            health.work = shown.as_ref().and_then(work).map(|(_, work)| work);
        }
        SourceView { members, ..state.view.clone() }
    }
}
