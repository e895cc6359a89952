//! Judging what peers bring, on a blocking thread, one batch after the other.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{B256, Bytes, keccak256};
use grid_core::transition::TxReject;
use libp2p::PeerId;
use tokio::task::{JoinError, JoinSet};

use super::{peer::Wish, recent::Recent};
use crate::{
    chain::{GridChain, SubmitError},
    mempool::MempoolError,
};

/// Batches that wait to be judged, each at most an answer long, after which no peer is asked for more. Those
/// who were asked before, one batch each, may still answer.
const MOST_BATCHES: usize = 8;
/// After this, another peer is asked for what one was asked for and did not send.
const SECOND_TRY: Duration = Duration::from_secs(1);
/// How long a transaction that was judged is not asked for again, and how many are remembered.
const JUDGED_FOR: Duration = Duration::from_secs(20);
const MOST_JUDGED: usize = 32_768;

/// What a peer sent for what it was asked.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) peer: PeerId,
    pub(super) transactions: Vec<(B256, Bytes)>,
    /// What it announced and does not have.
    pub(super) missing: Vec<B256>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) peer: Option<PeerId>,
    hashes: Vec<B256>,
    missing: Vec<B256>,
    pub(super) accepted: u64,
    /// Refused for a reason that lies in this node's state or load.
    pub(super) refused: u64,
    /// Refused, missing, or of no use, for a reason that an honest peer rarely meets.
    pub(super) useless: u32,
    /// What no honest peer sends.
    pub(super) invalid: Option<String>,
}

/// The queue in front of the mempool.
#[derive(Debug)]
pub(super) struct Intake {
    chain: Arc<GridChain>,
    queue: VecDeque<Batch>,
    judging: JoinSet<Judged>,
    /// Asked for, or waiting to be judged, and since when.
    under_way: HashMap<B256, Instant>,
    judged: Recent,
}

impl Intake {
    pub(super) fn new(chain: Arc<GridChain>, now: Instant) -> Self {
        Self {
            chain,
            queue: VecDeque::new(),
            judging: JoinSet::new(),
            under_way: HashMap::new(),
            judged: Recent::new(JUDGED_FOR, MOST_JUDGED, now),
        }
    }

    /// Whether nothing more may be asked for now.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() + self.judging.len() >= MOST_BATCHES
    }

    /// Whether a transaction neither waits nor was judged lately.
    pub(super) fn is_news(&self, hash: &B256, now: Instant) -> bool {
        !self.judged.contains(hash, now) && !self.chain.mempool().contains(hash)
    }

    pub(super) fn wish(&self, hash: &B256, now: Instant) -> Wish {
        let asked = self.under_way.get(hash);
        if asked.is_some_and(|asked| now.saturating_duration_since(*asked) < SECOND_TRY) {
            Wish::Wait
        } else if self.is_news(hash, now) {
            Wish::Ask
        } else {
            Wish::Forget
        }
    }

    /// A peer is asked.
    pub(super) fn asked(&mut self, hashes: &[B256], now: Instant) {
        self.under_way.extend(hashes.iter().map(|hash| (*hash, now)));
    }

    /// A peer's answer ended, with a batch or without; `left` are the hashes that it did not answer.
    pub(super) fn answered(&mut self, left: &[B256], batch: Option<Batch>) {
        for hash in left {
            self.under_way.remove(hash);
        }
        self.queue.extend(batch);
        self.go_on();
    }

    fn go_on(&mut self) {
        if self.judging.is_empty()
            && let Some(batch) = self.queue.pop_front()
        {
            let chain = self.chain.clone();
            self.judging.spawn_blocking(move || judge(&chain, batch));
        }
    }

    /// The next judgement; never where nothing is being judged. Nothing is lost where this is cancelled.
    ///
    /// # Errors
    /// Where judging panicked.
    pub(super) async fn next(&mut self) -> Result<Judged, JoinError> {
        let Some(judged) = self.judging.join_next().await else {
            return std::future::pending().await;
        };
        let (judged, now) = (judged?, Instant::now());
        for hash in &judged.hashes {
            self.under_way.remove(hash);
            self.judged.insert(*hash, now);
        }
        for hash in &judged.missing {
            // Another peer may have it.
            self.under_way.remove(hash);
        }
        self.go_on();
        Ok(judged)
    }
}

/// Takes each transaction of a batch as if it had been submitted here.
fn judge(chain: &GridChain, batch: Batch) -> Judged {
    let mut judged = Judged { peer: Some(batch.peer), ..Judged::default() };
    for (hash, raw) in batch.transactions {
        judged.hashes.push(hash);
        if judged.invalid.is_some() {
            continue;
        }
        if keccak256(&raw) != hash {
            judged.invalid = Some(format!("it sent another transaction for {hash}"));
            continue;
        }
        match chain.submit(&raw).as_ref().map_err(|error| (fault(error), error)) {
            Ok(_) => judged.accepted += 1,
            Err((Fault::None, _)) => judged.refused += 1,
            Err((Fault::Useless, _)) if is_committed(chain, &hash) => judged.refused += 1,
            Err((Fault::Useless, _)) => judged.useless += 1,
            Err((Fault::Invalid, error)) => judged.invalid = Some(format!("{hash}: {error}")),
        }
    }
    for hash in batch.missing {
        // Its block was faster.
        judged.useless += u32::from(!is_committed(chain, &hash));
        judged.missing.push(hash);
    }
    judged
}

fn is_committed(chain: &GridChain, hash: &B256) -> bool {
    let find = || chain.store().view()?.transaction(hash);
    find().is_ok_and(|found| found.is_some())
}

/// What a refusal says about the peer that relayed the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing: the reason is this node's load or fee rules.
    None,
    /// An honest node with another state may have admitted it; not many of them.
    Useless,
    /// No honest node admits it in any state.
    Invalid,
}

pub(super) const fn fault(error: &SubmitError) -> Fault {
    match error {
        SubmitError::Chain(_) => Fault::None,
        SubmitError::Decode(_) => Fault::Invalid,
        SubmitError::Rejected(reject) => match reject {
            TxReject::Type(_)
            | TxReject::ChainId { .. }
            | TxReject::Signature
            | TxReject::Size { .. }
            | TxReject::Creation
            | TxReject::PriorityFee { .. }
            | TxReject::IntrinsicGas { .. } => Fault::Invalid,
            TxReject::Storage(_) | TxReject::AlreadyKnown => Fault::None,
            _ => Fault::Useless,
        },
        SubmitError::Mempool(error) => match error {
            MempoolError::Overdraft { .. }
            | MempoolError::NonceTooLow { .. }
            | MempoolError::NonceTooHigh { .. } => Fault::Useless,
            _ => Fault::None,
        },
    }
}
