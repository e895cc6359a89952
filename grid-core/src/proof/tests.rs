use alloy_primitives::{Address, B256, Bytes, U256};
use proptest::prelude::*;

use super::*;
use crate::{CompatHeader, Security, mmr::MmrError};

extern crate self as grid_core;

pub(super) mod fixture;

use fixture::{GRID, Validators, all_kinds, bitcoin_proof};

fn refuse(proof: &CrossChainProof, trust: &Trust) -> VerifyError {
    verify(proof, trust).expect_err("must be refused")
}

#[test]
fn every_kind_verifies_and_says_what_was_proven() {
    let validators = Validators::new(4);
    let trust = validators.trust();
    for (name, proof) in all_kinds(&validators) {
        let proven = verify(&proof, &trust).unwrap_or_else(|error| panic!("{name}: {error}"));
        let proven = proven.into_inner();
        assert_eq!(proven.claim, proof.claim, "{name}");
        assert_eq!((proven.index_depth, proven.grid_height), (5, 42), "{name}");
        assert_eq!(proven.security, Security::ProofOfWork);
        assert_eq!(proof.grid_block(), Some((42, proven.grid_block_hash)));
    }
}

#[test]
fn claims_state_the_facts() {
    let validators = Validators::new(1);
    let claims: Vec<Claim> =
        all_kinds(&validators).into_iter().map(|(_, proof)| proof.claim).collect();
    let mut txid: B256 =
        "0xf4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16".parse().unwrap();
    txid.0.reverse();
    assert_eq!(claims[0], Claim::BitcoinTx { txid, index: 1 });
    facts_of_a_bitcoin_block(&claims[1..5]);
    assert_eq!(claims[5], Claim::Header {});
    facts_of_an_ethereum_block(&claims[6..]);
}

fn facts_of_an_ethereum_block(claims: &[Claim]) {
    use fixture::{CODE, OWNER, SLOT, STRANGER};
    let byte = |byte: u8| (Address::repeat_byte(byte), B256::repeat_byte(byte));
    let log = |index: u64, of: u8| {
        let ((address, topic), data) = (byte(of), vec![of; 37].into());
        ProvenLog { index, address, topics: vec![topic, B256::repeat_byte(1)], data }
    };
    let hash = alloy_primitives::keccak256([&[2u8][..], &[3; 40]].concat());
    let code_hash = alloy_primitives::keccak256(CODE);
    let success = Outcome::Success {};
    let (contract, topic) = byte(3);
    let storage = |address, slot: B256, value: Option<u64>| {
        let value = value.map(U256::from);
        Claim::Storage { address, slot, value }
    };
    let logs = vec![PlacedLog { transaction: 2, log: log(0, 3) }];
    let Claim::Account { account: Some(owner), .. } = claims[3] else { panic!("{:?}", claims[3]) };
    assert_eq!((owner.nonce, owner.code_hash), (7, code_hash));
    let single = [
        Claim::Transaction { index: 3, hash },
        Claim::Receipt { index: 1, outcome: Outcome::Failure {}, log: None },
        Claim::Receipt { index: 0, outcome: success, log: Some(log(1, 9)) },
        Claim::Account { address: OWNER, account: Some(owner) },
        Claim::Account { address: STRANGER, account: None },
        storage(OWNER, SLOT, Some(99)),
        storage(OWNER, B256::with_last_byte(4), None),
        storage(STRANGER, SLOT, None),
        Claim::Code { address: STRANGER, code_hash: B256::ZERO, code: None },
        Claim::Code { address: OWNER, code_hash, code: Some(CODE.to_vec().into()) },
        Claim::TransactionCount { count: 5 },
        Claim::Logs { address: contract, topic: Some(topic), logs: logs.clone() },
    ];
    assert_eq!(claims[..12], single);
    let order = [0, 10, 2, 1, 3, 4, 9, 8, 5, 6, 7];
    let listed = order.map(|at| single[at].clone());
    assert_eq!(claims[12].facts(), listed);
    let all = |address, logs| Claim::Logs { address, topic: None, logs };
    let listed = [single[2].clone(), all(contract, logs), all(STRANGER, vec![])];
    assert_eq!(claims[13], Claim::EthereumFacts { claims: listed.to_vec() });
}

