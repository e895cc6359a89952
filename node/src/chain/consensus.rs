//! The engine's seam.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use alloy_primitives::{Address, B256, Bytes};
use grid_consensus::{
    Chain, ChainError, Equivocation, Head, MAX_BODY, Origin, ProposedBlock, Verdict,
};
use grid_core::{
    grid::{CommitCertificate, Extension, proposer},
    transition::{self, Block, MAX_BLOCK_BYTES, TransitionError},
};
use tokio::sync::Notify;

use super::{
    ChainFailure, Executed, GridChain, MAX_DRIFT_MS, name_block, read_head, senders::senders,
    time_ms,
};

/// Room that a body's header and list prefixes take beside the transactions.
const _: () = assert!(MAX_BLOCK_BYTES + 64 * 1024 <= MAX_BODY);

/// Turns of one height that are looked at to count who missed them.
const MOST_TURNS: u32 = 64;

fn fail(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> ChainError {
    ChainError::with_source(format!("{what}: {source}"), source)
}

impl GridChain {
    fn propose(
        &self,
        height: u64,
        round: u32,
        proposer: Address,
    ) -> Result<ProposedBlock, ChainError> {
        let what = || format!("building block {height}");
        let view = self.store.view().map_err(|error| fail(&what(), error))?;
        let parent = self.parent(&view).map_err(|error| fail(&what(), error))?;
        if parent.header.number.checked_add(1) != Some(height) {
            return Err(ChainError::new(format!(
                "block {height} was asked for on top of block {}",
                parent.header.number
            )));
        }
        let parent_ms = time_ms(&parent).map_err(|error| fail(&what(), error))?;
        let time = self.now_ms().max(parent_ms.saturating_add(1));
        let candidates = self.mempool.candidates(
            transition::next_base_fee(&parent.header),
            self.effort.room(parent.header.gas_limit, round),
        );
        let started = Instant::now();
        let proposal = transition::propose(&parent, &view, candidates, time, proposer)
            .map_err(|error| fail(&what(), error))?;
        for (hash, reason) in &proposal.dropped {
            tracing::debug!(%hash, %reason, "dropped a waiting transaction");
        }
        self.mempool.remove(proposal.dropped.iter().map(|(hash, _)| hash));
        let executed = Arc::new(proposal.executed);
        self.effort.observe(executed.block.header.gas_used, started.elapsed());
        let hash = executed.hash;
        let body = Bytes::from(alloy_rlp::encode(&executed.block));
        self.store.put_body(height, hash, &body).map_err(|error| fail(&what(), error))?;
        self.executed().insert(executed);
        Ok(ProposedBlock { hash, body })
    }

    /// Executes a body; `Err` inside for an invalid block.
    fn execute(
        &self,
        height: u64,
        hash: B256,
        body: &[u8],
    ) -> Result<Result<Executed, String>, ChainFailure> {
        let block: Block = match alloy_rlp::decode_exact(body) {
            Ok(block) => block,
            Err(error) => return Ok(Err(format!("body is not the RLP of a block: {error}"))),
        };
        if block.header.number != height {
            return Ok(Err(format!("block has height {}", block.header.number)));
        }
        let found = block.header.hash_slow();
        if found != hash {
            return Ok(Err(format!("block has hash {found}")));
        }
        let view = self.store.view()?;
        let parent = self.parent(&view)?;
        let senders = senders(&block.body.transactions, |hash| self.mempool.sender(hash));
        let known = |hash: &B256| senders.get(hash).copied();
        let started = Instant::now();
        match transition::validate_with(&parent, &view, &block, &known) {
            Ok(executed) => {
                self.effort.observe(block.header.gas_used, started.elapsed());
                Ok(Ok(Arc::new(executed)))
            }
            Err(TransitionError::Storage(error)) => Err(error.into()),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn judge(
        &self,
        height: u64,
        proposer: Address,
        hash: B256,
        body: &Bytes,
        origin: Origin,
    ) -> Result<Verdict, ChainFailure> {
        if body.len() > MAX_BODY {
            return Ok(Verdict::Invalid(format!("body of {} bytes is too large", body.len())));
        }
        let cached = self.executed().get(&hash);
        let executed = match cached {
            Some(executed) => executed,
            None => match self.execute(height, hash, body)? {
                Ok(executed) => executed,
                Err(reason) => return Ok(Verdict::Invalid(reason)),
            },
        };
        let header = &executed.block.header;
        // The body may differ from the cached block's in nothing, or it is not that block.
        if header.number != height || alloy_rlp::encode(&executed.block) != body.as_ref() {
            return Ok(Verdict::Invalid(format!(
                "body is not that of {}",
                name_block(height, hash)
            )));
        }
        if origin == Origin::Live {
            if header.beneficiary != proposer {
                return Ok(Verdict::Invalid(format!(
                    "beneficiary {} is not the proposer {proposer}",
                    header.beneficiary
                )));
            }
            let ahead = Extension::of(header)
                .map_or(u64::MAX, |extension| extension.timeMs.saturating_sub(self.now_ms()));
            if ahead > MAX_DRIFT_MS {
                return Ok(Verdict::Invalid(format!(
                    "block time is {ahead} ms ahead of this node's clock, at most {MAX_DRIFT_MS} ms are allowed; check both clocks"
                )));
            }
        }
        self.store.put_body(height, hash, body)?;
        self.executed().insert(executed);
        Ok(Verdict::Valid)
    }

    fn decide(&self, certificate: &CommitCertificate) -> Result<Head, ChainFailure> {
        let (height, hash) = (certificate.height, certificate.block_hash);
        let view = self.store.view()?;
        if height <= view.height() {
            // The engine repeats itself after a crash between our commit and its log.
            return match view.block_height(&hash)? {
                Some(stored) if stored == height => read_head(&view),
                _ => Err(ChainFailure::Stored {
                    height,
                    reason: format!("a certificate decides {hash} instead"),
                }),
            };
        }
        drop(view);
        let cached = self.executed().get(&hash);
        let executed = match cached {
            Some(executed) => executed,
            None => self.execute_stored(height, hash)?,
        };
        let started = Instant::now();
        self.store.commit(&executed, certificate)?;
        self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        self.count_missed_turns(certificate);
        let head = read_head(&self.store.view()?)?;
        self.after_commit(&executed, head.clone())?;
        tracing::debug!(
            height,
            %hash,
            transactions = executed.receipts.len(),
            round = certificate.round,
            "committed"
        );
        Ok(head)
    }

    /// Counts who did not propose in the rounds before the one that decided. Before the head changes: it names who
    /// decided the block.
    fn count_missed_turns(&self, certificate: &CommitCertificate) {
        let head = self.head.borrow();
        for round in 0..certificate.round.min(MOST_TURNS) {
            let missed = proposer(&head.next_validators, certificate.height, round).account;
            let label = missed.to_string();
            self.metrics.missed_proposals_total.with_label_values(&[label.as_str()]).inc();
        }
    }

    fn execute_stored(&self, height: u64, hash: B256) -> Result<Executed, ChainFailure> {
        let unusable = |reason: String| ChainFailure::Stored { height, reason };
        let body = self
            .store
            .body(height, hash)?
            .ok_or_else(|| unusable(format!("decided block {hash} has no body")))?;
        self.execute(height, hash, &body)?.map_err(unusable)
    }
}

impl Chain for GridChain {
    fn chain_id(&self) -> u64 {
        self.chain_id
    }

    fn head(&self) -> Head {
        self.head.borrow().clone()
    }

    fn build(
        &self,
        height: u64,
        round: u32,
        proposer: Address,
    ) -> Result<ProposedBlock, ChainError> {
        self.propose(height, round, proposer)
    }

    fn validate(
        &self,
        height: u64,
        proposer: Address,
        hash: B256,
        body: Bytes,
        origin: Origin,
    ) -> Result<Verdict, ChainError> {
        self.judge(height, proposer, hash, &body, origin)
            .map_err(|error| fail(&format!("judging {}", name_block(height, hash)), error))
    }

    fn body(&self, height: u64, hash: B256) -> Result<Option<Bytes>, ChainError> {
        self.store
            .body(height, hash)
            .map_err(|error| fail(&format!("reading {}", name_block(height, hash)), error))
    }

    fn commit(&self, certificate: CommitCertificate) -> Result<Head, ChainError> {
        self.decide(&certificate).map_err(|error| {
            let name = name_block(certificate.height, certificate.block_hash);
            fail(&format!("committing {name}"), error)
        })
    }

    fn replace_certificate(&self, certificate: CommitCertificate) -> Result<(), ChainError> {
        self.store.replace_certificate(&certificate).map_err(|error| {
            let name = name_block(certificate.height, certificate.block_hash);
            fail(&format!("replacing the certificate of {name}"), error)
        })
    }

    fn decided(&self, height: u64) -> Result<Option<(Bytes, CommitCertificate)>, ChainError> {
        let read = || {
            let view = self.store.view()?;
            let Some(certificate) = view.certificate(height)? else { return Ok(None) };
            Ok(view.block_rlp(height)?.map(|block| (Bytes::from(block), certificate)))
        };
        read().map_err(|error: ChainFailure| fail(&format!("reading block {height}"), error))
    }

    fn has_work(&self) -> bool {
        let due = self.due_ms.load(Ordering::Relaxed);
        // What was due at the head's time the head has looked at: it is no reason for another block.
        let is_due = due > self.head.borrow().time_ms && self.now_ms() >= due;
        self.mempool.has_work() || is_due
    }

    fn work(&self) -> Arc<Notify> {
        self.mempool.work()
    }

    fn misbehaviour(&self, evidence: Vec<Equivocation>) {
        if let Err(error) = self.keep_evidence(&evidence) {
            tracing::error!(%error, "could not keep the evidence of validators that voted twice");
        }
    }
}
