//! One look at one message.

use core::time::Duration;

use alloy_primitives::{B256, Bytes};
use grid_adapters::message::request;
use grid_core::{
    message::{Route, State},
    modules::abi::{MAILBOX, Mailbox},
};
use tokio::time::timeout;

use super::{
    Messages,
    deliver::item_key,
    plan::{Facts, Verdict, judge},
    prove::{self, ProveError},
    round::Place,
};
use crate::{
    clock::backoff,
    main_chain::{HeaderId, MainError},
    store::{MessageRow, MessageStage, MessageStep, StoreError, millis},
};

/// First and longest pause of a message that the main chain would refuse.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// A message that needs longer to be proven makes room for the others.
const PROVING: Duration = Duration::from_secs(5);

impl Messages {
    /// Takes one open message a step further.
    pub(super) async fn look(&self, row: &MessageRow, place: &Place<'_>) -> Result<(), ProveError> {
        let facts = self.facts(row, place).await?;
        let now = self.parts.clock.now_ms();
        let step = match judge(row, &place.source.filter, &facts) {
            Verdict::Carried => return Ok(()),
            Verdict::Pause(reason) => pause(row, reason, now),
            Verdict::End(stage, reason) => {
                let known = matches!(
                    facts.standing,
                    Some((State::Delivered, false) | (State::Expired | State::Guaranteed, _))
                );
                self.end(row, known, (stage, reason), now).await?
            }
            Verdict::Deliver => self.deliver(row, place, now).await?,
        };
        self.parts.store.step_message(&row.key, &step, now).await?;
        let over = matches!(step.stage, MessageStage::Delivered | MessageStage::Expired);
        if row.ordered && over {
            let next = row.nonce.saturating_add(1);
            self.parts.store.wake_ordered(&row.chain, &row.sender, next).await?;
        }
        Ok(())
    }

    async fn end(
        &self,
        row: &MessageRow,
        known: bool,
        (stage, reason): (MessageStage, String),
        now: u64,
    ) -> Result<MessageStep, StoreError> {
        tracing::info!(id = %row.id, chain = %row.chain, %stage, %reason, "message at its end");
        let (store, key) = (&self.parts.store, item_key(&row.id));
        if known {
            // The main chain has what the item brings.
            store.finish_item(&key, now).await?;
        } else if row.stage == MessageStage::Delivering {
            store.drop_item(&key, &reason, now).await?;
        }
        Ok(MessageStep { stage, reason: Some(reason), attempt: row.attempt, next_at: 0 })
    }

    /// Proves a message, tries the delivery out, and plans its item; or pauses with what the main chain says.
    async fn deliver(
        &self,
        row: &MessageRow,
        place: &Place<'_>,
        now: u64,
    ) -> Result<MessageStep, ProveError> {
        let proven = timeout(PROVING, self.prove(row, place)).await;
        let call = match proven.unwrap_or(Err(ProveError::Late(PROVING))) {
            Ok(call) => call,
            Err(error @ (ProveError::Store(_) | ProveError::Main(_))) => return Err(error),
            Err(error) => return Ok(pause(row, error.to_string(), now)),
        };
        if let Err(refused) = self.try_out(&call).await? {
            return Ok(pause(row, format!("the main chain refuses it now: {refused}"), now));
        }
        self.plan(row, call).await?;
        let (stage, attempt) = (MessageStage::Delivering, row.attempt);
        Ok(MessageStep { stage, reason: None, attempt, next_at: 0 })
    }

    async fn facts(&self, row: &MessageRow, place: &Place<'_>) -> Result<Facts, ProveError> {
        let (main, route) = (&self.parts.main, &place.route);
        let height = HeaderId::Height(row.block.height);
        let indexed = main.header(&row.chain, height).await?.map(|found| found.blockHash);
        let item = self.parts.store.item(&item_key(&row.id)).await?.map(|item| item.stage);
        let listed = (
            self.passes(place, Route::LISTED_SENDERS, row.sender).await?,
            self.passes(place, Route::LISTED_RECIPIENTS, row.recipient).await?,
        );
        let next_nonce = match row.ordered {
            true => Some(self.next_nonce(row, place).await?),
            false => None,
        };
        let (standing, max_payload) = (self.standing(row.id).await?, u64::from(route.max_payload));
        Ok(Facts { indexed, standing, item, max_payload, listed, next_nonce, now: place.now })
    }

    /// Whether the route has no list of a kind, or an account on it.
    async fn passes(&self, place: &Place<'_>, list: u8, account: B256) -> Result<bool, MainError> {
        if place.route.policy & list == 0 {
            return Ok(true);
        }
        let (source, destination) = (place.chain.key().0, place.own.key().0);
        let sender = list == Route::LISTED_SENDERS;
        self.ask(Mailbox::isListedCall { source, destination, account, sender }).await
    }

    async fn next_nonce(&self, row: &MessageRow, place: &Place<'_>) -> Result<u64, MainError> {
        let (source, destination) = (place.chain.key().0, place.own.key().0);
        let (sender, ordered) = (row.sender, true);
        self.ask(Mailbox::nextNonceCall { source, destination, sender, ordered }).await
    }

    /// How a message stands on the main chain, and whether the block that it took effect by is gone.
    async fn standing(&self, id: B256) -> Result<Option<(State, bool)>, MainError> {
        let found = self.ask(Mailbox::messageOfCall { id }).await?;
        Ok(State::from_code(found.state).map(|state| (state, found.brokenAt != 0)))
    }

    /// Whether the main chain would take a call now.
    pub(super) async fn try_out(&self, call: &Bytes) -> Result<Result<(), String>, MainError> {
        let answer = self.parts.main.call(&self.parts.submitter.address(), &MAILBOX, call).await?;
        Ok(answer.map(drop))
    }

    async fn prove(&self, row: &MessageRow, place: &Place<'_>) -> Result<Bytes, ProveError> {
        let mut failure = None;
        let request = request(&row.chain, row.block.hash, row.tx, row.position);
        for node in &place.source.nodes {
            let material = match node.proof_material(request.clone()).await {
                Ok(material) => node.evidence(row.block.hash, row.tx).await.map(|e| (material, e)),
                Err(error) => Err(error),
            };
            match material {
                Ok((material, evidence)) => {
                    let path = self.parts.main.prove(&row.chain, row.block.height).await?;
                    return prove::call(row, material, path, evidence);
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.map_or(ProveError::Moved(row.block.height), ProveError::from))
    }
}

/// It waits, and longer each time.
fn pause(row: &MessageRow, reason: String, now: u64) -> MessageStep {
    let attempt = row.attempt.saturating_add(1);
    let pause = backoff(FIRST_PAUSE, LONGEST_PAUSE, attempt, &row.key);
    let next_at = now.saturating_add(millis(pause));
    MessageStep { stage: MessageStage::Waiting, reason: Some(reason), attempt, next_at }
}
