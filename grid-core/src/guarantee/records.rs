//! What guarantees keep in the state.

use core::fmt;

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::SolValue;

use super::{exposure::Open, params::Terms, pool::Book};
use crate::{
    ChainKey,
    state::{Fields, Overlay, StateRead, StorageError, keys},
};

/// How a guarantee stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// Open: the cover is locked.
    Guaranteed = 1,
    /// Over: the transaction was confirmed.
    Settled = 2,
    /// Over: the beneficiary was paid.
    Defaulted = 3,
}

impl Status {
    /// The status with a code of the contract's; 0 is for a guarantee that does not exist.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Guaranteed),
            2 => Some(Self::Settled),
            3 => Some(Self::Defaulted),
            _ => None,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guaranteed => "guaranteed",
            Self::Settled => "settled",
            Self::Defaulted => "defaulted",
        })
    }
}

/// A guarantee. It stays when it is over, so that it ends once only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guarantee {
    /// How it stands.
    pub status: Status,
    /// The source.
    pub chain: ChainKey,
    /// The transaction, internal byte order.
    pub txid: B256,
    /// The block that it was in when it was requested, internal byte order.
    pub block: B256,
    /// Height of that block.
    pub height: u64,
    /// The last height of a block with the transaction that counts.
    pub deadline: u64,
    /// What it covers, smallest unit of GRID.
    pub cover: u128,
    /// What was paid for it.
    pub premium: u128,
    /// Who is paid where the transaction is lost.
    pub beneficiary: Address,
    /// Who paid the premium.
    pub payer: Address,
}

impl Guarantee {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> B256 {
        guarantee_id(self.chain, &self.txid, &self.beneficiary, &self.payer)
    }

    /// Its entry in the list of open ones.
    pub(super) fn open(&self) -> Open {
        Open { id: self.id(), block: self.block, height: self.height, cover: self.cover }
    }
}

/// `keccak256(abi.encode(bytes32 chain, bytes32 txid, address beneficiary, address payer))`.
#[must_use]
pub fn guarantee_id(chain: ChainKey, txid: &B256, beneficiary: &Address, payer: &Address) -> B256 {
    keccak256((chain.0, *txid, *beneficiary, *payer).abi_encode())
}

/// What an underwriter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holding {
    /// The pool's generation that the shares are of.
    pub generation: u64,
    /// Shares, the leaving ones included.
    pub shares: u128,
    /// Those announced to leave.
    pub leaving: u128,
    /// From when on they can, milliseconds since 1970.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
}

pub(crate) fn read_book(state: &dyn StateRead) -> Result<Book, StorageError> {
    let Some(bytes) = state.read(&keys::guarantee_pool())? else { return Ok(Book::default()) };
    let mut fields = Fields::new(&bytes, "guarantee pool");
    let book = Book {
        generation: fields.u64()?,
        shares: fields.u128()?,
        pool: fields.u128()?,
        locked: fields.u128()?,
        cover: fields.u128()?,
        deposited: fields.u256()?,
        withdrawn: fields.u256()?,
        premiums: fields.u256()?,
        paid: fields.u256()?,
    };
    fields.end()?;
    Ok(book)
}

pub(super) fn store_book(overlay: &mut Overlay<'_>, book: &Book) {
    let mut value = book.generation.to_be_bytes().to_vec();
    for number in [book.shares, book.pool, book.locked, book.cover] {
        value.extend_from_slice(&number.to_be_bytes());
    }
    for total in [book.deposited, book.withdrawn, book.premiums, book.paid] {
        value.extend_from_slice(&total.to_be_bytes::<32>());
    }
    overlay.set(keys::guarantee_pool(), value);
}

