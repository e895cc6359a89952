//! What underwriters, payers and beneficiaries do. Whoever calls a function here that fails undoes what it wrote.

use alloy_primitives::{Address, B256, U256};

use super::{
    error::GuaranteeError,
    exposure::{MAX_OPEN, Room, is_confirmed},
    params::{GuaranteeParams, Terms, amount, need},
    price::{Quote, assess, premium},
    records::{
        Guarantee, Status, read_book, read_guarantee, read_holding, read_open, read_terms,
        store_book, store_guarantee, store_holding, store_open, store_terms,
    },
};
use crate::{
    ChainKey, Security,
    bitcoin::spv::{self, BlockContext, TxProof},
    header_tree::{HeaderRef, HeaderTree},
    modules::{
        ChainRecord, ChainStatus,
        abi::{GUARANTEE, SYSTEM_CONTRACTS},
    },
    state::{Account, Overlay, StateRead, StorageError},
};

/// Who acts, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// The account.
    pub(crate) account: Address,
    /// The block's time, milliseconds since 1970.
    pub(crate) now_ms: u64,
}

/// A registered chain as the main chain sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) record: &'a ChainRecord,
    /// Its tracked headers.
    pub(crate) tree: &'a HeaderTree,
    /// Height of the confirmed tip.
    pub(crate) confirmed: Option<u64>,
}

/// What is to be covered.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// The block with the transaction.
    pub(crate) block: B256,
    /// The transaction in it.
    pub(crate) proof: TxProof,
    pub(crate) cover: u128,
    pub(crate) beneficiary: Address,
    /// The last height that counts.
    pub(crate) deadline: u64,
    /// The most that the caller pays.
    pub(crate) value: U256,
}

fn pay_in(overlay: &mut Overlay<'_>, account: Address, amount: u128) -> Result<(), GuaranteeError> {
    if Account::transfer(overlay, &account, &GUARANTEE, U256::from(amount))? {
        return Ok(());
    }
    Err(GuaranteeError::Funds { account, amount })
}

fn pay_out(overlay: &mut Overlay<'_>, to: &Address, amount: u128) -> Result<(), StorageError> {
    if Account::transfer(overlay, &GUARANTEE, to, U256::from(amount))? {
        return Ok(());
    }
    Err(StorageError::new("the guarantee contract holds less than it owes"))
}

const fn at_least(found: u128, least: u128) -> Result<(), GuaranteeError> {
    if found < least { Err(GuaranteeError::TooLittle { found, least }) } else { Ok(()) }
}

/// Puts GRID into the pool; returns the new shares.
pub(crate) fn deposit(
    overlay: &mut Overlay<'_>,
    caller: &Caller,
    value: U256,
) -> Result<u128, GuaranteeError> {
    let params = need(overlay)?;
    let tokens = u128::try_from(value).map_err(|_| GuaranteeError::Amount)?;
    at_least(tokens, amount(params.min_deposit))?;
    pay_in(overlay, caller.account, tokens)?;
    let mut book = read_book(overlay)?;
    let shares = book.deposit(tokens)?;
    let mut holding = read_holding(overlay, &caller.account, &book)?;
    holding.shares = holding.shares.checked_add(shares).ok_or(GuaranteeError::Amount)?;
    store_holding(overlay, &caller.account, &holding);
    store_book(overlay, &book);
    Ok(shares)
}

/// Announces that shares will leave, in place of what was announced before; returns the time in which they can.
pub(crate) fn leave(
    overlay: &mut Overlay<'_>,
    caller: &Caller,
    shares: u128,
) -> Result<(u64, u64), GuaranteeError> {
    let params = need(overlay)?;
    let mut holding = read_holding(overlay, &caller.account, &read_book(overlay)?)?;
    at_least(shares, 1)?;
    if shares > holding.shares {
        return Err(GuaranteeError::Shares { wanted: shares, held: holding.shares });
    }
    let after = |secs: u64, from: u64| from.saturating_add(secs.saturating_mul(1_000));
    holding.leaving = shares;
    holding.from_ms = after(params.withdraw_delay_secs, caller.now_ms);
    holding.until_ms = after(params.withdraw_window_secs, holding.from_ms);
    store_holding(overlay, &caller.account, &holding);
    Ok((holding.from_ms, holding.until_ms))
}

