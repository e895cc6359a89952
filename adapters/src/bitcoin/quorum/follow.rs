//! One member: its tip, and the headers up to it that are not verified yet.

use std::{collections::BTreeMap, time::Instant};

use alloy_primitives::B256;
use futures::{StreamExt as _, stream};
use grid_core::bitcoin::HeaderError;

use super::Quorum;
use crate::{
    AdapterError, Branch, Member, SourceHeader, SourceTip,
    bitcoin::{header::LEN, now_ms},
    source::MAX_HEADERS,
};

/// Questions for headers at the same time: while one answer is verified the next ones are on their way.
const PIPELINE: usize = 3;

/// Time between two lines about a long download in the log.
const TELL_EVERY: core::time::Duration = core::time::Duration::from_secs(5);

/// Downloads that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Progress {
    running: BTreeMap<usize, Download>,
    /// Time and height of the last line in the log.
    told: Option<(Instant, u64)>,
}

/// One member's download.
#[derive(Debug)]
struct Download {
    /// Height aimed at.
    target: u64,
    /// The last verified answer.
    moved: Option<Instant>,
}

impl Progress {
    /// Whether a member has delivered since then.
    pub(super) fn moved(&self, member: usize, since: Instant) -> bool {
        let moved = self.running.get(&member).and_then(|download| download.moved);
        moved.is_some_and(|at| at >= since)
    }

    /// Height aimed at, while a download that makes progress is not finished.
    pub(super) fn target(&self) -> Option<u64> {
        let moving = self.running.values().filter(|download| download.moved.is_some());
        moving.map(|download| download.target).max()
    }

    fn begin(&mut self, number: usize, target: u64) {
        self.running.insert(number, Download { target, moved: None });
    }

    fn end(&mut self, number: usize) {
        self.running.remove(&number);
        if self.running.is_empty() {
            self.told = None;
        }
    }

    /// Notes an answer, and tells the log from time to time.
    fn note(&mut self, member: &Member, number: usize, height: u64) {
        let now = Instant::now();
        let Some(download) = self.running.get_mut(&number) else { return };
        download.moved = Some(now);
        let (at, from) = *self.told.get_or_insert((now, height));
        let passed = now.saturating_duration_since(at);
        if passed >= TELL_EVERY {
            let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
            let per_second = height.saturating_sub(from).saturating_mul(1000) / millis;
            let (source, target) = (&member.name, download.target);
            tracing::info!(source, height, target, per_second, "downloading headers");
            self.told = Some((now, height));
        }
    }
}

impl Quorum {
    /// Takes over what a member shows now.
    pub(super) async fn follow(&self, number: usize, member: &Member) -> Result<(), AdapterError> {
        let tip = member.ask(member.source.tip()).await?;
        member.note_height(tip.height);
        let outcome = self.take(number, member, tip).await;
        let mut state = self.state();
        state.progress.end(number);
        if let Err(error) = &outcome
            && is_wrong(error)
        {
            // An unreachable member keeps its say for a while, one with a bad chain does not.
            member.failed(error);
            if let Some(shown) = state.shown.get_mut(number) {
                *shown = None;
            }
        }
        drop(state);
        outcome?;
        self.take_branches(member);
        Ok(())
    }

    async fn take(
        &self,
        number: usize,
        member: &Member,
        tip: SourceTip,
    ) -> Result<(), AdapterError> {
        if self.height_of(&tip.hash).is_none() {
            self.download(number, member, tip).await?;
        }
        match self.height_of(&tip.hash) {
            Some(height) if height == tip.height => {
                let mut state = self.state();
                if let Some(shown) = state.shown.get_mut(number) {
                    *shown = Some((tip, Instant::now()));
                }
                Ok(())
            }
            Some(height) => Err(bad_height(member, tip.height, height)),
            // Another block came between the questions.
            None => Err(reorganised(member, tip.height)),
        }
    }

    /// Fetches and verifies from the last known header of the member's chain up to its tip.
    async fn download(
        &self,
        number: usize,
        member: &Member,
        tip: SourceTip,
    ) -> Result<(), AdapterError> {
        let far =
            tip.height.saturating_sub(self.state().verified.top().height) > MAX_HEADERS as u64;
        let _turn = if far { self.turn().await } else { None };
        let (mut next, first) = self.attach(number, member, tip).await?;
        // What a source hands out at once.
        let stride = first.len().max(1);
        next = self.verify(number, member, tip, next, first)?;
        while next <= tip.height {
            let begun = next;
            let ranges = (0..).map_while(|n: u64| {
                let from = begun.checked_add(n.checked_mul(stride as u64)?)?;
                (from <= tip.height).then(|| member.ask(member.source.headers(from, stride)))
            });
            let mut answers = stream::iter(ranges).buffered(PIPELINE);
            while let Some(answer) = answers.next().await {
                let answer = answer?;
                let short = answer.len() < stride;
                next = self.verify(number, member, tip, next, answer)?;
                if short {
                    break;
                }
            }
            if next == begun {
                return Err(reorganised(member, next));
            }
        }
        Ok(())
    }

