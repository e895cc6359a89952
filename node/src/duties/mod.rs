//! What a validator owes the chain beside its votes: it shows who signed, and who voted twice.
//!
//! Both are transactions of the validator's own account, at the price of the day, through the mempool like everybody
//! else's. Nothing is lost where they fail: what one validator does not show the next one does, and evidence is
//! kept until the chain knows it.
//!
//! - **Attendance** goes by turns ([`rhythm`]): one validator shows certificates for the last blocks, if they add
//!   signers. Beside that everybody looks after itself: who signed and is still missing after two turns shows its
//!   own certificate, so that no cartel of proposers can have somebody jailed for absence.
//! - **Evidence** is sent at once, by every validator that has it. The first one in a block is paid for it; the others' cost
//!   nothing, since no block takes what is known.

mod rhythm;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_sol_types::SolCall as _;
use grid_core::{
    grid::{CommitCertificate, ValidatorSet},
    modules::abi::{STAKING, Staking},
    staking::RECENT,
    state::{self, Account},
    transition::{self, CallContext, TransitionError, TxReject},
};
use k256::ecdsa::SigningKey;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::{
    NodeError,
    chain::{ChainFailure, GridChain, SubmitError},
    mempool::MempoolError,
    store::{StoredEvidence, View},
};
use rhythm::Rhythm;

/// The most certificates that are shown in one turn.
const MOST: usize = 32;
/// A block older than this is one of the past that the node is catching up with: no time for duties.
const STALE: Duration = Duration::from_secs(30);
/// How far the base fee may rise before a transaction waits: seventeen full blocks.
const FEE_ROOM: u128 = 8;
/// Tip for the proposer, in wei a gas.
const TIP: u128 = 1_000_000;

/// One validator's duties.
#[derive(Debug)]
pub(crate) struct Duties {
    chain: Arc<GridChain>,
    key: SigningKey,
    address: Address,
    rhythm: Rhythm,
    /// Height up to which turns were taken.
    seen: u64,
    /// Evidence on its way, by offender and epoch.
    reported: HashMap<(Address, u64), B256>,
    /// The last epoch in which somebody was told that the account is empty.
    warned: Option<u64>,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Offer {
    /// It waits for a block.
    Sent(B256),
    /// It would change nothing: why.
    Useless(String),
    /// The account cannot pay for it.
    Unpaid,
    /// The mempool does not take it now.
    Refused,
}

impl Duties {
    /// The duties on a chain with staking; `None` on one without.
    ///
    /// # Errors
    /// [`ChainFailure`] where the state can't be read.
    pub(crate) fn new(
        chain: Arc<GridChain>,
        key: SigningKey,
    ) -> Result<Option<Self>, ChainFailure> {
        let view = chain.store().view()?;
        let Some(params) = state::query::staking(&view)? else { return Ok(None) };
        let (address, seen) = (Address::from_private_key(&key), view.height());
        let (rhythm, reported) = (Rhythm::new(params), HashMap::new());
        Ok(Some(Self { chain, key, address, rhythm, seen, reported, warned: None }))
    }

    /// Does what is due after the newest block.
    fn perform(&mut self) -> Result<(), ChainFailure> {
        let view = self.chain.store().view()?;
        for evidence in self.chain.evidence()? {
            self.report(&view, &evidence)?;
        }
        self.attend(&view)
    }

    /// Sends evidence, or forgets it where the chain knows it or will never take it.
    fn report(&mut self, view: &View, evidence: &StoredEvidence) -> Result<(), ChainFailure> {
        let (offender, epoch) = (evidence.offender, evidence.epoch);
        if epoch > self.rhythm.epoch(view.height().saturating_add(1)) {
            return Ok(());
        }
        let key = (offender, epoch);
        if state::query::is_punished(view, &offender, epoch)? {
            tracing::info!(%offender, epoch, "the chain knows that this validator voted twice");
            self.reported.remove(&key);
            return self.chain.forget_evidence(evidence);
        }
        if self.reported.get(&key).is_some_and(|hash| self.chain.mempool().contains(hash)) {
            return Ok(());
        }
        match self.offer(view, evidence.call.clone())? {
            Offer::Sent(hash) => {
                tracing::info!(%offender, epoch, %hash, "reported a validator that voted twice");
                self.chain.metrics().evidence_sent_total.inc();
                self.reported.insert(key, hash);
                Ok(())
            }
            Offer::Useless(reason) => {
                tracing::warn!(%offender, epoch, reason, "evidence is worth nothing");
                self.chain.forget_evidence(evidence)
            }
            Offer::Unpaid | Offer::Refused => Ok(()),
        }
    }

