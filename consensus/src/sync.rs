//! Decided blocks for nodes that are behind.
//!
//! A synced value's bytes are the block hash (32 bytes) followed by the body.

use std::ops::RangeInclusive;

use alloy_primitives::{B256, Bytes};
use arc_malachitebft_sync::RawDecidedValue;

use crate::{
    certificate,
    chain::MAX_BODY,
    context::{BlockHash, Grid, Height},
    desk::Desk,
    error::EngineError,
};

/// The most blocks in one answer.
const MAX_BLOCKS: u64 = 64;

/// The most bytes of bodies in one answer (unless the first alone has more): below the network's
/// limit of 10 MiB for one response.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Reads committed blocks, as many of the range as there are and as fit.
pub(crate) async fn serve(
    desk: &Desk,
    chain_id: u64,
    range: RangeInclusive<Height>,
) -> Result<Vec<RawDecidedValue<Grid>>, EngineError> {
    let (first, last) = (range.start().0, range.end().0);
    let last = last.min(first.saturating_add(MAX_BLOCKS - 1));
    desk.ask("read a decided block", first, move |chain, _| {
        let mut values = Vec::new();
        let mut bytes = 0usize;
        for height in first..=last {
            let Some((body, certificate)) = chain.decided(height)? else {
                break;
            };
            bytes = bytes.saturating_add(body.len());
            if bytes > MAX_BYTES && !values.is_empty() {
                break;
            }
            let mut packed = Vec::with_capacity(32 + body.len());
            packed.extend(certificate.block_hash);
            packed.extend_from_slice(&body);
            let certificate = certificate::to_engine(&certificate, chain_id);
            values.push(RawDecidedValue::new(packed.into(), certificate));
        }
        Ok(values)
    })
    .await
}

/// Takes a synced value apart; `None` if it is too short or too long.
pub(crate) fn unpack(bytes: &Bytes) -> Option<(BlockHash, Bytes)> {
    let (hash, body) = bytes.split_at_checked(32)?;
    if body.len() > MAX_BODY {
        return None;
    }
    Some((BlockHash(B256::from_slice(hash)), bytes.slice(32..)))
}
