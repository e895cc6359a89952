//! Ends guarantees by itself: settles those whose payment is confirmed, and has the beneficiaries of the lost ones paid.
//!
//! Each round asks the main chain which guarantees are open on the chains that are followed here, and whether it would take
//! their end now ([`look`]). What can be ended becomes an item of a queue of its own: the row comes before the
//! transaction, the key's one nonce owner signs and sends it, a failure pauses and in the end parks it,
//! and of several relayers on one database one works on the queue. What others have ended is done.

mod contract;
mod look;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

use alloy_primitives::{B256, Bytes, U256};
use grid_adapters::SourceChain;
use grid_core::{
    ChainId, Security,
    api::{BlockRef, ChainInfo},
    guarantee::GuaranteeParams,
    modules::gas,
};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use self::{
    contract::{Contract, Pool},
    look::{Look, Memory, Seen},
};
use crate::{
    evidence::byte_gas,
    lane::{Parts, Shared},
    main_chain::{MainChain, MainError, MainView},
    store::{Item, Kind, NewItem, Stage, StoreError},
    submit::Terms,
    supervise::Pulse,
};

/// Most ends handed in by one round.
const BUDGET: u32 = 16;

/// Most rows of the queue that one round looks at: more than guarantees can be open on two chains.
const ROWS: u32 = 1_024;

/// A guarantee is judged with a list of at most so many.
const MOST_OPEN: u64 = 256;

/// The queue's name: in the form of a chain's id, and none that a chain can have.
static QUEUE: LazyLock<ChainId> =
    LazyLock::new(|| "grid:guarantee".parse().expect("a constant in the form of CAIP-2"));

/// Where the ends of guarantees stand among the items.
#[must_use]
pub fn queue() -> &'static ChainId {
    &QUEUE
}

/// How guarantees are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuaranteeConfig {
    /// Time between two rounds.
    pub poll: Duration,
}

/// Gas that the end of a guarantee may use, and a quarter more. What is not used is not paid.
#[must_use]
pub fn gas_limit(call: &[u8]) -> u64 {
    let bytes = u64::try_from(call.len()).unwrap_or(u64::MAX);
    let proof = gas::PROOF.saturating_add(bytes.saturating_mul(gas::PROOF_BYTE));
    let fixed = 21_000
        + gas::CALL
        + gas::CLIENT_LOAD
        + MOST_OPEN * gas::GUARANTEE_OPEN
        + 16 * gas::READ
        + 16 * gas::WRITE;
    let sum = byte_gas(call.len()).saturating_add(proof).saturating_add(fixed);
    sum.saturating_add(sum / 4)
}

/// Why a round did not come to its end.
#[derive(Debug, Error)]
enum KeepError {
    #[error(transparent)]
    Main(#[from] MainError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a round works with.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    parts: Parts,
    poll: Duration,
}

/// Runs until a stop.
pub(crate) async fn run(keeper: Arc<Keeper>, pulse: Pulse, cancel: CancellationToken) {
    let mut timer = tokio::time::interval(keeper.poll);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut memory = Memory::default();
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            _ = timer.tick() => {}
        }
        pulse.beat();
        // Whatever it is stopped in: each step between two awaits is atomic.
        let round = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            round = keeper.round(&mut memory, &pulse) => round,
        };
        match round {
            Ok(()) => pulse.progress(),
            Err(error) => tracing::warn!(%error, "guarantees not ended"),
        }
    }
}

impl Keeper {
    pub(crate) const fn new(shared: Arc<Shared>, parts: Parts, config: GuaranteeConfig) -> Self {
        Self { shared, parts, poll: config.poll }
    }

    /// Looks at every open guarantee of the chains that are followed here, and ends what can be ended.
    async fn round(&self, memory: &mut Memory, pulse: &Pulse) -> Result<(), KeepError> {
        let view = self.shared.view(self.poll / 2).await?;
        let main: &dyn MainChain = self.parts.main.as_ref();
        let Some(params) = Contract(main).params().await? else { return Ok(()) };
        let pool = Contract(main).pool().await?;
        self.parts.metrics.pool(pool.free, pool.locked, pool.paid);
        let mut due = BTreeMap::new();
        let mut open = BTreeSet::new();
        for source in self.shared.sources() {
            let Some(chain) = self.covered(&view, &source) else { continue };
            let look = Look { contract: Contract(main), params: &params, chain, source: &source };
            let seen = look.all(memory, pulse).await?;
            self.show(chain, &params, &pool, &seen);
            for (guarantee, ending) in seen.open {
                open.insert(guarantee.id);
                due.extend(ending.map(|ending| (guarantee.id, ending.call(guarantee.id))));
            }
        }
        memory.keep(|id| open.contains(id));
        self.end(&view, |id| open.contains(id), &due).await
    }

