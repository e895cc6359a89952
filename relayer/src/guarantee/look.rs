//! What is open, and what of it can be ended now.

use core::time::Duration;
use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolCall as _;
use grid_adapters::{AdapterError, ProofRequest, SourceChain};
use grid_core::{
    ChainKey,
    api::ChainInfo,
    guarantee::GuaranteeParams,
    modules::abi::Guarantee,
    proof::{Inclusion, facts::BitcoinFact},
};

use super::contract::{Contract, Open};
use crate::{main_chain::MainError, supervise::Pulse};

/// A source that needs longer to find a payment is asked again with the next round.
const SEARCH: Duration = Duration::from_secs(10);

/// How a guarantee can be ended now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its own block is confirmed.
    Confirmed,
    /// The payment is in another confirmed block: the call that shows it.
    MinedAgain(Bytes),
    /// Its time is over: the beneficiary is paid.
    Lost,
}

impl Ending {
    /// The call that ends a guarantee so.
    pub(super) fn call(&self, id: B256) -> Bytes {
        match self {
            Self::Confirmed => Guarantee::settleCall { id }.abi_encode().into(),
            Self::MinedAgain(call) => call.clone(),
            Self::Lost => Guarantee::claimCall { id }.abi_encode().into(),
        }
    }
}

/// A chain's open guarantees, and how each can be ended, if it can be.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) open: Vec<(Open, Option<Ending>)>,
}

impl Seen {
    /// How many can be ended.
    pub(super) fn due(&self) -> usize {
        self.open.iter().filter(|(_, ending)| ending.is_some()).count()
    }

    /// What all of them cover, and those that a reorganisation could still hit, smallest unit of GRID.
    pub(super) fn covers(&self) -> (U256, U256) {
        let sum = |sum: U256, open: &Open| sum.saturating_add(open.cover);
        let at_risk = self.open.iter().filter(|(_, ending)| *ending != Some(Ending::Confirmed));
        (
            self.open.iter().map(|(open, _)| open).fold(U256::ZERO, sum),
            at_risk.map(|(open, _)| open).fold(U256::ZERO, sum),
        )
    }
}

/// What need not be asked again; forgetting it costs questions.
#[derive(Debug, Default)]
pub(super) struct Memory {
    open: BTreeMap<B256, Open>,
    /// At which confirmed height the block of a payment was looked for last, and none settles the guarantee.
    searched: BTreeMap<B256, u64>,
}

impl Memory {
    /// Forgets what is not open any more.
    pub(super) fn keep(&mut self, is_open: impl Fn(&B256) -> bool) {
        self.open.retain(|id, _| is_open(id));
        self.searched.retain(|id, _| is_open(id));
    }

    async fn guarantee(&mut self, contract: &Contract<'_>, id: B256) -> Result<Open, MainError> {
        if let Some(open) = self.open.get(&id) {
            return Ok(*open);
        }
        let open = contract.open(id).await?;
        self.open.insert(id, open);
        Ok(open)
    }
}

/// One chain in one round.
pub(super) struct Look<'a> {
    pub(super) contract: Contract<'a>,
    pub(super) params: &'a GuaranteeParams,
    pub(super) chain: &'a ChainInfo,
    pub(super) source: &'a Arc<dyn SourceChain>,
}

impl Look<'_> {
    /// Every open guarantee of the chain.
    pub(super) async fn all(&self, memory: &mut Memory, pulse: &Pulse) -> Result<Seen, MainError> {
        let mut seen = Seen::default();
        for id in self.contract.open_of(ChainKey(self.chain.key)).await? {
            pulse.beat();
            let open = memory.guarantee(&self.contract, id).await?;
            let ending = self.ending(&open, memory).await?;
            seen.open.push((open, ending));
        }
        Ok(seen)
    }

    /// To settle goes before to claim: a payment that came back is not lost.
    async fn ending(&self, open: &Open, memory: &mut Memory) -> Result<Option<Ending>, MainError> {
        let confirmed = self.chain.confirmed.map(|block| block.height);
        let Some(confirmed) = confirmed.filter(|height| *height >= open.height) else {
            return Ok(None);
        };
        if self.contract.takes(&Ending::Confirmed.call(open.id)).await? {
            return Ok(Some(Ending::Confirmed));
        }
        // Until the confirmed height moves nothing else can be found.
        if memory.searched.get(&open.id) != Some(&confirmed) {
            match self.search(open).await {
                Search::Found(call) => {
                    let ending = Ending::MinedAgain(call);
                    if self.contract.takes(&ending.call(open.id)).await? {
                        return Ok(Some(ending));
                    }
                }
                Search::Nowhere => {}
                // It may have come back: nobody is paid before the source has said that it has not.
                Search::Failed => return Ok(None),
            }
            memory.searched.insert(open.id, confirmed);
        }
        let over = confirmed > open.deadline.saturating_add(self.params.grace);
        let lost = over && self.contract.takes(&Ending::Lost.call(open.id)).await?;
        Ok(lost.then_some(Ending::Lost))
    }

    /// Looks for the payment on the source's best branch.
    async fn search(&self, open: &Open) -> Search {
        let facts = vec![BitcoinFact::Tx { txid: open.txid }];
        let request = ProofRequest::Bitcoin { facts, block_hash: None };
        let found = tokio::time::timeout(SEARCH, self.source.proof_material(request)).await;
        let material = match found {
            Ok(Ok(material)) if material.header.blockHash == open.block => return Search::Failed,
            Ok(Ok(material)) => material,
            Ok(Err(AdapterError::NotFound { .. } | AdapterError::NotIncluded { .. })) => {
                return Search::Nowhere;
            }
            // An index of transactions keeps the lost block of one that was spent twice; of one that was mined again it has
            // the new block.
            Ok(Err(AdapterError::Stale { .. })) => return Search::Nowhere,
            Ok(Err(error)) => {
                tracing::warn!(chain = %self.chain.id, guarantee = %open.id, %error, "the payment cannot be looked for");
                return Search::Failed;
            }
            Err(_elapsed) => {
                tracing::warn!(chain = %self.chain.id, guarantee = %open.id, "the payment was not found in {SEARCH:?}");
                return Search::Failed;
            }
        };
        let Inclusion::BitcoinTx(proof) = material.inclusion else { return Search::Failed };
        let call = Guarantee::settleInCall {
            id: open.id,
            blockHash: material.header.blockHash,
            payment: proof.into(),
        };
        Search::Found(call.abi_encode().into())
    }
}

/// Where a payment is whose block was lost.
enum Search {
    /// In another block: the call that shows it.
    Found(Bytes),
    /// In no block.
    Nowhere,
    /// The source cannot say, or is on a branch that the main chain has left.
    Failed,
}
