//! Bodies in transit: cutting them into parts and putting parts together again.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::Bytes;
use arc_malachitebft_core_types::Round;
use arc_malachitebft_signing::Error as SignError;
use grid_core::grid::{RecoverableSignature, ValidatorSet};

use crate::{
    chain::MAX_BODY,
    context::{Address, BlockHash, Height, Part, Signature},
    sign::{Keyring, Recovery},
};

/// Bytes of body in one part: small enough to be gossiped without delaying votes, far below the
/// gossip's message limit of 4 MiB.
pub(crate) const PART_SIZE: usize = 64 * 1024;

/// How many heights above the next one parts are kept for: a node that is a block behind must not
/// lose the proposal that its peers already make.
const LOOKAHEAD: u64 = 2;

/// How many unfinished or waiting bodies one sender may have here; its oldest makes room.
pub(crate) const BODIES_PER_SENDER: usize = 3;

/// How a proposed block is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proposed {
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) pol_round: Round,
    pub(crate) proposer: Address,
    pub(crate) value: BlockHash,
}

/// How many parts a body of `length` bytes has (an empty one has one), or `None` if it is too long.
pub(crate) fn count(length: u32) -> Option<u32> {
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_BODY)?;
    u32::try_from(length.div_ceil(PART_SIZE).max(1)).ok()
}

/// Cuts a body into signed parts.
///
/// # Errors
/// Where signing fails; a body above [`MAX_BODY`] was refused before.
pub(crate) fn split(
    keyring: &Keyring,
    proposed: Proposed,
    body: &[u8],
) -> Result<Vec<Part>, SignError> {
    let length = u32::try_from(body.len()).map_err(SignError::from_source)?;
    let chunks: Vec<&[u8]> =
        if body.is_empty() { vec![&[]] } else { body.chunks(PART_SIZE).collect() };
    (0..)
        .zip(chunks)
        .map(|(index, chunk)| {
            keyring.sign_part(Part {
                height: proposed.height,
                round: proposed.round,
                pol_round: proposed.pol_round,
                proposer: proposed.proposer,
                value: proposed.value,
                length,
                index,
                data: chunk.to_vec(),
                signature: Signature(RecoverableSignature::from_bytes([0; 65])),
            })
        })
        .collect()
}

/// A body that is being put together, or complete and waiting for its height.
#[derive(Debug)]
struct Body {
    proposed: Proposed,
    length: u32,
    parts: BTreeMap<u32, Vec<u8>>,
}

impl Body {
    fn is_complete(&self) -> bool {
        count(self.length).is_some_and(|count| self.parts.len() as u64 == u64::from(count))
    }

    fn join(self) -> (Proposed, Bytes) {
        let parts: Vec<_> = self.parts.into_values().collect();
        (self.proposed, parts.concat().into())
    }
}

/// Collects the parts that arrive.
///
/// Parts are grouped by the key that signed them, which is stronger than the publisher that the
/// transport names. Memory is bounded: only validators may send, each at most
/// [`BODIES_PER_SENDER`] bodies of at most [`MAX_BODY`] bytes.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    senders: BTreeMap<alloy_primitives::Address, VecDeque<Body>>,
}

impl Assembler {
    /// Takes a part that a peer sent; says why it is refused. A [call](Part::is_call) is checked and not kept.
    pub(crate) fn add(
        &mut self,
        part: Part,
        recovery: Recovery,
        validators: &ValidatorSet,
        next: u64,
    ) -> Result<(), &'static str> {
        if part.height.0 < next || part.height.0 > next.saturating_add(LOOKAHEAD) {
            return Err("its height is not one of the next");
        }
        let is_call = part.is_call();
        if part.round.is_nil() && !is_call {
            return Err("it has no round");
        }
        let count = count(part.length).ok_or("its body is too long")?;
        let start = u64::from(part.index) * PART_SIZE as u64;
        let expected = u64::from(part.length).saturating_sub(start).min(PART_SIZE as u64);
        if part.index >= count || part.data.len() as u64 != expected {
            return Err("its position and length do not fit its body");
        }
        let sender = recovery.sender(&part).ok_or("its signature is malformed")?;
        if validators.power(&sender).is_none() {
            return Err("its sender is not a validator");
        }
        if is_call {
            return Ok(());
        }
        let proposed = Proposed {
            height: part.height,
            round: part.round,
            pol_round: part.pol_round,
            proposer: part.proposer,
            value: part.value,
        };
        let bodies = self.senders.entry(sender).or_default();
        let known =
            bodies.iter_mut().find(|body| body.proposed == proposed && body.length == part.length);
        if let Some(body) = known {
            body.parts.insert(part.index, part.data);
            return Ok(());
        }
        if bodies.len() >= BODIES_PER_SENDER {
            bodies.pop_front();
        }
        let parts = BTreeMap::from([(part.index, part.data)]);
        bodies.push_back(Body { proposed, length: part.length, parts });
        Ok(())
    }

    /// The bytes of all parts that are kept.
    pub(crate) fn bytes(&self) -> usize {
        let bodies = self.senders.values().flatten();
        bodies.flat_map(|body| body.parts.values()).map(Vec::len).sum()
    }

    /// Takes out the complete bodies for `height` and forgets everything below it.
    pub(crate) fn take(&mut self, height: u64) -> Vec<(Proposed, Bytes)> {
        let mut complete = Vec::new();
        for bodies in self.senders.values_mut() {
            for body in std::mem::take(bodies) {
                let at = body.proposed.height.0;
                if at == height && body.is_complete() {
                    complete.push(body.join());
                } else if at >= height {
                    bodies.push_back(body);
                }
            }
        }
        self.senders.retain(|_, bodies| !bodies.is_empty());
        complete
    }
}

#[cfg(test)]
mod tests;