fn facts_of_a_bitcoin_block(claims: &[Claim]) {
    use crate::bitcoin::tx::Tx;
    let [_, first, second] = fixture::segwit_block().map(|raw| Tx::with_witness(&raw).unwrap());
    let (txid, index) = (first.id(), 1);
    let script = first.inner().output[0].script_pubkey.to_bytes().into();
    let payment = Claim::BitcoinPayment { txid, index, output: 0, script, amount: 1_000_000_000 };
    let data = b"grid:data".to_vec().into();
    let data = Claim::BitcoinData { txid, index, output: 1, data };
    let wtxid = first.wtxid();
    assert_ne!(wtxid, txid);
    let listed = [
        Claim::BitcoinTx { txid, index },
        Claim::BitcoinTx { txid: second.id(), index: 2 },
        payment.clone(),
        data.clone(),
    ];
    let witness = Claim::BitcoinWitness { txid, wtxid, index };
    assert_eq!(claims[3].facts(), listed);
    assert_eq!(claims, [payment, data, witness, Claim::BitcoinTxs { claims: listed.to_vec() }]);
}

#[test]
fn bitcoin_facts_that_are_not_there_are_refused() {
    use crate::bitcoin::{output::OutputError, spv::SpvError};
    use facts::FactError;
    let validators = Validators::new(1);
    let trust = validators.trust();
    let kinds = all_kinds(&validators);
    let refused = |at: usize, change: &dyn Fn(&mut Inclusion)| {
        let mut bad: CrossChainProof = kinds[at].1.clone();
        change(&mut bad.inclusion);
        match refuse(&bad, &trust) {
            VerifyError::Bitcoin(error) => error,
            other => panic!("{other}"),
        }
    };
    let output = |new: u32| {
        move |inclusion: &mut Inclusion| match inclusion {
            Inclusion::BitcoinPayment { output, .. } | Inclusion::BitcoinData { output, .. } => {
                *output = new;
            }
            other => panic!("{other:?}"),
        }
    };
    let error = OutputError::Missing { output: 2, count: 2 };
    assert_eq!(refused(1, &output(2)), FactError::Output { index: 1, error });
    let error = OutputError::NotData(0);
    assert_eq!(refused(2, &output(0)), FactError::Output { index: 1, error });
    let lists = |change: fn(&mut Vec<OutputRef>)| {
        move |inclusion: &mut Inclusion| match inclusion {
            Inclusion::BitcoinTxs { payments, .. } => change(payments),
            other => panic!("{other:?}"),
        }
    };
    let again = OutputRef { index: 1, output: 0 };
    assert_eq!(refused(4, &lists(|list| list.push(list[0]))), FactError::Order(again));
    let absent = lists(|list| list.push(OutputRef { index: 3, output: 0 }));
    assert_eq!(refused(4, &absent), FactError::NoTransaction(3));
    let many = lists(|list| list.resize(facts::MAX_OUTPUTS, list[0]));
    assert_eq!(refused(4, &many), FactError::TooMany(facts::MAX_OUTPUTS + 1));
    let early = CompatHeader { height: 481_823, ..kinds[3].1.header.clone() };
    let error = verify::prove_claim(&kinds[3].1.source, &early, &kinds[3].1.inclusion);
    let before = SpvError::BeforeSegwit { height: 481_823, segwit_height: 481_824 };
    assert_eq!(error, Err(VerifyError::Bitcoin(before.into())));
    // A list holds no list.
    let mut nested = kinds[4].1.clone();
    nested.claim = Claim::BitcoinTxs { claims: vec![nested.claim] };
    let error = CrossChainProof::from_abi(&nested.to_abi()).unwrap_err();
    assert_eq!(error, CodecError::Kind { part: "listed claim", kind: 9 });
    assert!(matches!(refuse(&nested, &trust), VerifyError::Claim(_)));
}

#[test]
fn requests_become_the_smallest_inclusion() {
    use crate::bitcoin::spv::{BlockTxs, SpvError};
    use facts::{BitcoinFact, FactError, from_block, from_proofs};
    let txs = BlockTxs::new(&fixture::segwit_block()).unwrap();
    let txid = txs.tree().txids()[1];
    let (tx, witness) = (BitcoinFact::Tx { txid }, BitcoinFact::Witness { txid });
    assert_eq!(from_block(&txs, &[tx]), Ok(Inclusion::BitcoinTx(txs.prove(1).unwrap())));
    assert_eq!(from_block(&txs, &[]), Err(FactError::Empty));
    assert_eq!(from_block(&txs, &[tx, witness]), Err(FactError::WitnessAlone));
    let proof = txs.prove(1).unwrap();
    assert_eq!(from_proofs(vec![proof.clone()], &[witness]), Err(FactError::WitnessAlone));
    let unknown = FactError::Unknown { txid: B256::ZERO };
    assert_eq!(from_block(&txs, &[BitcoinFact::Tx { txid: B256::ZERO }]), Err(unknown.clone()));
    assert_eq!(from_proofs(vec![proof], &[tx, BitcoinFact::Tx { txid: B256::ZERO }]), Err(unknown));
    let stripped: Vec<_> = fixture::segwit_block()
        .iter()
        .map(|raw| crate::bitcoin::tx::Tx::strip(raw).unwrap())
        .collect();
    let without = BlockTxs::new(&stripped).unwrap();
    assert_eq!(from_block(&without, &[witness]), Err(SpvError::ReservedValue.into()));
}

