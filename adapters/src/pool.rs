//! Several endpoints of one chain as one source.
//!
//! Endpoints are asked in the configured order; one that failed moves behind the others until its pause
//! is over, one that lags behind them is asked last, and one that is slow is overtaken: after a while the
//! next is asked as well, the first answer counts and the other question is given up. With `agree = k`
//! nothing is handed out before `k` endpoints name the same hash at the height in question; because
//! headers are linked, that covers everything below on the same branch.

use core::{fmt::Display, time::Duration};
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::B256;
use async_trait::async_trait;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use grid_core::ChainId;
use tokio::time::{Instant, timeout};

use crate::{
    AdapterError, Disagreement, Material, ProofRequest, SourceChain, SourceHeader, SourceTip,
    SourceView, Vote,
    member::{self, Member},
};

/// How far below the agreed height the pool looks for a block that enough endpoints share. Tips differ
/// by a block or two all the time; deeper disagreement is for people to look at.
const AGREEMENT_SEARCH: u64 = 6;

/// Time between two looks at the heights of all endpoints, where otherwise one is enough.
const SURVEY: Duration = Duration::from_secs(10);

/// Endpoints of one chain behind one [`SourceChain`].
#[derive(Debug)]
pub struct Pool {
    chain: ChainId,
    members: Vec<Member>,
    agree: usize,
    survey: Survey,
    disagreement: Mutex<Option<Disagreement>>,
}

/// When all endpoints were asked for their heights.
#[derive(Debug, Default)]
pub(crate) struct Survey(Mutex<Option<Instant>>);

impl Survey {
    /// Whether it is time for another look, which this one then is.
    pub(crate) fn begins(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|at| at.elapsed() >= SURVEY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

/// Asks one member after the other until one answers; the next one already when the last has not
/// answered within its [`patience`](Member::patience).
pub(crate) async fn first<'a, S: ?Sized + Sync + Send, T: Send>(
    chain: &(dyn Display + Sync),
    members: &'a [Member<S>],
    question: impl Fn(&'a S) -> BoxFuture<'a, Result<T, AdapterError>>,
) -> Result<(&'a Member<S>, T), AdapterError> {
    let mut waiting = member::order(members).into_iter();
    let mut open: Vec<(&Member<S>, Instant)> = Vec::new();
    let mut failures = Vec::new();
    let mut asked = FuturesUnordered::new();
    loop {
        if let Some(member) = waiting.next() {
            if !open.is_empty() {
                member.hedged();
            }
            let answer = member.ask(question(&*member.source));
            asked.push(async move { (member, answer.await) });
            open.push((member, Instant::now()));
        } else if asked.is_empty() {
            return Err(member::all_failed(chain, failures));
        }
        let patience = match open.last() {
            Some((last, _)) if waiting.len() > 0 => last.patience(),
            _ => Duration::MAX,
        };
        let answered = timeout(patience, asked.next()).await.unwrap_or(None);
        let Some((member, outcome)) = answered else { continue };
        open.retain(|(other, _)| other.name != member.name);
        match outcome {
            Ok(answer) => {
                open.iter().for_each(|(late, since)| late.overtaken(since.elapsed()));
                return Ok((member, answer));
            }
            // No other endpoint can do better.
            Err(error @ (AdapterError::Invalid(_) | AdapterError::WrongFamily { .. })) => {
                return Err(error);
            }
            Err(error) => failures.push((member, error)),
        }
    }
}

/// A member and its answer.
pub(crate) type Answered<'a, S, T> = (&'a Member<S>, Result<T, AdapterError>);

/// What these members answer, asked at the same time. Once `enough` have, the others get as long as is
/// waited before an endpoint is replaced, and are not waited for any longer.
pub(crate) async fn all<'a, S: ?Sized + Sync + Send, T: Send>(
    members: Vec<&'a Member<S>>,
    enough: usize,
    question: impl Fn(&'a S) -> BoxFuture<'a, Result<T, AdapterError>>,
) -> Vec<Answered<'a, S, T>> {
    let grace = members.iter().map(|member| member.hedge_after()).max().unwrap_or_default();
    let mut asked: FuturesUnordered<_> = members
        .iter()
        .map(|member| {
            let answer = member.ask(question(&*member.source));
            async move { (*member, answer.await) }
        })
        .collect();
    let mut answers: Vec<Answered<'a, S, T>> = Vec::with_capacity(members.len());
    let (mut good, mut patience) = (0, Duration::MAX);
    while let Ok(Some(answer)) = timeout(patience, asked.next()).await {
        good += usize::from(answer.1.is_ok());
        if good >= enough {
            patience = grace;
        }
        answers.push(answer);
    }
    drop(asked);
    for member in members {
        if !answers.iter().any(|(other, _)| other.name == member.name) {
            member.overtaken(grace);
        }
    }
    answers
}

impl Pool {
    /// A pool over sources of one chain, best first.
    ///
    /// # Errors
    /// When there is no source, too many, one of another chain, or fewer than `agree`.
    pub fn new(members: Vec<Member>, agree: usize) -> Result<Self, AdapterError> {
        let chain = Member::check(&members, agree)?;
        let (survey, disagreement) = (Survey::default(), Mutex::default());
        Ok(Self { chain, members, agree, survey, disagreement })
    }

    fn disagreement(&self) -> MutexGuard<'_, Option<Disagreement>> {
        // Nothing in here panics half-way through a change.
        self.disagreement.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_failed(&self, failures: Vec<(&Member, AdapterError)>) -> AdapterError {
        member::all_failed(&self.chain, failures)
    }

