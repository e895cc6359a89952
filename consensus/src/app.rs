//! The message loop: the engine's questions, one after the other, answered from the chain.
//!
//! Every question is answered or ends the run: an unanswered one would stall the engine silently.

use std::{pin::Pin, time::Duration};

use arc_malachitebft_app_channel::{
    AppMsg, Channels, NetworkMsg, Reply,
    app::{
        engine::host::{HeightParams, Next},
        types::{
            LocallyProposedValue, ProposedValue,
            streaming::{Sequence, StreamId, StreamMessage},
        },
    },
};
use arc_malachitebft_core_consensus::{MisbehaviorEvidence, VoteExtensionError};
use arc_malachitebft_core_types::{CommitCertificate, LinearTimeouts};
use arc_malachitebft_engine::util::streaming::StreamContent;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info};

use crate::{
    certificate,
    chain::{Chain, ChainError, Head},
    context::{Grid, Height, Part, ValidatorSet},
    desk::Desk,
    error::EngineError,
    evidence,
    idle::{Due, Idle},
    pace,
    parts::{Assembler, Proposed},
    sign::Keyring,
    status::EngineStatus,
    sync,
};

mod blocks;

/// How a run of the loop ends in good order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The engine asks no more: it died.
    Died,
    /// The node was asked to stop.
    Stopped,
    /// Go on without the key until the head has this height.
    Follow(u64),
    /// The head has the height that was waited for.
    CaughtUp,
}

/// State of the loop; owned by the one task that runs it.
pub(crate) struct App {
    pub(crate) desk: Desk,
    /// The validator's key; `None` in a full node.
    pub(crate) keyring: Option<Keyring>,
    pub(crate) chain_id: u64,
    pub(crate) interval: Duration,
    /// How long the steps of a round wait.
    pub(crate) timeouts: LinearTimeouts,
    /// Whether this node decides alone.
    pub(crate) solo: bool,
    /// The last committed block.
    pub(crate) head: Head,
    /// Who decided the head, and the number of signatures in its stored certificate; `None` where
    /// an earlier process committed it.
    pub(crate) deciders: Option<(grid_core::grid::ValidatorSet, usize)>,
    pub(crate) assembler: Assembler,
    /// Judged blocks that the engine could not be told of yet.
    pub(crate) judged: Vec<ProposedValue<Grid>>,
    /// Ends with the newest height that peers show, where this key may have signed before without a record here.
    pub(crate) doubt: Option<Pin<Box<dyn Future<Output = u64> + Send + Sync>>>,
    /// The engine's wait for its first height, as long as there is a doubt.
    pub(crate) ready: Option<Reply<(Height, HeightParams<Grid>)>>,
    /// Follow only, until the head has this height.
    pub(crate) follow: Option<u64>,
    /// The pause before a height without work.
    pub(crate) idle: Idle,
    /// How the engine stands.
    pub(crate) status: watch::Sender<EngineStatus>,
    /// The height being decided, for the watchdog.
    pub(crate) progress: watch::Sender<u64>,
}

impl App {
    /// Answers until the engine stops asking, something fails, or the node is to go on in another way.
    pub(crate) async fn drive(mut self, mut channels: Channels<Grid>) -> Result<End, EngineError> {
        loop {
            if self.follow.is_some_and(|height| self.head.height >= height) {
                return Ok(End::CaughtUp);
            }
            let next = self.next();
            tokio::select! {
                biased;
                message = channels.consensus.recv() => match message {
                    Some(message) => self.answer(message, &channels.network).await?,
                    None => return Ok(End::Died),
                },
                tip = async { self.doubt.as_mut()?.as_mut().await.into() }, if self.doubt.is_some() => {
                    if let Some(end) = self.resolve(tip)? {
                        return Ok(end);
                    }
                }
                due = self.idle.due(next) => self.on_due(due, &channels.network).await?,
            }
        }
    }

    /// Ends the doubt whether this key signed on this chain before.
    fn resolve(&mut self, tip: Option<u64>) -> Result<Option<End>, EngineError> {
        self.doubt = None;
        if let Some(tip) = tip.filter(|tip| *tip > self.head.height) {
            return Ok(Some(End::Follow(tip.saturating_add(1))));
        }
        if let Some(reply) = self.ready.take() {
            send(reply, (Height(self.next()), self.params()?));
        }
        Ok(None)
    }

