//! The message loop: the engine's questions, one after the other, answered from the chain.
//!
//! Every question is answered or ends the run: an unanswered one would stall the engine silently.

use std::time::Duration;

use alloy_primitives::{B256, Bytes};
use arc_malachitebft_app_channel::{
    AppMsg, Channels, NetworkMsg,
    app::{
        engine::host::{HeightParams, Next, SyncedValueOutcome},
        types::{
            LocallyProposedValue, ProposedValue,
            streaming::{Sequence, StreamId, StreamMessage},
        },
    },
};
use arc_malachitebft_core_consensus::{MisbehaviorEvidence, VoteExtensionError};
use arc_malachitebft_core_types::{CommitCertificate, LinearTimeouts, Round, Validity};
use arc_malachitebft_engine::util::streaming::StreamContent;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, error, info, warn};

use crate::{
    certificate,
    chain::{Chain, ChainError, Head, MAX_BODY, Origin, Verdict},
    context::{Address, BlockHash, Grid, Height, Part, ValidatorSet},
    desk::{Desk, Failure},
    error::EngineError,
    evidence,
    idle::{Due, Idle},
    pace,
    parts::{Assembler, Proposed, split},
    sign::{Keyring, Recovery},
    status::EngineStatus,
    sync,
};

/// State of the loop; owned by the one task that runs it.
pub(crate) struct App {
    pub(crate) desk: Desk,
    /// The validator's key; `None` in a full node.
    pub(crate) keyring: Option<Keyring>,
    pub(crate) chain_id: u64,
    pub(crate) interval: Duration,
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
    /// The pause before a height without work.
    pub(crate) idle: Idle,
    /// How the engine stands.
    pub(crate) status: watch::Sender<EngineStatus>,
    /// The height being decided, for the watchdog.
    pub(crate) progress: watch::Sender<u64>,
}

impl App {
    /// Answers until the engine stops asking (`Ok`: it died) or something fails.
    pub(crate) async fn drive(mut self, mut channels: Channels<Grid>) -> Result<(), EngineError> {
        loop {
            let next = self.next();
            tokio::select! {
                biased;
                message = channels.consensus.recv() => match message {
                    Some(message) => self.answer(message, &channels.network).await?,
                    None => return Ok(()),
                },
                due = self.idle.due(next) => self.on_due(due, &channels.network).await?,
            }
        }
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
                send(reply, (Height(self.next()), self.params()?));
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
        Ok(HeightParams::new(validators, LinearTimeouts::default(), target))
    }

    /// Blocks for this height that arrived before it started.
    async fn waiting(&mut self, height: Height) -> Result<Vec<ProposedValue<Grid>>, EngineError> {
        let mut values = std::mem::take(&mut self.judged);
        values.retain(|value| value.height == height);
        if height.0 == self.next() {
            for (proposed, body) in self.assembler.take(height.0) {
                values.push(self.judge(proposed, body).await?);
            }
        }
        Ok(values)
    }

    /// The block to propose: the one already proposed for this height and round, or a new one.
    async fn propose(
        &self,
        height: Height,
        round: Round,
    ) -> Result<(BlockHash, Vec<Part>), EngineError> {
        let safety =
            |reason: &str| EngineError::Safety { height: height.0, reason: reason.to_owned() };
        if height.0 != self.next() {
            return Err(safety("a proposal was asked for that is not for the next height"));
        }
        let number = round.as_u32().ok_or_else(|| safety("a proposal without a round"))?;
        let keyring = self.keyring.clone();
        let keyring = keyring.ok_or_else(|| safety("a proposal was asked of a full node"))?;
        let (proposer, solo) = (keyring.address(), self.solo);
        self.desk
            .ask("build a block", height.0, move |chain, home| {
                let (hash, body) = if let Some(hash) = home.proposed(height.0, number) {
                    info!(%height, %round, %hash, "proposing the same block again");
                    let body = chain.body(height.0, hash)?;
                    (hash, body.ok_or_else(|| lost(height.0, hash))?)
                } else {
                    let block = chain.build(height.0, proposer.0)?;
                    home.remember(height.0, number, block.hash)?;
                    (block.hash, block.body)
                };
                let value = BlockHash(hash);
                let proposed = Proposed { height, round, pol_round: Round::Nil, proposer, value };
                let parts = if solo { Vec::new() } else { cut(&keyring, proposed, &body)? };
                Ok((value, parts))
            })
            .await
    }

