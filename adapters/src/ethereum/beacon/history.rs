//! What a light client took, kept for clients that are behind it.

use std::collections::BTreeMap;

use grid_core::{
    api::SyncStatus,
    ethereum::sync::{FinalityUpdate, NetworkConfig, SyncData, Update},
};

/// Periods whose update is kept: nine days of mainnet, more than a checkpoint may be old.
const MAX_PERIODS: usize = 8;

/// The updates that taught the committees of the last periods, and the proof of the newest finality. All
/// of it was verified by the client whose history it is.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// By the period in which they were signed, whose next committee they teach.
    updates: BTreeMap<u64, Update>,
    newest: Option<FinalityUpdate>,
}

impl History {
    /// Notes what was taken.
    pub(super) fn note(&mut self, network: &NetworkConfig, item: SyncData) {
        let proof = match item {
            SyncData::FinalityUpdate(proof) => *proof,
            SyncData::Update(update) => {
                let proof = update.to_finality_update();
                let period = |slot| network.preset.period(slot);
                let attested = period(update.attested_header.beacon.slot);
                // Only these two together take a client into the period and through it.
                if update.next_sync_committee.is_some()
                    && attested == period(update.finalized_header.beacon.slot)
                {
                    self.updates.insert(attested, *update);
                    while self.updates.len() > MAX_PERIODS {
                        self.updates.pop_first();
                    }
                }
                proof
            }
            // A bootstrap is for those who have its root.
            _ => return,
        };
        if self.newest.as_ref().is_none_or(|known| slot(known) < slot(&proof)) {
            self.newest = Some(proof);
        }
    }

    /// Everything, in an order in which it can be noted again.
    pub(super) fn items(&self) -> impl Iterator<Item = SyncData> {
        let updates = self.updates.values().cloned().map(SyncData::from);
        updates.chain(self.newest.clone().map(SyncData::from))
    }

    /// What a client at `position` is missing, where all of it is here: `None` where a period's update
    /// is not.
    pub(super) fn missing(
        &self,
        network: &NetworkConfig,
        position: &SyncStatus,
        most: usize,
    ) -> Option<Vec<SyncData>> {
        let newest = self.newest.as_ref()?;
        let first = position.period.checked_add(u64::from(position.next_committee_known))?;
        let last = network.preset.period(slot(newest));
        let mut missing = Vec::new();
        let mut reached = position.finalized_slot;
        for period in first..=last {
            let Some(update) = self.updates.get(&period) else {
                // The last period's is only needed to enter it.
                if period == last && period == position.period {
                    break;
                }
                return None;
            };
            if missing.len() >= most {
                return Some(missing);
            }
            reached = reached.max(update.finalized_header.beacon.slot);
            missing.push(update.clone().into());
        }
        if slot(newest) > reached && missing.len() < most {
            missing.push(newest.clone().into());
        }
        Some(missing)
    }
}

const fn slot(proof: &FinalityUpdate) -> u64 {
    proof.finalized_header.beacon.slot
}