#[test]
fn both_forms_round_trip() {
    for (name, proof) in all_kinds(&Validators::new(2)) {
        let abi = proof.to_abi();
        assert_eq!(CrossChainProof::from_abi(&abi).unwrap(), proof, "{name}");
        let json = proof.to_json().unwrap();
        assert_eq!(CrossChainProof::from_json(json.as_bytes()).unwrap(), proof, "{name}");
        let segment = &proof.segments[0];
        assert_eq!(Segment::from_abi(&segment.to_abi()).unwrap(), *segment);
    }
}

/// The places that are changed in a form of `length` bytes: all in a short one. Decoding and hashing a long one takes
/// long, so of those every eleventh, beginning where the length says; `GRID_TEST_EVERY_BYTE` asks for all.
fn changed_places(length: usize) -> impl Iterator<Item = usize> {
    let all = length <= 4_096 || std::env::var_os("GRID_TEST_EVERY_BYTE").is_some();
    let (start, step) = if all { (0, 1) } else { (length % 11, 11) };
    (start..length).step_by(step)
}

/// The heart of it: there is no byte in either form that nobody checks.
fn every_changed_byte_is_refused(kinds: core::ops::Range<usize>) {
    let validators = Validators::new(1);
    let trust = validators.trust();
    for (name, proof) in all_kinds(&validators).drain(kinds) {
        let abi = proof.to_abi().to_vec();
        for at in changed_places(abi.len()) {
            let mut bad = abi.clone();
            bad[at] ^= if at % 2 == 0 { 0x01 } else { 0x80 };
            let accepted =
                CrossChainProof::from_abi(&bad).is_ok_and(|proof| verify(&proof, &trust).is_ok());
            assert!(!accepted, "{name}: binary byte {at}");
        }
        let json = proof.to_json().unwrap().into_bytes();
        for at in changed_places(json.len()) {
            let mut bad = json.clone();
            // Another digit, or the other case of a letter.
            bad[at] ^= if json[at].is_ascii_digit() { 0x01 } else { 0x20 };
            let accepted =
                CrossChainProof::from_json(&bad).is_ok_and(|proof| verify(&proof, &trust).is_ok());
            assert!(!accepted, "{name}: JSON byte {at}");
        }
    }
}

#[test]
fn every_changed_byte_of_a_bitcoin_proof_is_refused() {
    every_changed_byte_is_refused(0..1);
}

#[test]
fn every_changed_byte_of_a_payment_or_data_proof_is_refused() {
    every_changed_byte_is_refused(1..3);
}

#[test]
fn every_changed_byte_of_a_witness_proof_is_refused() {
    every_changed_byte_is_refused(3..4);
}

#[test]
fn every_changed_byte_of_a_proof_of_several_transactions_is_refused() {
    every_changed_byte_is_refused(4..5);
}

#[test]
fn every_changed_byte_of_a_header_transaction_or_receipt_proof_is_refused() {
    every_changed_byte_is_refused(5..9);
}

#[test]
fn every_changed_byte_of_an_account_proof_is_refused() {
    every_changed_byte_is_refused(9..11);
}

#[test]
fn every_changed_byte_of_a_storage_proof_is_refused() {
    every_changed_byte_is_refused(11..14);
}

#[test]
fn every_changed_byte_of_a_code_or_count_proof_is_refused() {
    every_changed_byte_is_refused(14..17);
}

#[test]
fn every_changed_byte_of_a_proof_of_all_logs_is_refused() {
    every_changed_byte_is_refused(17..18);
}

#[test]
fn every_changed_byte_of_a_proof_of_several_ethereum_facts_is_refused() {
    every_changed_byte_is_refused(18..20);
}

#[test]
fn every_changed_byte_of_a_proof_of_an_ancestor_is_refused() {
    every_changed_byte_is_refused(20..22);
}

