//! One round of one chain: search its new blocks, then look at every open message.

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolCall;
use grid_adapters::{
    AdapterError,
    message::{MessageChain, Wanted, request},
};
use grid_core::{
    ChainId,
    api::{BlockRef, ChainInfo},
    message::{Route, State},
    modules::abi::{MAILBOX, Mailbox},
};

use super::{
    MessageSource, Messages,
    deliver::item_key,
    plan::{Facts, Reach, Search, Verdict, judge, search},
    prove::{self, ProveError},
    queue,
};
use crate::{
    clock::backoff,
    main_chain::{HeaderId, MainError},
    store::{MessageRow, MessageStage, MessageStep, millis},
};

/// Blocks that one round searches: with more of them the others' messages would wait for long.
const BLOCKS: usize = 32;

/// Open messages that one round looks at.
const MESSAGES: u32 = 128;

/// First and longest pause of a message that the main chain would refuse.
const FIRST_PAUSE: core::time::Duration = core::time::Duration::from_secs(1);
const LONGEST_PAUSE: core::time::Duration = core::time::Duration::from_secs(600);

/// The age of the main chain's view that a round can do with.
const FRESH: core::time::Duration = core::time::Duration::from_millis(500);

impl Messages {
    pub(super) async fn round(
        &self,
        chain: &ChainId,
        source: &MessageSource,
    ) -> Result<(), ProveError> {
        let view = self.shared.view(FRESH).await?;
        let own = ChainId::eip155(view.tip.chain_id);
        let Some(info) = view.chain(chain) else { return Ok(()) };
        let route = self.route(chain, &own).await?;
        if route.policy & Route::OPEN == 0 {
            return Ok(());
        }
        // Of several relayers on one database one carries messages.
        if self.parts.crew.hold(queue(), self.parts.clock.now_ms()).await?.is_none() {
            return Ok(());
        }
        let wanted = Wanted { destination: own.key(), mailbox: route.mailbox };
        // What is known is carried on although no node can be asked for more.
        let searched = self.search(chain, source, info, &wanted).await;
        let now = self.parts.clock.now_ms();
        for row in self.parts.store.open_messages(chain, now, MESSAGES).await? {
            self.look(&row, (source, info)).await?;
        }
        self.hand_in(&view).await?;
        searched
    }

    /// Asks a view of the main chain's mailbox.
    async fn ask<C: SolCall>(&self, call: C) -> Result<C::Return, MainError> {
        let answer =
            self.parts.main.call(&Address::ZERO, &MAILBOX, &call.abi_encode().into()).await?;
        let bad = |reason: String| MainError::BadAnswer { method: "eth_call", reason };
        C::abi_decode_returns(&answer.map_err(bad)?).map_err(|error| bad(error.to_string()))
    }

    async fn route(
        &self,
        chain: &ChainId,
        own: &ChainId,
    ) -> Result<Mailbox::routeOfReturn, MainError> {
        let (source, destination) = (chain.key().0, own.key().0);
        self.ask(Mailbox::routeOfCall { source, destination }).await
    }