/// What a holder has in the pool as it is now; nothing of earlier generations.
pub(crate) fn read_holding(
    state: &dyn StateRead,
    holder: &Address,
    book: &Book,
) -> Result<Holding, StorageError> {
    let none = Holding { generation: book.generation, ..Holding::default() };
    let Some(bytes) = state.read(&keys::guarantee_holding(holder))? else { return Ok(none) };
    let mut fields = Fields::new(&bytes, "shares in the guarantee pool");
    let holding = Holding {
        generation: fields.u64()?,
        shares: fields.u128()?,
        leaving: fields.u128()?,
        from_ms: fields.u64()?,
        until_ms: fields.u64()?,
    };
    fields.end()?;
    Ok(if holding.generation == book.generation { holding } else { none })
}

/// Writes what a holder has; nothing is not kept.
pub(super) fn store_holding(overlay: &mut Overlay<'_>, holder: &Address, holding: &Holding) {
    let key = keys::guarantee_holding(holder);
    if holding.shares == 0 {
        overlay.remove(key);
        return;
    }
    let mut value = holding.generation.to_be_bytes().to_vec();
    value.extend_from_slice(&holding.shares.to_be_bytes());
    value.extend_from_slice(&holding.leaving.to_be_bytes());
    value.extend_from_slice(&holding.from_ms.to_be_bytes());
    value.extend_from_slice(&holding.until_ms.to_be_bytes());
    overlay.set(key, value);
}

pub(crate) fn read_terms(
    state: &dyn StateRead,
    chain: ChainKey,
) -> Result<Option<Terms>, StorageError> {
    state.read(&keys::guarantee_terms(chain))?.map(|bytes| Terms::decode(&bytes)).transpose()
}

pub(super) fn store_terms(overlay: &mut Overlay<'_>, chain: ChainKey, terms: &Terms) {
    let key = keys::guarantee_terms(chain);
    if terms.block_value.is_zero() {
        overlay.remove(key);
    } else {
        overlay.set(key, terms.encode());
    }
}

/// A chain's open guarantees, oldest first.
pub(crate) fn read_open(state: &dyn StateRead, chain: ChainKey) -> Result<Vec<Open>, StorageError> {
    Open::decode(&state.read(&keys::guarantee_open(chain))?.unwrap_or_default())
}

pub(super) fn store_open(overlay: &mut Overlay<'_>, chain: ChainKey, list: &[Open]) {
    let key = keys::guarantee_open(chain);
    if list.is_empty() {
        overlay.remove(key);
    } else {
        overlay.set(key, Open::encode(list));
    }
}

pub(crate) fn read_guarantee(
    state: &dyn StateRead,
    id: &B256,
) -> Result<Option<Guarantee>, StorageError> {
    let Some(bytes) = state.read(&keys::guarantee(id))? else { return Ok(None) };
    let mut fields = Fields::new(&bytes, "guarantee");
    let status = Status::from_code(fields.u64()?);
    let guarantee = Guarantee {
        status: status.ok_or_else(|| StorageError::corrupt("guarantee"))?,
        chain: ChainKey(fields.b256()?),
        txid: fields.b256()?,
        block: fields.b256()?,
        height: fields.u64()?,
        deadline: fields.u64()?,
        cover: fields.u128()?,
        premium: fields.u128()?,
        beneficiary: fields.address()?,
        payer: fields.address()?,
    };
    fields.end()?;
    Ok(Some(guarantee))
}

pub(super) fn store_guarantee(overlay: &mut Overlay<'_>, guarantee: &Guarantee) {
    let mut value = u64::from(guarantee.status as u8).to_be_bytes().to_vec();
    for hash in [guarantee.chain.0, guarantee.txid, guarantee.block] {
        value.extend_from_slice(hash.as_slice());
    }
    value.extend_from_slice(&guarantee.height.to_be_bytes());
    value.extend_from_slice(&guarantee.deadline.to_be_bytes());
    value.extend_from_slice(&guarantee.cover.to_be_bytes());
    value.extend_from_slice(&guarantee.premium.to_be_bytes());
    value.extend_from_slice(guarantee.beneficiary.as_slice());
    value.extend_from_slice(guarantee.payer.as_slice());
    overlay.set(keys::guarantee(&guarantee.id()), value);
}
