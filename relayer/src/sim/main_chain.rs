//! A main chain in memory that enforces nonces.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::SignerRecoverable as _};
use alloy_eips::Decodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall as _, SolValue as _};
use async_trait::async_trait;
use grid_core::{
    ChainId, CompatHeader, Family, Level, Security,
    api::{AccountInfo, BlockRef, ChainInfo, GridTip, Locator},
    ethereum::attest::{self, AttesterSet},
    grid::RecoverableSignature,
    modules::abi::LightClients,
};

use super::{Fate, Faults, final_client::FinalClient};
use crate::main_chain::{MainChain, MainError, MainView, Receipt, Refusal, TransportError};

/// A main chain: accounts, a mempool, and a header tree per chain in which the longest branch wins.
#[derive(Debug)]
pub struct SimMain {
    inner: Mutex<Inner>,
    faults: Arc<Faults>,
    attesters: AttesterSet,
}

#[derive(Debug, Default)]
struct Inner {
    height: u64,
    chains: BTreeMap<ChainId, Tree>,
    finals: BTreeMap<ChainId, FinalClient>,
    nonces: HashMap<Address, u64>,
    mempool: BTreeMap<(Address, u64), (B256, Bytes)>,
    receipts: HashMap<B256, Receipt>,
    executed: u64,
    violations: Vec<String>,
}

#[derive(Debug, Clone)]
struct Tree {
    base: BlockRef,
    tip: BlockRef,
    headers: HashMap<B256, (B256, u64)>,
}

impl Tree {
    fn new(base: BlockRef) -> Self {
        Self { base, tip: base, headers: HashMap::from([(base.hash, (B256::ZERO, base.height))]) }
    }

    /// Adds linked headers; the number of new ones, or why none is taken.
    fn add(&mut self, headers: &[CompatHeader]) -> Result<usize, String> {
        let first = headers.first().ok_or("no headers")?;
        if !self.headers.contains_key(&first.parentHash) {
            return Err(format!("parent of {} is unknown", first.height));
        }
        let mut parent = first.parentHash;
        let mut added = 0;
        for header in headers {
            if header.parentHash != parent {
                return Err(format!("header {} is not linked", header.height));
            }
            parent = header.blockHash;
            let entry = (header.parentHash, header.height);
            if self.headers.insert(header.blockHash, entry).is_none() {
                added += 1;
            }
            if header.height > self.tip.height {
                self.tip = BlockRef { height: header.height, hash: header.blockHash };
            }
        }
        if added == 0 { Err("already known".into()) } else { Ok(added) }
    }

    /// Tip first, steps that double after the first ten, the base last.
    fn locator(&self) -> Vec<BlockRef> {
        let mut best = Vec::new();
        let (mut at, mut step) = (self.tip, 1_u64);
        loop {
            best.push(at);
            if at.height <= self.base.height {
                return best;
            }
            if best.len() > 10 {
                step *= 2;
            }
            for _ in 0..step {
                if at.height <= self.base.height {
                    break;
                }
                let parent = self.headers.get(&at.hash).map_or(self.base.hash, |(hash, _)| *hash);
                at = BlockRef { height: at.height - 1, hash: parent };
            }
        }
    }
}

impl Inner {
    fn execute(&mut self, raw: &Bytes, attesters: &AttesterSet) -> Result<(), String> {
        let transaction = decode(raw)?;
        if transaction.input().is_empty() {
            return Ok(());
        }
        if let Ok(call) = LightClients::submitFinalityCall::abi_decode(transaction.input()) {
            let client = self.finals.iter_mut().find(|(id, _)| id.key().0 == call.chain);
            let (_, client) = client.ok_or("unknown chain")?;
            // All or nothing, as one transaction.
            let mut copy = client.clone();
            copy.accept(&call.data, &call.headers)?;
            *client = copy;
            return Ok(());
        }
        let call = LightClients::submitAttestedHeadersCall::abi_decode(transaction.input())
            .map_err(|error| error.to_string())?;
        let decode = |raw: &Bytes| CompatHeader::abi_decode(raw).map_err(|error| error.to_string());
        let headers: Vec<_> = call.headers.iter().map(decode).collect::<Result<_, _>>()?;
        let tree = self.chains.iter_mut().find(|(id, _)| id.key().0 == call.chain);
        let (id, tree) = tree.ok_or("unknown chain")?;
        let last = headers.last().ok_or("no headers")?;
        let signature = |bytes: &Bytes| RecoverableSignature::from_slice(bytes).ok_or("65 bytes");
        let signatures: Vec<_> = call.signatures.iter().map(signature).collect::<Result<_, _>>()?;
        let digest = attest::digest(id.key(), last.height, &last.blockHash);
        attest::verify(&digest, &signatures, attesters).map_err(|error| error.to_string())?;
        // All or nothing, as one transaction.
        let mut copy = tree.clone();
        copy.add(&headers)?;
        *tree = copy;
        Ok(())
    }

