//! Searches the blocks of a source.

use grid_adapters::{
    AdapterError,
    message::{MessageChain, Wanted},
};
use grid_core::api::BlockRef;

use super::{
    Messages,
    plan::{first_search, probes},
    prove::ProveError,
    round::Place,
};
use crate::store::SEARCHED;

/// Blocks that one round searches: with more of them the others' messages would wait for long.
const BLOCKS: usize = 32;

impl Messages {
    /// Searches new blocks of a source, by the first of its nodes that can.
    pub(super) async fn search(&self, place: &Place<'_>) -> Result<(), ProveError> {
        let mut failure = None;
        for node in &place.source.nodes {
            match self.search_at(place, node.as_ref()).await {
                Err(ProveError::Source(error)) => failure = failure.or(Some(error)),
                done => return done,
            }
        }
        failure.map_or(Ok(()), |error| Err(ProveError::Source(error)))
    }

    async fn search_at(
        &self,
        place: &Place<'_>,
        node: &dyn MessageChain,
    ) -> Result<(), ProveError> {
        let (chain, filter) = (place.chain, &place.source.filter);
        let wanted = Wanted { destination: place.own.key(), mailbox: place.route.mailbox };
        let tip = node.tip().await?.height;
        let from = self.start(place, node, tip).await?;
        if from > tip {
            return Ok(());
        }
        for header in node.headers(from, BLOCKS).await? {
            let block = BlockRef { height: header.compat.height, hash: header.compat.blockHash };
            let found = node.messages(block.hash, &wanted).await?;
            if !found.is_empty() {
                let (height, count) = (block.height, found.len());
                tracing::info!(%chain, height, count, "messages seen");
            }
            let judged = |sighting: grid_adapters::message::Sighting| {
                let message = &sighting.message;
                let bytes = u64::try_from(message.payload.len()).unwrap_or(u64::MAX);
                let refusal = filter.refusal(&message.sender, &message.recipient, bytes);
                (sighting, refusal)
            };
            let found: Vec<_> = found.into_iter().map(judged).collect();
            let now = self.parts.clock.now_ms();
            self.parts.store.search_done(chain, block, &found, now).await?;
            let height = i64::try_from(block.height).unwrap_or(i64::MAX);
            self.parts.metrics.message_search.with_label_values(&[chain.as_str()]).set(height);
        }
        Ok(())
    }

    /// Where the search goes on: above the highest searched block that the node's branch has.
    async fn start(
        &self,
        place: &Place<'_>,
        node: &dyn MessageChain,
        tip: u64,
    ) -> Result<u64, ProveError> {
        let (store, first) = (&self.parts.store, place.info.first_height);
        let mut searched = store.searched(place.chain, 1).await?;
        let [newest] = searched.as_slice() else {
            return Ok(first_search(first, place.info.confirmed, place.source.lookback));
        };
        if has(node, tip, *newest).await? {
            return Ok(newest.height.saturating_add(1));
        }
        searched = store.searched(place.chain, SEARCHED).await?;
        for block in probes(searched.len()).filter_map(|at| searched.get(at)) {
            if has(node, tip, *block).await? {
                return Ok(block.height.saturating_add(1));
            }
        }
        let lowest = searched.last().map_or(first, |block| block.height);
        let anew = first_search(first, place.info.confirmed, place.source.lookback);
        Ok(anew.min(lowest.max(first)))
    }
}

/// Whether a block is on a node's branch.
async fn has(node: &dyn MessageChain, tip: u64, block: BlockRef) -> Result<bool, AdapterError> {
    if block.height > tip {
        return Ok(false);
    }
    let headers = node.headers(block.height, 1).await?;
    Ok(headers.first().is_some_and(|header| header.compat.blockHash == block.hash))
}
