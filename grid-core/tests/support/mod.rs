//! A Grid chain in memory, wallets and Bitcoin regtest headers: shared by tests and benchmarks.
#![allow(dead_code, missing_docs, unreachable_pub, missing_debug_implementations)]

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_sol_types::SolCall;
use grid_core::{
    ChainId, ChainKey, Family, Level, Security,
    bitcoin::NetworkParams,
    confirm::ConfirmationRule,
    genesis::{self, Genesis},
    grid::Validator,
    modules::{
        ChainRecord, ChainStatus, ClientParams,
        abi::{LIGHT_CLIENTS, LightClients},
    },
    state::{Account, MemoryState, query},
    transition::{self, ExecutedBlock, Parent, Proposal, RecoveredTx},
};
use k256::ecdsa::SigningKey;

pub mod beacon;
pub mod grid;
pub mod messages;

pub const CHAIN_ID: u64 = 7_357;
pub const START_MS: u64 = 1_700_000_000_000;
pub const GRID: u128 = 1_000_000_000_000_000_000;
pub const PROPOSER: Address = Address::repeat_byte(0xfe);

#[derive(Clone)]
pub struct Wallet {
    key: SigningKey,
    pub address: Address,
}

impl Wallet {
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0x17; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let key = SigningKey::from_slice(&bytes).unwrap();
        let address = Address::from_public_key(key.verifying_key());
        Self { key, address }
    }

    pub fn sign_hash(&self, hash: &B256) -> Signature {
        let (signature, id) = self.key.sign_prehash_recoverable(hash.as_slice()).unwrap();
        Signature::from((signature, id))
    }

    pub fn sign(&self, tx: TxEip1559) -> RecoveredTx {
        let signature = self.sign_hash(&tx.signature_hash());
        Recovered::new_unchecked(TxEnvelope::from(tx.into_signed(signature)), self.address)
    }

    pub fn tx(&self, nonce: u64, to: Address, value: u128, gas: u64, input: Bytes) -> RecoveredTx {
        self.sign(TxEip1559 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: gas,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(to),
            value: U256::from(value),
            access_list: Default::default(),
            input,
        })
    }

    pub fn transfer(&self, nonce: u64, to: Address, value: u128) -> RecoveredTx {
        self.tx(nonce, to, value, 21_000, Bytes::new())
    }

    pub fn submit(&self, nonce: u64, chain: ChainKey, headers: &[[u8; 80]]) -> RecoveredTx {
        let input = submit_input(chain, headers);
        self.tx(nonce, LIGHT_CLIENTS, 0, 14_000_000, input)
    }
}

pub fn submit_input(chain: ChainKey, headers: &[[u8; 80]]) -> Bytes {
    let headers = headers.concat().into();
    LightClients::submitBitcoinHeadersCall { chain: chain.0, headers }.abi_encode().into()
}

pub fn bitcoin_record(network: &NetworkParams, rule: ConfirmationRule, window: u64) -> ChainRecord {
    ChainRecord {
        id: network.chain_id(),
        family: Family::Bitcoin,
        security: Security::ProofOfWork,
        level: Level::L3,
        measured: false,
        rule,
        status: ChainStatus::Active,
        client: ClientParams::Bitcoin { network: network.clone().into(), checkpoint: None },
        window,
    }
}

pub fn genesis(chains: Vec<ChainRecord>, wallets: &[&Wallet]) -> Genesis {
    Genesis {
        chain_id: CHAIN_ID,
        time_ms: START_MS,
        gas_limit: 60_000_000,
        base_fee: 1_000_000_000,
        alloc: wallets.iter().map(|w| (w.address, U256::from(1_000 * GRID))).collect(),
        governor: wallets.first().map(|w| w.address).unwrap_or_default(),
        validators: vec![Validator { account: PROPOSER, power: 1 }],
        chains,
        staking: None,
        guarantee: None,
    }
}

pub struct Chain {
    pub state: MemoryState,
    pub parent: Parent,
    pub time_ms: u64,
}

impl Chain {
    pub fn new(description: &Genesis) -> Self {
        let block = genesis::build(description).unwrap();
        let mut state = MemoryState::new();
        state.apply(&block);
        let parent = Parent { header: block.block.header, hash: block.hash };
        Self { state, parent, time_ms: description.time_ms }
    }

    pub fn propose(&self, txs: Vec<RecoveredTx>) -> Proposal {
        let time = self.time_ms + 1_000;
        transition::propose(&self.parent, &self.state, txs, time, PROPOSER).unwrap()
    }

    pub fn commit(&mut self, executed: &ExecutedBlock) {
        self.state.apply(executed);
        self.parent = Parent { header: executed.block.header.clone(), hash: executed.hash };
        self.time_ms += 1_000;
    }

    /// Proposes, checks that validation agrees to the byte, commits.
    pub fn step(&mut self, txs: Vec<RecoveredTx>) -> ExecutedBlock {
        let Proposal { executed, dropped } = self.propose(txs);
        assert_eq!(dropped, [], "every candidate should be includable");
        let validated = transition::validate(&self.parent, &self.state, &executed.block).unwrap();
        assert_eq!(validated, executed);
        self.commit(&executed);
        executed
    }

    pub fn account(&self, address: Address) -> Account {
        query::account(&self.state, &address).unwrap()
    }

    pub fn supply(&self) -> U256 {
        let balances = self
            .state
            .values()
            .iter()
            .filter(|(key, _)| key[0] == grid_core::state::keys::ACCOUNTS)
            .map(|(_, value)| U256::from_be_slice(&value[8..]));
        balances.sum::<U256>() + query::burned(&self.state).unwrap()
    }
}

pub fn regtest() -> (NetworkParams, ChainKey) {
    let params = NetworkParams::regtest();
    let key = ChainId::key(&params.chain_id());
    (params, key)
}

/// `count` regtest headers after `prev`, ten minutes apart; `salt` makes branches differ.
pub fn mine(prev: &[u8; 80], count: usize, salt: u8) -> Vec<[u8; 80]> {
    let mut prev = *prev;
    (0..count)
        .map(|_| {
            prev = mine_root(&prev, B256::repeat_byte(salt));
            prev
        })
        .collect()
}

/// A regtest header after `prev`, over the transactions of this root.
pub fn mine_root(prev: &[u8; 80], merkle_root: B256) -> [u8; 80] {
    let prev = grid_core::bitcoin::Header::parse(prev);
    let mut header = grid_core::bitcoin::Header {
        version: 0x2000_0000,
        prev: prev.hash(),
        merkle_root,
        time: prev.time + 600,
        bits: prev.bits,
        nonce: 0,
    };
    // The regtest limit: the top bit of the displayed hash must be clear.
    while header.hash()[31] >= 0x7f {
        header.nonce += 1;
    }
    header.to_bytes()
}
