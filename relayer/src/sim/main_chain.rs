//! A main chain in memory that enforces nonces.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use alloy_consensus::{Transaction as _, transaction::SignerRecoverable as _};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use async_trait::async_trait;
use grid_core::{
    ChainId, Level,
    api::{AccountInfo, BlockRef, GridTip, Locator},
    ethereum::attest::{self, AttesterSet},
    grid::RecoverableSignature,
};

use super::{
    call::{Call, decode},
    faults::{Fate, Faults},
    final_client::{FinalClient, KNOWN},
    tree::Tree,
};
use crate::main_chain::{MainChain, MainError, MainView, Receipt, Refusal, TransportError};

/// Changes of hands of a chain that are remembered, as by a node.
const RECENT: usize = 32;

/// What became of the transactions so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Executed, and the chain knows more.
    pub useful: u64,
    /// Executed and reverted.
    pub reverted: u64,
    /// Executed and empty: they fill a nonce.
    pub empty: u64,
    /// Taken into the mempool and dropped by a proposer, free of charge: the content was known by then.
    pub dropped: u64,
    /// Refused by the mempool, free of charge, because the content was known.
    pub refused: u64,
}

impl Tally {
    /// Transactions that waited for a block, and how many of them brought nothing.
    #[must_use]
    pub const fn wasted(&self) -> (u64, u64) {
        let wasted = self.reverted + self.empty + self.dropped;
        (wasted, wasted + self.useful)
    }
}

/// A main chain: accounts, a mempool, and the light clients of its chains.
#[derive(Debug)]
pub struct SimMain {
    inner: Mutex<Inner>,
    faults: Arc<Faults>,
    attesters: AttesterSet,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    /// A state that the chain can be set back to.
    mark: Option<State>,
    mempool: BTreeMap<(Address, u64), Waiting>,
    /// Transactions that were taken so far.
    taken: u64,
    tally: Tally,
    halted: bool,
    /// Hashes of everything that was handed in.
    seen: Vec<(Address, B256)>,
    violations: Vec<String>,
}

/// A transaction in the mempool.
#[derive(Debug)]
struct Waiting {
    hash: B256,
    raw: Bytes,
    /// Its place in the order of arrival.
    place: u64,
}

/// What a block changes.
#[derive(Debug, Clone, Default)]
struct State {
    height: u64,
    chains: BTreeMap<ChainId, Tree>,
    finals: BTreeMap<ChainId, FinalClient>,
    nonces: HashMap<Address, u64>,
    receipts: HashMap<B256, Receipt>,
    submitters: BTreeMap<ChainId, VecDeque<Address>>,
}

impl State {
    /// Executes a call; the chain whose headers it brought.
    fn execute(&mut self, call: &Call, attesters: &AttesterSet) -> Result<Option<ChainId>, String> {
        match call {
            Call::Nothing => Ok(None),
            Call::Sync(call) => {
                let client = self.finals.iter_mut().find(|(id, _)| id.key().0 == call.chain);
                let (id, client) = client.ok_or("unknown chain")?;
                // All or nothing, as one transaction.
                let mut copy = client.clone();
                copy.accept(&call.data, &call.headers)?;
                *client = copy;
                Ok(Some(id.clone()))
            }
            Call::Headers(call, headers) => {
                let tree = self.chains.iter_mut().find(|(id, _)| id.key().0 == call.chain);
                let (id, tree) = tree.ok_or("unknown chain")?;
                let last = headers.last().ok_or("no headers")?;
                let signature =
                    |bytes: &Bytes| RecoverableSignature::from_slice(bytes).ok_or("65 bytes");
                let signatures: Vec<_> =
                    call.signatures.iter().map(signature).collect::<Result<_, _>>()?;
                let digest = attest::digest(id.key(), last.height, &last.blockHash);
                attest::verify(&digest, &signatures, attesters)
                    .map_err(|error| error.to_string())?;
                tree.add(headers)?;
                Ok(Some(id.clone()))
            }
        }
    }

    /// The chain of a call, in the journal.
    fn whose(&self, call: &Call) -> String {
        let id = call.key().and_then(|key| {
            self.chains.keys().chain(self.finals.keys()).find(|id| id.key().0 == key)
        });
        id.map_or_else(|| "main chain".into(), ToString::to_string)
    }