#[test]
fn json_has_one_spelling() {
    let proof = bitcoin_proof(&Validators::new(1), (1, 3));
    let json = proof.to_json().unwrap();
    let compact = serde_json::to_vec(&proof).unwrap();
    let cases: [(Vec<u8>, Option<usize>); 6] = [
        (json.trim_end().as_bytes().to_vec(), Some(json.len() - 1)),
        (format!("{json}\n").into_bytes(), Some(json.len())),
        (json.replacen("  \"version\"", "   \"version\"", 1).into_bytes(), Some(4)),
        (compact, Some(1)),
        (json.replacen("\"version\": 1,", "\"version\": 1, \"extra\": 2,", 1).into_bytes(), None),
        (json.replacen("0xff104c", "0xFF104C", 1).into_bytes(), Some(json.find("ff104c").unwrap())),
    ];
    for (number, (bad, expected)) in cases.into_iter().enumerate() {
        match (CrossChainProof::from_json(&bad), expected) {
            (Err(JsonError::NotCanonical { at }), Some(expected)) => {
                assert_eq!(at, expected, "case {number}");
            }
            (Err(JsonError::Json(_)), None) => {}
            (other, _) => panic!("case {number}: {other:?}"),
        }
    }
    let huge = vec![b' '; MAX_JSON_BYTES + 1];
    assert!(matches!(CrossChainProof::from_json(&huge), Err(JsonError::TooLong(_))));
    let huge = vec![0; MAX_PROOF_BYTES + 1];
    assert!(matches!(CrossChainProof::from_abi(&huge), Err(CodecError::TooLong(_))));
}

fn ethereum_inclusion() -> Inclusion {
    let facts = vec![ethereum::EthereumRef::Transaction { index: 0 }];
    let (nodes, receipts, codes) = (vec![], vec![], vec![]);
    Inclusion::Ethereum(ethereum::EthereumProof { facts, nodes, receipts, codes })
}

#[test]
fn each_link_has_its_own_error() {
    let validators = Validators::new(4);
    let trust = validators.trust();
    let good = bitcoin_proof(&validators, (5, 11));
    let error = |change: fn(&mut CrossChainProof)| {
        let mut bad = good.clone();
        change(&mut bad);
        refuse(&bad, &trust)
    };
    assert_eq!(error(|p| p.version = 2), VerifyError::Version(2));
    assert_eq!(error(|p| p.segments.clear()), VerifyError::Segments(0));
    assert_eq!(
        error(|p| p.segments.push(p.segments[0].clone())),
        VerifyError::Segments(2),
        "more levels are for a later version"
    );
    let other: crate::ChainId = "bip122:0f9188f13cb7b2c71f2a335e3a4fc328".parse().unwrap();
    assert!(matches!(
        error(|p| p.source = "bip122:0f9188f13cb7b2c71f2a335e3a4fc328".parse().unwrap()),
        VerifyError::SourceChain { source_id, .. } if source_id == other
    ));
    assert!(matches!(
        error(|p| p.segments[0].entry.chain = B256::ZERO),
        VerifyError::EntryChain { .. }
    ));
    assert!(matches!(error(|p| p.claim = Claim::Header {}), VerifyError::Claim(_)));
    assert_eq!(
        error(|p| p.segments[0].entry.firstHeight = 171),
        VerifyError::BelowFirstHeight { height: 170, first_height: 171 }
    );
    assert_eq!(
        error(|p| p.segments[0].accumulator.leaf_index = 6),
        VerifyError::LeafIndex { height: 170, expected: 5, found: 6 }
    );
    assert_eq!(
        error(|p| p.segments[0].accumulator.count = 12),
        VerifyError::LeafCount { expected: 11, found: 12 }
    );
    assert!(matches!(
        error(|p| p.segments[0].accumulator.siblings.clear()),
        VerifyError::Accumulator(MmrError::Siblings { .. })
    ));
    assert!(matches!(error(|p| p.header.time += 1), VerifyError::AccumulatorRoot { .. }));
    assert!(matches!(error(|p| p.segments[0].entry.security = 2), VerifyError::IndexRoot { .. }));
    assert!(matches!(error(|p| p.segments[0].index.count = 0), VerifyError::Index(_)));
    assert!(matches!(
        error(|p| p.segments[0].grid_header = Bytes::from(vec![0; 5000])),
        VerifyError::GridHeader(_)
    ));
    assert!(matches!(
        error(|p| p.inclusion = ethereum_inclusion()),
        VerifyError::Kind { kind: "ethereum", .. }
    ));
}