    /// Shows who signed, where it is this validator's turn or where it is missing itself.
    fn attend(&mut self, view: &View) -> Result<(), ChainFailure> {
        let height = view.height();
        let since = std::mem::replace(&mut self.seen, height).max(height.saturating_sub(RECENT));
        let Some(set) = view.validators(height)? else { return Ok(()) };
        let Some(me) = set.as_slice().iter().position(|one| one.account == self.address) else {
            return Ok(());
        };
        let count = set.as_slice().len();
        let turns: Vec<_> =
            (since + 1..=height).filter_map(|height| self.rhythm.turn(height, count)).collect();
        if turns.is_empty() || self.is_waiting(view)? {
            return Ok(());
        }
        let is_mine = turns.contains(&me);
        let mut sent = 0;
        for block in self.rhythm.blocks(height) {
            if sent == MOST {
                break;
            }
            let counted = state::query::counted_signers(view, block)?;
            let Some(certificate) = view.certificate(block)? else { continue };
            let adds = (is_mine && certificate.signatures.len() > counted.len())
                || (self.rhythm.is_late(block, height)
                    && !counted.contains(&self.address)
                    && self.has_signed(&certificate, &set));
            if !adds {
                continue;
            }
            let call = Staking::recordCommitCall::from(&certificate).abi_encode();
            match self.offer(view, call.into())? {
                Offer::Sent(_) => sent += 1,
                Offer::Useless(reason) => {
                    tracing::debug!(block, reason, "a certificate adds nothing");
                }
                Offer::Unpaid | Offer::Refused => break,
            }
        }
        self.chain.metrics().attendance_sent_total.inc_by(sent as u64);
        Ok(())
    }

    /// Whether a certificate has this validator's signature.
    fn has_signed(&self, certificate: &CommitCertificate, set: &ValidatorSet) -> bool {
        certificate
            .signers(self.chain.id(), set)
            .is_ok_and(|signers| signers.contains(&self.address))
    }

    /// Whether transactions of this account wait already: one bundle at a time.
    fn is_waiting(&self, view: &View) -> Result<bool, ChainFailure> {
        let nonce = Account::read(view, &self.address)?.nonce;
        Ok(self.chain.mempool().pending_nonce(&self.address, nonce) > nonce)
    }

    /// Puts a call of the staking contract into the mempool, unless it would fail.
    fn offer(&mut self, view: &View, input: Bytes) -> Result<Offer, ChainFailure> {
        let header = view.header(view.height())?.ok_or_else(|| ChainFailure::Stored {
            height: view.height(),
            reason: "it is missing".into(),
        })?;
        let context = CallContext {
            from: self.address,
            to: Some(STAKING),
            input: input.clone(),
            ..CallContext::default()
        };
        let outcome = transition::call(view, &context, &header).map_err(|error| match error {
            TransitionError::Storage(error) => ChainFailure::State(error),
            other => ChainFailure::Stored { height: header.number, reason: other.to_string() },
        })?;
        if let Some(reason) = outcome.reverted {
            return Ok(Offer::Useless(reason));
        }
        let nonce = Account::read(view, &self.address)?.nonce;
        let base_fee = u128::from(transition::next_base_fee(&header));
        let raw = self.sign(TxEip1559 {
            chain_id: self.chain.id(),
            nonce: self.chain.mempool().pending_nonce(&self.address, nonce),
            gas_limit: outcome.gas_used.saturating_add(outcome.gas_used / 5),
            max_fee_per_gas: base_fee.saturating_mul(FEE_ROOM).saturating_add(TIP),
            max_priority_fee_per_gas: TIP,
            to: TxKind::Call(STAKING),
            value: U256::ZERO,
            access_list: Default::default(),
            input,
        });
        let Some(raw) = raw else { return Ok(Offer::Refused) };
        match self.chain.submit(&raw) {
            Ok(hash) => Ok(Offer::Sent(hash)),
            Err(SubmitError::Chain(error)) => Err(error),
            Err(SubmitError::Rejected(TxReject::AlreadyKnown)) => {
                Ok(Offer::Useless("already known".into()))
            }
            Err(
                SubmitError::Rejected(TxReject::Funds { balance, cost, .. })
                | SubmitError::Mempool(MempoolError::Overdraft { balance, cost, .. }),
            ) => {
                self.warn_unpaid(view.height(), balance, cost);
                Ok(Offer::Unpaid)
            }
            Err(error) => {
                tracing::debug!(%error, "the mempool does not take a duty's transaction");
                Ok(Offer::Refused)
            }
        }
    }

    /// A validator without money still votes: the others do its duties.
    fn warn_unpaid(&mut self, height: u64, balance: U256, cost: U256) {
        self.chain.metrics().duties_unpaid_total.inc();
        let epoch = Some(self.rhythm.epoch(height));
        if std::mem::replace(&mut self.warned, epoch) != epoch {
            tracing::warn!(
                account = %self.address,
                %balance,
                %cost,
                "the validator's account cannot pay for showing who signed and who voted twice; send it some GRID"
            );
        }
    }

    fn sign(&self, body: TxEip1559) -> Option<Vec<u8>> {
        let hash = body.signature_hash();
        let signature = match self.key.sign_prehash_recoverable(hash.as_slice()) {
            Ok(signature) => Signature::from(signature),
            Err(error) => {
                tracing::error!(%error, "the validator's key does not sign");
                return None;
            }
        };
        Some(TxEnvelope::from(body.into_signed(signature)).encoded_2718())
    }
}

/// Performs duties after each block until `cancel` fires.
pub(crate) async fn run(mut duties: Duties, cancel: CancellationToken) -> Result<(), NodeError> {
    let mut heads = duties.chain.heads();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            changed = heads.changed() => if changed.is_err() { return Ok(()) },
        }
        let time_ms = heads.borrow_and_update().time_ms;
        if u128::from(duties.chain.now_ms().saturating_sub(time_ms)) > STALE.as_millis() {
            continue;
        }
        let task = spawn_blocking(move || {
            let result = duties.perform();
            (duties, result)
        });
        let ended = task
            .await
            .map_err(|error| NodeError::Task { task: "duties", reason: error.to_string() })?;
        duties = ended.0;
        ended.1?;
    }
}