    /// Whether a submission would tell nothing new.
    fn is_known(&self, call: &Call) -> bool {
        match call {
            Call::Nothing => false,
            Call::Sync(call) => {
                let client = self.finals.iter().find(|(id, _)| id.key().0 == call.chain);
                client.is_some_and(|(_, client)| client.knows(&call.data, &call.headers))
            }
            Call::Headers(call, headers) => {
                let tree = self.chains.iter().find(|(id, _)| id.key().0 == call.chain);
                let known = |tree: &Tree| headers.iter().all(|one| tree.has(&one.blockHash));
                tree.is_some_and(|(_, tree)| known(tree))
            }
        }
    }

    fn nonce(&self, address: &Address) -> u64 {
        self.nonces.get(address).copied().unwrap_or(0)
    }

    fn submitters(&self, id: &ChainId) -> Vec<Address> {
        let mut named = Vec::new();
        for account in self.submitters.get(id).into_iter().flatten() {
            if !named.contains(account) {
                named.push(*account);
            }
        }
        named
    }
}

fn lost() -> MainError {
    TransportError::Unreachable("simulated".into()).into()
}

fn refused(refusal: Refusal, message: &str) -> MainError {
    MainError::Refused { refusal, message: message.into() }
}

impl Inner {
    /// Executes what a proposer would take next. `false` when there is nothing.
    fn include_next(&mut self, attesters: &AttesterSet, faults: &Faults) -> bool {
        let state = &self.state;
        let next = self.mempool.iter().filter(|((from, nonce), _)| *nonce == state.nonce(from));
        let next = next.min_by_key(|(_, waiting)| waiting.place).map(|(key, _)| *key);
        let Some((address, nonce)) = next else { return false };
        let Some(Waiting { hash, raw, .. }) = self.mempool.remove(&(address, nonce)) else {
            return false;
        };
        let call = decode(&raw).and_then(|transaction| Call::of(transaction.input()));
        if call.as_ref().is_ok_and(|call| self.state.is_known(call)) {
            self.tally.dropped += 1;
            return true;
        }
        let empty = matches!(call, Ok(Call::Nothing));
        let (whose, what) = match &call {
            Ok(call) => (self.state.whose(call), call.to_string()),
            Err(_) => (String::from("main chain"), String::from("no call")),
        };
        let outcome = call.and_then(|call| self.state.execute(&call, attesters));
        match &outcome {
            Ok(_) if empty => self.tally.empty += 1,
            Ok(_) => self.tally.useful += 1,
            Err(reason) if reason == KNOWN => {
                self.tally.dropped += 1;
                return true;
            }
            Err(_) => self.tally.reverted += 1,
        }
        match &outcome {
            Ok(_) => faults.note(whose, "executed", what),
            Err(reason) => faults.note(whose, "reverted", format_args!("{what}: {reason}")),
        }
        self.state.nonces.insert(address, nonce + 1);
        let block = self.state.height;
        let receipt = Receipt { block, success: outcome.is_ok(), gas_used: 21_000, gas_price: 2 };
        if self.state.receipts.insert(hash, receipt).is_some() {
            self.violations.push(format!("transaction {hash} was executed twice"));
        }
        if let Ok(Some(id)) = outcome {
            let recent = self.state.submitters.entry(id).or_default();
            if recent.front() != Some(&address) {
                recent.push_front(address);
            }
            recent.truncate(RECENT);
        }
        true
    }
}

impl SimMain {
    /// An empty chain. Headers of its chains need the signatures of these attesters.
    #[must_use]
    pub fn new(faults: Arc<Faults>, attesters: AttesterSet) -> Self {
        Self { inner: Mutex::default(), faults, attesters }
    }

    fn with<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Registers a chain.
    pub fn register(&self, id: &ChainId, base: BlockRef, level: Level) {
        self.with(|inner| inner.state.chains.insert(id.clone(), Tree::new(base, level)));
    }

    /// Measures another level of a chain.
    pub fn set_level(&self, id: &ChainId, level: Level) {
        self.with(|inner| {
            if let Some(tree) = inner.state.chains.get_mut(id) {
                tree.set_level(level);
            }
        });
        self.faults.note(id, "another level", level);
    }

