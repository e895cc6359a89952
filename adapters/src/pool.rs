//! Several endpoints of one chain as one source.
//!
//! Endpoints are asked in the configured order; one that failed moves behind the others until its pause
//! is over. With `agree = k` nothing is handed out before `k` endpoints name the same hash at the
//! height in question; because headers are linked, that covers everything below on the same branch.

use core::time::Duration;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use alloy_primitives::B256;
use async_trait::async_trait;
use futures::future::{BoxFuture, join_all};
use grid_core::ChainId;

use crate::{AdapterError, Class, Material, ProofRequest, SourceChain, SourceHeader, SourceTip};

/// Most endpoints in one pool.
pub const MAX_ENDPOINTS: usize = 16;

/// How far below the agreed height the pool looks for a block that enough endpoints share. Tips differ
/// by a block or two all the time; deeper disagreement is for people to look at.
const AGREEMENT_SEARCH: u64 = 6;

/// Shortest pause after a failure. It only changes the order: a chain's only endpoint is asked at once.
const LEAST_PAUSE: Duration = Duration::from_secs(5);

/// Longest pause of an endpoint that needs its operator.
const HALT_PAUSE: Duration = Duration::from_secs(60);

/// What is known about an endpoint.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// The endpoint's name.
    pub name: String,
    /// Height of its last tip.
    pub height: Option<u64>,
    /// Blocks behind the highest endpoint of the pool.
    pub lag: u64,
    /// Its last failure, if the last exchange failed.
    pub last_error: Option<AdapterError>,
    /// Failures in a row.
    pub failures: u32,
}

#[derive(Debug, Default)]
struct State {
    height: Option<u64>,
    last_error: Option<AdapterError>,
    failures: u32,
    paused_until: Option<Instant>,
}

struct Member {
    name: String,
    source: Arc<dyn SourceChain>,
    state: Mutex<State>,
}

/// Endpoints of one chain behind one [`SourceChain`].
pub struct Pool {
    chain: ChainId,
    members: Vec<Member>,
    agree: usize,
}

impl core::fmt::Debug for Pool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        f.debug_struct("Pool")
            .field("chain", &self.chain)
            .field("members", &names)
            .field("agree", &self.agree)
            .finish()
    }
}

impl Member {
    /// Runs one question and notes how it went.
    async fn ask<T>(
        &self,
        question: BoxFuture<'_, Result<T, AdapterError>>,
    ) -> Result<T, AdapterError> {
        let outcome = question.await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Err(error) if counts_against(error) => {
                state.failures = state.failures.saturating_add(1);
                state.paused_until = Instant::now().checked_add(pause(error, state.failures));
                state.last_error = Some(error.clone());
                tracing::debug!(endpoint = self.name, %error, "endpoint failed");
            }
            // The node works; it only has no answer to this question.
            Err(_) | Ok(_) => {
                state.failures = 0;
                state.paused_until = None;
                state.last_error = None;
            }
        }
        outcome
    }

    fn paused(&self, now: Instant) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.paused_until.is_some_and(|until| until > now)
    }

    fn note_height(&self, height: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).height = Some(height);
    }
}

/// Whether an error says something about the endpoint rather than about the question.
const fn counts_against(error: &AdapterError) -> bool {
    !matches!(
        error,
        AdapterError::NotFound { .. }
            | AdapterError::NotIncluded { .. }
            | AdapterError::Unavailable { .. }
            | AdapterError::Invalid(_)
            | AdapterError::WrongFamily { .. }
            | AdapterError::Reorganised { .. }
            | AdapterError::Stale { .. }
            | AdapterError::RootMismatch { .. }
            | AdapterError::Unproven { .. }
    )
}

/// Pause after a failure: what the error asks for but at least [`LEAST_PAUSE`], doubled with every further
/// one, at most a minute.
fn pause(error: &AdapterError, failures: u32) -> Duration {
    let base = match error.class() {
        Class::Retry { after } => after.max(LEAST_PAUSE),
        Class::Wait { .. } => LEAST_PAUSE,
        Class::Halt { .. } | Class::Reject { .. } => return HALT_PAUSE,
    };
    base.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(HALT_PAUSE)
}

impl Pool {
    /// A pool over named sources of one chain, best first.
    ///
    /// # Errors
    /// When there is no source, too many, one of another chain, or fewer than `agree`.
    pub fn new(
        members: Vec<(String, Arc<dyn SourceChain>)>,
        agree: usize,
    ) -> Result<Self, AdapterError> {
        let invalid = |reason: String| Err(AdapterError::Invalid(reason));
        let count = members.len();
        let Some((_, first)) = members.first() else {
            return invalid("a chain needs at least one endpoint".into());
        };
        let chain = first.id().clone();
        if count > MAX_ENDPOINTS {
            return invalid(format!("{chain} has {count} endpoints; at most {MAX_ENDPOINTS}"));
        }
        if agree == 0 || agree > count {
            return invalid(format!(
                "{chain}: `agree` is {agree}; expected 1 to {count}, the number of endpoints"
            ));
        }
        if let Some((name, other)) = members.iter().find(|(_, source)| *source.id() != chain) {
            return invalid(format!("endpoint {name} is of {}, the others of {chain}", other.id()));
        }
        let members = members
            .into_iter()
            .map(|(name, source)| Member { name, source, state: Mutex::default() })
            .collect();
        Ok(Self { chain, members, agree })
    }