    /// Tips of all endpoints that answer, in the order in which they are asked.
    async fn tips(&self) -> Result<Vec<(&Member, SourceTip)>, AdapterError> {
        let begun = Instant::now();
        let asked = member::due(&self.members, self.agree);
        let mut tips = Vec::new();
        let mut failures = Vec::new();
        for (member, outcome) in all(asked, self.agree, |source| source.tip()).await {
            match outcome {
                Ok(tip) => {
                    member.note_height(tip.height);
                    tips.push((member, tip));
                }
                Err(error) => failures.push((member, error)),
            }
        }
        if tips.len() < self.agree {
            return Err(self.all_failed(failures));
        }
        member::measure_lag(&self.members, begun);
        let order: Vec<&str> =
            member::order(&self.members).iter().map(|m| m.name.as_str()).collect();
        tips.sort_by_key(|(member, _)| order.iter().position(|name| *name == member.name));
        Ok(tips)
    }

    /// The highest block, near the tips, that enough endpoints share.
    async fn agreed_tip(&self) -> Result<SourceTip, AdapterError> {
        let tips = self.tips().await?;
        let mut heights: Vec<u64> = tips.iter().map(|(_, tip)| tip.height).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        let top = heights.get(self.agree.saturating_sub(1)).copied().unwrap_or(0);
        let mut last = None;
        for height in (top.saturating_sub(AGREEMENT_SEARCH)..=top).rev() {
            match self.agreed_at(height).await {
                Ok(hash) => {
                    if last.is_none() {
                        *self.disagreement() = None;
                    }
                    return Ok(SourceTip { height, hash });
                }
                Err(error @ AdapterError::Disagreement { .. }) => last = last.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| self.all_failed(Vec::new())))
    }

    /// The hash at a height that enough endpoints name.
    async fn agreed_at(&self, height: u64) -> Result<B256, AdapterError> {
        let asked = member::due(&self.members, self.agree);
        let answers = all(asked, self.agree, |source| source.header_at(height).boxed()).await;
        let mut votes: Vec<(B256, Vec<&str>)> = Vec::new();
        let mut silent = Vec::new();
        let mut failures = Vec::new();
        for (member, outcome) in answers {
            match outcome {
                Ok(Some(header)) => {
                    let hash = header.compat.blockHash;
                    match votes.iter_mut().find(|(other, _)| *other == hash) {
                        Some((_, names)) => names.push(&member.name),
                        None => votes.push((hash, vec![&member.name])),
                    }
                }
                Ok(None) => silent.push(member.name.as_str()),
                Err(error) => failures.push((member, error)),
            }
        }
        votes.sort_by_key(|(_, names)| core::cmp::Reverse(names.len()));
        let strongest = votes.first().map_or(0, |(_, names)| names.len());
        let tied = votes.get(1).is_some_and(|(_, names)| names.len() == strongest);
        if strongest >= self.agree && !tied {
            return votes.first().map(|(hash, _)| *hash).ok_or_else(|| self.all_failed(Vec::new()));
        }
        if votes.len() <= 1 && !failures.is_empty() {
            // Nobody contradicts; too many are simply away.
            return Err(self.all_failed(failures));
        }
        Err(self.disagree(height, &votes, &silent))
    }

    /// Notes that the endpoints disagree, as long as they do.
    fn disagree(&self, height: u64, votes: &[(B256, Vec<&str>)], silent: &[&str]) -> AdapterError {
        let mut said: Vec<String> =
            votes.iter().map(|(hash, names)| format!("{hash} by {}", names.join(", "))).collect();
        if !silent.is_empty() {
            said.push(format!("no block by {}", silent.join(", ")));
        }
        let error = AdapterError::Disagreement {
            chain: self.chain.clone(),
            height,
            required: self.agree,
            votes: said.join("; "),
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let votes =
            votes.iter().map(|(hash, by)| Vote { hash: *hash, members: names(by) }).collect();
        let found = Disagreement { height, held: true, votes };
        let before = self.disagreement().replace(found);
        if before.is_none_or(|before| before.height != height) {
            tracing::warn!(%error, "endpoints disagree");
        }
        error
    }

    /// Requires agreement on the last of a run of linked headers, and with it on all of them.
    async fn require_agreement(&self, last: Option<&SourceHeader>) -> Result<(), AdapterError> {
        let Some(last) = last.filter(|_| self.agree > 1) else { return Ok(()) };
        let (height, hash) = (last.compat.height, last.compat.blockHash);
        let agreed = self.agreed_at(height).await?;
        if agreed == hash {
            return Ok(());
        }
        Err(AdapterError::Reorganised { endpoint: format!("the pool of {}", self.chain), height })
    }
}

#[async_trait]
impl SourceChain for Pool {
    fn id(&self) -> &ChainId {
        &self.chain
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        if self.agree > 1 {
            return self.agreed_tip().await;
        }
        if self.members.len() > 1 && self.survey.begins() {
            let tips = self.tips().await?;
            return tips.first().map(|(_, tip)| *tip).ok_or_else(|| self.all_failed(Vec::new()));
        }
        let (member, tip) = first(&self.chain, &self.members, |source| source.tip()).await?;
        member.note_height(tip.height);
        Ok(tip)
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        let (_, headers) =
            first(&self.chain, &self.members, |source| source.headers(from, count)).await?;
        self.require_agreement(headers.last()).await?;
        Ok(headers)
    }

    async fn proof_material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        let (_, material) =
            first(&self.chain, &self.members, |source| source.proof_material(request.clone()))
                .await?;
        Ok(material)
    }

    async fn changed(&self) {
        member::any_changed(&self.members).await;
    }

    fn view(&self) -> SourceView {
        let (members, disagreement) = (member::health(&self.members), self.disagreement().clone());
        SourceView { members, disagreement, ..SourceView::default() }
    }
}