    /// Registers a chain that proves its finality.
    pub fn register_final(&self, id: &ChainId, base: BlockRef) {
        self.with(|inner| inner.state.finals.insert(id.clone(), FinalClient::new(base)));
    }

    /// Makes a block of everything executable in the mempool, unless the chain is halted.
    pub fn mine(&self) {
        self.with(|inner| {
            if inner.halted {
                return;
            }
            inner.state.height += 1;
            while inner.include_next(&self.attesters, &self.faults) {}
            let Inner { state, violations, mempool, .. } = inner;
            for (id, client) in &mut state.finals {
                if let Err(violation) = client.settle() {
                    violations.push(format!("{id}: {violation}"));
                }
            }
            mempool.retain(|(address, nonce), _| *nonce >= state.nonce(address));
        });
    }

    /// Loses every waiting transaction, as a restart does.
    pub fn forget_mempool(&self) {
        let lost = self.with(|inner| core::mem::take(&mut inner.mempool).len());
        self.faults.note("main chain", "mempool lost", format!("{lost} transactions"));
    }

    /// Makes no more blocks, or makes them again.
    pub fn halt(&self, halted: bool) {
        let was = self.with(|inner| core::mem::replace(&mut inner.halted, halted));
        if was != halted {
            self.faults.note("main chain", if halted { "halts" } else { "goes on" }, "");
        }
    }

    /// Somebody else uses the key.
    pub fn use_nonce(&self, address: &Address) {
        let next = self.with(|inner| {
            let next = inner.state.nonce(address) + 1;
            inner.state.nonces.insert(*address, next);
            inner.mempool.remove(&(*address, next - 1));
            next
        });
        self.faults.note("main chain", "nonce used by a stranger", next - 1);
    }

    /// Remembers the state.
    pub fn mark(&self) {
        self.with(|inner| inner.mark = Some(inner.state.clone()));
    }

    /// Goes back to the marked state, with an empty mempool, as after a restore from a backup.
    pub fn set_back(&self) {
        let heights = self.with(|inner| {
            let mark = inner.mark.take()?;
            let from = core::mem::replace(&mut inner.state, mark).height;
            inner.mempool.clear();
            Some((from, inner.state.height))
        });
        if let Some((from, to)) = heights {
            self.faults.note("main chain", "set back", format!("from block {from} to {to}"));
        }
    }

    /// Starts from nothing but the registered chains.
    pub fn wipe(&self) {
        self.with(|inner| {
            let state = &mut inner.state;
            let chains = state.chains.iter().map(|(id, tree)| (id.clone(), tree.wiped())).collect();
            let client = |one: &FinalClient| FinalClient::new(one.base());
            let finals = state.finals.iter().map(|(id, one)| (id.clone(), client(one))).collect();
            *state = State { chains, finals, ..State::default() };
            inner.mempool.clear();
        });
    }

    /// Best tracked header of a chain.
    #[must_use]
    pub fn tracked(&self, id: &ChainId) -> Option<BlockRef> {
        self.with(|inner| {
            let tree = inner.state.chains.get(id).map(Tree::tip);
            tree.or_else(|| inner.state.finals.get(id).map(FinalClient::tip))
        })
    }

    /// Whether the main chain has a header, on any branch.
    #[must_use]
    pub fn has(&self, id: &ChainId, header: BlockRef) -> bool {
        self.with(|inner| match inner.state.chains.get(id) {
            Some(tree) => tree.has(&header.hash),
            None => inner.state.finals.get(id).is_some_and(|one| one.tip().height >= header.height),
        })
    }