    /// Whether a submission would tell nothing new.
    fn is_known(&self, raw: &Bytes) -> bool {
        let Ok(transaction) = decode(raw) else { return false };
        let input = transaction.input();
        if let Ok(call) = LightClients::submitFinalityCall::abi_decode(input) {
            let client = self.finals.iter().find(|(id, _)| id.key().0 == call.chain);
            return client.is_some_and(|(_, client)| client.knows(&call.data, &call.headers));
        }
        let Ok(call) = LightClients::submitAttestedHeadersCall::abi_decode(input) else {
            return false;
        };
        let tree = self.chains.iter().find(|(id, _)| id.key().0 == call.chain);
        tree.is_some_and(|(_, tree)| {
            call.headers.iter().all(|raw| {
                CompatHeader::abi_decode(raw)
                    .is_ok_and(|header| tree.headers.contains_key(&header.blockHash))
            })
        })
    }

    fn nonce(&self, address: &Address) -> u64 {
        self.nonces.get(address).copied().unwrap_or(0)
    }
}

fn decode(raw: &Bytes) -> Result<TxEnvelope, String> {
    TxEnvelope::decode_2718(&mut raw.as_ref()).map_err(|error| error.to_string())
}

fn lost() -> MainError {
    TransportError::Unreachable("simulated".into()).into()
}

fn refused(refusal: Refusal, message: &str) -> MainError {
    MainError::Refused { refusal, message: message.into() }
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
    pub fn register(&self, id: &ChainId, base: BlockRef) {
        self.with(|inner| inner.chains.insert(id.clone(), Tree::new(base)));
    }

    /// Registers a chain that proves its finality.
    pub fn register_final(&self, id: &ChainId, base: BlockRef) {
        self.with(|inner| inner.finals.insert(id.clone(), FinalClient::new(base)));
    }

    /// Makes a block of everything executable in the mempool.
    pub fn mine(&self) {
        self.with(|inner| {
            inner.height += 1;
            loop {
                let next = inner
                    .mempool
                    .keys()
                    .find(|(address, nonce)| *nonce == inner.nonce(address))
                    .copied();
                let Some((address, nonce)) = next else { break };
                let Some((hash, raw)) = inner.mempool.remove(&(address, nonce)) else { break };
                let outcome = inner.execute(&raw, &self.attesters);
                inner.nonces.insert(address, nonce + 1);
                inner.executed += 1;
                let receipt =
                    Receipt { block: inner.height, success: outcome.is_ok(), gas_used: 21_000 };
                if inner.receipts.insert(hash, receipt).is_some() {
                    inner.violations.push(format!("transaction {hash} was executed twice"));
                }
            }
            for (id, client) in &mut inner.finals {
                if let Err(violation) = client.settle() {
                    inner.violations.push(format!("{id}: {violation}"));
                }
            }
            let nonces = inner.nonces.clone();
            inner
                .mempool
                .retain(|(address, nonce), _| nonces.get(address).is_none_or(|next| nonce >= next));
        });
    }

    /// Loses every waiting transaction, as a restart does.
    pub fn forget_mempool(&self) {
        self.with(|inner| inner.mempool.clear());
    }

    /// Somebody else uses the key.
    pub fn use_nonce(&self, address: &Address) {
        self.with(|inner| {
            let next = inner.nonce(address) + 1;
            inner.nonces.insert(*address, next);
            inner.mempool.remove(&(*address, next - 1));
        });
    }

    /// Starts from nothing but the registered chains.
    pub fn wipe(&self) {
        self.with(|inner| {
            let chains = inner.chains.iter();
            let chains = chains.map(|(id, tree)| (id.clone(), Tree::new(tree.base))).collect();
            let finals = inner.finals.iter();
            let finals =
                finals.map(|(id, one)| (id.clone(), FinalClient::new(one.base()))).collect();
            *inner = Inner { chains, finals, executed: inner.executed, ..Inner::default() };
        });
    }

    /// Best tracked header of a chain.
    #[must_use]
    pub fn tracked(&self, id: &ChainId) -> Option<BlockRef> {
        self.with(|inner| {
            let tree = inner.chains.get(id).map(|tree| tree.tip);
            tree.or_else(|| inner.finals.get(id).map(FinalClient::tip))
        })
    }

    /// Transactions executed so far.
    #[must_use]
    pub fn executed(&self) -> u64 {
        self.with(|inner| inner.executed)
    }

    /// Next nonce of an account.
    #[must_use]
    pub fn nonce(&self, address: &Address) -> u64 {
        self.with(|inner| inner.nonce(address))
    }

    /// Waiting transactions.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.with(|inner| inner.mempool.len())
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
        let (nonce, hash) = (transaction.nonce(), *transaction.tx_hash());
        self.with(|inner| {
            if nonce < inner.nonce(&sender) {
                return Err(refused(Refusal::NonceTooLow, "nonce too low"));
            }
            if let Some((waiting, old)) = inner.mempool.get(&(sender, nonce)) {
                if *waiting == hash {
                    return Err(refused(
                        Refusal::AlreadyKnown,
                        "the transaction waits for a block",
                    ));
                }
                let old = decode(old).map_err(|error| invalid(&error))?;
                if transaction.max_fee_per_gas() <= old.max_fee_per_gas() {
                    return Err(refused(Refusal::FeeTooLow, "replacement transaction underpriced"));
                }
            }
            if inner.is_known(raw) {
                return Err(refused(Refusal::AlreadyKnown, "already known"));
            }
            inner.mempool.insert((sender, nonce), (hash, raw.clone()));
            Ok(())
        })
    }
}