    async fn on_due(
        &mut self,
        due: Due,
        network: &mpsc::Sender<NetworkMsg<Grid>>,
    ) -> Result<(), EngineError> {
        match due {
            Due::Work => {
                self.start_next()?;
                self.idle.plan_call();
            }
            Due::Start => self.start_next()?,
            Due::Call => {
                if self.idle.take_call(self.next()) {
                    publish(network, self.call()?).await;
                }
            }
        }
        Ok(())
    }

    /// Gives the held answer: the next height starts.
    fn start_next(&mut self) -> Result<(), EngineError> {
        if let Some(reply) = self.idle.release() {
            send(reply, Next::Start(Height(self.next()), self.params()?));
        }
        Ok(())
    }

    /// A call to the other validators, where this node is one that they listen to.
    fn call(&self) -> Result<Vec<Part>, EngineError> {
        let height = self.next();
        let Some(keyring) = self.keyring.as_ref().filter(|_| !self.solo) else {
            return Ok(Vec::new());
        };
        if self.head.next_validators.power(&keyring.address().0).is_none() {
            return Ok(Vec::new());
        }
        debug!(height, "calling the other validators");
        let part = keyring.sign_part(Part::call(Height(height), keyring.address()));
        part.map(|part| vec![part]).map_err(|error| EngineError::Chain {
            what: "call the other validators",
            height,
            source: ChainError::with_source("could not sign", error),
        })
    }

    async fn answer(
        &mut self,
        message: AppMsg<Grid>,
        network: &mpsc::Sender<NetworkMsg<Grid>>,
    ) -> Result<(), EngineError> {
        match message {
            AppMsg::ConsensusReady { reply } => {
                info!(height = self.next(), "consensus starts");
                if self.doubt.is_some() {
                    self.ready = Some(reply);
                } else {
                    send(reply, (Height(self.next()), self.params()?));
                }
            }
            AppMsg::StartedRound { height, round, reply_value, .. } => {
                debug!(%height, %round, "round");
                self.stand(height.0, round.as_u32().unwrap_or(0));
                send(reply_value, self.waiting(height).await?);
            }
            AppMsg::GetValue { height, round, reply, .. } => {
                self.idle.want(height.0);
                let (value, parts) = self.propose(height, round).await?;
                send(reply, LocallyProposedValue::new(height, round, value));
                publish(network, parts).await;
            }
            AppMsg::ReceivedProposalPart { part, reply, .. } => {
                send(reply, self.received(part).await?);
            }
            AppMsg::RestreamProposal { height, round, valid_round, address, value_id } => {
                let proposed = Proposed {
                    height,
                    round,
                    pol_round: valid_round,
                    proposer: address,
                    value: value_id,
                };
                let parts = self.repeat(proposed).await?;
                publish(network, parts).await;
            }
            AppMsg::Decided { certificate, reply, .. } => {
                self.commit(&certificate).await?;
                send(reply, ());
            }
            AppMsg::Finalized { certificate, evidence, reply, .. } => {
                self.accuse(evidence).await?;
                self.finalize(&certificate).await?;
                self.idle.hold(reply, self.head.time_ms);
            }
            AppMsg::GetHistoryMinHeight { reply } => send(reply, Height(1)),
            AppMsg::GetDecidedValues { range, reply } => {
                send(reply, sync::serve(&self.desk, self.chain_id, range).await?);
            }
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                let outcome = self.synced(height, round, proposer, value_bytes.into()).await?;
                send(reply, outcome);
            }
            // Extensions are disabled at every height, so the two below are never asked.
            AppMsg::ExtendVote { reply, .. } => send(reply, None),
            AppMsg::VerifyVoteExtensions { extensions, reply, .. } => {
                let refused =
                    |(address, ())| (address, Err(VoteExtensionError::InvalidVoteExtension));
                send(reply, extensions.into_iter().map(refused).collect());
            }
        }
        Ok(())
    }

    /// The height to decide.
    const fn next(&self) -> u64 {
        self.head.height.saturating_add(1)
    }

    /// Parameters of the height to decide.
    fn params(&self) -> Result<HeightParams<Grid>, EngineError> {
        if self.solo {
            let address = self.keyring.as_ref().map(|keyring| keyring.address().0);
            check_authority(&self.head, address)?;
        }
        let target = (!self.interval.is_zero())
            .then(|| pace::target(self.interval, self.head.time_ms, pace::now_ms()));
        let validators = ValidatorSet::from(&self.head.next_validators);
        Ok(HeightParams::new(validators, self.timeouts, target))
    }

    /// Commits what the engine decided.
    async fn commit(&mut self, decided: &CommitCertificate<Grid>) -> Result<(), EngineError> {
        let (height, hash) = (decided.height.0, decided.value_id.0);
        let safety = |reason: String| EngineError::Safety { height, reason };
        if height == self.head.height && hash == self.head.hash {
            return Ok(());
        }
        if height != self.next() {
            let head = &self.head;
            return Err(safety(format!(
                "decided block {hash} does not follow the committed block {} at height {}",
                head.hash, head.height
            )));
        }
        let certificate =
            certificate::from_engine(decided, self.chain_id, &self.head.next_validators)?;
        let (round, signatures) = (certificate.round, certificate.signatures.len());
        let head = self
            .desk
            .ask("commit a block", height, move |chain, _| Ok(chain.commit(certificate)?))
            .await?;
        if head.height != height || head.hash != hash {
            return Err(safety(format!(
                "decided block {hash}, but the chain's head is {} at height {}",
                head.hash, head.height
            )));
        }
        debug!(height, round, %hash, "committed");
        let before = std::mem::replace(&mut self.head, head);
        self.deciders = Some((before.next_validators, signatures));
        self.progress.send_replace(self.next());
        self.stand(self.next(), 0);
        Ok(())
    }

    fn stand(&self, height: u64, round: u32) {
        self.status.send_modify(|status| (status.height, status.round) = (height, round));
    }

    /// Hands over proofs that validators contradicted themselves.
    async fn accuse(&self, evidence: MisbehaviorEvidence<Grid>) -> Result<(), EngineError> {
        let proofs = evidence::proofs(&evidence, self.chain_id);
        if proofs.is_empty() {
            return Ok(());
        }
        let told = move |chain: &dyn Chain, _: &mut _| {
            chain.misbehaviour(proofs);
            Ok(())
        };
        self.desk.ask("take evidence", self.head.height, told).await
    }

    /// Keeps the certificate with the most signatures.
    async fn finalize(&mut self, decided: &CommitCertificate<Grid>) -> Result<(), EngineError> {
        let height = decided.height.0;
        if height != self.head.height || decided.value_id.0 != self.head.hash {
            let reason = "finalized a block that is not the head".to_owned();
            return Err(EngineError::Safety { height, reason });
        }
        let Some((deciders, signatures)) = &mut self.deciders else {
            return Ok(());
        };
        if decided.commit_signatures.len() <= *signatures {
            return Ok(());
        }
        let certificate = certificate::from_engine(decided, self.chain_id, deciders)?;
        *signatures = certificate.signatures.len();
        self.desk
            .ask("replace a certificate", height, move |chain, _| {
                Ok(chain.replace_certificate(certificate)?)
            })
            .await
    }
}