    /// What became of the transactions so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.with(|inner| inner.tally)
    }

    /// Next nonce of an account.
    #[must_use]
    pub fn nonce(&self, address: &Address) -> u64 {
        self.with(|inner| inner.state.nonce(address))
    }

    /// Waiting transactions.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.with(|inner| inner.mempool.len())
    }

    /// What was handed in since the last time, by whom.
    #[must_use]
    pub fn handed_in(&self) -> Vec<(Address, B256)> {
        self.with(|inner| core::mem::take(&mut inner.seen))
    }

    /// Checks that nothing impossible has happened.
    ///
    /// # Errors
    /// The first violation.
    pub fn check(&self) -> Result<(), String> {
        self.with(|inner| inner.violations.first().map_or(Ok(()), |first| Err(first.clone())))
    }

    fn take(&self, raw: &Bytes) -> Result<(), MainError> {
        let invalid = |error: &str| refused(Refusal::Invalid, error);
        let transaction = decode(raw).map_err(|error| invalid(&error))?;
        let sender = transaction.recover_signer().map_err(|error| invalid(&error.to_string()))?;
        let (nonce, hash) = (transaction.nonce(), keccak256(raw));
        let call = Call::of(transaction.input()).map_err(|error| invalid(&error))?;
        self.with(|inner| {
            inner.seen.push((sender, hash));
            if nonce < inner.state.nonce(&sender) {
                return Err(refused(Refusal::NonceTooLow, "nonce too low"));
            }
            if let Some(waiting) = inner.mempool.get(&(sender, nonce)) {
                if waiting.hash == hash {
                    let message = "the transaction waits for a block";
                    return Err(refused(Refusal::AlreadyKnown, message));
                }
                let old = decode(&waiting.raw).map_err(|error| invalid(&error))?;
                if transaction.max_fee_per_gas() <= old.max_fee_per_gas() {
                    return Err(refused(Refusal::FeeTooLow, "replacement transaction underpriced"));
                }
            }
            if inner.state.is_known(&call) {
                inner.tally.refused += 1;
                return Err(refused(Refusal::AlreadyKnown, "already known"));
            }
            inner.taken += 1;
            let waiting = Waiting { hash, raw: raw.clone(), place: inner.taken };
            inner.mempool.insert((sender, nonce), waiting);
            Ok(())
        })
    }

    async fn good(&self, method: &'static str) -> Result<(), MainError> {
        if self.faults.fate(method).await == Fate::Good { Ok(()) } else { Err(lost()) }
    }
}

#[async_trait]
impl MainChain for SimMain {
    async fn view(&self) -> Result<MainView, MainError> {
        self.good("view").await?;
        Ok(self.with(|inner| {
            let State { height, chains, finals, .. } = &inner.state;
            let info = |(id, tree): (&ChainId, &Tree)| {
                tree.info(id, &self.attesters, inner.state.submitters(id))
            };
            let finals = finals.iter().map(|(id, one)| one.info(id, inner.state.submitters(id)));
            MainView {
                tip: GridTip {
                    chain_id: 7,
                    height: *height,
                    hash: B256::with_last_byte(1),
                    time_ms: 0,
                    index_root: B256::ZERO,
                },
                base_fee: 1_000,
                chains: chains.iter().map(info).chain(finals).collect(),
            }
        }))
    }

    async fn locator(&self, chain: &ChainId) -> Result<Locator, MainError> {
        self.good("locator").await?;
        let best = self.with(|inner| inner.state.chains.get(chain).map(Tree::locator));
        let reason = || format!("unknown chain {chain}");
        best.map(|best| Locator { best })
            .ok_or_else(|| MainError::BadAnswer { method: "grid_locator", reason: reason() })
    }

    async fn account(&self, address: &Address) -> Result<AccountInfo, MainError> {
        self.good("account").await?;
        Ok(self.with(|inner| {
            let nonce = inner.state.nonce(address);
            let waiting = |next: &u64| inner.mempool.contains_key(&(*address, *next));
            let pending_nonce = (nonce..).find(|next| !waiting(next)).unwrap_or(nonce);
            let balance = U256::from(10).pow(U256::from(24));
            AccountInfo { address: *address, nonce, pending_nonce, balance }
        }))
    }

    async fn send(&self, raw: &Bytes) -> Result<(), MainError> {
        match self.faults.fate("send").await {
            Fate::Good => self.take(raw),
            Fate::Fail => Err(lost()),
            Fate::FailAfter => {
                // Whatever the answer was, it does not arrive.
                let _ = self.take(raw);
                Err(lost())
            }
        }
    }

    async fn receipt(&self, hash: &B256) -> Result<Option<Receipt>, MainError> {
        self.good("receipt").await?;
        Ok(self.with(|inner| inner.state.receipts.get(hash).copied()))
    }
}
