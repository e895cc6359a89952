//! Which of two updates of a period is better to serve or to fall back to.

use std::cmp::Ordering;

use super::{network::Preset, types::Update};

/// `is_better_update`: whether `new` is strictly better than `old`.
#[must_use]
pub fn is_better_update(preset: &Preset, new: &Update, old: &Update) -> bool {
    compare(preset, new, old) == Ordering::Greater
}

/// The order of [`is_better_update`]; the greater is the better.
// altair/sync-protocol.md: is_better_update
fn compare(preset: &Preset, new: &Update, old: &Update) -> Ordering {
    let supermajority = |update: &Update| update.sync_aggregate.has_supermajority();
    let participants = |update: &Update| update.sync_aggregate.participants();
    let period = |slot| preset.period(slot);
    let relevant_committee = |update: &Update| {
        update.has_committee()
            && period(update.attested_header.beacon.slot) == period(update.signature_slot)
    };
    let committee_finality = |update: &Update| {
        update.has_finality()
            && period(update.finalized_header.beacon.slot)
                == period(update.attested_header.beacon.slot)
    };
    supermajority(new)
        .cmp(&supermajority(old))
        .then_with(|| {
            // Only below two thirds; above, participation is a tie-breaker.
            if supermajority(new) {
                Ordering::Equal
            } else {
                participants(new).cmp(&participants(old))
            }
        })
        .then_with(|| relevant_committee(new).cmp(&relevant_committee(old)))
        .then_with(|| new.has_finality().cmp(&old.has_finality()))
        .then_with(|| committee_finality(new).cmp(&committee_finality(old)))
        .then_with(|| participants(new).cmp(&participants(old)))
        // Older data changes the best one less often.
        .then_with(|| old.attested_header.beacon.slot.cmp(&new.attested_header.beacon.slot))
        .then_with(|| old.signature_slot.cmp(&new.signature_slot))
}
