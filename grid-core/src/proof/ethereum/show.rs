//! What a proof shows.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_trie::KECCAK_EMPTY;

use super::{
    EthereumFactError, EthereumProof, EthereumRef, EthereumRoots, MAX_FACTS, MAX_LOG_QUERIES,
    MAX_RECEIPTS,
};
use crate::{
    ethereum::{
        mpt::{self, MAX_NODES, MAX_TOTAL_BYTES, MptError, NodeList, Nodes},
        receipt::{Log, Receipt, ReceiptError},
    },
    proof::claim::{AccountState, Claim, PlacedLog},
};

/// Tries that a fact may need a path in: an account's and a slot's.
const PATHS_PER_FACT: usize = 2;

impl EthereumProof {
    /// The facts, checked under the roots of their block: the claim of a single one, or the list of several.
    ///
    /// # Errors
    /// The first [`EthereumFactError`] met. Sizes are judged before anything is hashed.
    pub fn show(&self, roots: &EthereumRoots) -> Result<Claim, EthereumFactError> {
        self.check_shape()?;
        let mut nodes = NodeList::new(&self.nodes)?;
        let found = Found::look_up(&self.facts, &self.receipts, roots, &mut nodes)?;
        nodes.finish()?;
        let mut codes = self.codes.iter();
        let mut claims = Vec::with_capacity(self.facts.len());
        for fact in &self.facts {
            claims.push(found.claim(fact, &mut codes)?);
        }
        if codes.next().is_some() {
            return Err(EthereumFactError::Unused("codes"));
        }
        match claims.pop() {
            Some(only) if claims.is_empty() => Ok(only),
            last => {
                claims.extend(last);
                Ok(Claim::EthereumFacts { claims })
            }
        }
    }

    /// Everything that can be judged without hashing.
    pub(super) fn check_shape(&self) -> Result<(), EthereumFactError> {
        let cap = |what, found, allowed| match found > allowed {
            true => Err(EthereumFactError::TooMany { what, found, allowed }),
            false => Ok(()),
        };
        if self.facts.is_empty() {
            return Err(EthereumFactError::Empty);
        }
        let queries = self.facts.iter().filter(|fact| fact.needs_receipts()).count();
        cap("facts", self.facts.len(), MAX_FACTS)?;
        cap("questions for logs", queries, MAX_LOG_QUERIES)?;
        cap("receipts", self.receipts.len(), MAX_RECEIPTS)?;
        let paths = self.facts.len().saturating_mul(PATHS_PER_FACT);
        cap("trie nodes", self.nodes.len(), paths.saturating_mul(MAX_NODES))?;
        if queries == 0 && !self.receipts.is_empty() {
            return Err(EthereumFactError::Unused("receipts"));
        }
        let parts = self.nodes.iter().chain(&self.receipts).chain(&self.codes);
        let total = parts.map(|part| part.len()).sum();
        if total > MAX_TOTAL_BYTES {
            return Err(EthereumFactError::TooLong(total));
        }
        let unordered = self.facts.windows(2).position(|pair| match pair {
            [left, right] => left >= right,
            _ => false,
        });
        unordered.map_or(Ok(()), |at| Err(EthereumFactError::Order(at.saturating_add(1))))
    }
}

/// A log with the positions of its transaction in the block and of itself in the receipt.
type FoundLog<'a> = (u64, u64, Log<'a>);

/// What the tries hold at the places that facts are about.
pub(super) struct Found<'a> {
    transactions: BTreeMap<u64, Option<&'a [u8]>>,
    receipts: BTreeMap<u64, Option<&'a [u8]>>,
    logs: BTreeMap<Address, Vec<FoundLog<'a>>>,
    accounts: BTreeMap<Address, Option<AccountState>>,
    slots: BTreeMap<(Address, B256), Option<&'a [u8]>>,
}