    /// Searches new blocks of a source.
    async fn search(
        &self,
        chain: &ChainId,
        source: &MessageSource,
        info: &ChainInfo,
        wanted: &Wanted,
    ) -> Result<(), ProveError> {
        let mut failure = None;
        for node in &source.nodes {
            match self.search_at(chain, (source, node.as_ref()), info, wanted).await {
                Err(ProveError::Source(error)) => failure = failure.or(Some(error)),
                done => return done,
            }
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn search_at(
        &self,
        chain: &ChainId,
        (source, node): (&MessageSource, &dyn MessageChain),
        info: &ChainInfo,
        wanted: &Wanted,
    ) -> Result<(), ProveError> {
        let tip = node.tip().await?;
        let searched = self.parts.store.searched(chain).await?;
        let reach = Reach {
            searched,
            still: hash_at(node, tip.height, searched).await?,
            confirmed: info.confirmed,
            agreed: hash_at(node, tip.height, info.confirmed).await?,
            first: info.first_height,
            lookback: source.lookback,
        };
        let Search::From(from) = search(&reach) else { return Ok(()) };
        if from > tip.height {
            return Ok(());
        }
        for header in node.headers(from, BLOCKS).await? {
            let block = BlockRef { height: header.compat.height, hash: header.compat.blockHash };
            let found = node.messages(block.hash, wanted).await?;
            if !found.is_empty() {
                let (height, count) = (block.height, found.len());
                tracing::info!(%chain, height, count, "messages seen");
            }
            self.parts.store.search_done(chain, block, &found, self.parts.clock.now_ms()).await?;
            let height = i64::try_from(block.height).unwrap_or(i64::MAX);
            self.parts.metrics.message_search.with_label_values(&[chain.as_str()]).set(height);
        }
        Ok(())
    }

    /// Takes one open message a step further.
    async fn look(
        &self,
        row: &MessageRow,
        (source, info): (&MessageSource, &ChainInfo),
    ) -> Result<(), ProveError> {
        let facts = self.facts(row, info).await?;
        let now = self.parts.clock.now_ms();
        let stay = |reason| MessageStep {
            stage: MessageStage::Waiting,
            reason: Some(reason),
            attempt: row.attempt,
            next_at: 0,
        };
        let step = match judge(row, &source.filter, &facts) {
            Verdict::Carried => return Ok(()),
            Verdict::Wait(reason) => stay(reason),
            Verdict::End(stage, reason) => {
                tracing::info!(id = %row.id, chain = %row.chain, %stage, %reason, "message at its end");
                self.parts.store.finish_item(&item_key(&row.id), now).await?;
                MessageStep { stage, reason: Some(reason), attempt: row.attempt, next_at: 0 }
            }
            Verdict::Deliver => match self.prepare(row, source).await {
                Ok(Ok(())) => {
                    MessageStep { stage: MessageStage::Delivering, ..stay(String::new()) }
                }
                Ok(Err(refused)) => {
                    self.later(row, format!("the main chain refuses it now: {refused}"), now)
                }
                Err(error @ (ProveError::Store(_) | ProveError::Main(_))) => return Err(error),
                Err(error) => self.later(row, error.to_string(), now),
            },
        };
        let reason = step.reason.filter(|reason| !reason.is_empty());
        let step = MessageStep { reason, ..step };
        let same =
            step.stage == row.stage && step.reason == row.reason && step.next_at == row.next_at;
        if !same {
            self.parts.store.step_message(&row.key, &step, now).await?;
        }
        let over = matches!(step.stage, MessageStage::Delivered | MessageStage::Expired);
        if row.ordered && over {
            self.parts.store.wake_ordered(&row.chain, &row.sender).await?;
        }
        Ok(())
    }

    fn later(&self, row: &MessageRow, reason: String, now: u64) -> MessageStep {
        let attempt = row.attempt.saturating_add(1);
        let pause = backoff(FIRST_PAUSE, LONGEST_PAUSE, attempt, &row.key);
        let next_at = now.saturating_add(millis(pause));
        MessageStep { stage: MessageStage::Waiting, reason: Some(reason), attempt, next_at }
    }

    async fn facts(&self, row: &MessageRow, info: &ChainInfo) -> Result<Facts, ProveError> {
        let confirmed = info.confirmed.map(|at| at.height);
        let now = self.parts.clock.now_ms() / 1_000;
        let mut facts = Facts { confirmed, indexed: None, standing: None, item: None, now };
        if confirmed.is_none_or(|confirmed| confirmed < row.block.height) {
            return Ok(facts);
        }
        facts.standing = self.standing(row.id).await?;
        let height = HeaderId::Height(row.block.height);
        facts.indexed =
            self.parts.main.header(&row.chain, height).await?.map(|found| found.blockHash);
        let key = item_key(&row.id);
        facts.item = self.parts.store.item(&key).await?.map(|item| item.stage);
        Ok(facts)
    }

    /// How a message stands on the main chain, and whether the block that it took effect by is gone.
    async fn standing(&self, id: B256) -> Result<Option<(State, bool)>, MainError> {
        let found = self.ask(Mailbox::messageOfCall { id }).await?;
        Ok(State::from_code(found.state).map(|state| (state, found.brokenAt != 0)))
    }

    /// Proves a message, tries the delivery out, and plans its item; what the main chain says where it would refuse.
    async fn prepare(
        &self,
        row: &MessageRow,
        source: &MessageSource,
    ) -> Result<Result<(), String>, ProveError> {
        let call = self.prove(row, source).await?;
        if let Err(refused) = self.try_out(&call).await? {
            return Ok(Err(refused));
        }
        self.plan(row, call).await?;
        Ok(Ok(()))
    }

    /// Whether the main chain would take a call now.
    pub(super) async fn try_out(&self, call: &Bytes) -> Result<Result<(), String>, MainError> {
        let answer = self.parts.main.call(&self.parts.submitter.address(), &MAILBOX, call).await?;
        Ok(answer.map(drop))
    }

    async fn prove(&self, row: &MessageRow, source: &MessageSource) -> Result<Bytes, ProveError> {
        let mut failure = None;
        let request = request(&row.chain, row.block.hash, row.tx, row.position);
        for node in &source.nodes {
            match node.proof_material(request.clone()).await {
                Ok(material) => {
                    let path = self.parts.main.prove(&row.chain, row.block.height).await?;
                    let evidence = self.parts.store.evidence(&row.key).await?;
                    return prove::call(row, material, path, evidence);
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.map_or(ProveError::Moved(row.block.height), ProveError::Source))
    }
}

/// The node's block at the height of another; `None` above its tip.
async fn hash_at(
    node: &dyn MessageChain,
    tip: u64,
    block: Option<BlockRef>,
) -> Result<Option<B256>, AdapterError> {
    let Some(block) = block.filter(|block| block.height <= tip) else { return Ok(None) };
    let headers = node.headers(block.height, 1).await?;
    Ok(headers.first().map(|header| header.compat.blockHash))
}