#[async_trait]
impl MainChain for SimMain {
    async fn view(&self) -> Result<MainView, MainError> {
        if self.faults.fate().await != Fate::Good {
            return Err(lost());
        }
        Ok(self.with(|inner| MainView {
            tip: GridTip {
                chain_id: 7,
                height: inner.height,
                hash: B256::with_last_byte(1),
                time_ms: 0,
                index_root: B256::ZERO,
            },
            base_fee: 1_000,
            chains: inner
                .chains
                .iter()
                .map(|(id, tree)| info(id, tree, &self.attesters))
                .chain(inner.finals.iter().map(|(id, client)| client.info(id)))
                .collect(),
        }))
    }

    async fn locator(&self, chain: &ChainId) -> Result<Locator, MainError> {
        if self.faults.fate().await != Fate::Good {
            return Err(lost());
        }
        let best = self.with(|inner| inner.chains.get(chain).map(Tree::locator));
        let reason = || format!("unknown chain {chain}");
        best.map(|best| Locator { best })
            .ok_or_else(|| MainError::BadAnswer { method: "grid_locator", reason: reason() })
    }

    async fn account(&self, address: &Address) -> Result<AccountInfo, MainError> {
        if self.faults.fate().await != Fate::Good {
            return Err(lost());
        }
        Ok(self.with(|inner| {
            let nonce = inner.nonce(address);
            let waiting = |next: &u64| inner.mempool.contains_key(&(*address, *next));
            let pending_nonce = (nonce..).find(|next| !waiting(next)).unwrap_or(nonce);
            let balance = U256::from(10).pow(U256::from(24));
            AccountInfo { address: *address, nonce, pending_nonce, balance }
        }))
    }

    async fn send(&self, raw: &Bytes) -> Result<(), MainError> {
        match self.faults.fate().await {
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
        if self.faults.fate().await != Fate::Good {
            return Err(lost());
        }
        Ok(self.with(|inner| inner.receipts.get(hash).copied()))
    }
}

fn info(id: &ChainId, tree: &Tree, attesters: &AttesterSet) -> ChainInfo {
    ChainInfo {
        id: id.clone(),
        key: id.key().0,
        family: Family::Ethereum,
        security: Security::Attested,
        level: Level::L0,
        status: "active".into(),
        rule: "instant".into(),
        first_height: tree.base.height,
        base: tree.base,
        tracked: tree.tip,
        confirmed: Some(tree.base),
        tracked_headers: u64::try_from(tree.headers.len()).unwrap_or(u64::MAX),
        tracked_bytes: 0,
        sync: None,
        attesters: Some(attesters.clone()),
    }
}