    /// Waits while another member downloads, as long as that makes progress.
    async fn turn(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let mut seen = self.state().verified.top().height;
        loop {
            if let Ok(turn) = tokio::time::timeout(self.grace(), self.download.lock()).await {
                return Some(turn);
            }
            let top = self.state().verified.top().height;
            if top == seen {
                return None;
            }
            seen = top;
        }
    }

    /// Finds the lowest unknown header of the member's chain that follows a known one: its height, and
    /// an answer that begins there.
    async fn attach(
        &self,
        number: usize,
        member: &Member,
        tip: SourceTip,
    ) -> Result<(u64, Vec<SourceHeader>), AdapterError> {
        let (base, mut from) = {
            let mut state = self.state();
            state.progress.begin(number, tip.height);
            let own = state.shown.get(number).copied().flatten().map(|(tip, _)| tip.height);
            let known = own.unwrap_or(0).max(state.verified.top().height);
            let base = state.verified.base();
            (base, known.saturating_add(1).min(tip.height).max(base.saturating_add(1)))
        };
        let mut step = 1;
        loop {
            let count = tip.height.saturating_sub(from).saturating_add(1);
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_HEADERS);
            let answer = member.ask(member.source.headers(from, count)).await?;
            let Some(first) = answer.first() else { return Err(reorganised(member, from)) };
            match self.height_of(&first.compat.parentHash) {
                Some(parent) if parent.saturating_add(1) == from => return Ok((from, answer)),
                Some(parent) => return Err(bad_height(member, from, parent.saturating_add(1))),
                None if from <= base.saturating_add(1) => {
                    return Err(AdapterError::Unrelated { endpoint: member.name.clone(), base });
                }
                None => {
                    from = from.saturating_sub(step).max(base.saturating_add(1));
                    step = step.saturating_mul(2);
                }
            }
        }
    }

    /// Verifies an answer that begins at `from`; returns the height after it.
    fn verify(
        &self,
        number: usize,
        member: &Member,
        tip: SourceTip,
        from: u64,
        answer: Vec<SourceHeader>,
    ) -> Result<u64, AdapterError> {
        let next = from.saturating_add(answer.len() as u64);
        if next > tip.height.saturating_add(1) {
            // Newer than the tip: they come with the next look.
            let wanted = usize::try_from(tip.height.saturating_sub(from)).unwrap_or(usize::MAX);
            let wanted = wanted.saturating_add(1).min(answer.len());
            let answer = answer.into_iter().take(wanted).collect();
            return self.verify(number, member, tip, from, answer);
        }
        let raws = raws(&answer).ok_or_else(|| AdapterError::BadAnswer {
            endpoint: member.name.clone(),
            method: "headers",
            reason: "a Bitcoin header has 80 bytes".into(),
        })?;
        let mut state = self.state();
        state.verified.accept(&raws, now_ms()).map_err(|error| refused(member, from, &error))?;
        state.progress.note(member, number, next.saturating_sub(1));
        Ok(next)
    }

    /// Verifies the branches beside a member's active chain, which never decide anything: one that
    /// cannot be verified is left out.
    fn take_branches(&self, member: &Member) {
        for Branch { headers, .. } in member.source.view().branches {
            let Some(last) = headers.last().map(|last| last.compat.blockHash) else { continue };
            let Some(raws) = raws(&headers) else { continue };
            let mut state = self.state();
            if state.verified.get(&last).is_none()
                && let Err(error) = state.verified.accept(&raws, now_ms())
            {
                tracing::debug!(source = member.name, %error, "branch left out");
                continue;
            }
            if state.leaves.len() < 2 * super::decide::MAX_BRANCHES {
                state.leaves.insert(last);
            }
        }
    }

    fn height_of(&self, hash: &B256) -> Option<u64> {
        self.state().verified.get(hash).map(|(height, _)| height)
    }
}

/// Whether an error says that the member's chain is not one to follow.
const fn is_wrong(error: &AdapterError) -> bool {
    matches!(
        error,
        AdapterError::InvalidHeader { .. }
            | AdapterError::LowWork { .. }
            | AdapterError::Unrelated { .. }
            | AdapterError::BadAnswer { .. }
    )
}

fn raws(headers: &[SourceHeader]) -> Option<Vec<[u8; LEN]>> {
    headers.iter().map(|header| header.raw.as_ref().try_into().ok()).collect()
}

fn reorganised(member: &Member, height: u64) -> AdapterError {
    AdapterError::Reorganised { endpoint: member.name.clone(), height }
}

fn bad_height(member: &Member, claimed: u64, actual: u64) -> AdapterError {
    AdapterError::BadAnswer {
        endpoint: member.name.clone(),
        method: "headers",
        reason: format!("claims height {claimed} for a block whose height is {actual}"),
    }
}

/// A refused answer that begins at `height`.
fn refused(member: &Member, height: u64, error: &HeaderError) -> AdapterError {
    let (endpoint, reason) = (member.name.clone(), error.to_string());
    match error {
        HeaderError::TooLittleWork { .. } => AdapterError::LowWork { endpoint, height, reason },
        // Answers of two states of the member's chain.
        HeaderError::ParentNotFound { .. } => AdapterError::Reorganised { endpoint, height },
        error if error.is_transient() => {
            AdapterError::BadAnswer { endpoint, method: "headers", reason }
        }
        _ => AdapterError::InvalidHeader { endpoint, height, reason },
    }
}
