//! Delivery before a block is confirmed, under a guarantee of the message's transaction ([`crate::guarantee`]).
//!
//! The guarantee shows that the transaction is in a tracked block, and pays if it is lost. Whether that is good enough is the
//! recipient's to say. Whoever calls a function here that fails undoes what it wrote.

use alloy_primitives::Address;

use super::{
    error::MessageError,
    found::Found,
    ops::{self, Here},
    records::{self, Record, State},
    route::{self, Route},
    types::address_of,
};
use crate::{
    ChainKey,
    bitcoin::tx::Tx,
    guarantee::Guarantee,
    state::{Overlay, StateRead},
};

/// The guarantee that a recipient asks for. Amounts are in the smallest unit of GRID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The least cover.
    pub cover: u128,
    /// Who is paid where the transaction is lost.
    pub beneficiary: Address,
    /// The most of the premium that the recipient gives back to who paid it.
    pub premium: u128,
}

impl Ask {
    fn check(&self, guarantee: &Guarantee) -> Result<(), MessageError> {
        let (least, expected) = (self.cover, self.beneficiary);
        let (found, beneficiary) = (guarantee.cover, guarantee.beneficiary);
        if found >= least && beneficiary == expected {
            return Ok(());
        }
        Err(MessageError::Cover { least, expected, found, beneficiary })
    }
}

/// Whether a message could be delivered now, all but its guarantee and its recipient considered.
pub(crate) fn check(state: &dyn StateRead, here: &Here, found: &Found) -> Result<(), MessageError> {
    let Found { message, id, .. } = found;
    let route = route::open(state, message.source, message.destination)?;
    if route.policy & Route::GUARANTEED == 0 {
        return Err(MessageError::Unconfirmed { source_key: message.source });
    }
    if records::read(state, id)?.is_some() {
        return Err(MessageError::Known);
    }
    // That a message never takes effect is for a confirmed block to show.
    if message.is_expired(here.now_secs) {
        return Err(MessageError::Deadline { deadline: message.deadline, now: here.now_secs });
    }
    ops::check_turn(state, message)?;
    route.check(state, message)?;
    match address_of(&message.recipient) {
        Some(_) => Ok(()),
        None => Err(MessageError::Recipient(message.recipient)),
    }
}

/// Records a message that was [checked](check) under a guarantee that is open, whose block is on the best branch and not
/// confirmed: the caller has looked. The recipient acts on it next.
pub(crate) fn deliver(
    overlay: &mut Overlay<'_>,
    here: &Here,
    found: &Found,
    (guarantee, ask): (&Guarantee, &Ask),
) -> Result<(), MessageError> {
    let Found { message, id, tx, .. } = found;
    let (expected, found) = (guarantee.txid, tx.as_ref().map(Tx::id).unwrap_or_default());
    if guarantee.chain.0 != message.source || found != expected {
        return Err(MessageError::OtherTransaction { expected, found });
    }
    ask.check(guarantee)?;
    let cover = guarantee.id();
    if let Some(message) = records::covered(overlay, &cover)? {
        return Err(MessageError::Used { guarantee: cover, message });
    }
    records::cover(overlay, &cover, id);
    ops::advance(overlay, message)?;
    let record = Record {
        state: State::Guaranteed,
        source: ChainKey(message.source),
        destination: here.own,
        height: guarantee.height,
        block: guarantee.block,
        anchor: here.height,
        at: here.height,
        guarantee: Some(cover),
    };
    records::store(overlay, id, &record);
    Ok(())
}
