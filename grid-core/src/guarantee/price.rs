//! What the risk of a tracked block is, and what a cover costs.

use alloy_primitives::U256;

use super::{
    error::GuaranteeError,
    params::{GuaranteeParams, Terms, WHOLE, amount},
};
use crate::{
    header_tree::{HeaderRef, HeaderTree},
    risk::{self, Probability, Ratio},
};

/// How likely a block of the best branch is to be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Risk {
    /// Its confirmations, counted by work: a block of the tip has one.
    pub confirmations: u64,
    /// By how many blocks' work the best branch leads over the best one that does not hold the block, if there is one.
    pub lead: Option<u64>,
    /// The probability.
    pub probability: Probability,
}

/// What a cover would cost now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// The premium.
    pub premium: u128,
    /// The risk that it is for.
    pub risk: Risk,
    /// The most that can be covered in this block.
    pub available: u128,
}

/// The risk of a header on the best branch, `now_ms` in milliseconds since 1970.
///
/// 1. Confirmations `z` are the work from the header to the tip in blocks of the greatest work among them, rounded down.
/// 2. Against an attacker who mines in secret since the block below: the greater of Rosenfeld's probability and the one
///    that knows how slowly the blocks came, from the earliest time among them and of the block below until now.
/// 3. Against a branch in the open that does not hold the header: `(q/p)^lead`, the lead in blocks as above.
/// 4. Their sum, at most 1.
///
/// # Errors
/// [`GuaranteeError::TooDeep`] for a header under more than [`risk::MAX_DEPTH`] others.
pub fn assess(
    tree: &HeaderTree,
    header: HeaderRef<'_>,
    now_ms: u64,
    terms: &Terms,
) -> Result<Risk, GuaranteeError> {
    let tip = tree.tip();
    let found = tip.height().saturating_sub(header.height());
    if found >= risk::MAX_DEPTH {
        return Err(GuaranteeError::TooDeep { found, most: risk::MAX_DEPTH });
    }
    let mut block = tip.real_work();
    let mut begun = tip.time();
    let mut at = Some(tip);
    while let Some(one) = at.filter(|one| one.height() >= header.height()) {
        block = block.max(one.own_weight());
        begun = begun.min(one.time());
        at = one.parent();
    }
    // The parent of the header; the base has none in the tree.
    begun = begun.min(at.map_or(begun, |below| below.time()));
    let blocks =
        |work: U256| u64::try_from(work.checked_div(block).unwrap_or_default()).unwrap_or(u64::MAX);
    let below = header.weight().saturating_sub(header.own_weight());
    let confirmations = blocks(tip.weight().saturating_sub(below));
    let share = Ratio::from_ppm(terms.attacker_share);
    let expected = confirmations.saturating_mul(terms.spacing.into());
    let kappa = Ratio::of((now_ms / 1_000).saturating_sub(begun), expected);
    let secret = risk::rosenfeld(share, confirmations).max(risk::time_conditioned(
        share,
        confirmations,
        kappa,
    ));
    let rival = tree
        .side_headers()
        .filter(|side| side.fork.height() < header.height())
        .map(|side| side.header.weight())
        .max();
    let lead = rival.map(|rival| blocks(tip.weight().saturating_sub(rival)));
    let open = lead.map_or(Probability::ZERO, |lead| risk::drawing_level(share, lead));
    Ok(Risk { confirmations, lead, probability: secret.or(open) })
}

/// `⌈⌈cover · probability⌉ · loading⌉ + base`.
///
/// # Errors
/// [`GuaranteeError::Risk`] where that is no less than the cover.
pub fn premium(
    params: &GuaranteeParams,
    probability: Probability,
    cover: u128,
) -> Result<u128, GuaranteeError> {
    let loss = probability.of(cover);
    let product = U256::from(loss).saturating_mul(U256::from(params.loading_parts));
    let loaded =
        u128::try_from(product.div_ceil(U256::from(WHOLE))).map_err(|_| GuaranteeError::Amount)?;
    let premium = loaded.saturating_add(amount(params.base_premium));
    if premium >= cover {
        return Err(GuaranteeError::Risk { premium, cover });
    }
    Ok(premium)
}
