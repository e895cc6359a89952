//! Calls of `Guarantee` that look at a foreign chain, and its views.

use alloy_primitives::{B256, U128, U256};
use alloy_sol_types::SolCall;

use super::{
    CallError, Env,
    abi::{
        GUARANTEE,
        Guarantee::{self, GuaranteeCalls as Calls},
    },
    gas,
    guarantee::{caller, charge, narrow},
    registry::{only_governor, required},
};
use crate::{
    ChainKey,
    bitcoin::spv::TxProof,
    guarantee::{
        self, Caller, GuaranteeError, Order, Source, Terms, chain_of, guarantee_id, read_book,
        read_guarantee, read_holding, read_open, read_params, read_terms,
    },
    risk::Ratio,
    state::{Accumulator, Overlay, StateRead},
};

impl From<Guarantee::BitcoinTx> for TxProof {
    fn from(proof: Guarantee::BitcoinTx) -> Self {
        Self {
            raw: proof.raw,
            index: proof.index,
            branch: proof.branch,
            coinbase: proof.coinbase,
            coinbase_branch: proof.coinbaseBranch,
        }
    }
}

impl From<TxProof> for Guarantee::BitcoinTx {
    fn from(proof: TxProof) -> Self {
        Self {
            raw: proof.raw,
            index: proof.index,
            branch: proof.branch,
            coinbase: proof.coinbase,
            coinbaseBranch: proof.coinbase_branch,
        }
    }
}

/// Lets a function look at a chain, with the client that the block has loaded.
pub(super) fn with_source<T, E: Into<CallError>>(
    env: &mut Env<'_, '_>,
    chain: ChainKey,
    look: impl FnOnce(&mut Overlay<'_>, &Source<'_>) -> Result<T, E>,
) -> Result<T, CallError> {
    env.gas.charge(gas::CLIENT_LOAD)?;
    env.gas.charge_each(2, gas::READ)?;
    let record = required(env, chain)?;
    let confirmed =
        Accumulator::read(env.overlay, chain)?.and_then(|accumulator| accumulator.tip_height());
    let client = env.clients.take(env.overlay, &record)?;
    let source = Source { record: &record, tree: client.tree(), confirmed };
    let found = look(env.overlay, &source);
    env.clients.put(chain, client);
    found.map_err(Into::into)
}

/// Charges for a chain's list of open guarantees.
fn charge_open(env: &mut Env<'_, '_>, chain: ChainKey) -> Result<(), CallError> {
    env.gas.charge(gas::READ)?;
    let open = read_open(env.overlay, chain)?.len();
    env.gas.charge_each(open, gas::GUARANTEE_OPEN)
}

/// Charges for a proof in so many bytes of call data.
fn charge_proof(env: &mut Env<'_, '_>, bytes: usize) -> Result<(), CallError> {
    env.gas.charge(gas::PROOF)?;
    env.gas.charge_each(bytes, gas::PROOF_BYTE)
}

/// `request`.
pub(super) fn order(
    env: &mut Env<'_, '_>,
    call: Guarantee::requestCall,
    bytes: usize,
) -> Result<Vec<u8>, CallError> {
    let chain = ChainKey(call.chain);
    charge(env, 8, 5)?;
    charge_proof(env, bytes)?;
    env.gas.charge(gas::GUARANTEE_RISK)?;
    charge_open(env, chain)?;
    let order = Order {
        block: call.blockHash,
        proof: call.payment.into(),
        cover: narrow(call.cover)?,
        beneficiary: call.beneficiary,
        deadline: call.deadline,
        value: env.value,
    };
    let caller: Caller = caller(env);
    let made = with_source(env, chain, |overlay, source| {
        guarantee::request(overlay, &caller, source, &order)
    })?;
    let (id, premium) = (made.id(), U256::from(made.premium));
    let event = Guarantee::Requested {
        id,
        chain: chain.0,
        beneficiary: made.beneficiary,
        txid: made.txid,
        height: made.height,
        deadline: made.deadline,
        cover: U256::from(made.cover),
        premium,
    };
    env.log(GUARANTEE, &event);
    Ok(Guarantee::requestCall::abi_encode_returns(&Guarantee::requestReturn { id, premium }))
}

/// `settle`, `settleIn` and `claim`.
pub(super) fn end(env: &mut Env<'_, '_>, call: Calls, bytes: usize) -> Result<Vec<u8>, CallError> {
    charge(env, 6, 5)?;
    let id = match &call {
        Calls::settle(call) => call.id,
        Calls::settleIn(call) => call.id,
        Calls::claim(call) => call.id,
        _ => return Err(CallError::revert("not an end")),
    };
    let chain = chain_of(env.overlay, &id)?;
    charge_open(env, chain)?;
    match call {
        Calls::settleIn(call) => {
            charge_proof(env, bytes)?;
            let (block, proof) = (call.blockHash, TxProof::from(call.payment));
            let (ended, height) = with_source(env, chain, |overlay, source| {
                guarantee::settle_in(overlay, source, &id, &block, &proof)
            })?;
            tell_settled(env, id, height, ended.premium);
            Ok(Vec::new())
        }
        Calls::claim(_) => {
            let ended =
                with_source(env, chain, |overlay, source| guarantee::claim(overlay, source, &id))?;
            let (beneficiary, paid) = (ended.beneficiary, U256::from(ended.cover));
            env.log(GUARANTEE, &Guarantee::Defaulted { id, beneficiary, paid });
            Ok(Guarantee::claimCall::abi_encode_returns(&paid))
        }
        _ => {
            let ended =
                with_source(env, chain, |overlay, source| guarantee::settle(overlay, source, &id))?;
            tell_settled(env, id, ended.height, ended.premium);
            Ok(Vec::new())
        }
    }
}

