//! Carries messages from sources to the main chain.
//!
//! Blocks of a source are searched for messages as they come, and again where a reorganisation has replaced them. A message gets
//! a row at once; it is delivered when the main chain has confirmed its block deep enough for the route: proven, tried out
//! without cost, and handed in as an item by the one owner of the key's nonces. Every round compares the rows with the main
//! chain, so that a message that another relayer delivered, or one whose block went away, is noticed without being told.
//!
//! # Invariants
//! - A row is there before its item, and the item before a transaction: a stop between any two loses nothing.
//! - Nothing is paid for what the main chain would refuse now. That it takes effect once is the main chain's business.
//! - `plan` decides, and asks nobody. One message that is refused holds up no other one.

mod deliver;
mod look;
mod plan;
mod prove;
mod round;
mod search;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

use alloy_primitives::hex;
use grid_adapters::message::MessageChain;
use grid_core::{ChainId, modules::gas};
use tokio::{sync::Mutex, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use deliver::item_key;
pub use plan::Filter;

use crate::{
    evidence::byte_gas,
    lane::{Parts, Shared},
    supervise::Pulse,
};

/// The queue's name: in the form of a chain's id, and none that a chain can have.
static QUEUE: LazyLock<ChainId> =
    LazyLock::new(|| "grid:messages".parse().expect("a constant in the form of CAIP-2"));

/// Where deliveries stand among the items: beside the headers of the sources, and in no order with them.
#[must_use]
pub fn queue() -> &'static ChainId {
    &QUEUE
}

/// What is held while a chain's messages are carried: another thing than the chain itself, whose headers may be another
/// relayer's work.
#[must_use]
pub fn hold(chain: &ChainId) -> ChainId {
    let key = chain.key().0;
    let start: [u8; 12] = core::array::from_fn(|at| key[at]);
    format!("grid:msg-{}", hex::encode(start)).parse().unwrap_or_else(|_| queue().clone())
}

/// A chain whose messages are carried to the main chain.
#[derive(Clone)]
pub struct MessageSource {
    /// The chain.
    pub chain: ChainId,
    /// Its nodes, best first. What they say is verified against the main chain's index, so that any of them will do.
    pub nodes: Vec<Arc<dyn MessageChain>>,
    /// Which of its messages.
    pub filter: Filter,
    /// Confirmed blocks that the first search of the chain takes in.
    pub lookback: u64,
}

impl core::fmt::Debug for MessageSource {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { chain, filter, lookback, .. } = self;
        f.debug_struct("MessageSource")
            .field("chain", chain)
            .field("filter", filter)
            .field("lookback", lookback)
            .finish_non_exhaustive()
    }
}

/// Which messages are carried.
#[derive(Debug, Clone)]
pub struct MessagesConfig {
    /// Time between two looks at each chain.
    pub poll: Duration,
    /// The chains; nothing is carried where there is none.
    pub sources: Vec<MessageSource>,
}

impl Default for MessagesConfig {
    fn default() -> Self {
        Self { poll: Duration::from_secs(1), sources: Vec::new() }
    }
}

impl MessagesConfig {
    /// Whether anything is carried.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.sources.is_empty()
    }
}

/// Gas that a delivery may use, and a quarter more. What is not used is not paid.
#[must_use]
pub fn gas_limit(call: &[u8]) -> u64 {
    let bytes = u64::try_from(call.len()).unwrap_or(u64::MAX);
    let proof = gas::PROOF.saturating_add(bytes.saturating_mul(gas::PROOF_BYTE));
    let fixed = 21_000 + gas::CALL + 24 * gas::READ + 16 * gas::WRITE;
    let sum = byte_gas(call.len()).saturating_add(proof).saturating_add(fixed);
    sum.saturating_add(sum / 4)
}

/// What carries messages.
pub(crate) struct Messages {
    parts: Parts,
    shared: Arc<Shared>,
    sources: BTreeMap<ChainId, MessageSource>,
    /// One at a time hands items in.
    door: Mutex<()>,
}

/// Looks for messages until a stop: at the chains that have news, and at all of them with the timer. Each chain has rounds of
/// its own: a slow one delays no other one.
pub(crate) async fn run(
    messages: Arc<Messages>,
    poll: Duration,
    pulse: Pulse,
    cancel: CancellationToken,
) {
    let mut timer = tokio::time::interval(poll);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut news = messages.shared.listen();
    let busy: BTreeMap<ChainId, Arc<Mutex<()>>> =
        messages.sources.keys().map(|chain| (chain.clone(), Arc::default())).collect();
    let (mut due, mut rounds) = (BTreeSet::new(), JoinSet::new());
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            // What has become due meanwhile begins.
            Some(_ended) = rounds.join_next(), if !rounds.is_empty() => {}
            _ = timer.tick() => {
                pulse.beat();
                pulse.progress();
                due.extend(busy.keys().cloned());
            }
            Ok(()) = news.changed() => due.extend(messages.shared.take_news()),
        }
        due.retain(|chain| {
            let Some(busy) = busy.get(chain) else { return false };
            // The round before is not over.
            let Ok(turn) = busy.clone().try_lock_owned() else { return true };
            let (messages, chain) = (messages.clone(), chain.clone());
            rounds.spawn(async move {
                messages.visit(&chain).await;
                drop(turn);
            });
            false
        });
    }
    // A round ends at its next await when it is aborted, and every step between two awaits is atomic.
    rounds.shutdown().await;
}

impl Messages {
    pub(crate) fn new(shared: Arc<Shared>, parts: Parts, config: &MessagesConfig) -> Self {
        let sources = config.sources.iter().cloned();
        let sources = sources.map(|source| (source.chain.clone(), source)).collect();
        Self { parts, shared, sources, door: Mutex::new(()) }
    }

    /// One round of one chain, and what came of it.
    async fn visit(&self, chain: &ChainId) {
        let Some(source) = self.sources.get(chain) else { return };
        let Err(error) = self.round(chain, source).await else { return };
        self.parts.metrics.message_failures.with_label_values(&[chain.as_str()]).inc();
        tracing::warn!(%chain, %error, "messages not looked for; tried again");
    }
}
