//! Bringing a light client to the newest finality that any beacon node proves.
//!
//! Nothing that a node sends is believed: each object goes through [`SyncClient::process`]. A node
//! whose object is refused loses its standing, and the next one is asked; what was verified before
//! stays. Period by period up to the present, then the newest finality of all nodes.

use alloy_primitives::B256;
use futures::FutureExt as _;
use grid_core::ethereum::sync::{
    Bootstrap, Change, FinalityUpdate, NetworkConfig, Policy, SyncClient, SyncData, SyncError,
    Update,
};

use super::{
    BeaconError,
    api::{BeaconApi, MAX_UPDATES},
    nodes::{Node, Nodes},
};
use crate::{AdapterError, member};

/// A light client fresh from its trusted block, and the bootstrap that it started from.
pub(super) async fn bootstrap(
    nodes: &Nodes,
    network: &NetworkConfig,
    policy: &Policy,
    root: &B256,
    now: u64,
) -> Result<(SyncClient, Bootstrap), AdapterError> {
    let started = nodes
        .first(
            now,
            |api| api.bootstrap(root).boxed(),
            |endpoint, bootstrap| {
                let kept = bootstrap.clone();
                let (network, policy) = (network.clone(), policy.clone());
                match SyncClient::bootstrap(network, policy, root, bootstrap, now) {
                    Ok(client) => Ok(Ok((client, kept))),
                    // Of the trusted block itself: no other node can do better.
                    Err(
                        error @ (SyncError::StaleCheckpoint { .. } | SyncError::ClockBehind { .. }),
                    ) => Ok(Err(error)),
                    Err(source) => Err(refused(endpoint, "a bootstrap", source)),
                }
            },
        )
        .await?;
    started.map_err(|error| halted(network, error))
}

/// What was taken on the way, in order.
pub(super) type Taken = Vec<(SyncData, Change)>;

/// Brings `client` on, taking at most `most` objects.
///
/// # Errors
/// When nothing could be learned and no node said that there is nothing new, or when the client
/// itself refuses to go on.
pub(super) async fn catch_up(
    nodes: &Nodes,
    client: &mut SyncClient,
    now: u64,
    most: usize,
) -> Result<Taken, AdapterError> {
    client.check_age(now).map_err(|error| halted(client.network(), error))?;
    let mut walk = Walk { nodes, client, now, taken: Vec::new() };
    let periods = walk.periods(most).await;
    let outcome = if walk.taken.len() < most { walk.finality().await } else { Ok(()) };
    walk.optimism().await;
    let taken = walk.taken;
    if let Err(error) = client.finalized() {
        return Err(halted(client.network(), error));
    }
    match (outcome, periods) {
        (Ok(()), Ok(())) => Ok(taken),
        // The update of a period that has just begun may not exist yet.
        (Ok(()), Err(error)) => {
            tracing::debug!(%error, "no update of the period");
            Ok(taken)
        }
        (Err(error), _) if taken.is_empty() => Err(error),
        (Err(error), _) => {
            tracing::debug!(%error, "no newer finality");
            Ok(taken)
        }
    }
}

struct Walk<'a> {
    nodes: &'a Nodes,
    client: &'a mut SyncClient,
    now: u64,
    taken: Taken,
}