/// Takes announced shares out; returns their tokens.
pub(crate) fn withdraw(
    overlay: &mut Overlay<'_>,
    caller: &Caller,
    shares: u128,
) -> Result<u128, GuaranteeError> {
    need(overlay)?;
    at_least(shares, 1)?;
    let mut book = read_book(overlay)?;
    let mut holding = read_holding(overlay, &caller.account, &book)?;
    let missing = GuaranteeError::Shares { wanted: shares, held: holding.leaving };
    holding.leaving = holding.leaving.checked_sub(shares).ok_or(missing)?;
    if !(holding.from_ms..=holding.until_ms).contains(&caller.now_ms) {
        let (from_ms, until_ms) = (holding.from_ms, holding.until_ms);
        return Err(GuaranteeError::NotNow { from_ms, until_ms, now_ms: caller.now_ms });
    }
    holding.shares = holding.shares.saturating_sub(shares);
    let tokens = book.redeem(shares)?;
    store_holding(overlay, &caller.account, &holding);
    store_book(overlay, &book);
    pay_out(overlay, &caller.account, tokens)?;
    Ok(tokens)
}

/// Sets a chain's terms, or closes it. What is open stays as it is.
pub(crate) fn set_terms(
    overlay: &mut Overlay<'_>,
    record: &ChainRecord,
    terms: &Terms,
) -> Result<(), GuaranteeError> {
    need(overlay)?;
    if record.security != Security::ProofOfWork {
        return Err(GuaranteeError::NoWork(record.key().0));
    }
    if !terms.block_value.is_zero() {
        terms.validate()?;
    }
    store_terms(overlay, record.key(), terms);
    Ok(())
}

/// The header of a block that may be covered now.
fn covered<'a>(
    source: &Source<'a>,
    params: &GuaranteeParams,
    block: &B256,
    now_ms: u64,
) -> Result<HeaderRef<'a>, GuaranteeError> {
    let record = source.record;
    if record.security != Security::ProofOfWork {
        return Err(GuaranteeError::NoWork(record.key().0));
    }
    if record.status != ChainStatus::Active {
        return Err(GuaranteeError::NotActive { chain: record.key().0, status: record.status });
    }
    let best = source.tree.get(block).filter(|_| source.tree.is_best(block));
    let header = best.ok_or(GuaranteeError::NotBest(*block))?;
    let height = header.height();
    if let Some(confirmed) = source.confirmed.filter(|confirmed| height <= *confirmed) {
        return Err(GuaranteeError::Confirmed { height, confirmed });
    }
    let (age_ms, least_ms) =
        (now_ms.saturating_sub(header.seen()), params.min_age_secs.saturating_mul(1_000));
    if age_ms < least_ms {
        return Err(GuaranteeError::TooFresh { hash: *block, age_ms, least_ms });
    }
    Ok(header)
}

/// What covering a transaction of a block would cost now.
pub(crate) fn quote(
    state: &dyn StateRead,
    source: &Source<'_>,
    block: &B256,
    cover: u128,
    now_ms: u64,
) -> Result<Quote, GuaranteeError> {
    priced(state, source, block, cover, now_ms).map(|(quote, _)| quote)
}

