//! The auditor: a chain from genesis passes, and each way of cheating is named with its height.

use alloy_consensus::Header;
use alloy_primitives::{B256, U256};
use grid_core::{
    api::RawBlock,
    audit::{AuditError, AuditFault, Auditor},
    genesis::Genesis,
    grid::{
        CertificateError, CommitCertificate, RecoverableSignature, Validator, VoteKind,
        light::LightError, vote_digest,
    },
    transition::{Block, TransitionError},
};

use crate::support::*;

/// A clock far above every block's time.
const NOW_MS: u64 = START_MS + 1_000_000_000;
const BLOCKS: u64 = 6;

struct Served {
    genesis: Genesis,
    validators: Vec<Wallet>,
    blocks: Vec<Block>,
}

impl Served {
    /// Four validators of equal power, and a transfer in every block.
    fn new() -> Self {
        let mut validators: Vec<Wallet> = (10..14).map(Wallet::new).collect();
        validators.sort_by_key(|wallet| wallet.address);
        let (payer, payee) = (Wallet::new(1), Wallet::new(2));
        let mut genesis = genesis(vec![], &[&payer]);
        genesis.validators = validators
            .iter()
            .map(|wallet| Validator { account: wallet.address, power: 1 })
            .collect();
        let mut chain = Chain::new(&genesis);
        let blocks = (0..BLOCKS)
            .map(|nonce| chain.step(vec![payer.transfer(nonce, payee.address, GRID)]).block)
            .collect();
        Self { genesis, validators, blocks }
    }

    fn sign(&self, header: &Header, signers: usize) -> CommitCertificate {
        let (height, round, block_hash) = (header.number, 0, header.hash_slow());
        let digest = vote_digest(VoteKind::Precommit, CHAIN_ID, height, round, block_hash);
        let sign = |wallet: &Wallet| RecoverableSignature::from(wallet.sign_hash(&digest));
        let signatures = self.validators.iter().take(signers).map(sign).collect();
        CommitCertificate { height, round, block_hash, signatures }
    }

    fn raw(&self, block: &Block, signers: usize) -> RawBlock {
        RawBlock {
            block: alloy_rlp::encode(block).into(),
            certificate: self.sign(&block.header, signers),
            next_validators: None,
        }
    }

    /// Audits the chain with the block at `height` changed by `change` and signed by all: what fails, and where.
    fn with(
        &self,
        height: u64,
        execute: bool,
        change: impl FnOnce(&mut Block),
    ) -> Option<AuditError> {
        let mut blocks = self.blocks.clone();
        change(&mut blocks[height as usize - 1]);
        let mut auditor = Auditor::new(&self.genesis, execute).unwrap();
        blocks.iter().find_map(|block| auditor.follow(&self.raw(block, 4), NOW_MS).err())
    }
}

#[test]
fn a_whole_chain_passes_with_and_without_execution() {
    let served = Served::new();
    for execute in [false, true] {
        let mut auditor = Auditor::new(&served.genesis, execute).unwrap();
        for block in &served.blocks {
            // Three of four are more than two thirds.
            let audited = auditor.follow(&served.raw(block, 3), NOW_MS).unwrap();
            assert_eq!(audited.hash, block.header.hash_slow());
            assert_eq!(audited.state_root, block.header.state_root);
            assert_eq!((audited.transactions, audited.hand_over), (1, false));
        }
        assert_eq!(auditor.height(), BLOCKS);
        assert_eq!(auditor.hash(), served.blocks.last().unwrap().header.hash_slow());
    }
}

#[test]
fn two_signatures_of_four_and_a_certificate_of_another_block_are_refused() {
    let served = Served::new();
    let mut auditor = Auditor::new(&served.genesis, false).unwrap();
    let (first, second) = (&served.blocks[0], &served.blocks[1]);
    let few = auditor.follow(&served.raw(first, 2), NOW_MS).unwrap_err();
    assert_eq!(few.height, 1);
    let quorum = CertificateError::NoQuorum { signed: 2, total: 4 };
    assert_eq!(few.fault, AuditFault::Light(LightError::Certificate(quorum)));
    let foreign = RawBlock { certificate: served.sign(&second.header, 4), ..served.raw(first, 4) };
    let foreign = auditor.follow(&foreign, NOW_MS).unwrap_err();
    assert!(matches!(foreign.fault, AuditFault::Light(LightError::CertificateBlock { .. })));
    // A refusal changes nothing.
    auditor.follow(&served.raw(first, 4), NOW_MS).unwrap();
    let again = auditor.follow(&served.raw(first, 4), NOW_MS).unwrap_err();
    assert_eq!(again, AuditError { height: 2, fault: AuditFault::Height(1) });
}

#[test]
fn a_broken_link_is_named_with_its_height() {
    let served = Served::new();
    let error = served.with(4, false, |block| block.header.parent_hash = B256::repeat_byte(7));
    let error = error.unwrap();
    assert_eq!(error.height, 4);
    assert!(matches!(error.fault, AuditFault::Light(LightError::Parent { .. })), "{error}");
}

#[test]
fn a_body_that_is_not_the_headers_is_refused_without_execution() {
    let served = Served::new();
    let error = served.with(3, false, |block| block.body.transactions.clear()).unwrap();
    assert_eq!(error.height, 3);
    assert!(matches!(error.fault, AuditFault::Transactions { .. }), "{error}");
}

#[test]
fn a_wrong_root_that_every_validator_signed_is_found_by_execution_alone() {
    let served = Served::new();
    let forge: [fn(&mut Block); 2] = [
        |block| block.header.state_root = B256::repeat_byte(1),
        |block| block.header.receipts_root = B256::repeat_byte(1),
    ];
    for (forge, field) in forge.into_iter().zip(["stateRoot", "receiptsRoot"]) {
        let last = BLOCKS;
        assert_eq!(served.with(last, false, forge), None, "signatures alone are good");
        let error = served.with(last, true, forge).unwrap();
        assert_eq!(error.height, last);
        let AuditFault::Execution(TransitionError::Header { field: found, .. }) = &error.fault
        else {
            panic!("{error}");
        };
        assert_eq!(*found, field);
    }
}

#[test]
fn garbage_and_another_genesis_are_refused() {
    let mut served = Served::new();
    let mut auditor = Auditor::new(&served.genesis, true).unwrap();
    let good = served.raw(&served.blocks[0], 4);
    for cut in [0, 1, good.block.len() - 1] {
        let bad = RawBlock { block: good.block.slice(..cut), ..good.clone() };
        let error = auditor.follow(&bad, NOW_MS).unwrap_err();
        assert!(matches!(error.fault, AuditFault::Malformed(_)), "{error}");
    }
    let future = auditor.follow(&good, START_MS - 60_000).unwrap_err();
    assert!(matches!(future.fault, AuditFault::Light(LightError::Future { .. })), "{future}");
    served.genesis.alloc.insert(Wallet::new(5).address, U256::from(1));
    let mut other = Auditor::new(&served.genesis, false).unwrap();
    let error = other.follow(&good, NOW_MS).unwrap_err();
    assert!(matches!(error.fault, AuditFault::Light(LightError::Parent { .. })), "{error}");
    served.genesis.gas_limit = 1;
    let error = Auditor::new(&served.genesis, false).unwrap_err();
    assert!(matches!(error.fault, AuditFault::Genesis(_)), "{error}");
}