impl Walk<'_> {
    /// The store's period, and whether the next committee is known.
    fn position(&self) -> (u64, bool) {
        let store = self.client.store();
        let slot = store.finalized_header().beacon.slot;
        (self.client.network().preset.period(slot), store.next_sync_committee().is_some())
    }

    /// Enters every period up to the present.
    async fn periods(&mut self, most: usize) -> Result<(), AdapterError> {
        let network = self.client.network();
        let present = network.preset.period(network.slot_at(self.now));
        loop {
            let (period, next_known) = self.position();
            let start = if next_known { period.saturating_add(1) } else { period };
            let room = most.saturating_sub(self.taken.len()) as u64;
            if start > present || room == 0 {
                return Ok(());
            }
            let count = (present - start + 1).min(MAX_UPDATES).min(room);
            if !self.page(start, count).await? {
                return Ok(());
            }
        }
    }

    /// Takes the updates of some periods; whether they brought the client on. Where the best node's teach
    /// nothing, such as one that withholds committees, all others are asked.
    async fn page(&mut self, start: u64, count: u64) -> Result<bool, AdapterError> {
        let Self { nodes, client, now, taken } = self;
        let before = taken.len();
        let ask = |api| BeaconApi::updates(api, start, count).boxed();
        let take =
            |endpoint: &str, updates| take_page(client, *now, start, endpoint, updates, taken);
        let first = nodes.first(*now, ask, take).await;
        // What was taken counts, also where a later update of the page was refused.
        if taken.len() > before {
            return Ok(true);
        }
        if nodes.len() == 1 {
            return first;
        }
        for (node, answer) in nodes.all(*now, ask).await {
            let Ok(updates) = answer else { continue };
            let endpoint = node.source.endpoint();
            if let Err(error) = take_page(client, *now, start, endpoint, updates, taken) {
                node.failed(&error);
            }
        }
        if taken.len() > before { Ok(true) } else { first }
    }

    /// Takes the newest head that a committee signed, where the policy wants it.
    async fn optimism(&mut self) {
        if !self.client.policy().export_optimistic {
            return;
        }
        let Self { nodes, client, now, .. } = self;
        let ask = |api| BeaconApi::optimistic_update(api).boxed();
        let outcome =
            nodes.first(*now, ask, |endpoint, update| match client.process(update, *now) {
                Ok(_) | Err(SyncError::Irrelevant { .. }) => Ok(()),
                Err(source) => Err(refused(endpoint, "an optimistic update", source)),
            });
        if let Err(error) = outcome.await {
            tracing::debug!(%error, "no newer optimistic header");
        }
    }

    /// Takes the newest finality that any node proves.
    async fn finality(&mut self) -> Result<(), AdapterError> {
        let answers = self.nodes.all(self.now, |api| api.finality_update().boxed()).await;
        let mut proofs = Vec::new();
        let mut failures = Vec::new();
        for (node, answer) in answers {
            match answer {
                Ok(update) => proofs.push((node, update)),
                Err(error) => failures.push((node, error)),
            }
        }
        let age =
            |update: &FinalityUpdate| (update.finalized_header.beacon.slot, update.signature_slot);
        proofs.sort_by_key(|(_, update)| core::cmp::Reverse(age(update)));
        let mut answered = false;
        for (node, update) in proofs {
            match self.take_finality(node, update).await {
                Ok(()) => answered = true,
                Err(error) => {
                    node.failed(&error);
                    failures.push((node, error));
                }
            }
        }
        if answered { Ok(()) } else { Err(member::all_failed(self.nodes.chain(), failures)) }
    }

    async fn take_finality(
        &mut self,
        node: &Node,
        update: FinalityUpdate,
    ) -> Result<(), AdapterError> {
        let slot = update.finalized_header.beacon.slot;
        let mut outcome = self.client.process(update.clone(), self.now);
        if let Err(SyncError::RotationWithoutNext(period)) = outcome {
            // Finality has entered a period whose update was not there before.
            self.page(period, 1).await?;
            outcome = self.client.process(update.clone(), self.now);
        }
        match outcome {
            Ok(change) => {
                if change.finalized {
                    self.taken.push((update.into(), change));
                }
            }
            // Older than what is known: nothing to learn, and no harm unless it lags for long.
            Err(SyncError::Irrelevant { .. }) => {}
            Err(SyncError::PeriodSkipped { signature, store, .. }) if signature < store => {}
            // The period's own update is still missing; the finality is good for what it says.
            Err(SyncError::RotationWithoutNext(_)) => return Ok(()),
            Err(source) => {
                return Err(refused(node.source.endpoint(), "a finality update", source));
            }
        }
        let proven = self.client.store().finalized_header().beacon.slot;
        let tolerated = self.client.network().preset.slots_per_epoch.saturating_mul(2);
        match proven.checked_sub(slot) {
            Some(behind) if behind > tolerated => Nodes::behind(node, slot, behind),
            _ => node.note_height(slot),
        }
        Ok(())
    }
}

/// Takes a page, in order. Fails where the page is not what was asked for, or one update is refused;
/// those before it stay. Otherwise tells whether it taught anything.
fn take_page(
    client: &mut SyncClient,
    now: u64,
    start: u64,
    endpoint: &str,
    updates: Vec<Update>,
    taken: &mut Taken,
) -> Result<bool, AdapterError> {
    let before = taken.len();
    let unusable = |reason: String| {
        let (endpoint, path) = (endpoint.into(), "light_client/updates".into());
        AdapterError::from(BeaconError::Answer { endpoint, path, reason })
    };
    for (expected, update) in (start..).zip(updates) {
        let found = client.network().preset.period(update.attested_header.beacon.slot);
        if found != expected {
            return Err(unusable(format!("an update of period {found} in place of {expected}")));
        }
        match client.process(update.clone(), now) {
            Ok(change) if change.finalized || change.learned_committee => {
                taken.push((update.into(), change));
            }
            Ok(_) | Err(SyncError::Irrelevant { .. }) => {}
            Err(source) => return Err(refused(endpoint, "an update", source)),
        }
    }
    Ok(taken.len() > before)
}

fn refused(endpoint: &str, what: &'static str, source: SyncError) -> AdapterError {
    BeaconError::Refused { endpoint: endpoint.into(), what, source: Box::new(source) }.into()
}

/// The client's own refusal, with its fix.
pub(super) fn halted(network: &NetworkConfig, error: SyncError) -> AdapterError {
    let network = network.name.clone();
    match error {
        SyncError::StaleCheckpoint { slot, age, most } => {
            BeaconError::Stale { network, slot, age, most }
        }
        source => BeaconError::Halted { network, source: Box::new(source) },
    }
    .into()
}