fn tell_settled(env: &mut Env<'_, '_>, id: B256, height: u64, premium: u128) {
    env.log(GUARANTEE, &Guarantee::Settled { id, height, premium: U256::from(premium) });
}

/// `setTerms`.
pub(super) fn set_terms(
    env: &mut Env<'_, '_>,
    call: &Guarantee::setTermsCall,
) -> Result<Vec<u8>, CallError> {
    only_governor(env)?;
    charge(env, 1, 1)?;
    let record = required(env, ChainKey(call.chain))?;
    let terms = Terms {
        attacker_share: call.attackerShare,
        spacing: call.spacing,
        block_value: U128::from(narrow(call.blockValue)?),
    };
    guarantee::set_terms(env.overlay, &record, &terms)?;
    let event = Guarantee::TermsChanged {
        chain: call.chain,
        attackerShare: call.attackerShare,
        spacing: call.spacing,
        blockValue: call.blockValue,
    };
    env.log(GUARANTEE, &event);
    Ok(Vec::new())
}

/// Calls that change nothing.
pub(super) fn view(env: &mut Env<'_, '_>, call: Calls) -> Result<Vec<u8>, CallError> {
    use Guarantee::*;
    charge(env, 3, 0)?;
    Ok(match call {
        Calls::quote(call) => return quote(env, &call),
        Calls::openOf(call) => {
            charge_open(env, ChainKey(call.chain))?;
            let open = read_open(env.overlay, ChainKey(call.chain))?;
            let cover = open.iter().fold(0u128, |sum, one| sum.saturating_add(one.cover));
            let ids = open.into_iter().map(|one| one.id).collect();
            openOfCall::abi_encode_returns(&openOfReturn { ids, cover: U256::from(cover) })
        }
        Calls::idOf(call) => {
            let chain = ChainKey(call.chain);
            let id = guarantee_id(chain, &call.txid, &call.beneficiary, &call.payer);
            idOfCall::abi_encode_returns(&id)
        }
        Calls::guaranteeOf(call) => {
            guaranteeOfCall::abi_encode_returns(&shown(env.overlay, &call.id)?)
        }
        Calls::pool(_) => {
            let book = read_book(env.overlay)?;
            poolCall::abi_encode_returns(&poolReturn {
                free: U256::from(book.pool),
                locked: U256::from(book.locked),
                cover: U256::from(book.cover),
                shares: U256::from(book.shares),
            })
        }
        Calls::totals(_) => {
            let book = read_book(env.overlay)?;
            let (deposited, withdrawn) = (book.deposited, book.withdrawn);
            let (premiums, paid) = (book.premiums, book.paid);
            totalsCall::abi_encode_returns(&totalsReturn { deposited, withdrawn, premiums, paid })
        }
        Calls::holding(call) => {
            let book = read_book(env.overlay)?;
            let found = read_holding(env.overlay, &call.holder, &book)?;
            holdingCall::abi_encode_returns(&holdingReturn {
                shares: U256::from(found.shares),
                tokens: U256::from(book.worth(found.shares)),
                leaving: U256::from(found.leaving),
                fromMs: found.from_ms,
                untilMs: found.until_ms,
            })
        }
        Calls::terms(call) => {
            let none = Terms { attacker_share: 0, spacing: 0, block_value: U128::ZERO };
            let found = read_terms(env.overlay, ChainKey(call.chain))?.unwrap_or(none);
            termsCall::abi_encode_returns(&termsReturn {
                attackerShare: found.attacker_share,
                spacing: found.spacing,
                blockValue: U256::from(found.block_value),
            })
        }
        _ => {
            let params = read_params(env.overlay)?.ok_or(GuaranteeError::Disabled)?;
            let json = serde_json::to_vec(&params)
                .map_err(|error| CallError::Revert(format!("rules of guarantees: {error}")))?;
            paramsCall::abi_encode_returns(&json.into())
        }
    })
}

/// `quote`.
fn quote(env: &mut Env<'_, '_>, call: &Guarantee::quoteCall) -> Result<Vec<u8>, CallError> {
    let (chain, cover) = (ChainKey(call.chain), narrow(call.cover)?);
    env.gas.charge(gas::GUARANTEE_RISK)?;
    charge_open(env, chain)?;
    let now = env.block.time_ms;
    let found = with_source(env, chain, |overlay, source| {
        guarantee::quote(overlay, source, &call.blockHash, cover, now)
    })?;
    let one = Ratio::ONE.parts();
    Ok(Guarantee::quoteCall::abi_encode_returns(&Guarantee::quoteReturn {
        premium: U256::from(found.premium),
        confirmations: found.risk.confirmations,
        risk: found.risk.probability.expected_loss(one),
        available: U256::from(found.available),
    }))
}

/// A guarantee as the ABI has it; all zero where there is none.
fn shown(state: &dyn StateRead, id: &B256) -> Result<Guarantee::guaranteeOfReturn, CallError> {
    let none = Guarantee::guaranteeOfReturn {
        status: 0,
        chain: B256::ZERO,
        txid: B256::ZERO,
        blockHash: B256::ZERO,
        height: 0,
        deadline: 0,
        cover: U256::ZERO,
        premium: U256::ZERO,
        beneficiary: Default::default(),
        payer: Default::default(),
    };
    Ok(read_guarantee(state, id)?.map_or(none, |found| Guarantee::guaranteeOfReturn {
        status: found.status as u8,
        chain: found.chain.0,
        txid: found.txid,
        blockHash: found.block,
        height: found.height,
        deadline: found.deadline,
        cover: U256::from(found.cover),
        premium: U256::from(found.premium),
        beneficiary: found.beneficiary,
        payer: found.payer,
    }))
}