/// A node without a network must be able to decide alone; with one, a node that is not (yet) a
/// validator follows.
pub(crate) fn check_authority(
    head: &Head,
    address: Option<alloy_primitives::Address>,
) -> Result<(), EngineError> {
    let Some(address) = address else {
        return Err(EngineError::NobodyToFollow);
    };
    let validators = &head.next_validators;
    let Some(power) = validators.power(&address) else {
        let list: Vec<_> =
            validators.as_slice().iter().map(|validator| validator.account.to_string()).collect();
        return Err(EngineError::NotAValidator {
            address,
            height: head.height.saturating_add(1),
            validators: list.join(", "),
        });
    };
    if validators.is_quorum(power) {
        Ok(())
    } else {
        Err(EngineError::NoQuorumAlone { power, total: validators.total_power() })
    }
}

/// Answers; an engine that has gone away meanwhile is noticed elsewhere.
fn send<T>(reply: oneshot::Sender<T>, answer: T) {
    if reply.send(answer).is_err() {
        debug!("the engine no longer waits for an answer");
    }
}

/// Hands parts to the network.
async fn publish(network: &mpsc::Sender<NetworkMsg<Grid>>, parts: Vec<Part>) {
    for (sequence, part) in (0..).zip(parts) {
        // Parts are grouped by their own content, so the stream's name only has to be distinct.
        let mut name = part.height.0.to_be_bytes().to_vec();
        name.extend(part.round.as_i64().to_be_bytes());
        name.extend(part.value.0);
        let message = StreamMessage::new(
            StreamId::new(name.into()),
            sequence as Sequence,
            StreamContent::Data(part),
        );
        if network.send(NetworkMsg::PublishProposalPart(message)).await.is_err() {
            debug!("the network is gone");
            return;
        }
    }
}