/// A quote, and the limits behind it.
fn priced(
    state: &dyn StateRead,
    source: &Source<'_>,
    block: &B256,
    cover: u128,
    now_ms: u64,
) -> Result<(Quote, Room), GuaranteeError> {
    let params = need(state)?;
    let chain = source.record.key();
    let terms = read_terms(state, chain)?.ok_or(GuaranteeError::NoTerms(chain.0))?;
    at_least(cover, amount(params.min_cover))?;
    let header = covered(source, &params, block, now_ms)?;
    let risk = assess(source.tree, header, now_ms, &terms)?;
    let premium = premium(&params, risk.probability, cover)?;
    let (book, open) = (read_book(state)?, read_open(state, chain)?);
    let seen = (source.tree, source.confirmed);
    let room = Room::new(&params, &terms, &book, &open, seen, risk.confirmations);
    Ok((Quote { premium, risk, available: room.available() }, room))
}

fn check_deadline(
    params: &GuaranteeParams,
    source: &Source<'_>,
    height: u64,
    found: u64,
) -> Result<(), GuaranteeError> {
    let range = params.deadlines(source.tree.tip().height(), height, source.record.window);
    if range.contains(&found) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(GuaranteeError::Deadline { found, least, most })
}

/// The id of the transaction that a proof shows in a tracked block.
fn shown(
    source: &Source<'_>,
    header: HeaderRef<'_>,
    proof: &TxProof,
) -> Result<B256, GuaranteeError> {
    let root = header.compat().txRoot;
    let block = BlockContext::new(&source.record.id, root, header.height());
    let tx = spv::verify(proof, &block)?;
    if tx.is_coinbase() { Err(GuaranteeError::Coinbase) } else { Ok(tx.id()) }
}

/// Covers a transaction.
pub(crate) fn request(
    overlay: &mut Overlay<'_>,
    caller: &Caller,
    source: &Source<'_>,
    order: &Order,
) -> Result<Guarantee, GuaranteeError> {
    let params = need(overlay)?;
    let &Order { block, cover, beneficiary, deadline, value, .. } = order;
    if beneficiary.is_zero() || SYSTEM_CONTRACTS.contains(&beneficiary) {
        return Err(GuaranteeError::Beneficiary(beneficiary));
    }
    let (Quote { premium, .. }, room) = priced(overlay, source, &block, cover, caller.now_ms)?;
    room.check(cover)?;
    let header = source.tree.get(&block).ok_or(GuaranteeError::NotBest(block))?;
    let height = header.height();
    check_deadline(&params, source, height, deadline)?;
    let chain = source.record.key();
    let guarantee = Guarantee {
        status: Status::Guaranteed,
        chain,
        txid: shown(source, header, &order.proof)?,
        block,
        height,
        deadline,
        cover,
        premium,
        beneficiary,
        payer: caller.account,
    };
    let id = guarantee.id();
    if read_guarantee(overlay, &id)?.is_some() {
        return Err(GuaranteeError::Exists(id));
    }
    let mut open = read_open(overlay, chain)?;
    if open.len() >= MAX_OPEN {
        return Err(GuaranteeError::Full);
    }
    at_least(u128::try_from(value).unwrap_or(u128::MAX), premium)?;
    pay_in(overlay, caller.account, premium)?;
    let mut book = read_book(overlay)?;
    book.lock(cover, premium)?;
    open.push(guarantee.open());
    store_book(overlay, &book);
    store_open(overlay, chain, &open);
    store_guarantee(overlay, &guarantee);
    Ok(guarantee)
}

/// A guarantee that is not over.
fn need_open(state: &dyn StateRead, id: &B256) -> Result<Guarantee, GuaranteeError> {
    let found = read_guarantee(state, id)?.ok_or(GuaranteeError::Unknown(*id))?;
    match found.status {
        Status::Guaranteed => Ok(found),
        status => Err(GuaranteeError::Ended { id: *id, status }),
    }
}