    /// What is known about each endpoint, in configured order.
    #[must_use]
    pub fn health(&self) -> Vec<Health> {
        let read = |member: &Member| {
            let state = member.state.lock().unwrap_or_else(PoisonError::into_inner);
            Health {
                name: member.name.clone(),
                height: state.height,
                lag: 0,
                last_error: state.last_error.clone(),
                failures: state.failures,
            }
        };
        let mut all: Vec<Health> = self.members.iter().map(read).collect();
        let best = all.iter().filter_map(|health| health.height).max();
        for health in &mut all {
            let lag = best.zip(health.height).map(|(best, own)| best.saturating_sub(own));
            health.lag = lag.unwrap_or(0);
        }
        all
    }

    /// Members in the order to ask them: those in a pause last.
    fn order(&self) -> Vec<&Member> {
        let now = Instant::now();
        let mut order: Vec<&Member> = self.members.iter().collect();
        order.sort_by_key(|member| member.paused(now));
        order
    }

    /// Asks one endpoint after the other until one answers.
    async fn first<'a, T>(
        &'a self,
        question: impl Fn(&'a dyn SourceChain) -> BoxFuture<'a, Result<T, AdapterError>>,
    ) -> Result<(&'a Member, T), AdapterError> {
        let mut failures = Vec::new();
        for member in self.order() {
            match member.ask(question(&*member.source)).await {
                Ok(answer) => return Ok((member, answer)),
                // No other endpoint can do better.
                Err(error @ (AdapterError::Invalid(_) | AdapterError::WrongFamily { .. })) => {
                    return Err(error);
                }
                Err(error) => failures.push((member.name.as_str(), error)),
            }
        }
        Err(self.all_failed(failures))
    }

    /// One endpoint's error stays itself; several become one with the mildest class.
    fn all_failed(&self, mut failures: Vec<(&str, AdapterError)>) -> AdapterError {
        if failures.len() == 1
            && let Some((_, only)) = failures.pop()
        {
            return only;
        }
        let mildest = failures.iter().map(|(_, error)| error.class()).min_by_key(severity);
        let reasons: Vec<String> = failures.iter().map(|(_, error)| error.to_string()).collect();
        AdapterError::AllFailed {
            chain: self.chain.clone(),
            reasons: reasons.join("; "),
            class: mildest.unwrap_or(Class::Retry { after: Duration::from_secs(1) }),
        }
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
                Err(error) => failures.push((member.name.as_str(), error)),
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
            (member, member.ask(member.source.header_at(height)).await)
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
                Err(error) => failures.push((member.name.as_str(), error)),
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

/// Lower is milder.
const fn severity(class: &Class) -> u8 {
    match class {
        Class::Retry { .. } => 0,
        Class::Wait { .. } => 1,
        Class::Halt { .. } => 2,
        Class::Reject { .. } => 3,
    }
}

#[async_trait]
impl SourceChain for Pool {
    fn id(&self) -> &ChainId {
        &self.chain
    }

    /// Succeeds when as many endpoints as must agree are fine.
    async fn check(&self) -> Result<(), AdapterError> {
        let asked = self
            .members
            .iter()
            .map(|member| async move { (member, member.ask(member.source.check()).await) });
        let mut failures = Vec::new();
        for (member, outcome) in join_all(asked).await {
            if let Err(error) = outcome {
                tracing::warn!(endpoint = member.name, %error, "endpoint is not usable");
                failures.push((member.name.as_str(), error));
            }
        }
        if self.members.len().saturating_sub(failures.len()) >= self.agree {
            return Ok(());
        }
        Err(self.all_failed(failures))
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        if self.agree > 1 {
            return self.agreed_tip().await;
        }
        let (member, tip) = self.first(|source| source.tip()).await?;
        member.note_height(tip.height);
        Ok(tip)
    }

    async fn header_at(&self, height: u64) -> Result<Option<SourceHeader>, AdapterError> {
        let (_, header) = self.first(|source| source.header_at(height)).await?;
        self.require_agreement(header.as_ref()).await?;
        Ok(header)
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        let (_, headers) = self.first(|source| source.headers(from, count)).await?;
        self.require_agreement(headers.last()).await?;
        Ok(headers)
    }

    async fn proof_material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        let (_, material) = self.first(|source| source.proof_material(request.clone())).await?;
        Ok(material)
    }
}