impl<'a> Found<'a> {
    /// Takes the nodes for all facts, in the one order.
    pub(super) fn look_up(
        facts: &[EthereumRef],
        receipts: &'a [Bytes],
        roots: &EthereumRoots,
        nodes: &mut impl Nodes<'a>,
    ) -> Result<Self, EthereumFactError> {
        let (mut transactions, mut single) = (Vec::new(), Vec::new());
        let (mut accounts, mut slots) = (Vec::new(), BTreeMap::<Address, Vec<B256>>::new());
        for fact in facts {
            match *fact {
                EthereumRef::Transaction { index } => transactions.push(index),
                EthereumRef::TransactionCount { count } => {
                    transactions.push(count);
                    transactions.extend(count.checked_sub(1));
                }
                EthereumRef::Receipt { index, .. } => single.push(index),
                EthereumRef::Logs { .. } => {}
                EthereumRef::Account { address } | EthereumRef::Code { address, .. } => {
                    accounts.push(address);
                }
                EthereumRef::Storage { address, slot } => {
                    accounts.push(address);
                    slots.entry(address).or_default().push(slot);
                }
            }
        }
        let transactions = values(roots.transactions, transactions, index_key, nodes)?;
        let (receipts, logs) = if facts.iter().any(EthereumRef::needs_receipts) {
            (all_receipts(roots.receipts, receipts)?, all_logs(receipts)?)
        } else {
            (values(roots.receipts, single, index_key, nodes)?, BTreeMap::new())
        };
        let accounts = values(roots.state, accounts, keccak256, nodes)?;
        let accounts = accounts
            .into_iter()
            .map(|(address, value)| Ok((address, value.map(mpt::read_account).transpose()?)))
            .collect::<Result<BTreeMap<_, _>, MptError>>()?;
        let mut found = BTreeMap::new();
        for (address, keys) in slots {
            // An account that does not exist has no storage, like one whose storage is empty.
            let account = accounts.get(&address).copied().flatten();
            let root = account.map_or(alloy_trie::EMPTY_ROOT_HASH, |state| state.storage_root);
            let values = values(root, keys, keccak256, nodes)?;
            found.extend(values.into_iter().map(|(slot, value)| ((address, slot), value)));
        }
        Ok(Self { transactions, receipts, logs, accounts, slots: found })
    }

    /// What one fact says.
    fn claim<'c>(
        &self,
        fact: &EthereumRef,
        codes: &mut impl Iterator<Item = &'c Bytes>,
    ) -> Result<Claim, EthereumFactError> {
        Ok(match *fact {
            EthereumRef::Transaction { index } => {
                let raw = present(&self.transactions, index, "transaction")?;
                Claim::Transaction { index, hash: keccak256(raw) }
            }
            EthereumRef::TransactionCount { count } => {
                let is = |index: u64| self.transactions.get(&index).copied().flatten().is_some();
                if is(count) || !count.checked_sub(1).is_none_or(is) {
                    return Err(EthereumFactError::Count(count));
                }
                Claim::TransactionCount { count }
            }
            EthereumRef::Receipt { index, log } => {
                let failed = |error| EthereumFactError::Receipt { index, error };
                let value = present(&self.receipts, index, "receipt")?;
                let receipt = Receipt::read(value).map_err(failed)?;
                let log = log.map(|log| receipt.log(log)).transpose().map_err(failed)?;
                Claim::Receipt { index, outcome: receipt.outcome, log }
            }
            EthereumRef::Logs { address, topic } => self.logs(address, topic),
            EthereumRef::Account { address } => {
                Claim::Account { address, account: self.account(address) }
            }
            EthereumRef::Code { address, bytes } => {
                let code_hash = code_hash(self.account(address).as_ref());
                let code = if bytes { Some(code(address, code_hash, codes.next())?) } else { None };
                Claim::Code { address, code_hash, code }
            }
            EthereumRef::Storage { address, slot } => {
                let value = self.slots.get(&(address, slot)).copied().flatten();
                let value = value.map(mpt::read_slot).transpose()?;
                Claim::Storage { address, slot, value }
            }
        })
    }

    fn account(&self, address: Address) -> Option<AccountState> {
        self.accounts.get(&address).copied().flatten()
    }

    fn logs(&self, address: Address, topic: Option<B256>) -> Claim {
        let all = self.logs.get(&address).map(Vec::as_slice).unwrap_or_default();
        let wanted = all
            .iter()
            .filter(|(_, _, log)| topic.is_none() || log.topics().next() == topic)
            .map(|(transaction, index, log)| PlacedLog {
                transaction: *transaction,
                log: log.proven(*index),
            });
        Claim::Logs { address, topic, logs: wanted.collect() }
    }
}

