//! An audit of a Grid chain: every block from genesis, one after the other, with nothing left out.
//!
//! The [`Auditor`] starts at the block that a [`Genesis`] gives and takes the blocks above it as anyone serves them
//! ([`RawBlock`]). Of each it checks
//!
//! - that the header names the block before as its parent, and the validators that the block before promised;
//! - that the certificate holds good signatures of more than two thirds of those validators' power;
//! - that the body's transactions are those of the header;
//! - where it executes: that execution after the block before gives this very header, `stateRoot` and
//!   `receiptsRoot` included, so that the chain's state follows from genesis and the transactions alone.
//!
//! The genesis is trusted however old it is. Validators of long ago, whose stake is gone, could together sign another
//! history from there without a loss: compare the hash of a late block with somebody you trust.

use alloy_consensus::proofs::calculate_transaction_root;
use alloy_primitives::B256;
use thiserror::Error;

use crate::{
    api::RawBlock,
    genesis::{self, Genesis},
    grid::{
        ValidatorSet,
        light::{LightBlock, LightError, LightPolicy, TrustedState},
    },
    state::MemoryState,
    transition::{self, Block, MAX_BLOCK_BYTES, Parent, TransitionError},
};

/// The most bytes of a block: its transactions, and room for header and list prefixes.
const MAX_RAW_BLOCK: usize = MAX_BLOCK_BYTES + 64 * 1024;

/// Walks up a chain.
#[derive(Debug, Clone)]
pub struct Auditor {
    trusted: TrustedState,
    execution: Option<Execution>,
}

/// What the next block is executed on.
#[derive(Debug, Clone)]
struct Execution {
    parent: Parent,
    state: MemoryState,
}

/// A block that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// Its height.
    pub height: u64,
    /// keccak256 of its header's RLP.
    pub hash: B256,
    /// Root of the state after it.
    pub state_root: B256,
    /// Its time, milliseconds since 1970.
    pub time_ms: u64,
    /// How many transactions it has.
    pub transactions: usize,
    /// Whether other validators decide the next block.
    pub hand_over: bool,
}

/// The first block that fails, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("block {height}: {fault}")]
pub struct AuditError {
    /// The height at which the chain stops being one.
    pub height: u64,
    /// What is wrong there.
    pub fault: AuditFault,
}

/// What is wrong with a block.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuditFault {
    /// The genesis is not usable.
    #[error(transparent)]
    Genesis(TransitionError),
    /// Not the RLP of a block.
    #[error("not the RLP of a block: {0}")]
    Malformed(String),
    /// Another height than the next.
    #[error("the block served for this height has height {0}")]
    Height(u64),
    /// Header, hand-over or certificate.
    #[error(transparent)]
    Light(#[from] LightError),
    /// The body is not the header's.
    #[error("the header's transactionsRoot is {header}, its body gives {body}")]
    Transactions {
        /// What the header says.
        header: B256,
        /// What the transactions give.
        body: B256,
    },
    /// Execution gives another block.
    #[error("executed again: {0}")]
    Execution(TransitionError),
}

impl Auditor {
    /// Starts at the genesis' own block; with `execute`, every block is executed again. The state is kept in memory.
    ///
    /// # Errors
    /// [`AuditFault::Genesis`] at height 0.
    pub fn new(genesis: &Genesis, execute: bool) -> Result<Self, AuditError> {
        let at_genesis = |fault| AuditError { height: 0, fault };
        let first =
            genesis::build(genesis).map_err(|error| at_genesis(AuditFault::Genesis(error)))?;
        let rlp = alloy_rlp::encode(&first.block.header);
        let trusted = TrustedState::new(genesis.chain_id, &rlp, first.next_validators.clone())
            .map_err(|error| at_genesis(error.into()))?;
        let execution = execute.then(|| {
            let mut state = MemoryState::new();
            state.apply(&first);
            Execution { parent: Parent { hash: first.hash, header: first.block.header }, state }
        });
        Ok(Self { trusted, execution })
    }

    /// Height of the newest block that passed.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.trusted.height
    }

    /// Its hash.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.trusted.block_hash
    }

    /// Who decides the next block.
    #[must_use]
    pub const fn validators(&self) -> &ValidatorSet {
        &self.trusted.validators
    }

    /// Takes the next block. `now_ms`, milliseconds since 1970, refuses blocks of the future.
    ///
    /// # Errors
    /// Why it is not the next block; nothing has changed then.
    pub fn follow(&mut self, raw: &RawBlock, now_ms: u64) -> Result<Audited, AuditError> {
        let height = self.trusted.height.saturating_add(1);
        self.check(height, raw, now_ms).map_err(|fault| AuditError { height, fault })
    }

    fn check(&mut self, height: u64, raw: &RawBlock, now_ms: u64) -> Result<Audited, AuditFault> {
        let block = decode(&raw.block)?;
        if block.header.number != height {
            return Err(AuditFault::Height(block.header.number));
        }
        // Genesis may be years old; everything else of the policy stands.
        let policy = LightPolicy { trusting_period_ms: u64::MAX, ..LightPolicy::default() };
        let light = LightBlock {
            header: alloy_rlp::encode(&block.header).into(),
            certificate: raw.certificate.clone(),
            validators: self.trusted.validators.clone(),
            next_validators: raw.next_validators.clone(),
        };
        let trusted = self.trusted.follow(&light, &policy, now_ms)?;
        let body = calculate_transaction_root(&block.body.transactions);
        if body != block.header.transactions_root {
            let header = block.header.transactions_root;
            return Err(AuditFault::Transactions { header, body });
        }
        let audited = Audited {
            height,
            hash: trusted.block_hash,
            state_root: block.header.state_root,
            time_ms: trusted.time_ms,
            transactions: block.body.transactions.len(),
            hand_over: trusted.validators != self.trusted.validators,
        };
        if let Some(execution) = &mut self.execution {
            execution.run(block)?;
        }
        self.trusted = trusted;
        Ok(audited)
    }
}

impl Execution {
    fn run(&mut self, block: Block) -> Result<(), AuditFault> {
        let executed = transition::validate(&self.parent, &self.state, &block)
            .map_err(AuditFault::Execution)?;
        self.state.apply(&executed);
        self.parent = Parent { hash: executed.hash, header: block.header };
        Ok(())
    }
}

fn decode(rlp: &[u8]) -> Result<Block, AuditFault> {
    if rlp.len() > MAX_RAW_BLOCK {
        let found = rlp.len();
        return Err(AuditFault::Malformed(format!(
            "{found} bytes, at most {MAX_RAW_BLOCK} are allowed"
        )));
    }
    let malformed = |error: alloy_rlp::Error| AuditFault::Malformed(error.to_string());
    alloy_rlp::decode_exact(rlp).map_err(malformed)
}
