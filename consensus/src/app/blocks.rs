//! Blocks before they are decided: proposed, put together, judged.

use alloy_primitives::{B256, Bytes};
use arc_malachitebft_app_channel::app::{
    engine::host::SyncedValueOutcome,
    types::{ProposedValue, streaming::StreamMessage},
};
use arc_malachitebft_core_types::{Round, Validity};
use arc_malachitebft_engine::util::streaming::StreamContent;
use tracing::{debug, error, info, warn};

use super::App;
use crate::{
    chain::{ChainError, MAX_BODY, Origin, Verdict},
    context::{Address, BlockHash, Grid, Height, Part},
    desk::Failure,
    error::EngineError,
    parts::{Proposed, split},
    sign::{Keyring, Recovery},
    sync,
};

impl App {
    /// Blocks for this height that arrived before it started.
    pub(super) async fn waiting(
        &mut self,
        height: Height,
    ) -> Result<Vec<ProposedValue<Grid>>, EngineError> {
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
    pub(super) async fn propose(
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
                    let block = chain.build(height.0, number, proposer.0)?;
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
    pub(super) async fn repeat(&self, proposed: Proposed) -> Result<Vec<Part>, EngineError> {
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
    pub(super) async fn received(
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

    /// Judges a block that a peer sent as already decided.
    pub(super) async fn synced(
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