    /// Parts of a block that the engine wants its peers to see again.
    async fn repeat(&self, proposed: Proposed) -> Result<Vec<Part>, EngineError> {
        let Some(keyring) = self.keyring.clone().filter(|_| !self.solo) else {
            return Ok(Vec::new());
        };
        let (height, hash) = (proposed.height.0, proposed.value.0);
        self.desk
            .ask("read a body", height, move |chain, _| {
                let Some(body) = chain.body(height, hash)? else {
                    warn!(height, %hash, "no body to send again");
                    return Ok(Vec::new());
                };
                cut(&keyring, proposed, &body)
            })
            .await
    }

    /// Takes a part; answers with the block that it completes, if that block's turn has come.
    async fn received(
        &mut self,
        message: StreamMessage<Part>,
    ) -> Result<Option<ProposedValue<Grid>>, EngineError> {
        let StreamContent::Data(part) = message.content else {
            return Ok(None);
        };
        let recovery = Recovery::new(self.chain_id);
        let next = self.next();
        let (height, is_call) = (part.height.0, part.is_call());
        if let Err(reason) = self.assembler.add(part, recovery, &self.head.next_validators, next) {
            debug!(reason, "refused a part");
            return Ok(None);
        }
        self.idle.want(height);
        if is_call {
            return Ok(None);
        }
        for (proposed, body) in self.assembler.take(next) {
            let value = self.judge(proposed, body).await?;
            self.judged.push(value);
        }
        // More than one can be here only if they came in while the height before was decided; the
        // others are told at the start of the next round.
        Ok(self.judged.pop())
    }

    /// Judges a proposed block on top of the head.
    async fn judge(
        &self,
        proposed: Proposed,
        body: Bytes,
    ) -> Result<ProposedValue<Grid>, EngineError> {
        let Proposed { height, round, pol_round, proposer, value } = proposed;
        // A block that is proposed again has a quorum of prevotes from an earlier round (without
        // them the engine votes nil on it), an older time and perhaps another builder.
        let origin = if pol_round.is_nil() { Origin::Live } else { Origin::Sync };
        let verdict = self.validate(height, proposer, value, body, origin).await?;
        let validity = match verdict {
            Verdict::Valid => Validity::Valid,
            Verdict::Invalid(reason) => {
                warn!(%height, %round, %proposer, hash = %value, reason, "proposed block is invalid");
                Validity::Invalid
            }
        };
        Ok(ProposedValue { height, round, valid_round: pol_round, proposer, value, validity })
    }

    async fn validate(
        &self,
        height: Height,
        proposer: Address,
        value: BlockHash,
        body: Bytes,
        origin: Origin,
    ) -> Result<Verdict, EngineError> {
        self.desk
            .ask("validate a block", height.0, move |chain, _| {
                // A block that is proposed again in a later round was judged before.
                if chain.body(height.0, value.0)?.is_some() {
                    return Ok(Verdict::Valid);
                }
                Ok(chain.validate(height.0, proposer.0, value.0, body, origin)?)
            })
            .await
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

    /// Judges a block that a peer sent as already decided.
    async fn synced(
        &self,
        height: Height,
        round: Round,
        proposer: Address,
        bytes: Bytes,
    ) -> Result<SyncedValueOutcome<Grid>, EngineError> {
        if height.0 != self.next() {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let Some((value, body)) = sync::unpack(&bytes) else {
            return Ok(SyncedValueOutcome::PeerFault);
        };
        match self.validate(height, proposer, value, body, Origin::Sync).await? {
            Verdict::Valid => Ok(SyncedValueOutcome::Verdict(ProposedValue {
                height,
                round,
                valid_round: Round::Nil,
                proposer,
                value,
                validity: Validity::Valid,
            })),
            Verdict::Invalid(reason) => {
                error!(%height, hash = %value, reason, "a peer sent an invalid block as decided");
                Ok(SyncedValueOutcome::PeerFault)
            }
        }
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

fn cut(keyring: &Keyring, proposed: Proposed, body: &[u8]) -> Result<Vec<Part>, Failure> {
    if body.len() > MAX_BODY {
        return Err(ChainError::new(format!(
            "a block body has at most {MAX_BODY} bytes, this one has {}",
            body.len()
        ))
        .into());
    }
    split(keyring, proposed, body)
        .map_err(|error| ChainError::with_source("could not sign a part", error).into())
}

fn lost(height: u64, hash: B256) -> EngineError {
    let reason = format!(
        "the chain lost block {hash}, which this node has proposed; proposing another would be an equivocation"
    );
    EngineError::Safety { height, reason }
}