#[test]
fn trust_decides() {
    let validators = Validators::new(4);
    let strangers = Validators::new(5);
    let good = bitcoin_proof(&validators, (5, 11));
    let (_, hash) = good.grid_block().unwrap();
    let trust = validators.trust();

    assert!(matches!(refuse(&good, &strangers.trust()), VerifyError::UntrustedValidators { .. }));
    let elsewhere = Trust { chain_id: GRID + 1, ..trust.clone() };
    assert!(matches!(refuse(&good, &elsewhere), VerifyError::Certificate(_)));

    // Three of four sign more than two thirds, two do not.
    let signed =
        |signers| CrossChainProof { anchor: validators.certify(42, hash, signers), ..good.clone() };
    assert!(verify(&signed(3), &trust).is_ok());
    assert!(matches!(refuse(&signed(2), &trust), VerifyError::Certificate(_)));
    let other_block = validators.certify(42, B256::ZERO, 4);
    let bad = CrossChainProof { anchor: other_block, ..good.clone() };
    assert!(matches!(refuse(&bad, &trust), VerifyError::CertificateBlock { .. }));
    let bad = CrossChainProof { anchor: validators.certify(43, hash, 4), ..good.clone() };
    assert!(matches!(refuse(&bad, &trust), VerifyError::CertificateBlock { .. }));

    // A trusted hash needs no certificate, but one that is carried must be right.
    let by_hash = |anchor| Trust { chain_id: GRID, anchor: TrustAnchor::BlockHash(anchor) };
    let bare = CrossChainProof { anchor: Anchor::BlockHash { hash }, ..good.clone() };
    assert!(verify(&bare, &by_hash(hash)).is_ok());
    assert!(verify(&good, &by_hash(hash)).is_ok());
    assert_eq!(refuse(&bare, &trust), VerifyError::NoCertificate);
    assert!(matches!(refuse(&signed(2), &by_hash(hash)), VerifyError::Certificate(_)));
    let other = B256::repeat_byte(1);
    assert!(matches!(refuse(&good, &by_hash(other)), VerifyError::UntrustedBlock { .. }));
    let misnamed = CrossChainProof { anchor: Anchor::BlockHash { hash: other }, ..good };
    assert!(matches!(refuse(&misnamed, &by_hash(hash)), VerifyError::AnchorHash { .. }));
}

#[test]
fn a_certificate_cannot_vouch_for_a_header_that_names_other_validators() {
    let (validators, strangers) = (Validators::new(4), Validators::new(5));
    let mut bad = bitcoin_proof(&validators, (5, 11));
    let index_root = {
        let segment = &bad.segments[0];
        crate::index::root_of(&segment.entry, &segment.index).unwrap()
    };
    bad.segments[0].grid_header = fixture::grid_header(index_root, &validators.set);
    let (_, hash) = bad.grid_block().unwrap();
    bad.anchor = strangers.certify(42, hash, 5);
    assert!(matches!(refuse(&bad, &strangers.trust()), VerifyError::ValidatorsHash { .. }));
}

#[test]
fn the_claim_hash_names_the_fact_and_its_block() {
    let proof = bitcoin_proof(&Validators::new(1), (1, 3));
    let hash = proof.claim.hash(&proof.header);
    let elsewhere = CompatHeader { height: 171, ..proof.header };
    assert_ne!(hash, proof.claim.hash(&elsewhere));
    assert_ne!(hash, Claim::Header {}.hash(&proof.header));
    assert_eq!(hash, proof.claim.hash(&proof.header));
}

/// Building all kinds takes longer than checking one.
static KINDS: std::sync::LazyLock<(Validators, Vec<(&str, CrossChainProof)>)> =
    std::sync::LazyLock::new(|| {
        let validators = Validators::new(1);
        let proofs = all_kinds(&validators);
        (validators, proofs)
    });

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(CrossChainProof::from_abi(&bytes).is_err());
        prop_assert!(CrossChainProof::from_json(&bytes).is_err());
        prop_assert!(Segment::from_abi(&bytes).is_err());
    }

    #[test]
    fn damaged_proofs_never_panic_and_never_verify(
        kind in 0usize..22,
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        length in any::<prop::sample::Index>(),
    ) {
        let (validators, proofs) = &*KINDS;
        let (_, proof) = &proofs[kind];
        let abi = proof.to_abi().to_vec();
        let mut bad = abi.clone();
        for (at, byte) in cuts {
            let at = at.index(bad.len());
            bad[at] = byte;
        }
        if bad != abi {
            let accepted = CrossChainProof::from_abi(&bad)
                .is_ok_and(|proof| verify(&proof, &validators.trust()).is_ok());
            prop_assert!(!accepted);
        }
        let cut = &abi[..length.index(abi.len())];
        prop_assert!(CrossChainProof::from_abi(cut).is_err());
    }
}
