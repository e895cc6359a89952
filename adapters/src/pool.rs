//! Several endpoints of one chain as one source.
//!
//! Endpoints are asked in the configured order; one that failed moves behind the others until its pause
//! is over, and one that is slow is overtaken: after a while the next is asked as well, and the first
//! answer counts. With `agree = k` nothing is handed out before `k` endpoints name the same hash at the
//! height in question; because headers are linked, that covers everything below on the same branch.

use alloy_primitives::B256;
use async_trait::async_trait;
use futures::{
    StreamExt as _,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use grid_core::ChainId;

use crate::{
    AdapterError, Material, ProofRequest, SourceChain, SourceHeader, SourceTip, SourceView,
    member::{self, HEDGE, Member},
};

/// How far below the agreed height the pool looks for a block that enough endpoints share. Tips differ
/// by a block or two all the time; deeper disagreement is for people to look at.
const AGREEMENT_SEARCH: u64 = 6;

/// Endpoints of one chain behind one [`SourceChain`].
#[derive(Debug)]
pub struct Pool {
    chain: ChainId,
    members: Vec<Member>,
    agree: usize,
}

/// Asks one member after the other until one answers; the next one already when the last has not
/// answered after [`HEDGE`].
pub(crate) async fn first<'a, S: ?Sized + Sync + Send, T: Send>(
    chain: &ChainId,
    members: &'a [Member<S>],
    question: impl Fn(&'a S) -> BoxFuture<'a, Result<T, AdapterError>>,
) -> Result<(&'a Member<S>, T), AdapterError> {
    let mut waiting = member::order(members).into_iter();
    let mut late: Vec<&Member<S>> = Vec::new();
    let mut failures = Vec::new();
    let mut asked = FuturesUnordered::new();
    loop {
        if let Some(member) = waiting.next() {
            let answer = member.ask(question(&*member.source));
            asked.push(async move { (member, answer.await) });
            late.push(member);
        } else if asked.is_empty() {
            return Err(member::all_failed(chain, failures));
        }
        let answered = async {
            let next = asked.next();
            if waiting.len() == 0 {
                return next.await;
            }
            tokio::time::timeout(HEDGE, next).await.unwrap_or(None)
        };
        let Some((member, outcome)) = answered.await else { continue };
        late.retain(|other| other.name != member.name);
        match outcome {
            Ok(answer) => {
                late.iter().for_each(|member| member.overtaken());
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

impl Pool {
    /// A pool over sources of one chain, best first.
    ///
    /// # Errors
    /// When there is no source, too many, one of another chain, or fewer than `agree`.
    pub fn new(members: Vec<Member>, agree: usize) -> Result<Self, AdapterError> {
        let chain = Member::check(&members, agree)?;
        Ok(Self { chain, members, agree })
    }

    fn all_failed(&self, failures: Vec<(&Member, AdapterError)>) -> AdapterError {
        member::all_failed(&self.chain, failures)
    }

    /// Tips of all endpoints that answer.
    async fn tips(&self) -> Result<Vec<(&Member, SourceTip)>, AdapterError> {
        let asked = self.members.iter().map(|member| async move {
            let outcome = member.ask(member.source.tip()).await;
            if let Ok(tip) = &outcome {
                member.note_height(tip.height);
            }
            (member, outcome)
        });
        let mut tips = Vec::new();
        let mut failures = Vec::new();
        for (member, outcome) in join_all(asked).await {
            match outcome {
                Ok(tip) => tips.push((member, tip)),
                Err(error) => failures.push((member, error)),
            }
        }
        if tips.len() < self.agree {
            return Err(self.all_failed(failures));
        }
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
                Ok(hash) => return Ok(SourceTip { height, hash }),
                Err(error @ AdapterError::Disagreement { .. }) => last = last.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| self.all_failed(Vec::new())))
    }

    /// The hash at a height that enough endpoints name.
    async fn agreed_at(&self, height: u64) -> Result<B256, AdapterError> {
        let asked = self.members.iter().map(|member| async move {
            (member, member.ask(Box::pin(member.source.header_at(height))).await)
        });
        let mut votes: Vec<(B256, Vec<&str>)> = Vec::new();
        let mut silent = Vec::new();
        let mut failures = Vec::new();
        for (member, outcome) in join_all(asked).await {
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
        Err(self.disagreement(height, &votes, &silent))
    }

    fn disagreement(
        &self,
        height: u64,
        votes: &[(B256, Vec<&str>)],
        silent: &[&str],
    ) -> AdapterError {
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
        tracing::warn!(%error, "endpoints disagree");
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
        SourceView { members: member::health(&self.members), ..SourceView::default() }
    }
}