    /// The chain of a source, if its payments can be covered and nobody has paused it.
    fn covered<'a>(
        &self,
        view: &'a MainView,
        source: &Arc<dyn SourceChain>,
    ) -> Option<&'a ChainInfo> {
        let chain = view.chain(source.id())?;
        let covered = chain.security == Security::ProofOfWork && !self.shared.paused(&chain.id);
        covered.then_some(chain)
    }

    fn show(&self, chain: &ChainInfo, params: &GuaranteeParams, pool: &Pool, seen: &Seen) {
        let (all, at_risk) = seen.covers();
        let part = |parts: u16| pool.value().saturating_mul(U256::from(parts)) / U256::from(WHOLE);
        let metrics = &self.parts.metrics;
        metrics.guarantees(&chain.id, seen.open.len(), seen.due());
        metrics.exposure(&chain.id, "chain", all, part(params.chain_cap_parts));
        metrics.exposure(&chain.id, "reorganisation", at_risk, part(params.reorg_cap_parts));
    }

    /// Brings the queue's rows up to what is due, and hands in what waits.
    async fn end(
        &self,
        view: &MainView,
        is_open: impl Fn(&B256) -> bool,
        due: &BTreeMap<B256, Bytes>,
    ) -> Result<(), KeepError> {
        let Parts { store, crew, clock, submitter, submit, .. } = &self.parts;
        let now = clock.now_ms();
        let mut rows = Vec::new();
        for row in store.unfinished(queue(), ROWS).await? {
            // Whoever holds the queue: it may have changed hands since the transaction was sent.
            if !is_open(&row.last.hash) && self.has_ended(&row).await? {
                store.finish_item(&row.key, now).await?;
            } else {
                rows.push(row);
            }
        }
        if crew.hold(queue(), now).await?.is_none() {
            // Another relayer of this database works on it.
            return Ok(());
        }
        for row in &rows {
            self.give_up(row, due, now).await?;
        }
        let items: Vec<_> = due.iter().map(|(id, call)| item(*id, call.clone())).collect();
        store.plan_all(&items, now, submit.stale_after).await?;
        let room = submitter.room().min(BUDGET);
        let claims = store.claim(crew.owner(), queue(), room, now, submit.lease).await?;
        let terms = Terms { chain_id: view.tip.chain_id, base_fee: view.base_fee };
        submitter.submit(&claims, terms, now).await?;
        Ok(())
    }

    async fn has_ended(&self, row: &Item) -> Result<bool, MainError> {
        Contract(self.parts.main.as_ref()).has_ended(row.last.hash).await
    }

    /// Gives a row up that is not signed yet and is not what is due.
    async fn give_up(
        &self,
        row: &Item,
        due: &BTreeMap<B256, Bytes>,
        now: u64,
    ) -> Result<(), StoreError> {
        let (store, ending) = (&self.parts.store, due.get(&row.last.hash));
        let gives_up = match row.stage {
            Stage::Planned => store.payload(&row.key).await?.as_ref() != ending,
            // For the operator, unless there is another way.
            Stage::Parked => ending.is_some() && store.payload(&row.key).await?.as_ref() != ending,
            _ => false,
        };
        if gives_up {
            store.drop_item(&row.key, "it cannot be ended in this way now", now).await?;
        }
        Ok(())
    }
}

/// The whole, in the parts of the contract's rules.
const WHOLE: u16 = 10_000;

/// The unit of work that ends a guarantee. All of them stand side by side: none waits for another.
fn item(id: B256, call: Bytes) -> NewItem {
    NewItem {
        kind: Kind::Guarantee,
        chain: queue().clone(),
        from: 0,
        parent: B256::ZERO,
        last: BlockRef { height: 0, hash: id },
        payload: call,
    }
}
