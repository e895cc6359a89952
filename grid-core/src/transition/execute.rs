//! Executing a block: the one place where its state changes.

use alloy_consensus::{BlockBody, Receipt, ReceiptEnvelope, Transaction, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, U256};
use alloy_sol_types::{Revert, SolError};

use super::{
    Block, ExecutedBlock, IndexEvent, MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS, Parent, RecoveredTx,
    TransitionError, TxReject,
    block::{Results, assemble},
    check::{self, Validity},
    next_base_fee,
};
use crate::{
    grid::Extension,
    modules::{self, BlockEnv, CallError, Clients, Env, Gas},
    staking,
    state::{Account, ChainState, Overlay, StorageError, system, tree},
};

/// A message to a plain account or a system contract.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) value: U256,
    pub(super) input: &'a [u8],
    /// Gas after the intrinsic part.
    pub(super) gas: u64,
}

/// What a message did; its writes are in the overlay if it succeeded and gone if not.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Gas used, without the intrinsic part.
    pub(super) gas_used: u64,
    pub(super) output: Bytes,
    pub(super) logs: Vec<Log>,
    pub(super) events: Vec<IndexEvent>,
    pub(super) failure: Option<Failure>,
}

/// Why a message had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    Reverted(String),
    AlreadyKnown,
    OutOfGas,
}

impl Failure {
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Reverted(reason) => reason.clone(),
            Self::AlreadyKnown => "already known".to_owned(),
            Self::OutOfGas => "out of gas".to_owned(),
        }
    }
}

/// Executes one message.
pub(super) fn execute_message(
    overlay: &mut Overlay<'_>,
    clients: &mut Clients,
    block: BlockEnv,
    message: &Message<'_>,
) -> Result<Outcome, StorageError> {
    let checkpoint = overlay.checkpoint();
    let Some(module) = modules::at(&message.to) else {
        let paid = Account::transfer(overlay, &message.from, &message.to, message.value)?;
        let failure = (!paid)
            .then(|| Failure::Reverted(format!("{} cannot pay {}", message.from, message.value)));
        return Ok(Outcome { failure, ..Outcome::default() });
    };
    let work = clients.work.clone();
    let mut env = Env {
        overlay,
        clients,
        block,
        caller: message.from,
        value: message.value,
        gas: Gas::new(message.gas),
        logs: Vec::new(),
        events: Vec::new(),
    };
    let result = match env.gas.charge(modules::gas::CALL) {
        Ok(()) => module.call(&mut env, message.input),
        Err(error) => Err(error),
    };
    let Env { gas, logs, events, .. } = env;
    let gas_used = gas.used();
    let failure = match result {
        Ok(output) => {
            return Ok(Outcome { gas_used, output: output.into(), logs, events, failure: None });
        }
        Err(CallError::Storage(error)) => return Err(error),
        Err(CallError::Revert(reason)) => Failure::Reverted(reason),
        Err(CallError::AlreadyKnown) => Failure::AlreadyKnown,
        Err(CallError::OutOfGas) => Failure::OutOfGas,
    };
    overlay.rollback(checkpoint);
    clients.work = work;
    let output = match &failure {
        Failure::OutOfGas => Bytes::new(),
        failure => Revert::from(failure.reason()).abi_encode().into(),
    };
    Ok(Outcome { gas_used, output, failure: Some(failure), ..Outcome::default() })
}

/// A block while it is being executed.
pub(super) struct Run<'a> {
    state: &'a dyn ChainState,
    parent: &'a Parent,
    proposer: Address,
    base_fee: u64,
    validators_hash: B256,
    env: BlockEnv,
    overlay: Overlay<'a>,
    clients: Clients,
    gas_used: u64,
    bytes: usize,
    burned: U256,
    tips: U256,
    transactions: Vec<TxEnvelope>,
    senders: Vec<Address>,
    receipts: Vec<ReceiptEnvelope>,
    events: Vec<IndexEvent>,
}

impl<'a> Run<'a> {
    /// Starts the block after `parent`.
    pub(super) fn begin(
        parent: &'a Parent,
        state: &'a dyn ChainState,
        time_ms: u64,
        proposer: Address,
    ) -> Result<Self, TransitionError> {
        if state.version() != parent.header.number {
            let (state, parent) = (state.version(), parent.header.number);
            return Err(TransitionError::StateHeight { state, parent });
        }
        let extension = Extension::of(&parent.header).map_err(|error| {
            TransitionError::Extension { which: "parent", reason: error.to_string() }
        })?;
        if time_ms <= extension.timeMs {
            return Err(TransitionError::Time { time_ms, parent_ms: extension.timeMs });
        }
        let constants = system::Constants::read(state)?;
        let height = parent.header.number.saturating_add(1);
        let env = BlockEnv {
            height,
            time_ms,
            chain_id: constants.chain_id,
            governor: constants.governor,
        };
        let mut run = Self {
            state,
            parent,
            proposer,
            base_fee: next_base_fee(&parent.header),
            validators_hash: extension.nextValidatorsHash,
            env,
            overlay: Overlay::new(state),
            clients: Clients::default(),
            gas_used: 0,
            bytes: 0,
            burned: U256::ZERO,
            tips: U256::ZERO,
            transactions: Vec::new(),
            senders: Vec::new(),
            receipts: Vec::new(),
            events: Vec::new(),
        };
        run.own_work()?;
        Ok(run)
    }