/// The values under the places of one trie. A trie that no fact is about takes no nodes.
fn values<'a, P: Ord + Copy, K: Ord + AsRef<[u8]>>(
    root: B256,
    places: Vec<P>,
    key: impl Fn(P) -> K,
    nodes: &mut impl Nodes<'a>,
) -> Result<BTreeMap<P, Option<&'a [u8]>>, MptError> {
    let sorted: BTreeMap<K, P> = places.into_iter().map(|place| (key(place), place)).collect();
    let keys: Vec<&[u8]> = sorted.keys().map(AsRef::as_ref).collect();
    let values = mpt::walk(root, &keys, nodes)?;
    Ok(sorted.into_values().zip(values).collect())
}

/// The key of an item in a trie over a list.
fn index_key(index: u64) -> impl Ord + AsRef<[u8]> {
    alloy_rlp::encode_fixed_size(&index)
}

fn present<'a>(
    values: &BTreeMap<u64, Option<&'a [u8]>>,
    index: u64,
    what: &'static str,
) -> Result<&'a [u8], EthereumFactError> {
    values.get(&index).copied().flatten().ok_or(EthereumFactError::Absent { what, index })
}

/// All receipts of a block by position.
fn all_receipts(
    expected: B256,
    receipts: &[Bytes],
) -> Result<BTreeMap<u64, Option<&[u8]>>, EthereumFactError> {
    let found = mpt::ordered_trie_root(receipts);
    if found != expected {
        return Err(EthereumFactError::ReceiptsRoot { expected, found });
    }
    Ok((0..).zip(receipts).map(|(index, receipt)| (index, Some(receipt.as_ref()))).collect())
}

/// All logs of a block by contract. A receipt of an unknown type could hide some.
fn all_logs(receipts: &[Bytes]) -> Result<BTreeMap<Address, Vec<FoundLog<'_>>>, EthereumFactError> {
    let mut found = BTreeMap::<Address, Vec<FoundLog<'_>>>::new();
    for (index, value) in (0u64..).zip(receipts) {
        let failed = |error: ReceiptError| EthereumFactError::Receipt { index, error };
        let logs = Receipt::read(value).and_then(|receipt| receipt.logs()).map_err(failed)?;
        for (position, log) in (0u64..).zip(logs) {
            let log = log.map_err(failed)?;
            found.entry(log.address).or_default().push((index, position, log));
        }
    }
    Ok(found)
}

/// `EXTCODEHASH` (EIP-1052): zero for an account that does not exist or is empty (EIP-161).
fn code_hash(account: Option<&AccountState>) -> B256 {
    account.filter(|account| !account.is_empty()).map_or(B256::ZERO, |account| account.code_hash)
}

/// The carried code, which must have the hash. Where there is no account there is no code.
fn code(
    address: Address,
    expected: B256,
    code: Option<&Bytes>,
) -> Result<Bytes, EthereumFactError> {
    let code = code.ok_or(EthereumFactError::Missing("bytes of a code"))?;
    let found = keccak256(code);
    if found == expected || (expected.is_zero() && found == KECCAK_EMPTY) {
        Ok(code.clone())
    } else {
        Err(EthereumFactError::Code { address, expected, found })
    }
}
