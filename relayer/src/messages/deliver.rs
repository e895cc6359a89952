//! Items that carry messages, and their transactions.

use core::time::Duration;

use alloy_primitives::{B256, Bytes};
use grid_core::api::BlockRef;

use super::{Messages, prove::ProveError, queue};
use crate::{
    lane::Parts,
    main_chain::MainView,
    store::{Claim, Kind, MessageRow, NewItem, Stage, StoreError},
    submit::Terms,
};

/// Deliveries that are handed in at once.
const BATCH: u32 = 32;

/// Places among the key's open transactions that deliveries leave free: however many messages there are, headers go on.
const LEFT_FREE: u32 = 96;

/// The item of a message: one for all of its places.
fn item(id: &B256, payload: Bytes) -> NewItem {
    let (last, chain) = (BlockRef { height: 0, hash: *id }, queue().clone());
    NewItem { kind: Kind::Message, chain, from: 0, parent: B256::ZERO, last, payload }
}

/// The name of the item that carries a message.
#[must_use]
pub fn item_key(id: &B256) -> String {
    item(id, Bytes::new()).key()
}

impl Messages {
    /// Makes sure that an item carries a message.
    pub(super) async fn plan(&self, row: &MessageRow, call: Bytes) -> Result<(), StoreError> {
        let (store, item) = (&self.parts.store, item(&row.id, call));
        let stage = store.item(&item.key()).await?.map(|item| item.stage);
        if !stage.is_some_and(Stage::is_open) {
            // The main chain does not have it: an item that ended ended in vain.
            store.plan(&item, self.parts.clock.now_ms(), Duration::ZERO).await?;
        }
        Ok(())
    }

    /// Gives planned deliveries their transactions, whichever relayer of this database has planned them.
    pub(super) async fn hand_in(&self, view: &MainView) -> Result<(), ProveError> {
        let Parts { store, crew, clock, submitter, submit, .. } = &self.parts;
        let _one = self.door.lock().await;
        let (most, now) = (submitter.room().saturating_sub(LEFT_FREE).min(BATCH), clock.now_ms());
        if most == 0 || store.items(queue(), Stage::Planned, 1).await?.is_empty() {
            return Ok(());
        }
        if crew.hold(queue(), now).await?.is_none() {
            // Another relayer hands in.
            return Ok(());
        }
        let claims = store.claim(crew.owner(), queue(), most, now, submit.lease).await?;
        let claims = self.still_good(claims).await?;
        let terms = Terms { chain_id: view.tip.chain_id, base_fee: view.base_fee };
        submitter.submit(&claims, terms, now).await?;
        Ok(())
    }

    /// The claims but those that failed before and that the main chain would refuse now: these are dropped, and proven again.
    async fn still_good(&self, claims: Vec<Claim>) -> Result<Vec<Claim>, ProveError> {
        let mut good = Vec::with_capacity(claims.len());
        for claim in claims {
            let refused = match claim.attempt {
                0 => None,
                _ => self.try_out(&claim.payload).await?.err(),
            };
            match refused {
                None => good.push(claim),
                Some(reason) => {
                    let (store, now) = (&self.parts.store, self.parts.clock.now_ms());
                    store.release(&claim, false, now, &reason, now).await?;
                    store.drop_item(&claim.key, &reason, now).await?;
                }
            }
        }
        Ok(good)
    }
}