    /// What the chain does before the first transaction.
    fn own_work(&mut self) -> Result<(), StorageError> {
        system::store_block_hash(&mut self.overlay, self.parent.header.number, self.parent.hash);
        self.events = begin(&mut self.overlay, &mut self.clients, self.env)?;
        Ok(())
    }

    /// Whether another transaction can fit at all.
    pub(super) fn is_full(&self) -> bool {
        self.transactions.len() >= MAX_BLOCK_TRANSACTIONS
            || self.gas_left() < check::TRANSACTION_GAS
            || self.bytes >= MAX_BLOCK_BYTES
    }

    fn gas_left(&self) -> u64 {
        self.parent.header.gas_limit.saturating_sub(self.gas_used)
    }

    /// Executes a transaction as the block's next one. With `refuse_known` a submission without news is
    /// refused instead of included as failed: a proposer spares the submitter the fee.
    pub(super) fn include(&mut self, tx: RecoveredTx, refuse_known: bool) -> Result<(), TxReject> {
        let size = tx.encode_2718_len();
        let bytes = self.bytes.saturating_add(size);
        if bytes > MAX_BLOCK_BYTES || self.transactions.len() >= MAX_BLOCK_TRANSACTIONS {
            return Err(TxReject::BlockGas { limit: tx.gas_limit(), available: 0 });
        }
        let validity = Validity { base_fee: self.base_fee, gas: self.gas_left(), next: true };
        let intrinsic = check::validity(&self.overlay, &tx, self.env.chain_id, &validity)?;
        let checkpoint = self.overlay.checkpoint();
        let sender = tx.signer();
        let mut account = Account::load(&self.overlay, &sender)?;
        account.nonce = account.nonce.saturating_add(1);
        account.store(&mut self.overlay, &sender);
        let message = Message {
            from: sender,
            to: tx.to().ok_or(TxReject::Creation)?,
            value: tx.value(),
            input: tx.input(),
            gas: tx.gas_limit().saturating_sub(intrinsic),
        };
        let outcome = execute_message(&mut self.overlay, &mut self.clients, self.env, &message)?;
        if refuse_known && outcome.failure == Some(Failure::AlreadyKnown) {
            self.overlay.rollback(checkpoint);
            return Err(TxReject::AlreadyKnown);
        }
        let gas_used = intrinsic.saturating_add(outcome.gas_used);
        self.charge(&tx, gas_used)?;
        self.bytes = bytes;
        self.record(tx, gas_used, outcome);
        Ok(())
    }

    /// Takes the fee: what was reserved by the validity check covers it.
    fn charge(&mut self, tx: &RecoveredTx, gas_used: u64) -> Result<(), StorageError> {
        let price = U256::from(tx.effective_gas_price(Some(self.base_fee)));
        let base = U256::from(self.base_fee);
        let gas = U256::from(gas_used);
        let fee = price.saturating_mul(gas);
        let burned = base.saturating_mul(gas);
        let sender = tx.signer();
        let mut account = Account::load(&self.overlay, &sender)?;
        account.balance = account.balance.saturating_sub(fee);
        account.store(&mut self.overlay, &sender);
        self.burned = self.burned.saturating_add(burned);
        self.tips = self.tips.saturating_add(fee.saturating_sub(burned));
        Ok(())
    }

    fn record(&mut self, tx: RecoveredTx, gas_used: u64, outcome: Outcome) {
        self.gas_used = self.gas_used.saturating_add(gas_used);
        let receipt = Receipt {
            status: outcome.failure.is_none().into(),
            cumulative_gas_used: self.gas_used,
            logs: outcome.logs,
        };
        self.receipts.push(ReceiptEnvelope::from_typed(tx.tx_type(), receipt.with_bloom()));
        self.events.extend(outcome.events);
        let (tx, sender) = tx.into_parts();
        self.transactions.push(tx);
        self.senders.push(sender);
    }

    /// Settles fees, ends an epoch and computes every root.
    pub(super) fn finish(mut self) -> Result<ExecutedBlock, StorageError> {
        system::add_burned(&mut self.overlay, self.burned)?;
        staking::end_block(&mut self.overlay, self.env.height, &self.proposer, self.tips)?;
        let entries = modules::read_entries(&self.overlay)?;
        let next_validators = system::validators(&self.overlay)?;
        let diff = self.overlay.into_diff()?;
        let (state_root, tree) = tree::update(self.state, &diff, self.env.height)?;
        let results = Results {
            transactions: &self.transactions,
            receipts: &self.receipts,
            gas_used: self.gas_used,
            state_root,
            entries: &entries,
            validators_hash: self.validators_hash,
            next_validators: &next_validators,
        };
        let header = assemble(self.parent, self.env.time_ms, self.proposer, &results);
        let hash = header.hash_slow();
        let body =
            BlockBody { transactions: self.transactions, ommers: Vec::new(), withdrawals: None };
        Ok(ExecutedBlock {
            block: Block::new(header, body),
            hash,
            receipts: self.receipts,
            senders: self.senders,
            diff,
            tree,
            entries,
            index_events: self.events,
            next_validators,
        })
    }
}

/// Runs what modules do at a block's start. Its events have no receipt: they are index events only.
fn begin(
    overlay: &mut Overlay<'_>,
    clients: &mut Clients,
    block: BlockEnv,
) -> Result<Vec<IndexEvent>, StorageError> {
    let mut env = Env {
        overlay,
        clients,
        block,
        caller: Address::ZERO,
        value: U256::ZERO,
        gas: Gas::new(u64::MAX),
        logs: Vec::new(),
        events: Vec::new(),
    };
    modules::begin_block(&mut env)?;
    Ok(env.events)
}