/// Ends a guarantee, once.
fn end(
    overlay: &mut Overlay<'_>,
    guarantee: Guarantee,
    status: Status,
) -> Result<Guarantee, GuaranteeError> {
    let Guarantee { chain, cover, premium, beneficiary, .. } = guarantee;
    let id = guarantee.id();
    let mut open = read_open(overlay, chain)?;
    open.retain(|one| one.id != id);
    store_open(overlay, chain, &open);
    let mut book = read_book(overlay)?;
    if status == Status::Defaulted {
        book.pay(cover, premium);
        pay_out(overlay, &beneficiary, cover)?;
    } else {
        book.settle(cover, premium);
    }
    store_book(overlay, &book);
    let ended = Guarantee { status, ..guarantee };
    store_guarantee(overlay, &ended);
    Ok(ended)
}

/// Settles a guarantee whose own block is confirmed.
pub(crate) fn settle(
    overlay: &mut Overlay<'_>,
    source: &Source<'_>,
    id: &B256,
) -> Result<Guarantee, GuaranteeError> {
    let guarantee = need_open(overlay, id)?;
    confirmed_header(source, &guarantee.block)?;
    end(overlay, guarantee, Status::Settled)
}

/// Settles a guarantee whose transaction is confirmed in any block; returns that block's height too.
pub(crate) fn settle_in(
    overlay: &mut Overlay<'_>,
    source: &Source<'_>,
    id: &B256,
    block: &B256,
    proof: &TxProof,
) -> Result<(Guarantee, u64), GuaranteeError> {
    let guarantee = need_open(overlay, id)?;
    let header = confirmed_header(source, block)?;
    let (height, deadline) = (header.height(), guarantee.deadline);
    if height > deadline {
        return Err(GuaranteeError::Late { height, deadline });
    }
    let (expected, found) = (guarantee.txid, shown(source, header, proof)?);
    if found != expected {
        return Err(GuaranteeError::OtherTransaction { expected, found });
    }
    Ok((end(overlay, guarantee, Status::Settled)?, height))
}

fn confirmed_header<'a>(
    source: &Source<'a>,
    block: &B256,
) -> Result<HeaderRef<'a>, GuaranteeError> {
    let best = source.tree.get(block).filter(|_| source.tree.is_best(block));
    let header = best.ok_or(GuaranteeError::NotBest(*block))?;
    let (height, confirmed) = (header.height(), source.confirmed);
    if is_confirmed(source.tree, confirmed, block, height) {
        return Ok(header);
    }
    Err(GuaranteeError::NotConfirmed { height, confirmed })
}

/// Pays the beneficiary of a guarantee whose time is over. Nothing is confirmed on a terminated chain any more, so there the time
/// is over at once.
pub(crate) fn claim(
    overlay: &mut Overlay<'_>,
    source: &Source<'_>,
    id: &B256,
) -> Result<Guarantee, GuaranteeError> {
    let guarantee = need_open(overlay, id)?;
    let Source { record, tree, confirmed } = *source;
    let after = guarantee.deadline.saturating_add(need(overlay)?.grace);
    let over = record.status == ChainStatus::Terminated
        || confirmed.is_some_and(|confirmed| confirmed > after);
    if !over {
        return Err(GuaranteeError::NotOver { confirmed, after });
    }
    if is_confirmed(tree, confirmed, &guarantee.block, guarantee.height) {
        return Err(GuaranteeError::Settles(*id));
    }
    end(overlay, guarantee, Status::Defaulted)
}

/// A guarantee that is open, and whose block is on the best branch and not confirmed: who acts on its transaction now is covered.
pub(crate) fn covering(
    state: &dyn StateRead,
    source: &Source<'_>,
    id: &B256,
    now_ms: u64,
) -> Result<Guarantee, GuaranteeError> {
    let guarantee = need_open(state, id)?;
    covered(source, &need(state)?, &guarantee.block, now_ms)?;
    Ok(guarantee)
}

/// The chain of an open guarantee.
pub(crate) fn chain_of(state: &dyn StateRead, id: &B256) -> Result<ChainKey, GuaranteeError> {
    need_open(state, id).map(|guarantee| guarantee.chain)
}
